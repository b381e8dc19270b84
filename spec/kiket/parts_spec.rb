# frozen_string_literal: true

require "json"
require "pp" # rubocop:disable Lint/RedundantRequireStatement -- pretty_inspect is there only after a first pp
require "rack"
require "simple_connect"
require "tmpdir"
require_relative "../support/scripted_server"
require_relative "../support/environment"
require_relative "../support/subprocess"

RSpec.describe SimpleConnect::Kiket::Manifest do
  def load(text, name: "extension.yaml", path: nil, env: {}, **options)
    Dir.mktmpdir do |dir|
      File.write("#{dir}/#{name}", text)
      Dir.chdir(dir) { described_class.load(path, env:, **options) }
    end
  end

  manifest = <<~YAML
    delivery_secret: from-the-well
    id: org.glasshouse.watering
    version: 3.2.1
    settings:
      - key: VALVE_PIN
        secret: true
      - key: TOKEN
        secret: true
        default: none
      - key: LITRES
        default: 3
      - key: ENABLED
        default: false
      - key: OFFSET
        default: 0
      - key: NOTE
  YAML

  it "tells who the app is, its secret and its settings' defaults" do
    loaded = load(manifest)
    expect([loaded.id, loaded.version, loaded.delivery_secret])
      .to eq(["org.glasshouse.watering", "3.2.1", "from-the-well"])
    expect(loaded.settings)
      .to eq("TOKEN" => "none", "LITRES" => 3, "ENABLED" => false, "OFFSET" => 0)
    expect(loaded).to be_frozen & have_attributes(settings: be_frozen)
  end

  it "takes secret settings, and only these, from the environment" do
    env = { "KIKET_SECRET_VALVE_PIN" => "k", "KIKET_SECRET_LITRES" => "9", "DEPOT_TOKEN" => "t" }
    expect(load(manifest, env:).settings).to include("VALVE_PIN" => "k", "TOKEN" => "none", "LITRES" => 3)
    expect(load(manifest, env:, prefix: "DEPOT").settings).to include("TOKEN" => "t")
  end

  %w[extension.yaml extension.yml manifest.yaml manifest.yml].each do |name|
    it("is found as #{name}") { expect(load("id: 7", name:).id).to eq("7") }
  end

  it "takes texts as they are written, where YAML sees numbers and booleans" do
    loaded = load("version: 1.10\nid: 0x1F\ndelivery_secret: 0123456\n" \
                  "settings: [{ key: NO, default: 1 }, { key: 010 }, { key: off, secret: yes }]",
                  env: { "KIKET_SECRET_OFF" => "s" })
    expect([loaded.version, loaded.id, loaded.delivery_secret]).to eq(%w[1.10 0x1F 0123456])
    expect(loaded.settings).to eq("NO" => 1, "off" => "s")
    expect(load("delivery_secret: 1_000\nversion: yes")).to have_attributes(delivery_secret: "1_000", version: "yes")
    expect(load("id: \nversion: ~\nid: 0x1\n")).to have_attributes(id: "0x1", version: nil)
  end

  it "is none where there is none" do
    expect(load("id: a", name: "other.yaml")).to be_nil
  end

  it "gives an extension what it is not given itself" do
    Dir.mktmpdir do |dir|
      File.write("#{dir}/m.yaml", manifest)
      seen = nil
      app = SimpleConnect::Kiket.new(manifest_path: "#{dir}/m.yaml", settings: { LITRES: 1 }, extension_version: "2")
      app.register("a", version: "v1") { |_, context| (seen = context) && nil }
      headers = SimpleConnect::Webhooks::TestHelpers.signed_env("{}", secret: "from-the-well", scheme: :kiket)

      expect(Rack::MockRequest.new(app).post("/v/1/webhooks/a", input: "{}", **headers).status).to eq(200)
      expect([seen.extension_id, seen.extension_version, seen.settings["LITRES"], seen.settings["OFFSET"]])
        .to eq(["org.glasshouse.watering", "2", 1, 0])
    end
  end

  describe "that is broken is a ConfigurationError" do
    {
      "" => /must be a mapping/, "[1]" => /must be a mapping/, "id: [" => /is not YAML/, "id: [1]" => /a text for id/,
      "id: 2024-01-01" => /put it into quotes/, "id: !ruby/object:Object {}" => /put it into quotes/,
      "a: &a 1\nb: *a" => /is not YAML: /, "settings: 7" => /must have a list for settings/,
      "settings: [a]" => /a setting without key/, "settings: [{key: ' '}]" => /a setting without key/,
      "id: \"\xFF\"" => /is not YAML/,
      "settings: [{ key: A, secret: 'true' }]" => /secret: of A must be true or false, not "true"/,
      "settings: [{ key: A, secret: 1 }]" => /secret: of A must be true or false, not 1/
    }.each do |text, message|
      it text.inspect do
        expect { load(text, path: "extension.yaml") }.to raise_error(SimpleConnect::ConfigurationError, message)
      end
    end

    it "where it is nested too deeply" do
      expect { load("id: a\nsettings: #{"[" * 20_000}#{"]" * 20_000}", path: "extension.yaml") }
        .to raise_error(SimpleConnect::ConfigurationError, /is nested too deeply/)
    end

    it "where it is not there, or a folder" do
      [["/nonexistent.yaml", /cannot be read: No such file/], [Dir.tmpdir, /cannot be read/]].each do |path, message|
        expect { described_class.load(path) }.to raise_error(SimpleConnect::ConfigurationError, message)
      end
    end
  end

  it "shows no secret" do
    loaded = load(manifest, env: { "KIKET_SECRET_VALVE_PIN" => "hunter2" })
    shown = [loaded.inspect, loaded.settings.inspect, loaded.settings.to_s, loaded.settings.pretty_inspect].join
    expect(shown).not_to match(/from-the-well|hunter2/)
    expect(loaded.settings["VALVE_PIN"]).to eq("hunter2")
  end
