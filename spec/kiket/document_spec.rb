# frozen_string_literal: true

require_relative "../support/documented_code"

RSpec.describe "docs/kiket.md", skip: DocumentedCode.missing do
  document = File.read(File.expand_path("../../docs/kiket.md", __dir__))

  it "shows only what works" do
    output, fine = DocumentedCode.run(DocumentedCode.blocks(document), <<~RUBY)
      require "simple_connect"
      require "tmpdir"
      Dir.chdir(Dir.mktmpdir)
      at_exit { Dir.children(".").each { |name| File.delete(name) } && Dir.rmdir(Dir.pwd) }
      File.write("extension.yaml", #{document[/^```yaml\n(.*?)^```$/m, 1].dump})
    RUBY
    expect([output, fine]).to eq(["", true])
  end

  it "names what a handler gets, and each option" do
    context = SimpleConnect::Kiket::Context.allocate.keys
    expect(context.reject { |name| document.include?("`#{name}`") }).to be_empty
    options = SimpleConnect::Kiket.instance_method(:initialize).parameters.filter_map do |kind, name|
      name if kind == :key
    end
    expect(options.reject { |name| document.include?("`#{name}:") }).to be_empty
  end
end
