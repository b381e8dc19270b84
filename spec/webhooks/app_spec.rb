# frozen_string_literal: true

require "json"
require "rack"
require "simple_connect/webhooks"
require "stringio"
require "timeout"

# Every request and every answer here passes Rack's own check.
RSpec.describe SimpleConnect::Webhooks::App do
  secret = "s3cret"

  let(:options) { { secret: } }
  let(:app) do
    described_class.new(**options).tap do |app|
      app.register("order.paid", version: "v1") do |payload, context|
        calls << [payload, context]
        { order: payload["order"] }
      end
    end
  end
  let(:errors) { StringIO.new }
  let(:calls) { [] }

  def request(verb, path, body = "", headers = {})
    answer = Rack::MockRequest.new(Rack::Lint.new(app))
                              .request(verb, path, input: body, "rack.errors" => errors, **headers)
    [answer.status, answer.body.empty? ? nil : JSON.parse(answer.body)]
  end

  define_method(:post) do |path, body = "{}", headers = {}, signed: {}|
    env = SimpleConnect::Webhooks::TestHelpers.signed_env(body, secret:, **signed)
    request("POST", path, body, { **env, **headers })
  end

  # A path for each call, so that no two requests are the same.
  def unique(number = (@unique = @unique.to_i + 1)) = JSON.generate({ "number" => number })

  describe "answers" do
    it "200 with what the handler gives" do
      expect(post("/v/v1/webhooks/order.paid", '{"order":"é7"}'.b)).to eq([200, { "order" => "é7" }])
      expect(calls.dig(0, 0)).to eq("order" => "é7")
    end

    it "200 with ok where the handler gives nothing" do
      app.register(:quiet, version: 1) { nil }
      expect(post("/v/1/webhooks/quiet")).to eq([200, { "ok" => true }])
    end

    { false => false, [] => [], "text" => "text", 0 => 0, { a: :b } => { "a" => "b" }, [[1.5, nil]] => [[1.5, nil]],
      Rational(1, 2) => "1/2" }.each do |value, json|
      it "200 with #{json.inspect} for #{value.inspect}" do
        app.register("odd", version: "v1") { value }
        expect(post("/v/v1/webhooks/odd")).to eq([200, json])
      end
    end

    it "400 where the body is no JSON object, once it is believed" do
      ["", "{", "[]", "[{}]", "null", "7", '"text"', "{}{}", "\xFF".b, "\u0000"].each do |body|
        status, json = post("/v/v1/webhooks/order.paid", body)
        complaint = /\Athe body is (not JSON|not UTF-8|JSON, but not an object)/
        expect([status, json["error"]]).to match([400, complaint]), body
      end
      expect(calls).to eq([])
    end

    it "400 where nothing tells a version" do
      expect(post("/webhooks/order.paid"))
        .to eq([400, { "error" => "no version: write /v/<version>/webhooks/order.paid" }])
    end

    it "401 with the reason" do
      signed = SimpleConnect::Webhooks::TestHelpers.signed_env("{}", secret:)
      {
        {} => "missing_signature",
        signed.except("HTTP_X_SIMPLECONNECT_TIMESTAMP") => "missing_timestamp",
        { **signed, "HTTP_X_SIMPLECONNECT_TIMESTAMP" => "soon" } => "malformed_timestamp",
        { **signed, "HTTP_X_SIMPLECONNECT_SIGNATURE" => "sha256=00" } => "mismatch",
        SimpleConnect::Webhooks::TestHelpers.signed_env("{}", secret: "other") => "mismatch",
        SimpleConnect::Webhooks::TestHelpers.signed_env("{} ", secret:) => "mismatch",
        SimpleConnect::Webhooks::TestHelpers.signed_env("{}", secret:, scheme: :kiket) => "missing_signature",
        SimpleConnect::Webhooks::TestHelpers.signed_env("{}", secret:, timestamp: Time.now - 302) => "too_old",
        SimpleConnect::Webhooks::TestHelpers.signed_env("{}", secret:, timestamp: Time.now + 302) => "too_new"
      }.each do |headers, reason|
        expect(request("POST", "/v/v1/webhooks/order.paid", "{}", headers))
          .to match([401, { "error" => a_string_starting_with("X-SimpleConnect-"), "reason" => reason }])
      end
      expect(calls).to eq([])
    end

    it "401 before it tells what is there" do
      { "/v/v1/webhooks/nothing" => "{}", "/webhooks/order.paid" => "{}",
        "/v/v1/webhooks/order.paid" => "{" }.each do |path, body|
        expect(request("POST", path, body).first).to eq(401)
      end
    end

    it "404 where there is no handler, naming event and version" do
      expect(post("/v/v2/webhooks/order.paid")).to eq([404, { "error" => "no handler for order.paid version v2" }])
      expect(post("/v/v1/webhooks/a%2Fb%20%C3%A9%FF", unique))
        .to eq([404, { "error" => "no handler for a/b é\uFFFD version v1" }])
    end

    it "404 where there is nothing" do
      ["/", "", "/webhooks", "/webhooks/", "/v//webhooks/order.paid", "/v/v1/webhooks/a/b", "/healthy",
       "/x/v/v1/webhooks/order.paid"].each do |path|
        expect(request("POST", path)).to match([404, { "error" => /\Anot found: webhooks go to / }])
      end
    end

    it "405 with what is allowed" do
      answer = Rack::MockRequest.new(Rack::Lint.new(app)).get("/v/v1/webhooks/order.paid")
      expect([answer.status, answer.headers["allow"], JSON.parse(answer.body)])
        .to eq([405, "POST", { "error" => "GET is not allowed here: use POST" }])
      expect(request("POST", "/health").first).to eq(405)
      statuses = %w[PUT PATCH DELETE OPTIONS HEAD].map { |verb| request(verb, "/webhooks/order.paid").first }
      expect(statuses).to all(eq(405))
    end

    it "405 in JSON where the method is no text" do
      env = Rack::MockRequest.env_for("/health").merge("REQUEST_METHOD" => "G\xFFT".b)
      status, _, body = app.call(env)
      expect(status).to eq(405)
      expect(JSON.parse(body.first)["error"]).to start_with("G\uFFFDT is not allowed")
    end

    it "200 to a copy of a request that was handled, also by another path, without its handler" do
      paths = %w[/v/v1/webhooks/order.paid /v/1/webhooks/order.paid /webhooks/order.paid?version=1]
      now = Time.now.to_i
      signed = { signed: { timestamp: now } }
      copy = [200, { "ok" => true, "duplicate" => true }]
      expect(paths.map { |path| post(path, "{}", **signed) }).to eq([[200, { "order" => nil }], copy, copy])
      expect(calls.size).to eq(1)
      expect(post(paths.first, "{ }", **signed).first).to eq(200)
      expect(post(paths.first, "{}", signed: { timestamp: now - 1 }).first).to eq(200)
    end

    it "409 to the same bytes for another event or version, and runs no handler for them" do
      app.register("order.paid", version: "v2") { calls << :other }
      app.register("order.sent", version: "v1") { calls << :other }
      now = Time.now.to_i
      ask = ->(path, timestamp = now) { post(path, "{}", signed: { timestamp: }) }
      expect(ask["/v/1/webhooks/order.paid"].first).to eq(200)
      paths = %w[/v/2/webhooks/order.paid /v/1/webhooks/order.sent /v/1/webhooks/unknown /webhooks/order.paid]
      elsewhere = [409, { "error" => "this body and timestamp were received before, with another event or version: " \
                                     "sign again with a new timestamp" }]
      2.times { expect(paths.map(&ask).uniq).to eq([elsewhere]) }
      expect(calls.size).to eq(1)
      expect(ask["/v/1/webhooks/order.paid"]).to eq([200, { "ok" => true, "duplicate" => true }])
      # As its sender does: nothing is lost.
      expect(ask["/v/1/webhooks/order.sent", now - 1].first).to eq(200)
    end

    it "409 to a copy of a request that is under way, and says when to try again" do
      app.register("slow", version: "v1") do
        @meanwhile = Rack::MockRequest.new(app).post("/v/1/webhooks/slow", input: "{}", **@env)
        nil
      end
      @env = SimpleConnect::Webhooks::TestHelpers.signed_env("{}", secret:)
      outer = request("POST", "/v/1/webhooks/slow", "{}", @env)
      expect([@meanwhile.status, @meanwhile.headers["retry-after"], JSON.parse(@meanwhile.body)])
        .to eq([409, "1", { "error" => "this request is being handled" }])
      expect(outer).to eq([200, { "ok" => true }])
      expect(request("POST", "/v/1/webhooks/slow", "{}", @env)).to eq([200, { "ok" => true, "duplicate" => true }])
    end

    it "409 to all copies with replay: :reject" do
      options[:replay] = :reject
      signed = { timestamp: Time.now.to_i }
      answers = Array.new(2) { post("/v/1/webhooks/order.paid", "{}", signed:) }
      expect(answers).to eq([[200, { "order" => nil }], [409, { "error" => "this request was received before" }]])
    end

    it "takes again what ended in a refusal or a 500, or whose thread was killed" do
      results = [-> { raise "x" }, -> { Thread.exit }, -> { "done" }]
      app.register("bad", version: "v1") { results.shift.call }
      signed = { timestamp: Time.now.to_i }
      ask = ->(path) { Thread.new { post(path, "{}", signed:) }.value&.first }
      paths = %w[/webhooks/bad /v/9/webhooks/bad] + (["/v/1/webhooks/bad"] * 4)
      expect(paths.map(&ask)).to eq([400, 404, 500, nil, 200, 200])
      expect(results).to eq([])
    end

    it "413 where the body is larger than it may be, whether it is said or not" do
      options[:max_body_bytes] = 10
      expect(post("/v/v1/webhooks/order.paid", '{"a":1234}').first).to eq(200)
      expect(post("/v/v1/webhooks/order.paid", '{"a":12345}'))
        .to eq([413, { "error" => "the body is larger than 10 bytes" }])
      # As a server hands over a chunked body: without its length.
      env = Rack::MockRequest.env_for("/v/v1/webhooks/order.paid", method: "POST", input: '{"a":12345}')
      expect(app.call(env.except("CONTENT_LENGTH")).first).to eq(413)
    end

    it "a health check, without a body where none is asked for" do
      expect(request("GET", "/health")).to eq([200, { "status" => "ok" }])
      expect(request("HEAD", "/health/")).to eq([200, nil])
    end
  end

  describe "a handler that fails" do
    deep = ->(n) { deep.call(n + 1) }
    {
      "raises" => -> { raise "hunter2" },
      "raises what is no StandardError" => -> { raise NotImplementedError, "hunter2" },
      "never ends" => -> { Timeout.timeout(0.01) { sleep } },
      "throws" => -> { throw :hunter2 },
      "calls itself without end" => -> { deep.call(0) },
      "gives what cannot be JSON" => -> { Float::NAN },
      "gives text that is none" => -> { "\xFF" },
      "gives itself" => -> { [].tap { |list| list << list } },
      "gives what knows nothing" => -> { BasicObject.new },
      "raises what cannot be shown" => -> { raise Class.new(StandardError) { def message = raise("again") } }
    }.each do |name, work|
      it "gives a 500 that tells nothing, and may come again: #{name}" do
        app.register("bad", version: "v1") { work.call }
        signed = { timestamp: Time.now }
        answers = Array.new(2) { post("/v/v1/webhooks/bad", "{}", signed:) }

        expect(answers).to eq([[500, { "error" => "internal error" }]] * 2)
        expect(errors.string).to include("[SimpleConnect] a webhook failed: ")
      end
    end

    it "is told where that is asked for" do
      options[:expose_errors] = true
      app.register("bad", version: "v1") { raise KeyError, "no \xFF" }
      expect(post("/v/v1/webhooks/bad")).to eq([500, { "error" => "KeyError: no \uFFFD" }])
    end

    it "hands its error to whoever looks for it" do
      app.register("bad", version: "v1") { raise KeyError, "no" }
      headers = SimpleConnect::Webhooks::TestHelpers.signed_env("{}", secret:)
      env = Rack::MockRequest.env_for("/v/v1/webhooks/bad", method: "POST", input: "{}", **headers)
      app.call(env)
      expect(env["rack.exception"]).to be_a(KeyError)
    end

    it "lets through what ends a process, and the request may come again" do
      ends = true
      app.register("end", version: "v1") { exit if ends }
      signed = { timestamp: Time.now }
      send = -> { post("/v/v1/webhooks/end", "{}", signed:) }
      expect(&send).to raise_error(SystemExit)
      ends = false
      expect(send.call.first).to eq(200)
    end
  end

  describe "the version" do
    before do
      app.register("order.paid", version: "v2") { |_, context| { two: context.event_version } }
      app.register("order.paid", version: "3") { |_, context| { three: context[:event_version] } }
    end

    it "is the path's, then the header's, then the query's" do
      header = { "HTTP_X_SIMPLECONNECT_EVENT_VERSION" => "v2" }
      expect(post("/v/v1/webhooks/order.paid?version=3", unique, header)).to eq([200, { "order" => nil }])
      expect(post("/webhooks/order.paid?version=3", unique, header)).to eq([200, { "two" => "v2" }])
      expect(post("/webhooks/order.paid?a=1&version=3&b", unique)).to eq([200, { "three" => "3" }])
      expect(post("/webhooks/order.paid?version=v%32", unique)).to eq([200, { "two" => "v2" }])
      blank = { "HTTP_X_SIMPLECONNECT_EVENT_VERSION" => " " }
      expect(post("/webhooks/order.paid?version=", unique, blank).first).to eq(400)
    end

    it "is the same with and without v, unless both are there" do
      expect(post("/v/2/webhooks/order.paid", unique)).to eq([200, { "two" => "v2" }])
      expect(post("/v/v3/webhooks/order.paid", unique)).to eq([200, { "three" => "3" }])
      app.register("order.paid", version: "2") { { bare: true } }
      expect(post("/v/2/webhooks/order.paid", unique)).to eq([200, { "bare" => true }])
      expect(post("/v/v2/webhooks/order.paid", unique)).to eq([200, { "two" => "v2" }])
    end

    it "is the last one that was registered" do
      app.register("order.paid", version: "v2") { { newer: true } }
      expect(post("/v/v2/webhooks/order.paid")).to eq([200, { "newer" => true }])
    end
  end

  it "says what is wrong with a handler that takes another number of arguments" do
    one = Class.new { def call(payload) = payload }.new
    { ->(payload) { payload } => "takes 1 argument", -> { nil } => "takes 0 arguments", one => "takes 1 argument",
      ->(_, _, _) {} => "takes 3 arguments" }.each do |handler, takes|
      expect { app.webhook("a", version: "v1").call(handler) }
        .to raise_error(ArgumentError, "the handler #{takes}, and must take 2: the payload and the context")
    end
  end

  describe "#webhook" do
    it "takes the handler as a block, an argument, or at once" do
      handler = ->(payload, _) { payload }
      expect(app.webhook("a", version: "v1").call(handler)).to equal(handler)
      app.webhook("b", version: "v1").call { { b: 1 } }
      app.webhook("c", version: "v1") { { c: 1 } }

      expect(%w[a b c].map { |event| post("/v/1/webhooks/#{event}", '{"x":1}'.sub("x", event)).last })
        .to eq([{ "a" => 1 }, { "b" => 1 }, { "c" => 1 }])
    end

    it "refuses what is no handler", unchecked: true do
      no_handler = /\Aa handler is required: a block, or anything with a call, that takes the payload and the context/
      [nil, 7].each do |handler|
        expect { app.webhook("a", version: "v1").call(handler) }.to raise_error(ArgumentError, no_handler)
      end
      expect { app.register("a", version: "v1") }.to raise_error(ArgumentError, no_handler)
      expect { app.register(" ", version: "v1") { nil } }.to raise_error(ArgumentError, /\Aevent is required/)
      expect { app.register("a", version: nil) { nil } }.to raise_error(ArgumentError, /\Aversion: is required/)
    end
  end

  describe "the context" do
    let(:context) do
      post("/v/1/webhooks/order.paid", '{"order":7}', { "HTTP_X_NOTE" => "\xFF".b, "CONTENT_TYPE" => "text/plain" })
      calls.dig(0, 1)
    end

    it "has what came" do
      expect([context.event, context[:event_version], context["event"]]).to eq(["order.paid", "v1", "order.paid"])
      expect(context.headers).to include("x-note" => "\uFFFD", "content-type" => "text/plain", "content-length" => "11",
                                         "x-simpleconnect-timestamp" => a_string_matching(/\A\d+\z/))
      expect do
        context[:evnet]
      end.to raise_error(KeyError, "the context has no :evnet, only event, event_version, headers")
    end

    it "is read as a Hash is" do
      expect([context.keys, context.key?(:event), context.key?("event"), context.key?(:evnet), context.key?(nil)])
        .to eq([%i[event event_version headers], true, true, false, false])
      expect([context.fetch(:event), context.fetch(:none, 7), context.fetch(:none) { |name| name }])
        .to eq(["order.paid", 7, :none])
      expect { context.fetch(:none) }.to raise_error(KeyError)
      expect([context.dig(:headers, "x-note"), context[:event]]).to eq(["\uFFFD", "order.paid"])
      expect(context.values_at(:event, "event_version")).to eq(%w[order.paid v1])
      expect(context.slice(:event, :none)).to eq(event: "order.paid")
      expect(context.to_h.keys).to eq(context.keys)
      expect(context.merge(event: 1, tenant: 2)).to include(event: 1, tenant: 2, event_version: "v1")
      expect({ **context }).to eq(context.to_h)
      context => { event:, event_version: }
      expect([event, event_version]).to eq(%w[order.paid v1])
    end

    it "has header fields by their names in any case" do
      headers = context.headers
      expect([headers["X-Note"], headers["x-note"], headers.fetch("X-NOTE"), headers["X-Note"], headers["None"]])
        .to eq(["\uFFFD", "\uFFFD", "\uFFFD", "\uFFFD", nil])
      expect([headers.key?("X-Note"), headers.include?("None"), headers.values_at("X-Note"), headers.frozen?])
        .to eq([true, false, ["\uFFFD"], true])
      expect([headers.slice("X-Note", "None"), headers.fetch("None", 1)]).to eq([{ "x-note" => "\uFFFD" }, 1])
    end
  end

  it "serves every scheme, with secrets in rotation" do
    { kiket: "KIKET", simplyq: "SIMPLYQ" }.each do |scheme, prefix|
      app = described_class.new(secret: %w[new old], scheme:)
      app.register("a", version: "v1") { nil }
      ask = lambda do |signed_with, body|
        headers = SimpleConnect::Webhooks::TestHelpers.signed_env(body, secret: signed_with, scheme:)
        Rack::MockRequest.new(Rack::Lint.new(app))
                         .post("/webhooks/a", input: body, "HTTP_X_#{prefix}_EVENT_VERSION" => "1", **headers).status
      end
      expect([ask["new", "{}"], ask["old", "{ }"], ask["older", "{  }"]]).to eq([200, 200, 401])
    end
  end

  it "reads a body that was read before" do
    headers = SimpleConnect::Webhooks::TestHelpers.signed_env('{"order":7}', secret:)
    env = Rack::MockRequest.env_for("/v/1/webhooks/order.paid", method: "POST", input: '{"order":7}', **headers)
    env["rack.input"].read
    expect(app.call(env).first).to eq(200)
  end

  it "can be mounted below a path" do
    mounted = Rack::MockRequest.new(Rack::URLMap.new("/hooks" => app))
    headers = SimpleConnect::Webhooks::TestHelpers.signed_env("{}", secret:)
    expect(mounted.post("/hooks/v/1/webhooks/order.paid", input: "{}", **headers).status).to eq(200)
  end

  it "shares handlers where a registry is shared" do
    other = described_class.new(secret: "other", registry: app.registry)
    headers = SimpleConnect::Webhooks::TestHelpers.signed_env("{}", secret: "other")
    expect(Rack::MockRequest.new(other).post("/v/1/webhooks/order.paid", input: "{}", **headers).status).to eq(200)
  end

  describe "the replay guard" do
    it "can be left out" do
      options[:replay_guard] = false
      signed = { timestamp: Time.now }
      expect(Array.new(2) { post("/v/1/webhooks/order.paid", "{}", signed:).first }).to eq([200, 200])
    end

    it "can be another, which needs no more than first_time? where copies are rejected" do
      options[:replay] = :reject
      keys = []
      guard = options[:replay_guard] = Object.new
      guard.define_singleton_method(:first_time?) { |key| !keys.include?(key) && keys.push(key) }
      app.register("bad", version: "v1") { raise "x" }
      signed = { timestamp: Time.now.to_i }
      expect(Array.new(2) { post("/v/1/webhooks/bad", "{}", signed:).first }).to eq([500, 409])
      expect(keys).to match([/\A\h{64}\z/])
    end

    it "that fails costs a 500, and no webhook is handled unguarded" do
      options[:replay_guard] = Class.new do
        def begin(_key) = raise("Redis is down")
        alias_method :finish, :begin
        alias_method :forget, :begin
      end.new
      expect(post("/v/1/webhooks/order.paid").first).to eq(500)
      expect(calls).to eq([])
    end

    it "that fails once the webhook is handled costs no answer" do
      options[:replay_guard] = Class.new do
        def begin(_key) = :new
        def finish(_key) = raise("Redis is down")
        def forget(_key) = raise("not to be called")
      end.new
      expect(post("/v/1/webhooks/order.paid")).to eq([200, { "order" => nil }])
      expect(errors.string).to include("Redis is down")
    end

    it "cannot be filled by strangers" do
      guard = options[:replay_guard] = SimpleConnect::Webhooks::ReplayGuard.new
      10.times { |n| request("POST", "/v/1/webhooks/order.paid", n.to_s) }
      expect(guard.size).to eq(0)
    end
  end

  describe "options that cannot work" do
    {
      {} => "secret is required, and must not be blank",
      { secret: "s", scheme: :md5 } =>
        "scheme: must be one of :simple_connect, :kiket, :simplyq, :standard_webhooks, not :md5",
      { secret: "s", max_body_bytes: 0 } => "max_body_bytes: must be a positive Integer, not 0",
      { secret: "s", replay: :ignore } => "replay: must be :answer or :reject, not :ignore",
      { secret: "s", replay_guard: Class.new { def first_time?(_) = true }.new } =>
        /\Areplay_guard: must have begin, finish and forget, .*; one with first_time\? alone needs replay: :reject/,
      { secret: "s", replay_guard: 7 } => /\Areplay_guard: must have begin, finish and forget/
    }.each do |options, message|
      it "are told: #{options}", unchecked: true do
        expect { described_class.new(**options) }.to raise_error(SimpleConnect::ConfigurationError, message)
      end
    end
  end

  it "shows no secret" do
    app = described_class.new(secret: "hunter2")
    app.register("a", version: "v1") { |_, context| { shown: context.inspect } }
    headers = SimpleConnect::Webhooks::TestHelpers.signed_env("{}", secret: "hunter2")
    answer = Rack::MockRequest.new(app).post("/v/1/webhooks/a", input: "{}", "rack.errors" => errors, **headers)

    expect(answer.status).to eq(200)
    expect([app.inspect, app.registry.inspect, answer.body, errors.string].join).not_to match(/hunter\d/)
  end
end