end

RSpec.describe SimpleConnect::Kiket::Secrets do
  env = { "OTHER" => "x", "KIKET_SECRET_" => "x" }
  {
    "in memory" => -> { described_class::MemoryStore.new(seed: "1") },
    "in the environment" => -> { described_class::EnvStore.new(env: { **env, "KIKET_SECRET_SEED" => "1" }) }
  }.each do |where, store|
    it "are kept #{where}" do
      secrets = described_class.new(instance_exec(&store))
      key = where == "in memory" ? "seed" : "SEED"
      expect([secrets.list, secrets.get("seed"), secrets.get("none")]).to eq([[key], "1", nil])
      secrets.set("DEPOT_TOKEN", "gate-7")
      expect([secrets.get("DEPOT_TOKEN"), secrets.rotate(:DEPOT_TOKEN, "gate-8"), secrets.get("DEPOT_TOKEN")])
        .to eq(%w[gate-7 gate-7 gate-8])
      expect(secrets.list).to contain_exactly(key, "DEPOT_TOKEN")
      expect([secrets.fetch("seed"), secrets.fetch("none", 1), secrets.fetch(:none, &:to_s)]).to eq(["1", 1, "none"])
      expect { secrets.fetch("none") }.to raise_error(KeyError, 'there is no secret "none"')
      secrets.delete("DEPOT_TOKEN")
      expect([secrets.get("DEPOT_TOKEN"), secrets.rotate("NEW", "1")]).to eq([nil, nil])
      expect([secrets.inspect, instance_exec(&store).inspect].join).not_to match(/gate-8|"1"/)
    end
  end

  it "leave the environment as it is" do
    env = { "KIKET_SECRET_SEED" => "1" }
    secrets = described_class.new(described_class::EnvStore.new(env:))
    secrets.set("SEED", "2")
    secrets.set("NEW", "3")
    expect([secrets.get("SEED"), secrets.list, env]).to eq(["2", %w[SEED NEW], { "KIKET_SECRET_SEED" => "1" }])
    secrets.delete("SEED")
    expect([secrets.get("SEED"), secrets.list]).to eq([nil, %w[NEW]])
  end

  it "have names in the environment that it can have" do
    store = described_class::EnvStore.new(prefix: "DEPOT", env: { "DEPOT_VALVE_PIN_2" => "k" })
    expect(described_class.new(store).get("valve-pin.2")).to eq("k")
  end

  it "hand out one predecessor each, where threads rotate them" do
    secrets = described_class.new(described_class::MemoryStore.new("K" => "0"))
    previous = Array.new(4) { |thread| Thread.new { Array.new(200) { |n| secrets.rotate("K", "#{thread}-#{n}") } } }
    expect(previous.flat_map(&:value).uniq.length).to eq(800)
  end

  it "refuse what makes no sense", unchecked: true do
    secrets = described_class.new(described_class::MemoryStore.new)
    expect { secrets.get(" ") }.to raise_error(ArgumentError, 'key is required, such as "DEPOT_TOKEN"')
    [nil, "", 7].each do |value|
      expect { secrets.set("K", value) }.to raise_error(ArgumentError, /\Avalue must be a String, and not empty/)
      expect { secrets.rotate("K", value) }.to raise_error(ArgumentError, /\Avalue must be a String, and not empty/)
    end
    expect { described_class.new(Object.new) }
      .to raise_error(SimpleConnect::ConfigurationError, /\Aa store of secrets must have get, set, delete and list/)
  end
