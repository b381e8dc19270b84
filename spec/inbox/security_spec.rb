# frozen_string_literal: true

require "pathname"
require_relative "../support/inbox"

RSpec.describe SimpleConnect::Sandbox::Inbox do
  include_context "with an inbox"

  let(:paths) { ["/", "/inbox.css", "/inbox.js", "/inbox/messages", "/inbox/status", "/inbox/nowhere"] }

  def status(verb, path, **env) = request(verb, path, **env).status

  describe "the host" do
    %w[localhost localhost:4567 LOCALHOST. inbox.localhost shop.test:3000 127.0.0.1:80 [::1]:4567 192.168.1.7
       sandbox:80].each do |host|
      it "may be #{host}" do
        expect(paths.map { |path| status("GET", path, "HTTP_HOST" => host) }).not_to include(403)
      end
    end

    ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "evil.example:127",
     "localhost:80@evil.example", "1.2.3", "", " ", "[::1", "[evil.example]", "\xFF.example".b, "a b"].each do |host|
      it("must not be #{host.inspect}") do
        # Rack::Lint would refuse some.
        answers = paths.map { |path| inbox.call(Rack::MockRequest.env_for(path, "HTTP_HOST" => host)).first }
        expect(answers).to all(eq(403))
      end
    end

    it "does not matter to signed deliveries" do
      expect(deliver(event, "HTTP_HOST" => "sandbox.example")[0]).to eq(202)
    end
  end

  describe "the origin" do
    it "must be the inbox itself" do
      refused = [{ "HTTP_ORIGIN" => "https://evil.example" }, { "HTTP_ORIGIN" => "null" }, { "HTTP_ORIGIN" => "" },
                 { "HTTP_ORIGIN" => "http://localhost:1" }, { "HTTP_ORIGIN" => "http://localhost.evil.example" },
                 { "HTTP_SEC_FETCH_SITE" => "cross-site" }, { "HTTP_SEC_FETCH_SITE" => "same-site" }]
      refused.each do |env|
        [["POST", "/inbox/faults"], ["POST", "/inbox/rotate"], ["DELETE", "/inbox"], ["GET", "/inbox/messages"]]
          .each { |verb, path| expect([env, status(verb, path, **env)]).to eq([env, 403]) }
      end
      allowed = [{}, { "HTTP_ORIGIN" => "http://localhost" }, { "HTTP_ORIGIN" => "https://localhost" },
                 { "HTTP_SEC_FETCH_SITE" => "same-origin" }, { "HTTP_SEC_FETCH_SITE" => "none" }]
      expect(allowed.map { |env| status("POST", "/inbox/rotate", **env) }).to all(eq(201))
      # A link from elsewhere opens the page.
      expect(status("GET", "/", "HTTP_SEC_FETCH_SITE" => "cross-site")).to eq(200)
    end

    it "cannot be hidden by a form: bodies are JSON" do
      ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "", "application/jsonx"].each do |type|
        expect(ask("POST", "/inbox/faults", '{"kind":500}', "CONTENT_TYPE" => type)[0]).to eq(415)
      end
      expect(get("/inbox/status")["faults"]).to eq([])
    end
  end

  describe "the sandbox's own routes" do
    let(:key) { { "HTTP_AUTHORIZATION" => "Bearer sandbox-api-key" } }
    let(:shown) { "/api/v1/whatsapp_messages/message-1" }

    def show(**env) = ask("GET", shown, **key, **env)[0]

    before { deliver_template({ mobile_no: "+919812345678" }) }

    it "show nothing to other hosts and sites, because everybody knows the default key" do
      expect(show).to eq(200)
      expect(show("HTTP_HOST" => "shop.test", "HTTP_SEC_FETCH_SITE" => "same-origin")).to eq(200)
      [{ "HTTP_HOST" => "evil.example" }, { "HTTP_ORIGIN" => "https://evil.example" },
       { "HTTP_SEC_FETCH_SITE" => "cross-site" }, { "HTTP_SEC_FETCH_SITE" => "same-site" },
       { "HTTP_HOST" => "evil.example", "HTTP_ORIGIN" => "http://evil.example" }].each do |env|
        expect([env, show(**env)]).to eq([env, 403])
        %w[/api/v1/integrations/sandbox/events/e1 /api/v1/integrations/sandbox/status /nowhere].each do |path|
          expect([env, path, status("GET", path, **env)]).to eq([env, path, 403])
        end
      end
    end

    it "take nothing from a browser on another site: no message is kept, and no planned fault used up" do
      ask("POST", "/inbox/faults", { kind: 503 })
      sandbox.fail_next(502)
      [{ "HTTP_ORIGIN" => "https://evil.example" }, { "HTTP_SEC_FETCH_SITE" => "cross-site" },
       { "HTTP_ORIGIN" => "http://evil.example", "HTTP_HOST" => "evil.example" }].each do |env|
        expect(deliver(event, **env, "CONTENT_TYPE" => "text/plain")).to match([403, { "error" => /this inbox/ }])
      end
      expect(messages.size).to eq(1)
      expect([deliver(event)[0], deliver(event)[0], deliver(event)[0]]).to eq([502, 503, 202])
      expect(sandbox.requests.map(&:verb).tally).to eq("POST" => 4)
    end

    context "with auth:, which is not asked about them" do
      let(:inbox_options) { { auth: ->(_) { false } } }

      it "show nothing to other hosts, either" do
        expect([show, show("HTTP_HOST" => "evil.example"), show("HTTP_ORIGIN" => "https://evil.example")])
          .to eq([200, 403, 403])
      end

      context "with credentials of one's own" do
        let(:sandbox_options) { { secret: "a secret", api_key: "a key" } }
        let(:key) { { "HTTP_AUTHORIZATION" => "Bearer a key" } }

        it "are served for any host, but to no other site" do
          expect([show("HTTP_HOST" => "shop.example"), show("HTTP_SEC_FETCH_SITE" => "cross-site")]).to eq([200, 403])
        end
      end
    end
  end

  it "sends the headers that keep a page to itself, with each response" do
    paths.each do |path|
      headers = request("GET", path).headers
      expect(headers["content-security-policy"]).to eq(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " \
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
      )
      expect(headers).to include("x-content-type-options" => "nosniff", "x-frame-options" => "DENY",
                                 "referrer-policy" => "no-referrer", "cross-origin-opener-policy" => "same-origin",
                                 "cross-origin-resource-policy" => "same-origin")
      expect(headers["cache-control"]).to eq(path.start_with?("/inbox/") ? "no-store" : "no-cache")
      expect(headers).not_to include("access-control-allow-origin", "set-cookie")
    end
  end

  describe "the page" do
    it "is one file with a stylesheet and a script, that nothing else is loaded for" do
      answers = ["/", "/inbox.css", "/inbox.js"].map { |path| request("GET", path) }
      expect(answers.map { |answer| [answer.status, answer["content-type"]] }).to eq(
        [[200, "text/html; charset=utf-8"], [200, "text/css; charset=utf-8"], [200, "text/javascript; charset=utf-8"]]
      )
      html, css, = answers.map(&:body)
      loaded = html.scan(/<(?:link|script|img)[^>]* (?:src|href)="([^"#]+)"/).flatten
      expect(loaded.reject { |url| url.start_with?("data:") }).to match_array(%w[inbox.css inbox.js])
      expect(css).not_to match(/@import|url\((?!["']?data:)/)
      expect(html).not_to match(/ style=| on[a-z]+=|<style|<script>/)
    end

    it "is sent once while it does not change" do
      etag = request("GET", "/inbox.js")["etag"]
      expect(status("GET", "/inbox.js", "HTTP_IF_NONE_MATCH" => etag)).to eq(304)
      expect([status("HEAD", "/"), request("HEAD", "/").body]).to eq([200, ""])
      expect(status("POST", "/")).to eq(405)
    end

    it "has relative addresses, and so works below any path" do
      env = { "SCRIPT_NAME" => "/dev/inbox", "PATH_INFO" => "", "HTTP_HOST" => "localhost", "REQUEST_METHOD" => "GET" }
      expect(inbox.call(env).values_at(0, 1)).to match([301, a_hash_including("location" => "/dev/inbox/")])
      expect(get("/inbox/status", "SCRIPT_NAME" => "/dev/inbox")["urls"]).to include(
        "page" => "http://localhost/dev/inbox/",
        "endpoint_url" => "http://localhost/dev/inbox/api/v1/integrations/sandbox/events"
      )
    end
  end

  describe "auth:" do
    let(:inbox_options) { { auth: ->(env) { env["HTTP_AUTHORIZATION"] == "Bearer open" } } }

    it "decides, whatever the host is, but no other site may ask" do
      env = { "HTTP_AUTHORIZATION" => "Bearer open", "HTTP_HOST" => "shop.example" }
      expect(paths.first(5).map { |path| status("GET", path, **env) }).to all(eq(200))
      expect(paths.map { |path| status("GET", path) }).to all(eq(403))
      expect(status("POST", "/inbox/rotate", **env, "HTTP_ORIGIN" => "https://evil.example")).to eq(403)
      expect(deliver(event)[0]).to eq(202)
    end

    it "must be callable", unchecked: true do
      expect { described_class.new(SimpleConnect::Sandbox.new, auth: "admin") }
        .to raise_error(SimpleConnect::ConfigurationError, /\Aauth: must respond to call, .* not String/)
    end
  end

  describe "in production" do
    around do |example|
      before = ENV.fetch("RACK_ENV", nil)
      ENV["RACK_ENV"] = "production"
      example.run
    ensure
      ENV["RACK_ENV"] = before
    end

    let!(:inbox) { nil }

    it "is refused without auth:" do
      expect { described_class.new(sandbox) }
        .to raise_error(SimpleConnect::ConfigurationError, /in production it needs auth:/)
    end

    it "is refused with credentials that everybody knows" do
      own = { secret: "a secret", api_key: "a key" }
      {
        {} => /secret: and api_key:/, own.except(:api_key) => / api_key:/, own.except(:secret) => / secret:/,
        { **own, previous_secret: "sandbox-secret" } => / previous_secret:/
      }.each do |options, error|
        expect { described_class.new(SimpleConnect::Sandbox.new(**options), auth: ->(_) { true }) }
          .to raise_error(SimpleConnect::ConfigurationError, error)
      end
      expect { described_class.new(SimpleConnect::Sandbox.new(**own), auth: ->(_) { true }) }.not_to raise_error
    end

    it "is not refused to the command, which is no application" do
      expect { described_class.for_command(sandbox) }.not_to raise_error
    end

    it "is what Rails says, if there is Rails" do
      stub_const("Rails", Struct.new(:env, :root).new("development", nil))
      expect { described_class.new(sandbox) }.not_to raise_error
      Rails.env = "test"
      Rails.root = Pathname("/nowhere")
      expect { described_class.new(SimpleConnect::Sandbox.new) }.not_to raise_error
    end
  end

  describe "hostile input" do
    random = Random.new(7)
    pieces = ["\xFF", "\0", "\u202E", "<script>alert(1)</script>", "'; DROP TABLE messages; --", "\\ud800", "{{1}}",
              "💥", "../../../etc/passwd", "%00", "%zz", "\r\nSet-Cookie: a=b", "a" * 5_000, "\e[2J", "1e400", "NaN"]
    junk = -> { Array.new(random.rand(1..4)) { pieces.sample(random:) }.join.b }

    it "in paths and queries gets an answer in JSON, and nothing unknown" do
      known = [200, 304, 400, 403, 404, 405, 408, 413, 415, 422]
      300.times do
        path = ["/inbox/messages", "/inbox/wait", "/inbox/stream", "/inbox/messages/", "/inbox/", "/inbox/status"]
               .sample(random:)
        path += junk.call if random.rand < 0.5
        query = %w[recipient event_key state kind q since limit].map { |name| "#{name}=#{junk.call}" }.join("&")
        env = { "REQUEST_METHOD" => %w[GET HEAD DELETE].sample(random:), "PATH_INFO" => path, "SCRIPT_NAME" => "",
                "QUERY_STRING" => "#{query}&timeout=0", "HTTP_HOST" => "localhost",
                "HTTP_X_SIMPLECONNECT_SESSION" => [junk.call, nil].sample(random:), "HTTP_IF_NONE_MATCH" => junk.call }
        status, headers, body = inbox.call(env)
        expect(known).to include(status)
        expect { JSON.parse(body.join) unless body.join.empty? }.not_to raise_error
        expect(headers.values.join).not_to match(/[\r\n\0]/)
      end
    end

    it "in bodies of the API gets an answer in JSON" do
      # JSON warns of 1e400.
      allow(Warning).to receive(:warn)
      paths = ["faults", "incoming", "messages/m1/callback", "messages/m1/replay", "rotate"]
      values = [nil, true, 1, -1, 1e30, "x", [], {}, [[]], "\u0000", "9" * 400]
      300.times do
        json = %w[kind times retry_after status mobile_no text].to_h { |name| [name, values.sample(random:)] }
        text = [JSON.generate(json), junk.call, "[" * 200, "{\"kind\":\"\\ud800\"}", "null",
                "x" * 70_000].sample(random:)
        status, json = ask("POST", "/inbox/#{paths.sample(random:)}", text)
        expect(status).to be_between(200, 422)
        expect(json).to be_a(Hash)
      end
    end

    it "in deliveries is shown as it came, as far as it is text" do
      # JSON warns of 1e400.
      allow(Warning).to receive(:warn)
      deliver(event("order_paid", "e0", note: pieces.last(14).join))
      200.times do |number|
        key = junk.call.force_encoding(Encoding::UTF_8).scrub
        body = [junk.call, JSON.generate(event(key, "e#{number}", note: [{ a: 1 }])),
                '{"event":{"event_id":{},"name":[]},"recipient":7}', '{"event":"x","event_id":1e400}', "[]", "7",
                "{\"event\":\"a\",\"event_id\":\"1\",\"b\":#{"[" * 97}#{"]" * 97}}",
                '{"event":"\\ud800","event_id":"1"}',
                '{"event":"x","event_id":"e","recipient":[1],"customer_mobile_no":{"a":1}}'].sample(random:)
        status, = deliver(body.dup.force_encoding(Encoding::UTF_8), "HTTP_USER_AGENT" => junk.call)
        expect([202, 200, 422]).to include(status)
        body = ['{"messages":[7,{"recipients":[null,{"mobile_no":[]}]}]}', '{"messages":{}}', junk.call].sample(random:)
        ask("POST", "/api/v1/whatsapp_messages", body, "HTTP_AUTHORIZATION" => "Bearer #{sandbox.api_key}")
      end
      listed = messages
      expect(listed.size).to be > 100
      listed.each { |each| expect(message(each["id"])).to include("code", "preview") }
      expect(message(listed.last["id"])["preview"]["body"]).to eq("note: #{pieces.last(14).join}")
    end
  end
end
