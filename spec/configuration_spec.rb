# frozen_string_literal: true

require "json"
require "logger"
require "open3"
require "rbconfig"
require "simple_connect"
require "stringio"
require_relative "support/scripted_server"
require_relative "support/subprocess"

RSpec.describe SimpleConnect::Configuration do
  subject(:config) { described_class.new(env:) }

  let(:env) { {} }
  let(:server) { { endpoint_url: "http://127.0.0.1:1/api/v1/integrations/shop/events", key_id: "wa_1", secret: "hush" } }

  def set(settings, **options) = options.each { |option, value| settings.public_send("#{option}=", value) }

  def client(name = nil) = config.built(SimpleConnect::Client, name)

  def variables(**options) = options.transform_keys { |option| "SIMPLECONNECT_#{option.upcase}" }

  it "reads nothing, and builds nothing, before the first use" do
    config.secret = -> { raise "asked too early" }
    lazy = [client, client.with(timeout: 3), config.built(SimpleConnect::MessagesClient, nil)]
    expect(lazy.map(&:inspect)).to eq(
      ["#<SimpleConnect::Client of the configuration>", "#<SimpleConnect::Client of the configuration>",
       "#<SimpleConnect::MessagesClient of the configuration>"]
    )
    expect(lazy.map(&:close)).to eq([nil, nil, nil])
  end

  it "names what is missing and where it looked, at the first use" do
    config.credentials = -> { { "credentials.simple_connect" => { endpoint_url: "http://127.0.0.1:1/e" } } }
    expect { client.events }.to raise_error(
      SimpleConnect::ConfigurationError,
      "not configured: key_id, secret; set config.key_id or SIMPLECONNECT_KEY_ID, config.secret or " \
      "SIMPLECONNECT_SECRET; looked in the configuration, the environment, credentials.simple_connect"
    )
    expect { config.built(SimpleConnect::MessagesClient, nil).messages }
      .to raise_error(SimpleConnect::ConfigurationError,
                      /\Anot configured: base_url, api_key; set config\.base_url or /)
  end

  it "can be completed after a first use that failed" do
    lazy = client
    expect { lazy.events }.to raise_error(SimpleConnect::ConfigurationError)
    set(config, **server)
    expect(lazy.inspect).to eq("#<SimpleConnect::Client of the configuration>")
    expect(lazy.events).to be_a(SimpleConnect::Api::Events)
    expect([lazy.name, lazy.inspect]).to eq([:default, '#<SimpleConnect::Client http://127.0.0.1:1 key_id="wa_1">'])
  end

  describe "takes each value from the first place that has it:" do
    places = {
      "Ruby" => ["ruby", %w[ruby env special general]],
      "the environment" => ["env", [nil, "env", "special", "general"]],
      "the environment, where Ruby has a blank" => ["env", [" ", "env", "special", "general"]],
      "the special credentials" => ["special", [nil, "", "special", "general"]],
      "the general credentials" => ["general", [nil, nil, nil, "general"]]
    }
    places.each do |name, (expected, (ruby, variable, special, general))|
      it name do
        set(config, **server.except(:key_id, :secret))
        %i[key_id secret].each do |option|
          set(config, option => ruby)
          env["SIMPLECONNECT_#{option.upcase}"] = variable
        end
        config.credentials = lambda do
          { "credentials.test.simple_connect" => { key_id: special, secret: special },
            "credentials.simple_connect" => { key_id: general, secret: general } }
        end
        expect(client.tap(&:events).inspect).to include(%(key_id="#{expected}"))
      end
    end
  end

  it "takes the key id and the secret from the same place" do
    set(config, **server.except(:secret))
    env.update(variables(secret: "hush"))
    expect { client.events }.to raise_error(
      SimpleConnect::ConfigurationError,
      "key_id is set in the configuration, but secret in the environment: they belong together, so set both in the " \
      "same place"
    )
  end

  it "calls a Proc at the first use, once" do
    calls = Hash.new(0)
    server.each { |option, value| set(config, option => -> { (calls[option] += 1) && value }) }
    2.times { client.events }
    expect(calls).to eq(endpoint_url: 1, key_id: 1, secret: 1)
  end

  it "is the same client each time, for any thread" do
    set(config, **server)
    clients = Array.new(8) { Thread.new { client.tap(&:events) } }.map(&:value)
    expect(clients.uniq(&:object_id).size).to eq(1)
    expect(clients.map { |each| each.events.object_id }.uniq.size).to eq(1)
  end

  it "passes each option of a client on" do
    ScriptedServer.open([{ "status" => 503 }, { "status" => 202, "body" => "{}" }]) do |there|
      log = StringIO.new
      logger = Logger.new(log)
      set(config, **server, endpoint_url: there.endpoint, logger:, headers: { "X-Tenant" => "acme" }, event_keys: %w[a],
                            retryable: -> { SimpleConnect::Retryable.new(max_attempts: 2, delay: ->(_) { 0.001 }) })
      expect(client.events.deliver("a", n: 1).attempts).to eq(2)
      expect { client.events.deliver("b", n: 1) }.to raise_error(SimpleConnect::UnknownEventError)
      expect(there.requests.last.headers["x-tenant"]).to eq("acme")
      expect(log.string).to include("Response 503")
    end
  end

  it "knows every option of both clients", unchecked: true do
    options = [SimpleConnect::Client, SimpleConnect::MessagesClient].flat_map do |type|
      type.instance_method(:initialize).parameters.filter_map { |kind, name| name if kind.to_s.start_with?("key") }
    end
    open = SimpleConnect.const_get(:Transport).method(:open).parameters
    options += open.filter_map { |kind, name| name if kind.to_s.start_with?("key") && name != :bounds }
    options += %i[open_timeout read_timeout write_timeout total_timeout]
    expect((options.uniq - %i[connection bounds]).reject { |option| config.respond_to?("#{option}=") }).to eq([])
  end

  it "has no logger where that is false, as Rails' own would be one" do
    set(config, **server, logger: false)
    expect(client.events).to be_a(SimpleConnect::Api::Events)
  end

  describe "clients with names" do
    it "take what is not set for them from the rest" do
      set(config, **server, total_timeout: 5)
      config.client(:billing) { |billing| set(billing, key_id: "wa_2", secret: "hush2") }
      config.client("billing") { |billing| billing.total_timeout = 3 }
      expect([client(:billing).tap(&:events).inspect, client("billing").name])
        .to eq(['#<SimpleConnect::Client http://127.0.0.1:1 key_id="wa_2">', :billing])
      expect([client(:billing), client]).to match([equal(client("billing")), be(client(:default))])
    end

    it "take no half of the key" do
      set(config, **server)
      config.client(:billing) { |billing| billing.key_id = "wa_2" }
      expect { client(:billing).events }
        .to raise_error(SimpleConnect::ConfigurationError,
                        /\Akey_id is set in config.client\(:billing\), but secret in the /)
    end

    it "are refused where there is none", unchecked: true do
      expect { client(:billing) }.to raise_error(
        SimpleConnect::ConfigurationError, "no client is configured as :billing: use config.client(:billing) { … }"
      )
      ["", " ", 7].each do |name|
        expect { client(name) }.to raise_error(ArgumentError, /\Aname must be a Symbol or a String, such as :billing/)
      end
      expect { config.client(:billing) }.to raise_error(ArgumentError, /takes a block/)
      expect { config.clients }.to raise_error(ArgumentError, /takes a block/)
    end
  end

  describe "clients that are built by name" do
    it "are asked for once, and the last hundred are kept" do
      asked = []
      config.clients { |name| asked.push(name) && SimpleConnect::Client.new(**server, key_id: name.to_s) }
      2.times { expect(client(:acme).tap(&:events).inspect).to include('key_id="acme"') }
      expect([asked, client(:acme).name]).to eq([[:acme], :acme])
      100.times { |n| client("tenant#{n}").events }
      client(:acme).events
      expect([asked.size, asked.last]).to eq([102, :acme])
    end

    it "may be missing, or something else" do
      config.clients { |name| name == :odd ? 7 : nil }
      { none: "config.clients knows no client :none",
        odd: "config.clients must return a SimpleConnect::Client for :odd, not Integer" }.each do |name, message|
        expect { client(name).events }.to raise_error(SimpleConnect::ConfigurationError, message)
      end
    end
  end

  it "builds clients again once it is reset" do
    set(config, **server)
    before = client.tap(&:events)
    config.key_id = "wa_2"
    expect(client).to equal(before)
    config.reset
    expect(client.tap(&:events).inspect).to include('key_id="wa_2"')
  end

  it "is one for the process, and its clients work in forked ones" do
    ScriptedServer.open([{ "status" => 202, "body" => "{}" }]) do |there|
      code = <<~RUBY
        SimpleConnect.configure { |c| c.endpoint_url = ARGV[0]; c.key_id = "k"; c.secret = "s" }
        SimpleConnect.client.events.deliver("a", n: 1)
        pids = 2.times.map { fork { exit(SimpleConnect.client.events.deliver("a", n: 2).success?) } }
        p pids.map { |pid| Process.wait2(pid).last.success? }
      RUBY
      command = [RbConfig.ruby, "-I", File.expand_path("../lib", __dir__), "-r", "simple_connect"]
      out, = Open3.capture2e(*command, "-e", code, there.endpoint)
      expect(out).to eq("[true, true]\n")
      expect(there.requests.size).to eq(3)
    end
  end

  it "shows no secret" do
    set(config, **server)
    config.client(:billing) { |billing| set(billing, secret: "hush2") }
    settings = nil
    config.client(:billing) { |billing| settings = billing }
    shown = [config, settings].flat_map { |each| [each.inspect, each.to_s, each.to_json] }
    expect(shown.join).not_to include("hush")
    expect(config.inspect).to eq("#<SimpleConnect::Configuration default, billing>")
  end

  it "takes a block", unchecked: true do
    expect { SimpleConnect.configure }.to raise_error(ArgumentError, /takes a block/)
  end
end
