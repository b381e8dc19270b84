# frozen_string_literal: true

require "json"
require "openssl"
require "psych"
require "timeout"
require "simple_connect/webhooks"
require_relative "../support/certificates"
require_relative "../support/delivering"
require_relative "../support/private_addresses"
require_relative "../support/select_scheduler"
require_relative "../support/subprocess"

RSpec.describe SimpleConnect::Outbound::Dispatcher do
  include Delivering
  include PrivateAddresses

  around { |example| Timeout.timeout(60) { example.run } }

  def endpoint(server, **options)
    SimpleConnect::Outbound::Endpoint.new(url: server.is_a?(String) ? server : "#{server.url}/hooks", **options)
  end

  def dispatcher(*endpoints, retry_schedule: nil, rate_limit: nil, **options)
    application = SimpleConnect::Outbound::Application.new(name: "Acme", uid: "acme", endpoints:, retry_schedule:,
                                                           rate_limit:)
    described_class.new(application, jobs: false, **options)
  end

  def event(**options)
    SimpleConnect::Outbound::Event.new(event_type: "parcel.sent", payload: { user: 7 }, **options)
  end

  def serve(*script, **options, &block)
    ScriptedServer.open(script.empty? ? [{ "status" => 200, "body" => "ok" }] : script, **options, &block)
  end

  describe "#publish" do
    it "delivers an event to every endpoint that it goes to, signed" do
      serve do |server|
        endpoints = [
          endpoint("#{server.url}/one?a=b", secret: "first"), endpoint("#{server.url}/two", secret: "second"),
          endpoint(server, filter_types: ["parcel.lost"]), endpoint(server, active: false)
        ]
        event = event(version: "1.0.0", uid: "ev_1")
        attempts = dispatcher(*endpoints).publish(event)

        expect(attempts.map(&:endpoint_uid)).to eq(endpoints.first(2).map(&:uid))
        expect(attempts).to all(be_success)
        one, two = server.wait_for(2).sort_by(&:target)
        expect([one.verb, one.target, two.target, one.body]).to eq(["POST", "/one?a=b", "/two", '{"user":7}'])
        { "first" => one, "second" => two }.each do |secret, request|
          expect(SimpleConnect::Signature.valid?(request.body, request.headers, secret:, scheme: :simplyq)).to be(true)
          expect(request.headers).to include(
            "content-type" => "application/json", "x-simplyq-event-uid" => "ev_1",
            "x-simplyq-event-type" => "parcel.sent", "x-simplyq-event-version" => "1.0.0"
          )
        end
        expect(one.headers.keys.grep(/simpleconnect|authorization/)).to eq([])
      end
    end

    it "signs with each of several secrets if the scheme has a list" do
      secrets = %w[whsec_bmV3 whsec_b2xk whsec_b3RoZXI=]
      %i[simplyq standard_webhooks].each do |scheme|
        serve do |server|
          dispatcher(endpoint(server, secret: secrets.first(2)), scheme:).publish(event)
          request = server.requests.first
          signed = secrets.select do |secret|
            SimpleConnect::Signature.valid?(request.body, request.headers, secret:, scheme:)
          end
          expect(signed).to eq(secrets.first(2))
        end
      end
    end

    it "refuses several secrets if the scheme has one signature, and names the endpoint" do
      %i[simple_connect kiket].each do |scheme|
        expect { dispatcher(endpoint("https://acme.example", uid: "one", secret: %w[hush-new hush-old]), scheme:) }
          .to raise_error(SimpleConnect::ConfigurationError,
                          "the endpoint one cannot be used: several secrets, but only one can sign with the scheme " \
                          "#{scheme.inspect}: pass the one that the receiver accepts")
        expect(dispatcher(endpoint("https://acme.example", secret: ["hush"]), scheme:)).to be_a(described_class)
      end
    end

    describe "by Standard Webhooks" do
      secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

      it "sends the three headers, with the event's uid as the id of all attempts" do
        serve({ "status" => 500 }, { "status" => 200 }) do |server|
          sender = dispatcher(endpoint(server, secret:), scheme: :standard_webhooks)
          event = event(uid: "msg_p5jXN8AQM9LWM0D4loKWxJek", version: "1")
          sender.retry(sender.publish(event).first, event)
          server.requests.each do |request|
            id, timestamp, signature = request.headers.values_at("webhook-id", "webhook-timestamp", "webhook-signature")
            signed = OpenSSL::HMAC.digest("SHA256", secret[6..].unpack1("m"), "#{event.uid}.#{timestamp}.#{event.body}")
            expect([id, signature]).to eq([event.uid, "v1,#{[signed].pack("m0")}"])
            expect(request.headers.keys.grep(/webhook-|simplyq/).map { |name| name.delete_prefix("webhook-") })
              .to match_array(%w[id timestamp signature event-type event-version])
          end
          expect(server.requests.size).to eq(2)
        end
      end

      it "refuses a secret that is not base64, without showing it, and a uid that cannot be an id" do
        expect { dispatcher(endpoint("https://acme.example", uid: "one", secret: "hush!"), scheme: :standard_webhooks) }
          .to raise_error(SimpleConnect::ConfigurationError,
                          "the endpoint one cannot be used: secret: with the scheme :standard_webhooks, it must be " \
                          "whsec_ and base64, such as whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
        serve do |server|
          sender = dispatcher(endpoint(server, secret:), scheme: :standard_webhooks)
          ["parcel.7", "parcel 7", "ü"].each do |uid|
            expect { sender.publish(event(uid:)) }
              .to raise_error(ArgumentError, /\Athe event's uid is its webhook-id: id: must be .+, not "#{uid}"\z/)
          end
          expect(server.requests).to eq([])
        end
      end

      it "keeps the id of an endpoint's own headers out" do
        %w[webhook-id Webhook-Signature WEBHOOK-TIMESTAMP webhook-event-type].each do |name|
          refused = endpoint("https://acme.example", headers: { headers: { name => "x" } })
          expect(refused.errors).to eq(["headers: #{name.inspect} is set by this gem: leave it out"])
        end
        expect(endpoint("https://acme.example", headers: { headers: { "webhook-token" => "x" } })).to be_valid
      end
    end

    %i[simple_connect kiket standard_webhooks].each do |scheme|
      it "signs by #{scheme}, too: our own receiver takes it", skip: Libraries.missing("puma") do
        received = []
        app = SimpleConnect::Webhooks::App.new(secret: "hush", scheme:)
        app.register("parcel.sent", version: "v1") do |payload, context|
          received << [payload, context.event_version]
          { taken: true }
        end
        server = SimpleConnect.const_get(:Server).new(app, "a spec", "127.0.0.1", 0)
        hooks = endpoint("#{server.url}/webhooks/parcel.sent", secret: "hush")
        attempt, = dispatcher(hooks, scheme:).publish(event(version: "1"))
        expect([attempt.status, attempt.response]).to eq([:success, '{"taken":true}'])
        expect(received).to eq([[{ "user" => 7 }, "v1"]])
      ensure
        server&.stop
      end
    end

    it "sends the endpoint's own headers; a Content-Type of its own wins" do
      serve do |server|
        headers = { headers: { "content-TYPE" => "application/parcels+json", "X-Tenant" => " 9 ", "X-Name" => "é" },
                    sensitive: { "Authorization" => "Bearer s3cr3t", "User-Agent" => "acme" } }
        expect(dispatcher(endpoint(server, headers:)).publish(event)).to all(be_success)
        sent = server.requests.fetch(0).headers
        expect(sent).to include("content-type" => "application/parcels+json", "x-tenant" => "9", "user-agent" => "acme",
                                "authorization" => "Bearer s3cr3t")
        expect(sent["x-name"].b).to eq("é".b)
      end
    end

    it "sends each header once, whoever set it" do
      raw = Queue.new
      answer = lambda do |connection|
        raw << connection.io.readpartial(10_000)
        connection.io.write("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
      end
      ScriptedServer.open(answer) do |server|
        headers = { headers: { "accept" => "x/y", "content-type" => "x/y", "user-agent" => "x" } }
        dispatcher(endpoint(server, headers:)).publish(event)
        names = raw.pop.split("\r\n\r\n").first.lines.drop(1).map { |line| line[/\A[^:]+/].downcase }
        expect(names.tally.select { |_, count| count > 1 }).to eq({})
      end
    end

    it "keeps a record of each attempt" do
      serve({ "status" => 201, "body" => "made", "headers" => { "X-Id" => "7" } }) do |server|
        before = Time.now
        hooks = endpoint(server)
        attempt, = dispatcher(hooks).publish(event(uid: "ev_1"))
        expect(attempt.to_h).to include(
          id: a_string_matching(/\Aat_\h{24}\z/), event_uid: "ev_1", endpoint_uid: hooks.uid, endpoint_url: hooks.url,
          status: :success, response: "made", response_status_code: 201,
          response_headers: { "x-id" => "7", "content-length" => "4" }, retry_count: 0, trigger_type: :automatic,
          error: nil
        )
        expect([attempt.scheduled_at, attempt.attempted_at]).to all(be_between(before, Time.now))
        expect(attempt).to be_frozen
      end
    end

    it "takes only a 2xx for a success" do
      { 200 => :success, 204 => :success, 302 => :failure, 400 => :failure, 410 => :failure, 500 => :failure }
        .each do |status, expected|
        serve({ "status" => status }) do |server|
          attempt, = dispatcher(endpoint(server)).publish(event)
          expect([attempt.status, attempt.response_status_code, server.requests.size]).to eq([expected, status, 1])
        end
      end
    end

    it "fails where no answer comes, and goes on with the others" do
      serve do |server|
        dead = TCPServer.open("127.0.0.1", 0) { |socket| "http://127.0.0.1:#{socket.addr[1]}" }
        failed, fine = dispatcher(endpoint(dead), endpoint(server)).publish(event)
        expect(failed).to have_attributes(status: :failure, response: nil, response_status_code: nil,
                                          error: /\AErrno::ECONNREFUSED: /)
        expect(fine).to be_success
      end
    end

    it "makes one attempt, and leaves when to make the next to others" do
      serve({ "status" => 503 }) do |server|
        dispatcher = dispatcher(endpoint(server))
        attempt, = dispatcher.publish(event)
        expect(server.requests.size).to eq(1)
        expect(dispatcher.next_attempt(attempt)).to eq(attempt.attempted_at + 30)
      end
    end

    it "does not let a slow endpoint hold up the others" do
      release = Queue.new
      serve(ScriptedServer.held(release)) do |held|
        # The last of the others lets the slow one go on.
        last = lambda do |connection, _|
          release << true
          connection.io.write("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        end
        serve({ "status" => 200 }, { "status" => 200 }, last) do |server|
          attempts = dispatcher(endpoint(held), *Array.new(3) { endpoint(server) }).publish(event)
          expect(attempts.map(&:status)).to eq([:success] * 4)
        end
      end
    end

    it "delivers to more endpoints than it may at a time, over TLS, and keeps their order" do
      identity = Certificates.self_signed("127.0.0.1")
      serve(tls: identity.context) do |server|
        endpoints = Array.new(40) { endpoint(server) }
        dispatcher = dispatcher(*endpoints, ca_file: identity.file)
        2.times do
          attempts = dispatcher.publish(event)
          expect(attempts.map(&:endpoint_uid)).to eq(endpoints.map(&:uid))
          expect(attempts).to all(be_success)
        end
        expect(server.requests.size).to eq(80)
        # Connections are kept, for each endpoint its own.
        expect(server.connections).to eq(40)
        dispatcher.close
        40.times { server.closed.pop }
      end
    end

    it "keeps the idle connections of no more than 100 endpoints" do
      serve do |server|
        endpoints = Array.new(120) { endpoint(server) }
        dispatcher = dispatcher(*endpoints)
        expect(dispatcher.publish(event)).to all(be_success)
        20.times { server.closed.pop }
        expect(sockets_to(server.port).size).to eq(100)
        dispatcher.close
      end
    end

    it "gives nothing where nobody wants the event" do
      expect(dispatcher(endpoint("http://127.0.0.1:9", topics: ["north"])).publish(event)).to eq([])
    end

    it "works in fibers, and in a child of the process", unchecked: true do
      serve do |server|
        report = Subprocess.run do
          dispatcher = dispatcher(endpoint(server), endpoint(server, rate_limit: 1000))
          statuses = -> { dispatcher.publish(event).map(&:status) }
          [statuses.call, SelectScheduler.run { statuses.call }, Subprocess.run { statuses.call }, statuses.call]
        end
        expect(report).to eq([%i[success success]] * 4)
        expect(server.requests.size).to eq(8)
      end
    end

    it "ends at once when it is interrupted, and can be used again", unchecked: true do
      serve({ "fault" => "silence" }, { "fault" => "silence" }, { "status" => 200 }) do |server|
        dispatcher = dispatcher(endpoint(server), endpoint(server))
        thread = Thread.new { dispatcher.publish(event) }
        server.wait_for(2)
        thread.kill.join
        2.times { server.closed.pop }
        expect(dispatcher.publish(event)).to all(be_success)
      end
    end

    it "gives each attempt to on_attempt:, whose own failures cost none" do
      serve do |server|
        seen = []
        hook = lambda do |attempt|
          seen << attempt
          raise "of mine"
        end
        dispatcher = dispatcher(endpoint(server), endpoint(server), on_attempt: hook)
        attempts = nil
        expect { attempts = dispatcher.publish(event) }.to output(/on_attempt failed: RuntimeError: of mine/).to_stderr
        expect(seen).to match_array(attempts)
      end
    end
  end

  describe "rate limits" do
    it "are obeyed: of 15 events with 10 a second, 10 go now and 5 in the next second" do
      serve do |server|
        dispatcher = dispatcher(endpoint(server, rate_limit: 10))
        began = now
        15.times { expect(dispatcher.publish(event)).to all(be_success) }
        # From before the first: the server may see it late.
        times = server.requests.map { |request| request.at - began }
        expect([times.size, times[9], times[10], times[14]]).to match([15, be < 1, be_between(1, 3), be < 3])
      end
    end

    it "are an endpoint's own, or else the application's; one that waits holds up no other" do
      serve do |limited|
        serve do |server|
          dispatcher = dispatcher(endpoint(limited, rate_limit: 1), endpoint(server), rate_limit: 1000)
          dispatcher.publish(event)
          started = now
          expect(dispatcher.publish(event).map(&:status)).to eq(%i[success success])
          expect(limited.requests.last.at - started).to be > 0.5
          expect(server.requests.last.at - started).to be < 0.5
        end
      end
    end

    it "that are busy for long leave an attempt pending, that says when to retry" do
      serve do |server|
        dispatcher = dispatcher(endpoint(server, rate_limit: 1))
        dispatcher.publish(event(uid: "ev_0"))
        limiter = dispatcher.instance_variable_get(:@limiters).each_value.first
        11.times { limiter.reserve }
        event = event(uid: "ev_1")
        attempt, = dispatcher.publish(event)
        expect(attempt).to have_attributes(status: :pending, attempted_at: nil, retry_count: 0)
        expect(attempt.scheduled_at - Time.now).to be_between(10, 12)
        expect(dispatcher.next_attempt(attempt)).to eq(attempt.scheduled_at)
        expect(server.requests.size).to eq(1)
      end
    end

    def now = Process.clock_gettime(Process::CLOCK_MONOTONIC)
  end

  describe "#next_attempt" do
    def attempt(status, retry_count: 0, **options)
      SimpleConnect::Outbound::DeliveryAttempt.new(
        id: "at", event_uid: "ev_1", endpoint_uid: "ep", status:, retry_count:, started_at: Time.at(0),
        attempted_at: Time.at(0), **options
      )
    end

    it "follows the schedule" do
      dispatcher = dispatcher()
      cumulated = [30, 210, 810, 2610, 9810, 38_610]
      made = [0, *cumulated].each_with_index.map do |at, retry_count|
        dispatcher.next_attempt(attempt(:failure, retry_count:, attempted_at: Time.at(at)))&.to_i
      end
      expect(made).to eq([*cumulated, nil])
    end

    it "makes up for a queue that was down, but not all at once" do
      late = attempt(:failure, retry_count: 1, attempted_at: Time.at(9000))
      expect(dispatcher.next_attempt(late)).to eq(Time.at(9030))
    end

    it "takes what was kept as JSON" do
      serve({ "status" => 503, "body" => "caf\xE9\0".b, "headers" => { "X-Reason" => "busy" } }) do |server|
        kept = []
        dispatcher = dispatcher(endpoint(server), on_attempt: ->(attempt) { kept << JSON.generate(attempt.to_h) })
        event = event()
        attempt, = dispatcher.publish(event)
        expect(attempt.response).to eq("caf\uFFFD\0")
        [true, false].each do |symbolize_names|
          again = JSON.parse(kept.first, symbolize_names:)
          again = SimpleConnect::Outbound::DeliveryAttempt.new(**again.transform_keys(&:to_sym))
          expect(again).to have_attributes(attempt.to_h.except(:attempted_at, :scheduled_at, :started_at))
          expect(dispatcher.next_attempt(again)).to be_within(1).of(dispatcher.next_attempt(attempt))
          expect(dispatcher.retry(again, event)).to be_failure
        end
      end
    end

    it "takes the times of a record as texts, and refuses what is none", unchecked: true do
      at = Time.utc(2026, 11, 25, 23, 30, 1)
      made = ["2026-11-25T23:30:01Z", "2026-11-25 23:30:01 UTC", "2026-11-25T18:30:01.000-05:00",
              "2026-11-26 04:30:01 +0500"].map { |text| attempt(:failure, attempted_at: text).attempted_at }
      expect(made).to all(eq(at))
      ["2026-11-25", "soon", "2026-11-25T23:30:01", "2026-13-45T23:30:01Z", 1_795_649_401].each do |time|
        expect { attempt(:failure, scheduled_at: time) }
          .to raise_error(ArgumentError, /scheduled_at: must be a Time, or a String such as "2026-11-25T23:30:01Z"/)
      end
    end

    it "goes by the attempt's own time where the first one's was not kept" do
      expect(dispatcher.next_attempt(attempt(:failure, started_at: nil, attempted_at: Time.at(7)))).to eq(Time.at(37))
      expect { dispatcher.next_attempt(attempt(:failure, attempted_at: nil)) }
        .to raise_error(ArgumentError, /attempted_at: is missing/)
    end

    it "is nil where there is nothing more to do" do
      expect([attempt(:success), attempt(:canceled)].map { |it| dispatcher.next_attempt(it) }).to eq([nil, nil])
    end
  end

  describe "#retry" do
    it "makes another attempt, of what was kept of the one before" do
      serve({ "status" => 503 }, { "status" => 200 }) do |server|
        dispatcher = dispatcher(endpoint(server))
        event = event()
        first, = dispatcher.publish(event)
        kept = JSON.parse(JSON.generate(first.to_h.slice(:id, :event_uid, :endpoint_uid, :status, :retry_count)),
                          symbolize_names: true)
        kept = SimpleConnect::Outbound::DeliveryAttempt.new(**kept, started_at: first.started_at)
        again = dispatcher.retry(kept, event)
        expect(again).to have_attributes(status: :success, retry_count: 1, trigger_type: :manual,
                                         started_at: first.started_at)
        expect(again.id).not_to eq(first.id)
        expect(server.requests.map(&:body).uniq.size).to eq(1)
        expect(server.requests.map { |request| request.headers["x-simplyq-event-uid"] }.uniq).to eq([event.uid])
      end
    end

    it "cancels where the endpoint is gone, or inactive" do
      attempt = SimpleConnect::Outbound::DeliveryAttempt.new(id: "at", event_uid: "ev_1", endpoint_uid: "gone",
                                                             status: :failure, retry_count: 0)
      off = endpoint("http://127.0.0.1:9", uid: "off", active: false)
      dispatcher = dispatcher(off)
      again = [attempt, attempt.with(endpoint_uid: "off")].map { |it| dispatcher.retry(it, event(uid: "ev_1")) }
      expect(again.map { |it| [it.status, it.endpoint_url] }).to eq([[:canceled, nil], [:canceled, off.url]])
      expect { dispatcher.retry(attempt, event(uid: "ev_2")) }.to raise_error(ArgumentError, /has the uid ev_1/)
    end
  end

  it "takes of a table's row what belongs to an attempt, and says so", unchecked: true do
    row = { id: "at", event_uid: "ev_1", endpoint_uid: "e", status: "failure", retry_count: 0, created_at: 1, "x" => 2 }
    expect { SimpleConnect::Outbound::DeliveryAttempt.new(**row) }
      .to raise_error(ArgumentError, "unknown keywords: :created_at, \"x\"; of a row pass the members alone, such as " \
                                     "**row.slice(*SimpleConnect::Outbound::DeliveryAttempt::MEMBERS)")
  end

  describe "on who learns a secret" do
    secrets = %w[hush-hush s3cr3t]

    define_method(:those_that_tell) do |*texts|
      texts.flatten.select { |text| secrets.any? { |secret| text.to_s.b.include?(secret) } }
    end

    # Sends back all it was sent.
    def echo
      lambda do |connection, request|
        fields = request.headers.map { |name, value| "X-Echo-#{name}: #{value}" }
        body = fields.join("\n")
        connection.io.write("HTTP/1.1 #{@status} OK\r\n#{fields.join("\r\n")}\r\n" \
                            "Content-Length: #{body.bytesize}\r\n\r\n#{body}")
        true
      end
    end

    [200, 500].each do |status|
      it "none is in the record, though the endpoint sends it back with a #{status}" do
        @status = status
        serve(echo) do |server|
          hooks = endpoint(server, secret: "hush-hush", headers: { sensitive: { "X-Token" => "s3cr3t" } })
          kept = []
          dispatcher = dispatcher(hooks, on_attempt: kept.method(:<<))
          attempt, = dispatcher.publish(event)
          expect(server.requests[0].headers["x-token"]).to eq("s3cr3t")
          expect(attempt.response).to include("X-Echo-x-token: [redacted]")
          expect(attempt.response_headers["x-echo-x-token"]).to eq("[redacted]")
          told = [attempt, *kept].map { |it| [it.inspect, it.to_h.inspect, JSON.generate(it.to_h), Marshal.dump(it)] }
          expect(those_that_tell(told)).to eq([])
        end
      end
    end

    it "none is in the record where no answer comes, nor in what a job is given" do
      hooks = endpoint("http://127.0.0.1:9/", secret: "hush-hush", headers: { sensitive: { "X-Token" => "s3cr3t" } })
      dispatcher = dispatcher(hooks)
      attempt, = dispatcher.publish(event)
      job = dispatcher.__send__(:delivery, attempt, event)
      expect(those_that_tell(attempt.to_h.inspect, JSON.generate(job), dispatcher.inspect)).to eq([])
      expect(job).to eq(JSON.parse(JSON.generate(job)))
    end

    it "none is in what is said of options that cannot be used, and none is dumped", unchecked: true do
      hooks = endpoint("http://127.0.0.1:9/", secret: "hush-hush", headers: { sensitive: { "X-Token" => "s3cr3t" } })
      [{ scheme: :md5 }, { timeout: 0 }, { proxy: "x y" }, { ca_file: "/none" }, { on_attempt: 7 },
       { jobs: :cron }, { jobs: :sidekiq }].each do |options|
        application = SimpleConnect::Outbound::Application.new(name: "Acme", uid: "acme", endpoints: [hooks])
        expect { described_class.new(application, **options) }
          .to raise_error(SimpleConnect::ConfigurationError) { |error|
            expect(those_that_tell(error.message, error.full_message)).to eq([])
          }
      end
      expect { dispatcher(hooks, nonsense: 1) }.to raise_error(ArgumentError, /nonsense/)
      [hooks, dispatcher(hooks)].each do |object|
        expect { Marshal.dump(object) }.to raise_error(TypeError)
        expect { Psych.dump(object) }.to raise_error(TypeError, /cannot be dumped/)
      end
    end

    it "a sensitive header's value is not kept where Ruby could find it" do
      require "objspace"
      value = ["s3cr3t", "of mine"].join(" ")
      hooks = endpoint("http://127.0.0.1:9/", headers: { sensitive: { "X-Token" => value } })
      dispatcher = dispatcher(hooks)
      dispatcher.publish(event)
      seen = {}.compare_by_identity
      queue = [dispatcher]
      until queue.empty?
        object = queue.pop
        next if seen[object] || object.is_a?(Module)

        seen[object] = true
        queue.concat(ObjectSpace.reachable_objects_from(object) || []) unless
          object.is_a?(ObjectSpace::InternalObjectWrapper)
      end
      expect(seen.keys.grep(String)).to include(hooks.uid)
      expect(those_that_tell(seen.keys.grep(String))).to eq([])
    end
  end
end
