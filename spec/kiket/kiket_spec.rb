# frozen_string_literal: true

require "rack"
require "simple_connect/kiket"
require "tmpdir"
require_relative "../support/environment"
require_relative "../support/kiket_api"
require_relative "../support/scripted_server"

RSpec.describe SimpleConnect::Kiket do
  include Environment

  # The value of the block, as a handler of `sdk` computes it.
  def handle(sdk, secret: "s", &block)
    value = nil
    sdk.register("a", version: "v1") { |_, context| (value = block.call(context)) && nil }
    headers = SimpleConnect::Webhooks::TestHelpers.signed_env("{}", secret:, scheme: :kiket)
    answer = Rack::MockRequest.new(Rack::Lint.new(sdk)).post("/v/1/webhooks/a", input: "{}", **headers)
    raise answer.errors unless answer.status == 200

    value
  end

  describe "the context" do
    let(:sdk) do
      described_class.new(webhook_secret: "hunter1", workspace_token: "hunter2", extension_api_key: "hunter3",
                          base_url: "http://127.0.0.1:1", settings: { KEY: "hunter4", MAX: 3 }, extension_id: "shop",
                          extension_version: "1.2")
    end
    let(:context) { handle(sdk, secret: "hunter1", &:itself) }

    it "has what the extension was given" do
      names = %i[event event_version settings extension_id extension_version]
      expect(context.values_at(*names)).to eq(["a", "v1", { "KEY" => "hunter4", "MAX" => 3 }, "shop", "1.2"])
      expect(context.values_at(:client, :endpoints, :secrets)).to match(
        [described_class::Client, described_class::Endpoints, described_class::Secrets].map { |type| be_a(type) }
      )
      expect { context[:evnet] }.to raise_error(KeyError, /\Athe context has no :evnet, only event, event_version/)
    end

    # The rate limit takes a request, which is refused here.
    it "is read as a Hash is, without a request" do
      expect(context.key?(:rate_limit)).to be(true)
      expect([context.to_h.keys, { **context }.keys]).to all(eq(context.keys - [:rate_limit]))
      context => { extension_id:, settings: }
      expect([extension_id, settings["MAX"], context.dig(:settings, "MAX")]).to eq(["shop", 3, 3])
      expect { context[:rate_limit] }.to raise_error(described_class::RequestError)
    end

    it "has no secrets where the extension has no id" do
      context = handle(described_class.new(webhook_secret: "s", workspace_token: "wk"), &:itself)
      expect(context.to_h.keys).not_to include(:secrets)
      expect { context[:secrets] }.to raise_error(SimpleConnect::ConfigurationError)
    end

    it "shows no secret" do
      shown = [context, *context.values_at(:settings, :client, :endpoints, :secrets)].flat_map do |o|
        [o.inspect, o.to_s]
      end
      expect(shown.join).not_to match(/hunter\d/)
    end
  end

  it "refuses options that cannot work", unchecked: true do
    { { settings: [] } => 'settings: must be a Hash, such as { "MAX_RETRIES" => 3 }, not Array',
      { feedback_hook: 7 } => "feedback_hook: must respond to call, such as ->(record) { … }, not Integer",
      { telemetry_url: "ftp://x" } => /\Atelemetry_url: .* is not an http or https URL/ }.each do |options, message|
      expect { described_class.new(webhook_secret: "s", **options) }
        .to raise_error(SimpleConnect::ConfigurationError, message)
    end
  end

  it "takes what it is not told from the environment", skip: Libraries.missing("puma") do
    api = KiketApi.new
    server = SimpleConnect.const_get(:Server).new(api, "Kiket's API", "127.0.0.1", 0)
    ScriptedServer.open([{ "status" => 202 }]) do |telemetry|
      with_environment("KIKET_WEBHOOK_SECRET" => "s", "KIKET_WORKSPACE_TOKEN" => "wk_env",
                       "KIKET_EXTENSION_API_KEY" => "ek_env", "KIKET_BASE_URL" => server.url,
                       "KIKET_SDK_TELEMETRY_URL" => "#{telemetry.url}/t") do
        limits = handle(described_class.new, &:rate_limit)

        expect(limits).to eq("limit" => 600, "remaining" => 97, "window_seconds" => 60, "reset_in" => 12)
        expect(api.requests.last.headers).to eq("authorization" => "Bearer wk_env", "x-kiket-api-key" => "ek_env",
                                                "x-kiket-event-version" => "v1")
        expect(telemetry.wait_for(1).last.target).to eq("/t")

        given = described_class.new(webhook_secret: "s", workspace_token: "wk", extension_api_key: "ek")
        handle(given) { |context| context[:endpoints].rate_limit }
        expect(api.requests.last.headers).to include("authorization" => "Bearer wk", "x-kiket-api-key" => "ek")
      end
    end
  ensure
    server&.stop
  end

  it "calls the hook, with telemetry or without" do
    count = lambda do |**options|
      records = []
      handle(described_class.new(webhook_secret: "s", feedback_hook: records.method(:push), **options)) { nil }
      records.length
    end
    expect([count.call, count.call(telemetry_enabled: false)]).to eq([1, 1])
    with_environment("KIKET_SDK_TELEMETRY_OPTOUT" => "1") { expect(count.call).to eq(1) }
  end

  it "leaves the environment's secrets alone where that is asked for" do
    Dir.mktmpdir do |dir|
      File.write("#{dir}/m.yaml", "id: x\nsettings: [{ key: TOKEN, secret: true }]")
      with_environment("KIKET_SECRET_TOKEN" => "t") do
        settings = [true, false].map do |auto_env_secrets|
          sdk = described_class.new(webhook_secret: "s", manifest_path: "#{dir}/m.yaml", auto_env_secrets:)
          handle(sdk) { |context| context[:settings].to_h }
        end
        expect(settings).to eq([{ "TOKEN" => "t" }, {}])
      end
    end
  end

  it "takes an app's options, too" do
    sdk = described_class.new(webhook_secret: "s", expose_errors: true)
    expect { handle(sdk) { raise "told" } }.to raise_error(/told/)
    expect { described_class.new }.to raise_error(SimpleConnect::ConfigurationError, /\Asecret is required/)
  end

  it "refuses options that there are not", unchecked: true do
    expect { described_class.new(webhook_secret: "s", nonsense: 1) }.to raise_error(ArgumentError, /nonsense/)
  end

  describe "Auth" do
    it "generates the known answer" do
      expect(described_class::Auth.generate_signature("test-secret", '{"test":"data"}', 1_234_567_890)).to eq(
        signature: "6899cb9baf5ff4b18f42b6541d13335825cb43ddd9d24afd3e43df43da4a9dc6", timestamp: "1234567890"
      )
    end

    it "verifies what it generates, and nothing else" do
      signed = described_class::Auth.generate_signature("s", "{}")
      env = { "HTTP_X_KIKET_SIGNATURE" => signed[:signature], "HTTP_X_KIKET_TIMESTAMP" => signed[:timestamp] }

      expect(described_class::Auth.verify_signature("s", "{}", env)).to be(true)
      expect { described_class::Auth.verify_signature("s", "{ }", env) }
        .to raise_error(described_class::Auth::AuthenticationError, /X-Kiket-Signature does not match/)
    end
  end

  describe "the API", skip: Libraries.missing("puma") do
    around do |example|
      @api = KiketApi.new
      server = SimpleConnect.const_get(:Server).new(@api, "Kiket's API", "127.0.0.1", 0)
      @url = server.url
      example.run
    ensure
      server&.stop
    end

    let(:client) { described_class::Client.new("#{@url}/", workspace_token: "wk") }
    let(:endpoints) { described_class::Endpoints.new(client, "com.example/x ?", "v1") }

    def asked = @api.requests.map { |request| [request.verb, request.path, request.query, request.body] }

    it "keeps secrets" do
      secrets = endpoints.secrets
      secrets.set("TOKEN", "1")

      expect([secrets.get("TOKEN"), secrets.get("none"), secrets.list]).to eq(["1", nil, ["TOKEN"]])
      expect([secrets.rotate("TOKEN", "2"), secrets.get("TOKEN")]).to eq(%w[1 2])
      secrets.delete("TOKEN")
      expect(secrets.list).to eq([])
      expect(asked.map { |request| request[1] }.uniq)
        .to eq(%w[TOKEN none].map { |key| "/extensions/com.example%2Fx%20%3F/secrets/#{key}" }
                             .push("/extensions/com.example%2Fx%20%3F/secrets"))
    end

    it "keeps a project's records" do
      records = endpoints.custom_data(42)
      created = records.create("crm", "people", { email: "a@example.com" })["data"]
      updated = records.update("crm", "people", created["id"], { email: "b@example.com" })["data"]

      expect(records.get("crm", "people", 0)["data"]).to eq(updated).and eq("id" => 0, "email" => "b@example.com")
      expect(records.list("crm", "people")["data"].length).to eq(1)
      expect(records.delete("crm", "people", 0)).to be_nil
      expect(records.list("crm", "people")["data"]).to eq([])
      expect(asked.map(&:first)).to eq(%w[POST PATCH GET GET DELETE GET])
      expect(@api.requests.map(&:query)).to all(eq("project_id" => "42"))
    end

    it "is asked with every segment and value escaped" do
      records = endpoints.custom_data("4&2=")
      records.list("a/../b", "c?d#e", filters: { "q" => "é&=+ %" })
      client.get("/extensions/x?y=1") rescue nil # rubocop:disable Style/RescueModifier

      expect(asked.first).to eq(["GET", "/api/v1/ext/custom_data/a%2F..%2Fb/c%3Fd%23e",
                                 { "project_id" => "4&2=", "filters" => '{"q":"é&=+ %"}' }, nil])
      expect(asked.last).to eq(["GET", "/extensions/x", { "y" => "1" }, nil])
    end

    it "finds service levels by issue, state and number" do
      expect(endpoints.sla_events(42).list(issue_id: 7, state: "late", limit: 2)["data"].length).to eq(1)
      expect(endpoints.sla_events(42).list["data"].length).to eq(1)
      expect(@api.requests.map(&:query)).to eq(
        [{ "project_id" => "42", "issue_id" => "7", "state" => "late", "limit" => "2" }, { "project_id" => "42" }]
      )
    end

    it "shows notifications" do
      endpoints.notify("Title", "Body", "info")
      expect(asked).to eq([["POST", "/api/v1/extensions/notifications", {},
                            { "title" => "Title", "body" => "Body", "level" => "info" }]])
    end

    it "can be asked for anything" do
      expect { client.put("/nothing", { a: 1 }) }.to raise_error(SimpleConnect::Kiket::RequestError) do |error|
        expect(error.message).to eq('PUT /nothing: HTTP 404: {"error":"not found"}')
        expect(error.result.status_code).to eq(404)
      end
      expect(asked).to eq([["PUT", "/nothing", {}, { "a" => 1 }]])
    end

    it "is told below a path, and as who we are" do
      below = described_class::Client.new("#{@url}/api/?x=1", workspace_token: "wk", extension_api_key: "ek")
      expect(below.for_version("v2").get("/v1/ext/rate_limit")).to include("rate_limit")
      expect(@api.requests.last.headers).to eq("authorization" => "Bearer wk", "x-kiket-api-key" => "ek",
                                               "x-kiket-event-version" => "v2")
    end
  end

  describe "a call that cannot work" do
    let(:client) { described_class::Client.new("http://127.0.0.1:1", workspace_token: "wk") }
    let(:endpoints) { described_class::Endpoints.new(client, "x", "v1") }

    it "tells why no answer came" do
      expect { endpoints.rate_limit }.to raise_error(SimpleConnect::Kiket::RequestError) do |error|
        expect(error.message).to start_with("GET /api/v1/ext/rate_limit: Errno::ECONNREFUSED")
        expect(error.result.network_error).to eq(:refused)
      end
      expect { endpoints.custom_data(1).list("a", "b", filters: { token: "hunter2" }) }
        .to raise_error(SimpleConnect::Kiket::RequestError) { |error| expect(error.message).not_to include("hunter2") }
    end

    it "tells an answer that is none" do
      ScriptedServer.open([{ "body" => "<html>" }, { "body" => "[]" }, { "body" => '{"rate_limit":7}' }]) do |server|
        client = described_class::Client.new(server.url, workspace_token: "wk")
        endpoints = described_class::Endpoints.new(client, "x", "v1")
        expect { endpoints.rate_limit }.to raise_error(SimpleConnect::MalformedResponseError, /is not JSON: <html>/)
        2.times { expect { endpoints.rate_limit }.to raise_error(SimpleConnect::MalformedResponseError, /no rate/) }
      end
    end

    # A kept-alive connection may die while it is idle, or with the request done.
    { get: 3, put: 3, delete: 3, post: 2, patch: 2 }.each do |verb, requests|
      it "is#{" not" if requests == 2} repeated by #{verb} where its connection died" do
        script = [{ "body" => "{}" }, { "fault" => "close" }, { "body" => '{"again":1}' }]
        ScriptedServer.open(script) do |server|
          client = described_class::Client.new(server.url, workspace_token: "wk")
          client.get("/")
          ask = -> { client.public_send(verb, "/x", *([{}] if %i[get delete].none?(verb))) }
          if requests == 3
            expect(ask.call).to eq("again" => 1)
          else
            expect(&ask).to raise_error(SimpleConnect::Kiket::RequestError, /EOFError/)
          end
          expect(server.requests.map(&:verb)).to eq(["GET", *[verb.upcase.name] * (requests - 1)])
        end
      end
    end

    describe "for now" do
      def ask(client, verb) = client.public_send(verb, "/x", *([{}] if %i[get delete].none?(verb)))

      def seconds
        started = Process.clock_gettime(Process::CLOCK_MONOTONIC)
        yield
        Process.clock_gettime(Process::CLOCK_MONOTONIC) - started
      end

      { get: true, put: true, delete: true, post: false, patch: false }.each do |verb, again|
        it "is#{" not" unless again} repeated by #{verb}: it was answered a 503, or not at all" do
          ScriptedServer.open([{ "status" => 503 }, { "fault" => "close" }, { "body" => '{"third":1}' }]) do |server|
            client = described_class::Client.new(server.url, workspace_token: "wk")
            if again
              expect(ask(client, verb)).to eq("third" => 1)
            else
              2.times { expect { ask(client, verb) }.to raise_error(SimpleConnect::Kiket::RequestError) }
            end
            expect(server.requests.size).to eq(again ? 3 : 2)
          end
        end

        it "is repeated by #{verb} where nobody listened" do
          client = described_class::Client.new("http://127.0.0.1:1", workspace_token: "wk")
          expect { ask(client, verb) }
            .to raise_error(SimpleConnect::Kiket::RequestError) { |error| expect(error.result.attempts).to eq(3) }
        end
      end

      it "is repeated twice at the most, and not where the request is refused" do
        { 503 => 3, 429 => 3, 404 => 1 }.each do |status, requests|
          ScriptedServer.open([{ "status" => status }]) do |server|
            client = described_class::Client.new(server.url, workspace_token: "wk")
            expect { client.get("/x") }.to raise_error(SimpleConnect::Kiket::RequestError, /HTTP #{status}/)
            expect(server.requests.size).to eq(requests)
          end
        end
      end

      it "is repeated when the answer says, unless that is beyond ten seconds" do
        retry_after = ->(value) { { "status" => 429, "headers" => { "Retry-After" => value } } }
        ScriptedServer.open([retry_after["1"], { "body" => "{}" }, retry_after["11"]]) do |server|
          client = described_class::Client.new(server.url, workspace_token: "wk")
          expect(seconds { client.get("/x") }).to be_between(1, 5)
          expect(seconds { expect { client.get("/x") }.to raise_error(SimpleConnect::Kiket::RequestError) }).to be < 1
          expect(server.requests.size).to eq(3)
        end
      end

      it "takes ten seconds at the most, all attempts together" do
        silent = ->(connection, _) { connection.io.read.nil? }
        ScriptedServer.open([silent, { "status" => 503, "headers" => { "Retry-After" => "3" } }, silent]) do |server|
          client = described_class::Client.new(server.url, workspace_token: "wk")
          expect(seconds { expect { client.get("/x") }.to raise_error(SimpleConnect::Kiket::RequestError) })
            .to be_between(9, 10.5)
          expect(server.requests.size).to eq(3)
        end
      end
    end

    it "is told what is missing, before anything is sent", unchecked: true do
      nobody = described_class::Client.new("http://127.0.0.1:1")
      expect { nobody.get("/x") }.to raise_error(SimpleConnect::ConfigurationError, /KIKET_WORKSPACE_TOKEN/)
      [nil, " "].each do |id|
        anonymous = described_class::Endpoints.new(client, id, "v1")
        expect { anonymous.log_event("a", {}) }.to raise_error(SimpleConnect::ConfigurationError, /\Aextension_id is/)
        expect { endpoints.custom_data(id) }.to raise_error(ArgumentError, "project_id is required")
        expect { endpoints.custom_data(1).get("a", "b", id) }.to raise_error(ArgumentError, "id is required")
        expect { endpoints.secrets.get(id) }.to raise_error(ArgumentError, /\Akey is required/)
      end
      expect { endpoints.custom_data(1).list("..", "b") }.to raise_error(ArgumentError, /\Amodule_key must not be/)
      ["x", "/a b", "/a\r\nHost: y", "/\xFF", 7].each do |path|
        expect { client.get(path) }.to raise_error(ArgumentError, /\Apath must begin with a slash/)
      end
      expect { described_class::Client.new("ftp://x") }
        .to raise_error(SimpleConnect::ConfigurationError, /\Abase_url: .*not an http or https URL/)
      expect { described_class::Client.new("http://x", workspace_token: "a\nb") }
        .to raise_error(SimpleConnect::ConfigurationError,
                        /\Aworkspace_token must be a String in UTF-8 without line breaks/)
      expect { described_class::Client.new("http://x", workspace_token: "w", extension_api_key: "a\nb").get("/") }
        .to raise_error(SimpleConnect::ConfigurationError,
                        /\Aextension_api_key: the value of "X-Kiket-API-Key" must not/)
    end
  end

  it "shows no secret" do
    sdk = described_class.new(webhook_secret: "s", workspace_token: "hunter2", extension_api_key: "hunter3",
                              extension_id: "x")
    shown = handle(sdk) do |context|
      endpoints = context.endpoints
      [sdk, context, context.client, endpoints, context.secrets, endpoints.custom_data(1)].map(&:inspect)
    end
    expect(shown.join).not_to match(/hunter\d/)
  end
end
