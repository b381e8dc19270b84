# frozen_string_literal: true

require "json"
require "logger"
require "open3"
require "rack"
require "rbconfig"
require "simple_connect"
require "simple_connect/internal/job_run"
require "stringio"
require "timeout"
require_relative "support/fake_open_telemetry"
require_relative "support/private_addresses"
require_relative "support/scripted_server"
require_relative "support/subprocess"

# docs/observability.md: what can be seen of deliveries, without their content.
RSpec.describe "Events" do
  include PrivateAddresses

  accepted = { "status" => 202, "body" => '{"event_id":"ord_7"}', "headers" => { "X-Request-Id" => "req-1" } }
  retrying = SimpleConnect::Retryable.new(max_attempts: 3, delay: ->(_) { 0.001 })
  number = "+919812345678"

  def client(server, **options)
    SimpleConnect::Client.new(endpoint_url: server.endpoint, key_id: "k", secret: "hush-hush", **options)
  end

  # The events that the block leads to.
  def events(name = nil)
    seen = []
    hook = SimpleConnect.on_event(name) { |event, payload| seen << [event, payload] }
    yield
    seen
  ensure
    SimpleConnect.off_event(hook)
  end

  define_method(:deliver) do |client, id = "ord_7", key = "order_paid"|
    client.events.deliver(key, recipient: { mobile_no: number }, event: { event_id: id, amount: "450.00" })
  end

  it "say of a delivery what it was, how long it took, and what came of it" do
    ScriptedServer.open([accepted]) do |server|
      seen = events { deliver(client(server)) }
      expect(seen.map(&:first)).to eq(%w[request.simple_connect deliver.simple_connect])
      request, delivery = seen.map(&:last)
      expect(request).to match(
        client: nil, event_key: "order_paid", event_id: "ord_7", attempt: 1, status: 202, network_error: nil,
        request_id: "req-1", elapsed: a_value_between(0, 5), reused: false, bytes_sent: a_value > 300,
        bytes_received: a_value > 50
      )
      expect(delivery).to match(
        client: nil, event_key: "order_paid", event_id: "ord_7", attempts: 1, success: true, status: 202,
        network_error: nil, request_id: "req-1", elapsed: a_value >= request[:elapsed]
      )
      expect([request, delivery]).to all(be_frozen)
    end
  end

  it "tell of each attempt, and of what leads to another" do
    # A connection that was idle would be replaced, without counting an attempt.
    busy = { "status" => 503, "headers" => { "Connection" => "close" } }
    ScriptedServer.open([busy, { "fault" => "close" }, accepted]) do |server|
      seen = events { deliver(client(server, retryable: retrying)) }
      expect(seen.map { |name, event| [name.delete_suffix(".simple_connect"), event[:attempt], event[:status]] }).to eq(
        [["request", 1, 503], ["retry", 2, 503], ["request", 2, 0], ["retry", 3, 0], ["request", 3, 202],
         ["deliver", nil, 202]]
      )
      expect(seen.map { |_, event| event[:network_error] }).to eq([nil, nil, :eof, :eof, nil, nil])
      expect(seen.last.last[:attempts]).to eq(3)
    end
  end

  it "are the same with a policy of the user's own, in a batch, and by the flat layout" do
    policy = Class.new { def call(**) = yield(1) }.new
    ScriptedServer.open([accepted]) do |server|
      seen = events("deliver.simple_connect") do
        deliver(client(server, retryable: policy))
        client(server).events.deliver_all([["order_paid", { amount: 1, event_id: "flat" }]])
        client(server, retryable: SimpleConnect::Retryable.exponential).events.deliver("order_paid", event_id: "exp")
      end
      expect(seen.map { |_, event| event.values_at(:event_key, :event_id, :success, :attempts) })
        .to eq([["order_paid", "ord_7", true, 1], ["order_paid", "flat", true, 1], ["order_paid", "exp", true, 1]])
    end
  end

  it "tell of a call that was interrupted, too" do
    gate = Queue.new
    ScriptedServer.open([ScriptedServer.held(gate)]) do |server|
      seen = events do
        thread = Thread.new { deliver(client(server)) }
        server.wait_for(1)
        thread.kill.join
      end
      expect(seen.map { |name, event| [name, event[:success], event[:attempts]] })
        .to eq([["deliver.simple_connect", false, 1]])
    ensure
      gate.close
    end
  end

  it "hold no number, body, header, secret or query" do
    ScriptedServer.open([{ "status" => 422, "body" => %({"message":"#{number} hush-hush"}) }]) do |server|
      url = "#{server.endpoint}?token=hush-hush"
      seen = events do
        deliver(SimpleConnect::Client.new(endpoint_url: url, key_id: "k", secret: "hush-hush",
                                          headers: { "X-Token" => "hush-hush" }))
      end
      expect(seen.inspect).not_to match(/#{Regexp.escape(number)}|hush-hush|450\.00/)
    end
  end

  it "that a hook fails at costs no delivery, and no other hook its event" do
    ScriptedServer.open([accepted]) do |server|
      hooks = [-> { raise "hook" }, -> { raise NotImplementedError, "hook" }].map do |work|
        SimpleConnect.on_event { |_name, _event| work.call }
      end
      seen = nil
      expect { seen = events { expect(deliver(client(server))).to be_success } }
        .to output(/a subscriber of request.simple_connect raised RuntimeError: hook/).to_stderr
      expect([seen.size, server.requests.size]).to eq([2, 1])
    ensure
      hooks&.each { |hook| SimpleConnect.off_event(hook) }
    end
  end

  it "take a block", unchecked: true do
    expect { SimpleConnect.on_event("deliver.simple_connect") }.to raise_error(ArgumentError, /takes a block/)
  end

  it "tell where the previous secret has signed" do
    previous = { "status" => 202, "body" => '{"event_id":"ord_7","used_previous_secret":true}' }
    ScriptedServer.open([previous, accepted]) do |server|
      seen = events("rotation.simple_connect") { 2.times { deliver(client(server)) } }
      expect(seen.map(&:last)).to eq([{ client: nil, event_key: "order_paid", event_id: "ord_7" }])
    end
  end

  it "tell of webhooks that are received" do
    app = SimpleConnect::Webhooks::App.new(secret: "hush")
    app.register("order.paid", version: "v1") { nil }
    signed = SimpleConnect::Webhooks::TestHelpers.signed_env("{}", secret: "hush")
    post = ->(path, env) { Rack::MockRequest.new(app).post(path, input: "{}", **env) }
    seen = events do
      2.times { post.call("/v/v1/webhooks/order.paid", signed) }
      post.call("/v/v1/webhooks/order.paid", {})
      Rack::MockRequest.new(app).get("/health")
    end
    expect(seen.map { |name, event| [name, *event.values_at(:event, :version, :status, :duplicate)] }).to eq(
      [[200, false], [200, true], [401, false]].map { |end_| ["webhook.simple_connect", "order.paid", "v1", *end_] }
    )
    expect(seen.map { |_, event| event[:elapsed] }).to all(be_between(0, 5))
  end

  it "tell of attempts to send webhooks, without the endpoints' URLs" do
    ScriptedServer.open([{ "status" => 500 }]) do |server|
      endpoint = SimpleConnect::Outbound::Endpoint.new(uid: "one", url: "#{server.url}/hooks/hush-hush", secret: "hush")
      application = SimpleConnect::Outbound::Application.new(name: "Acme", uid: "acme", endpoints: [endpoint])
      dispatcher = SimpleConnect::Outbound::Dispatcher.new(application, jobs: false)
      event = SimpleConnect::Outbound::Event.new(uid: "ev_1", event_type: "parcel.sent", payload: { user: number })
      seen = events("dispatch.simple_connect") { dispatcher.publish(event) }
      expect(seen.map(&:last)).to match(
        [{ application_uid: "acme", endpoint_uid: "one", event_uid: "ev_1", event_type: "parcel.sent",
           attempt_id: a_string_starting_with("at_"), retry_count: 0, status: :failure, status_code: 500,
           network_error: nil, elapsed: a_value_between(0, 5) }]
      )
    end
  end

  describe "by ActiveSupport::Notifications", skip: Libraries.missing("active_support") do
    script = <<~'RUBY'
      require "logger"
      require "active_support"
      require "active_support/notifications"
      require "simple_connect"
      client = SimpleConnect::Client.new(endpoint_url: ARGV.fetch(0), key_id: "k", secret: "s")
    RUBY

    define_method(:run) do |server, code|
      command = [RbConfig.ruby, "-W0", "-I", File.expand_path("../lib", __dir__), "-e", script + code]
      out, status = Open3.capture2e(*command, server.endpoint)
      expect(status).to be_success, out
      out
    end

    it "are the same, for every kind of subscriber" do
      ScriptedServer.open([accepted]) do |server|
        out = run(server, <<~'RUBY')
          ActiveSupport::Notifications.subscribe(/simple_connect/) do |name, _start, _finish, _id, payload|
            puts "#{name} #{payload[:event_id]} #{payload[:status]}"
            payload[:status] = 0
          end
          ActiveSupport::Notifications.subscribe("deliver.simple_connect") { |event| puts event.payload[:success] }
          client.events.deliver("order_paid", event_id: "a")
        RUBY
        expect(out.lines.map(&:chomp))
          .to match([/\Arequest/, "deliver.simple_connect a 202", "true"]).or match([/\Arequest/, "true", /\Adeliver/])
      end
    end

    it "cost no delivery where a subscriber raises" do
      ScriptedServer.open([accepted]) do |server|
        out = run(server, <<~RUBY)
          ActiveSupport::Notifications.subscribe("request.simple_connect") { |*| raise "subscriber" }
          p client.events.deliver("order_paid", event_id: "a").success?
        RUBY
        expect([out.lines.last, server.requests.size]).to eq(["true\n", 1])
        expect(out).to include("a subscriber of request.simple_connect raised")
      end
    end

    it "are built only where somebody listens" do
      ScriptedServer.open([accepted]) do |server|
        out = run(server, <<~RUBY)
          deliver = proc { client.events.deliver("order_paid", event_id: "a", occurred_at: "x") }
          50.times(&deliver)
          before = GC.stat(:total_allocated_objects)
          20.times(&deliver)
          puts (GC.stat(:total_allocated_objects) - before) / 20
        RUBY
        expect(Integer(out)).to be <= 20
      end
    end
  end

  describe "in a log" do
    it "say of a configured client's attempts which, how long and with which request id" do
      ScriptedServer.open([{ "status" => 503 }, accepted, { "fault" => "close" }]) do |server|
        log = StringIO.new
        config = SimpleConnect::Configuration.new(env: {})
        { endpoint_url: server.endpoint, key_id: "k", secret: "s", retryable: -> { retrying }, logger: Logger.new(log) }
          .each { |option, value| config.public_send("#{option}=", value) }
        configured = config.built(SimpleConnect::Client, nil)
        deliver(configured)
        deliver(configured.with(max_attempts: 1), "odd id")
        lines = log.string.lines.map { |line| line[/\[SimpleConnect\] (.*)/, 1] }
        expect(lines).to match(
          [/\APOST .* signed body\) event_key=order_paid event_id=ord_7 attempt=1\z/,
           /\AResponse 503 event_key=order_paid event_id=ord_7 attempt=1 ms=\d+\.\d\z/,
           /\APOST .* event_id=ord_7 attempt=2\z/,
           /\AResponse 202 event_key=order_paid event_id=ord_7 attempt=2 ms=\d+\.\d request_id=req-1\z/,
           /\APOST .* event_id="odd id" attempt=1\z/, /\APOST failed: EOFError: .* attempt=1 ms=\d+\.\d\z/]
        )
        expect(log.string).not_to include(number)
      end
    end

    it "are as the published gem has them, for a client that is built by hand" do
      ScriptedServer.open([accepted]) do |server|
        log = StringIO.new
        deliver(client(server, logger: Logger.new(log)))
        expect(log.string.lines.map { |line| line.chomp[/\[SimpleConnect\] (.*)/, 1] })
          .to match([/\APOST .* signed body\)\z/, "Response 202"])
      end
    end
  end

  describe "by OpenTelemetry" do
    before do
      stub_const("OpenTelemetry", FakeOpenTelemetry)
      FakeOpenTelemetry.spans.clear
      FakeOpenTelemetry.failing = false
    end

    def spans = FakeOpenTelemetry.spans

    it "are a CLIENT span for each attempt, which the request names" do
      ScriptedServer.open([{ "status" => 503 }, accepted]) do |server|
        parent = FakeOpenTelemetry::Span.new("job")
        FakeOpenTelemetry::Context.with(FakeOpenTelemetry::Context.new(parent)) do
          deliver(client(server, retryable: retrying, headers: { "X-Tenant" => "acme" }))
        end
        address = { "server.address" => "127.0.0.1", "server.port" => Integer(server.url[/\d+\z/]),
                    "http.request.method" => "POST", "url.full" => server.endpoint }
        expect(spans.map { |span| [span.name, span.parent, span.kind, span.attributes, span.finished] }).to eq(
          [["POST", parent, :client, { **address, "http.response.status_code" => 503, "error.type" => "503" }, true],
           ["POST", parent, :client,
            { **address, "http.request.resend_count" => 1, "http.response.status_code" => 202 }, true]]
        )
        expect(spans.map { |span| span.status&.description }).to eq(["503", nil])
        expect(server.requests.map { |request| request.headers.values_at("traceparent", "x-tenant") }).to eq(
          [%w[00-00000000000000000000000000000007-0000000000000001-01 acme],
           %w[00-00000000000000000000000000000007-0000000000000002-01 acme]]
        )
      end
    end

    it "name what went wrong, and show no query" do
      ScriptedServer.open([{ "fault" => "close" }]) do |server|
        deliver(SimpleConnect::Client.new(endpoint_url: "#{server.endpoint}?token=x", key_id: "k", secret: "s",
                                          max_attempts: 1))
        expect(spans.first.attributes).to include("error.type" => "eof", "url.full" => server.endpoint)
        expect([spans.first.status.description, spans.first.finished]).to eq(["eof", true])
      end
    end

    it "belong to what made a batch, and not to each other" do
      ScriptedServer.open([accepted]) do |server|
        parent = FakeOpenTelemetry::Span.new("job")
        FakeOpenTelemetry::Context.with(FakeOpenTelemetry::Context.new(parent)) do
          client(server).events.deliver_all(Array.new(5) { |n| ["order_paid", { event_id: n.to_s }] }, concurrency: 3)
        end
        expect(spans.map(&:parent)).to eq([parent] * 5)
      end
    end

    it "show no path of an endpoint, whose URL may be its secret" do
      ScriptedServer.open([{ "status" => 200 }]) do |server|
        endpoint = SimpleConnect::Outbound::Endpoint.new(uid: "one", url: "#{server.url}/hooks/hush", secret: "hush")
        application = SimpleConnect::Outbound::Application.new(name: "Acme", uid: "acme", endpoints: [endpoint])
        event = SimpleConnect::Outbound::Event.new(event_type: "parcel.sent", payload: {})
        SimpleConnect::Outbound::Dispatcher.new(application, jobs: false).publish(event)
        expect(spans.first.attributes["url.full"]).to eq(server.url)
        expect(server.requests.first.headers).to include("traceparent")
      end
    end

    it "link the attempts of a job to what enqueued it" do
      ScriptedServer.open([accepted]) do |server|
        config = SimpleConnect.configuration
        before = config.find(:endpoint_url)
        jobs = []
        queue = Class.new do
          define_singleton_method(:check_options) { |_| nil }
          define_singleton_method(:enqueue_deliveries) { |all, _| jobs.concat(all) }
        end
        stub_const("RememberedJobs", queue)
        { endpoint_url: server.endpoint, key_id: "k", secret: "s", job: "RememberedJobs" }
          .each { |option, value| config.public_send("#{option}=", value) }
        config.reset
        parent = FakeOpenTelemetry::Span.new("request", nil, {}, nil, nil, 41)
        FakeOpenTelemetry::Context.with(FakeOpenTelemetry::Context.new(parent)) do
          SimpleConnect.client.events.deliver_later("order_paid", event_id: "a")
        end
        SimpleConnect.const_get(:JobRun).call(JSON.parse(JSON.generate(jobs.first)), "Job")
        expect(spans.map { |span| [span.parent, span.links.map(&:span_context)] }).to eq([[nil, [41]]])
      ensure
        { endpoint_url: before&.last, key_id: nil, secret: nil, job: nil }
          .each { |option, value| config.public_send("#{option}=", value) }
        config.reset
      end
    end

    it "cost no delivery where they fail" do
      ScriptedServer.open([accepted]) do |server|
        FakeOpenTelemetry.failing = true
        result = nil
        expect { result = deliver(client(server)) }
          .to output(/OpenTelemetry failed: RuntimeError: the exporter is broken/).to_stderr
        expect([result.success?, server.requests.size]).to eq([true, 1])
      end
    end
  end

  describe "in numbers" do
    it "are those of the client, for this process" do
      ScriptedServer.open([{ "status" => 503 }, accepted, accepted, { "status" => 422 }]) do |server|
        counted = client(server, retryable: retrying)
        zero = { succeeded: 0, failed: 0, attempts: 0, retries: 0, connections_opened: 0, connections_reused: 0,
                 bytes_sent: 0, bytes_received: 0 }
        expect(counted.stats).to eq(zero)
        3.times { deliver(counted.with(timeout: 5)) }
        expect(counted.stats).to match(
          succeeded: 2, failed: 1, attempts: 4, retries: 1, connections_opened: 1, connections_reused: 3,
          bytes_sent: a_value > 1200, bytes_received: a_value > 200
        )
        forked = Subprocess.run { deliver(counted) && counted.stats.slice(:attempts, :connections_opened) }
        expect(forked).to eq(attempts: 1, connections_opened: 1)
        expect(counted.stats[:attempts]).to eq(4)
      end
    end

    it "count what a policy of the user's own makes of it" do
      ScriptedServer.open([{ "status" => 503 }, accepted]) do |server|
        counted = client(server, retryable: SimpleConnect::Retryable.exponential(base: 0.001))
        deliver(counted)
        expect(counted.stats.slice(:succeeded, :failed, :attempts, :retries))
          .to eq(succeeded: 1, failed: 0, attempts: 2, retries: 1)
      end
    end
  end
end
