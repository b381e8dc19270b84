# frozen_string_literal: true

require "json"
require "open3"
require "rbconfig"
require "tmpdir"
require_relative "support/scripted_server"

# VCR, through WebMock. It stays hooked into a process for good: each of these has its own.
RSpec.describe "VCR" do
  setting = <<~RUBY
    require "json"
    require "vcr"
    require "simple_connect/testing"

    VCR.configure do |config|
      config.cassette_library_dir = ENV.fetch("CASSETTES")
      config.hook_into :webmock
      SimpleConnect::Testing.vcr_filters(config)
    end

    SERVER = ENV.fetch("SERVER")
    POLICY = SimpleConnect::Retryable.new(sleep: ->(_) {})
    CLIENT = SimpleConnect::Client.new(
      endpoint_url: "\#{SERVER}/api/v1/integrations/demo/events", key_id: "wa_sec_demo", secret: "s", retryable: POLICY
    )
    MESSAGES = SimpleConnect::MessagesClient.new(base_url: SERVER, api_key: "k3y-of-ours")

    def deliver(id = "e1")
      CLIENT.events.deliver("order_paid", recipient: { mobile_no: "+91" }, event: { event_id: id })
    end

    def told(result) = [result.status_code, result.attempts, result.data&.to_h, result.headers["x-request-id"]]

    def show(*values) = puts(JSON.generate(values))
  RUBY

  before do
    skip "VCR is not installed" unless Gem::Specification.any? { |spec| spec.name == "vcr" }
  end

  around { |example| Dir.mktmpdir { |directory| example.run(@cassettes = directory) } }

  attr_reader :cassettes

  define_method(:run) do |script, server|
    env = { "CASSETTES" => cassettes, "SERVER" => server.url }
    lib = File.expand_path("../lib", __dir__)
    output, status = Open3.capture2e(env, RbConfig.ruby, "-I", lib, "-e", "#{setting}\n#{script}")
    raise output unless status.success? && output.lines.size == 1

    JSON.parse(output)
  end

  def cassette(name) = File.read(File.join(cassettes, "#{name}.yml"))

  def accepted(id) = { "status" => 202, "body" => JSON.generate(event_id: id), "headers" => { "X-Request-Id" => id } }

  it "records, and replays without a request" do
    ScriptedServer.open([accepted("é")]) do |server|
      script = 'VCR.use_cassette("one") { show told(deliver) }'
      runs = Array.new(2) { run(script, server) }
      expect(runs).to eq([[[202, 1, { "event_id" => "é" }, "é"]]] * 2)
      expect(server.requests.size).to eq(1)
    end
  end

  it "records and replays attempt by attempt" do
    ScriptedServer.open([{ "status" => 503 }, { "status" => 500 }, accepted("e1")]) do |server|
      script = 'VCR.use_cassette("three", allow_playback_repeats: false) { show told(deliver) }'
      runs = Array.new(2) { run(script, server) }
      expect(runs).to eq([[[202, 3, { "event_id" => "e1" }, "e1"]]] * 2)
      expect(server.requests.size).to eq(3)
    end
  end

  it "records and replays deliver_all, also where the body has to match" do
    ScriptedServer.open([accepted("e1"), accepted("e2"), { "status" => 422, "body" => "{}" }]) do |server|
      script = <<~RUBY
        all = %w[e1 e2 e3].map do |id|
          ["order_paid", { recipient: { mobile_no: "+91" }, event: { event_id: id, occurred_at: "2026-04-16" } }]
        end
        VCR.use_cassette("all", match_requests_on: %i[method uri body]) do
          show(*CLIENT.events.deliver_all(all, concurrency: 1).map(&:status_code))
        end
      RUBY
      expect(Array.new(2) { run(script, server) }).to eq([[202, 202, 422]] * 2)
      expect(server.requests.size).to eq(3)
    end
  end

  it "records and replays what MessagesClient sends" do
    ScriptedServer.open([{ "body" => '{"message_id":"m1","status":"delivered"}' }]) do |server|
      script = 'VCR.use_cassette("message") { show MESSAGES.messages.detail("m1").data.status }'
      expect(Array.new(2) { run(script, server) }).to eq([["delivered"]] * 2)
      expect(server.requests.size).to eq(1)
    end
  end

  it "refuses a request without a cassette, once" do
    ScriptedServer.open do |server|
      script = <<~RUBY
        asked = 0
        VCR.configure { |config| config.before_http_request { asked += 1 } }
        error = begin
          deliver
        rescue => e
          e.class.name
        end
        show error, asked
      RUBY
      expect(run(script, server)).to eq(["VCR::Errors::UnhandledHTTPRequestError", 1])
      expect(server.connections).to eq(0)
    end
  end

  it "leaves stubs alone" do
    ScriptedServer.open do |server|
      script = <<~RUBY
        WebMock.stub_request(:post, /events/).to_timeout.then.to_return(status: 422)
        VCR.use_cassette("none") { show told(deliver) }
      RUBY
      expect(run(script, server)).to eq([[422, 2, nil, nil]])
      expect(File).not_to exist(File.join(cassettes, "none.yml"))
    end
  end

  it "steps aside where it is turned off" do
    ScriptedServer.open([accepted("e1")]) do |server|
      script = "VCR.turned_off { WebMock.allow_net_connect!; show told(deliver) }"
      expect(run(script, server)).to eq([[202, 1, { "event_id" => "e1" }, "e1"]])
    end
  end

  describe "SimpleConnect::Testing.vcr_filters" do
    it "hides the key id, the signature and the API key, and nothing else" do
      ScriptedServer.open([accepted("wa_sec_demo")]) do |server|
        run(<<~RUBY, server)
          VCR.use_cassette("hidden") do
            deliver
            MESSAGES.messages.detail("m1")
            Net::HTTP.get(URI("\#{SERVER}/other"), { "Authorization" => "Bearer theirs" })
          end
          show "done"
        RUBY
        expect(cassette("hidden")).not_to match(/sha256=|k3y-of-ours|Key-Id:\s+- wa_sec_demo/)
        expect(cassette("hidden"))
          .to match(/X-Simpleconnect-Key-Id:\s+- "?<SIMPLECONNECT_KEY_ID>/)
          .and match(/X-Simpleconnect-Signature:\s+- "?<SIMPLECONNECT_SIGNATURE>/)
          .and match(/Authorization:\s+- Bearer <SIMPLECONNECT_API_KEY>/)
          .and match(/Authorization:\s+- Bearer theirs/)
          .and match(/X-Simpleconnect-Timestamp:\s+- '\d+'/)
          .and include('"event_id":"wa_sec_demo"')
      end
    end

    it "hides the credentials of Kiket's client and of a Dispatcher" do
      ScriptedServer.open([{ "status" => 204 }]) do |server|
        run(<<~RUBY, server)
          require "simple_connect/kiket"
          kiket = SimpleConnect::Kiket::Client.new(SERVER, workspace_token: "wk_ours", extension_api_key: "ek_ours")
          SimpleConnect.configure { |config| config.allow_private = true }
          endpoint = SimpleConnect::Outbound::Endpoint.new(
            uid: "acme", url: "\#{SERVER}/hook", secret: "s",
            headers: { headers: { "X-Tenant" => "acme" }, sensitive: { "Authorization" => "Basic ours" } }
          )
          application = SimpleConnect::Outbound::Application.new(name: "Acme", endpoints: [endpoint])
          dispatcher = SimpleConnect::Outbound::Dispatcher.new(application, jobs: false)
          VCR.use_cassette("others") do
            kiket.get("/api/v1/x")
            dispatcher.publish(SimpleConnect::Outbound::Event.new(event_type: "order.paid", payload: {}))
            Net::HTTP.get(URI("\#{SERVER}/other"), { "Authorization" => "Bearer theirs" })
          end
          show "done"
        RUBY
        expect(cassette("others")).not_to match(/wk_ours|ek_ours|Basic ours|Simplyq-Signature:\s+- \h/)
        expect(cassette("others")).to match(/X-Kiket-Api-Key:\s+- "?<KIKET_API_KEY>/)
          .and match(/Authorization:\s+- "?<AUTHORIZATION>/).and match(/Authorization:\s+- Bearer theirs/)
          .and match(/X-Tenant:\s+- acme/).and match(/X-Simplyq-Signature:\s+- "?<SIMPLYQ_SIGNATURE>/)
      end
    end

    it "goes for what is sent, too, in neither direction" do
      ScriptedServer.open([accepted("e1")]) do |server|
        2.times { run('VCR.use_cassette("sent") { show told(deliver) }', server) }
        expect(server.requests.map { |request| request.headers["x-simpleconnect-key-id"] }).to eq(["wa_sec_demo"])
      end
    end
  end
end
