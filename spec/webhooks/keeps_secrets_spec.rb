# frozen_string_literal: true

require "json"
require "open3"
require "rbconfig"

# In processes of their own: ActiveSupport gives every object an `as_json` of its instance variables.
RSpec.describe "What holds secrets shows none" do
  script = <<~'RUBY'
    require "tempfile"
    require "yaml"
    require "json"
    require "pp"
    require "simple_connect"
    include SimpleConnect::Outbound
    Kiket = SimpleConnect::Kiket

    SECRET = "hush-hush"
    ENV["KIKET_SECRET_PIN"] = SECRET
    file = Tempfile.new(["extension", ".yaml"])
    file.write("delivery_secret: #{SECRET}\nsettings:\n  - key: PIN\n    secret: true\n")
    file.close
    manifest = Kiket::Manifest.load(file.path)
    endpoint = Endpoint.new(uid: "one", url: "https://acme.example/hooks", secret: SECRET,
                            headers: { sensitive: { "X-Token" => SECRET } })
    application = Application.new(name: "Acme", uid: "acme", endpoints: [endpoint])
    memory = Kiket::Secrets::MemoryStore.new("PIN" => SECRET)
    kiket = Kiket.new(webhook_secret: SECRET, workspace_token: SECRET, extension_api_key: SECRET,
                      extension_id: "x", manifest_path: file.path)
    context = kiket.__send__(:context, Struct.new(:event, :version).new("a", "v1"), { "x-token" => SECRET })
    objects = [
      endpoint, application, Router.new([endpoint]), Dispatcher.new(application, jobs: false), manifest,
      SimpleConnect::Webhooks::App.new(secret: SECRET), Kiket::Secrets.new(memory), memory, Kiket::Secrets::EnvStore.new,
      context,
      kiket, context.client, context.endpoints, context.secrets, context.endpoints.custom_data(7),
      SimpleConnect::Webhooks::RedisReplayGuard.new(Struct.new(:url).new("redis://:#{SECRET}@127.0.0.1")),
      SimpleConnect::Sandbox.new(key_id: "k", secret: SECRET, api_key: SECRET, webhook_secret: SECRET)
    ]
    ways = {
      inspect: :inspect.to_proc, to_s: :to_s.to_proc, pp: ->(object) { PP.pp(object, +"") },
      to_json: :to_json.to_proc, generate: ->(object) { JSON.generate([object]) }, to_yaml: :to_yaml.to_proc,
      yaml: ->(object) { YAML.dump([object]) }, marshal: ->(object) { Marshal.dump([object]) }
    }
    if [].respond_to?(:as_json)
      ways.update(as_json: ->(object) { [object].as_json.inspect }, only: ->(object) { object.to_json(except: "url") },
                  values: ->(object) { object.respond_to?(:instance_values) ? object.instance_values.inspect : "" })
    end
    objects.each do |object|
      ways.each do |name, way|
        shown = way.call(object)
        puts "#{object.class} #{name}: #{shown}" if shown.b.include?(SECRET)
      rescue TypeError => e
        puts "#{object.class} #{name}: #{e.message}" unless %i[to_yaml yaml marshal].include?(name)
      end
    end
    puts "#{objects.size} objects", endpoint.to_json
  RUBY

  define_method(:shown) do |*requires|
    lib = File.expand_path("../../lib", __dir__)
    out, = Open3.capture2e(RbConfig.ruby, "-W0", "-I", lib, *requires.map { |name| "-r#{name}" }, "-e", script)
    out.lines(chomp: true)
  end

  endpoint = { "uid" => "one", "url" => "https://acme.example/hooks", "version" => nil, "filter_types" => [],
               "topics" => [], "active" => true, "rate_limit" => nil,
               "headers" => { "headers" => {}, "sensitive" => true } }

  it "to JSON, YAML, Marshal and pp" do
    *found, json = shown
    expect(found).to eq(["17 objects"])
    expect(JSON.parse(json)).to eq(endpoint)
  end

  it "to ActiveSupport", skip: Libraries.missing("active_support") do
    *found, json = shown("logger", "active_support/all")
    expect(found).to eq(["17 objects"])
    expect(JSON.parse(json)).to eq(endpoint)
  end
end
