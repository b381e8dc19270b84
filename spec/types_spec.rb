# frozen_string_literal: true

require_relative "support/libraries"

# sig/ says what YARD documents, and nothing that is private.
RSpec.describe "sig/", skip: Libraries.missing("rbs", "yard"), unchecked: true do
  root = File.expand_path("..", __dir__)

  before do
    require "rbs"
    require "yard"
    YARD::Logger.instance.level = YARD::Logger::ERROR
    YARD::Registry.clear
    # The types of what Rails loads, and of what a library's own job is, are theirs.
    YARD.parse(Dir["#{root}/lib/**/*.rb"].grep_v(%r{/lib/(generators|simple_connect/(rails|active_job|sidekiq))/}))
  end

  # Each public constant, and its public methods: those are written as `Client#close` and `Client.new`.
  def documented
    YARD::Registry.all(:class, :module, :constant).reject { |object| hidden?(object) }.to_h do |object|
      [object.path, object.type == :constant ? [] : methods_of(object)]
    end
  end

  def internal?(object) = !object.root? && (object.tag(:api)&.text == "private" || internal?(object.namespace))

  # A private constant is hidden, and so is what is in it.
  def hidden?(object)
    !object.root? && (object.visibility == :private || object.tag(:api)&.text == "private" || hidden?(object.namespace))
  end

  # Also those of private modules and superclasses: nobody can look them up there.
  def methods_of(object)
    inherited = private_ancestors(object).flat_map { |ancestor| public_methods_of(ancestor, :instance) }
    public_methods_of(object).map(&:path) | inherited.map { |method| "#{object.path}##{method.name}" }
  end

  def private_ancestors(object)
    tree = object.inheritance_tree(true).drop(1).grep(YARD::CodeObjects::NamespaceObject)
    tree.select { |ancestor| ancestor.visibility == :private && !internal?(ancestor) }
  end

  def public_methods_of(object, scope = %i[instance class])
    # The setters of a Struct are of no use: it is frozen.
    struct = object.is_a?(YARD::CodeObjects::ClassObject) && object.superclass&.path == "Struct"
    object.meths(inherited: false, included: false, scope:, visibility: :public).reject do |method|
      method.tag(:api)&.text == "private" || (struct && method.name.end_with?("="))
    end
  end

  # The same of a folder of signatures; the methods with their types.
  def signed(folder)
    Dir["#{folder}/*.rbs"].each_with_object({}) { |file, names| collect(declarations(file), nil, names) }
  end

  def declarations(file)
    parsed = RBS::Parser.parse_signature(RBS::Buffer.new(name: file, content: File.read(file)))
    # Newer versions return the buffer and the directives, too.
    parsed.last.is_a?(Array) ? parsed.last : parsed
  end

  def collect(members, namespace, names)
    visible = true
    members.each do |member|
      case member
      when RBS::AST::Members::Public then visible = true
      when RBS::AST::Members::Private then visible = false
      when RBS::AST::Declarations::Class, RBS::AST::Declarations::Module
        path = [namespace, member.name.to_s].compact.join("::")
        collect(member.members, path, names.tap { names[path] ||= {} })
      when RBS::AST::Declarations::Constant then names["#{namespace}::#{member.name}"] = {}
      else add(member, namespace, names) if visible && member.respond_to?(:kind)
      end
    end
  end

  def add(member, namespace, names)
    name = member.respond_to?(:new_name) ? member.new_name : member.name
    source = member.location.source.gsub(/\s+/, " ")
    path = "#{namespace}#{member.kind == :singleton ? "." : "#"}#{name}"
    names[namespace][path] = source
    names[namespace]["#{path}="] = source if member.is_a?(RBS::AST::Members::AttrAccessor)
  end

  it "has each public constant and method, and no other" do
    documented = documented()
    signed = signed("#{root}/sig")
    expect(signed.keys).to match_array(documented.keys)

    methods = signed.values.flat_map(&:keys)
    expect(documented.values.flatten - methods).to eq([])
    # A subclass may say more of what it inherits.
    inherited = documented.keys.map { |path| YARD::Registry.at(path) }.select { |object| object.type == :class }
    inherited = inherited.flat_map { |object| object.meths.map { |method| "#{object.path}##{method.name}" } }
    expect(methods - documented.values.flatten - inherited).to eq([])
  end

  it "says of classes what spec/sig says of the private modules that they include" do
    public_ones = signed("#{root}/sig")
    internal = signed("#{root}/spec/sig")
    pairs = public_ones.keys.flat_map do |path|
      tree = YARD::Registry.at(path).then { |object| object.type == :constant ? [] : private_ancestors(object) }
      tree.flat_map { |ancestor| internal.fetch(ancestor.path).map { |name, type| [path + name[/[#.].*/], type] } }
    end
    expect(pairs.size).to be > 40
    said = public_ones.values.inject(:merge)
    expect(pairs.reject { |name, type| said[name] == type }).to eq([])
  end
end