end

RSpec.describe SimpleConnect::Kiket::Settings do
  it "is read by Strings and by Symbols" do
    settings = described_class.new(MAX: { "a" => 3 }, "MIN" => 0)
    expect([settings[:MAX], settings["MAX"], settings.fetch(:MIN), settings.key?(:MIN), settings.dig(:MAX, "a"),
            settings.values_at(:MIN, "MIN"), settings.slice(:MIN), settings.fetch(:NO, 7), settings[:NO]])
      .to eq([{ "a" => 3 }, { "a" => 3 }, 0, true, 3, [0, 0], { "MIN" => 0 }, 7, nil])
    expect(settings.keys).to eq(%w[MAX MIN])
  end
end

RSpec.describe SimpleConnect::Kiket::Telemetry do
  def records(**options)
    seen = Queue.new
    yield described_class.new(feedback_hook: ->(record) { seen << record }, env: {}, **options)
    Array.new(seen.size) { seen.pop }
  end

  it "tells a hook of each handled event" do
    told = records do |telemetry|
      telemetry.record("order.paid", "v1", 0.0125)
      telemetry.record("order.paid", "v1", 1, KeyError.new("no \xFF#{"x" * 2000}"))
    end
    event = { event: "order.paid", version: "v1" }
    extension = { extension_id: nil, extension_version: nil, timestamp: a_string_matching(/\A\d{4}-.*\.\d{3}Z\z/) }
    expect(told).to match(
      [{ **event, status: "ok", duration_ms: 12.5, error_class: nil, error_message: nil, **extension },
       { **event, status: "error", duration_ms: 1000, error_class: "KeyError",
                  error_message: "no \uFFFD#{"x" * 996}", **extension }]
    )
    expect(told).to all(be_frozen)
  end

  it "reports the events that an extension handles, and no others" do
    seen = []
    app = SimpleConnect::Kiket.new(webhook_secret: "hunter2", feedback_hook: seen.method(:push))
    app.register("good", version: "v1") { nil }
    app.register("bad", version: "v1") { raise KeyError, "gone" }
    %w[good bad none].each do |event|
      headers = SimpleConnect::Webhooks::TestHelpers.signed_env(%({"for":"#{event}"}), secret: "hunter2",
                                                                                       scheme: :kiket)
      Rack::MockRequest.new(app).post("/v/1/webhooks/#{event}", input: %({"for":"#{event}"}),
                                                                "rack.errors" => StringIO.new, **headers)
    end
    expect(seen.map { |record| record.values_at(:event, :version, :status, :error_class, :error_message) })
      .to eq([["good", "v1", "ok", nil, nil], %w[bad v1 error KeyError gone]])
    expect(seen.inspect).not_to include("hunter2")
  end

  it "posts them, if there is a URL" do
    ScriptedServer.open([{ "status" => 202 }]) do |server|
      telemetry = described_class.new(url: "#{server.url}/telemetry?k=1", extension_id: "shop",
                                      extension_version: "1.2", extension_api_key: "ek_1", env: {})
      telemetry.record("order.paid", "v1", 0.5)
      request = server.wait_for(1).first

      expect([request.verb, request.target, request.headers["content-type"]])
        .to eq(["POST", "/telemetry?k=1", "application/json"])
      expect(request.headers).to include("x-kiket-api-key" => "ek_1")
      expect(request.headers).not_to include("authorization")
      expect(telemetry.inspect + telemetry.to_json).not_to include("ek_1")
      expect(JSON.parse(request.body))
        .to include("event" => "order.paid", "status" => "ok", "duration_ms" => 500.0, "extension_id" => "shop",
                    "extension_version" => "1.2", "timestamp" => a_string_matching(/\A20/))
      expect(Subprocess.run { telemetry.record("forked", "v1", 0) && nil }).to be_nil
    end
  end

  it "posts from a forked process, too, and each record once" do
    gate = Queue.new
    # Holds the parent up, so that it has something waiting when it forks.
    ScriptedServer.open([ScriptedServer.held(gate), { "status" => 202 }]) do |server|
      telemetry = described_class.new(url: server.url, env: {})
      telemetry.record("parent", "v1", 0)
      server.wait_for(1)
      telemetry.record("waiting", "v1", 0)
      child = Subprocess.new do |io|
        2.times { |n| telemetry.record("child #{n}", "v1", 0) }
        io.gets
      end
      server.wait_for(2)
      gate.close
      events = server.wait_for(1).map { |request| JSON.parse(request.body)["event"] }
      expect(events).to contain_exactly("parent", "waiting", "child 0", "child 1")
      child.puts("go")
      child.value
    ensure
      gate.close
    end
  end

  it "costs nobody anything where it fails" do
    nowhere = described_class.new(url: "http://127.0.0.1:1/", env: {})
    expect(nowhere.record("a", "v1", 0)).to be_nil

    [-> { raise "no" }, -> { raise NotImplementedError }].each do |work|
      telemetry = described_class.new(feedback_hook: ->(_) { work.call }, env: {})
      expect { telemetry.record("a", "v1", 0) }.to output(/a webhook's telemetry failed: /).to_stderr
    end
    unspeakable = Class.new(StandardError) { def message = raise("again") }.new
    expect { described_class.new(feedback_hook: ->(_) {}, env: {}).record("a", "v1", 0, unspeakable) }
      .to output(/a webhook's telemetry failed: RuntimeError/).to_stderr
  end

  it "drops what a slow receiver has no time for, and holds nobody up" do
    gate = Queue.new
    ScriptedServer.open([ScriptedServer.held(gate)]) do |server|
      telemetry = described_class.new(url: server.url, env: {})
      telemetry.record("first", "v1", 0)
      server.wait_for(1)
      1500.times { |n| telemetry.record(n.to_s, "v1", 0) }
      queue = telemetry.instance_variable_get(:@queue)
      expect(queue.size).to eq(1000)
      # Else they are posted to whoever gets this port next.
      queue.clear
    ensure
      gate.close
    end
  end

  # The hook is the user's own, and goes on.
  it "posts nothing where it is turned off" do
    settings = { "1" => false, "true" => false, "0" => true, "" => true, "false" => true }
               .transform_keys { |value| { env: { "KIKET_SDK_TELEMETRY_OPTOUT" => value } } }
    { { enabled: false, env: {} } => false, **settings }.each do |options, posts|
      seen = []
      telemetry = described_class.new(url: "http://127.0.0.1:1/", feedback_hook: seen.method(:push), **options)
      telemetry.record("a", "v1", 0)
      expect([seen.size, telemetry.inspect]).to eq([1, "#<SimpleConnect::Kiket::Telemetry #{posts ? "on" : "off"}>"])
    end
  end
end
