# frozen_string_literal: true

require "logger"
require "timeout"
require_relative "../support/endpoint_tables"

RSpec.describe SimpleConnect::Endpoints, unchecked: true do
  around { |example| Timeout.timeout(60) { example.run } }

  ok = { "status" => 200, "body" => "ok" }

  def settings = SimpleConnect.configuration.endpoints

  def attempts = SimpleConnect::Endpoints::Attempt.order(:id)

  def signed?(request, secret)
    SimpleConnect::Signature.valid?(request.body, request.headers, secret:, scheme: :simplyq)
  end

  def states = deliveries.pluck(:state)

  EndpointTables.each(self) do |database|
    describe "publishing" do
      it "records the event, sends it to each endpoint that matches, and records the attempts" do
        ScriptedServer.open([ok]) do |server|
          shop = application
          shop.endpoints.create!(uid: "one", url: "#{server.url}/one", secret: "s1", filter_types: ["order.paid"],
                                 headers: { sensitive: { "X-Token" => "gate-7" } })
          shop.endpoints.create!(uid: "two", url: "#{server.url}/two", secret: "s2")
          shop.endpoints.create!(uid: "other", url: "#{server.url}/three", filter_types: ["order.sent"])
          published = described_class.publish("shop", event(uid: "ev_1", payload: { name: "é✓" }))
          expect(published.map { |attempt| [attempt.endpoint_uid, attempt.status] })
            .to eq([["one", :success], ["two", :success]])
          one, two = server.wait_for(2).sort_by(&:target)
          expect([one.body, two.body].uniq.map { |body| body.dup.force_encoding("UTF-8") }).to eq(['{"name":"é✓"}'])
          { "s1" => one, "s2" => two }.each do |secret, request|
            expect(signed?(request, secret)).to be(true)
          end
          expect(one.headers).to include("x-token" => "gate-7", "x-simplyq-event-uid" => "ev_1")
          expect(states).to eq(%w[succeeded succeeded])
          stored = attempts.map(&:to_attempt)
          expect(stored.map { |each| [each.event_uid, each.endpoint_uid, each.response, each.retry_count] })
            .to match_array([["ev_1", "one", "ok", 0], ["ev_1", "two", "ok", 0]])
          expect(stored.map(&:attempted_at)).to all(be_within(60).of(Time.now))
          expect(SimpleConnect::Endpoints::Event.count).to eq(1)
        end
      end

      [{ role: :reading }, { role: :writing, shard: :two }].each do |current|
        it "uses the database that is written to where the application uses #{current}" do
          ScriptedServer.open([ok]) do |server|
            application.endpoints.create!(uid: "one", url: server.url)
            ActiveRecord::Base.connected_to(**current) do
              expect(described_class.publish("shop", event).map(&:status)).to eq([:success])
              expect(described_class.clean).to eq(0)
            end
            expect(states).to eq(%w[succeeded])
          end
        end
      end

      it "stores nothing of what is secret where an endpoint sends it back" do
        echo = lambda do |connection, request|
          body = "\xFF#{request.headers["x-token"]} and open-sesame-42".b
          connection.io.write("HTTP/1.1 500 X\r\nX-Echo: #{request.headers["x-token"]} open-sesame-42\r\n" \
                              "Content-Length: #{body.bytesize}\r\n\r\n#{body}")
          true
        end
        ScriptedServer.open([echo]) do |server|
          application.endpoints.create!(url: server.url, secret: "open-sesame-42",
                                        headers: { sensitive: { "X-Token" => "gate-seven-77" } })
          attempt = described_class.publish("shop", event).first
          expect(attempt.response).to end_with(" and [redacted]")
          stored = rows.inspect
          expect(%w[open-sesame-42 gate-seven-77].select { |secret| stored.include?(secret) }).to eq([])
          expect(attempts.last.response_headers["x-echo"]).to end_with("[redacted]")
        end
      end

      it "belongs to the caller's transaction, and is sent after the commit" do
        ScriptedServer.open([ok]) do |server|
          application.endpoints.create!(uid: "one", url: server.url)
          woken = []
          allow(described_class.sender).to receive(:wake) { woken << server.requests.size }
          EndpointTables::Base.transaction do
            expect(described_class.publish("shop", event).map(&:status)).to eq([:pending])
            raise ActiveRecord::Rollback
          end
          expect([rows.values_at("simple_connect_endpoint_events", "simple_connect_endpoint_deliveries"), woken])
            .to eq([[[], []], [0]])
          EndpointTables::Base.transaction { described_class.publish("shop", event) }
          expect(server.requests).to eq([])
          expect(described_class.deliver_due).to eq(1)
          expect([server.requests.size, states]).to eq([1, %w[succeeded]])
        end
      end

      it "only records, where it is for later" do
        ScriptedServer.open([ok]) do |server|
          2.times { |number| application(uid: "shop#{number}").endpoints.create!(url: server.url) }
          attempts = Array.new(2) { |number| described_class.publish_later("shop#{number}", event(uid: "same")) }
          expect([attempts.flatten.map(&:status), server.requests]).to eq([%i[pending pending], []])
          expect(described_class.deliver_due).to eq(2)
          expect(server.requests.size).to eq(2)
        end
      end

      it "publishes a uid once, and refuses another body of the same uid" do
        ScriptedServer.open([ok]) do |server|
          application.endpoints.create!(url: server.url)
          2.times { described_class.publish("shop", event(uid: "ev_1")) }
          expect(server.requests.size).to eq(1)
          expect { described_class.publish("shop", event(uid: "ev_1", payload: {})) }
            .to raise_error(ArgumentError, /another body/)
          expect { described_class.publish("shop", event(uid: "e" * 256)) }.to raise_error(ArgumentError, /at most 255/)
          expect { described_class.publish("none", event) }
            .to raise_error(SimpleConnect::ConfigurationError, /no application has the uid "none"/)
        end
      end

      it "costs no endpoint its event and no attempt its record where the queue is down" do
        require "active_job"
        stub_const("DownAdapter", Class.new do
          def enqueue(*) = raise(IOError, "the queue is down")
          alias_method :enqueue_at, :enqueue
        end)
        settings.jobs = :active_job
        job = described_class.const_get(:ActiveJobRelay)
        job.queue_adapter = DownAdapter.new
        job.logger = Logger.new(nil)
        # Every other endpoint fails, so that there are retries to enqueue.
        ScriptedServer.open([{ "status" => 500 }, ok] * 20) do |server|
          shop = application
          40.times { |number| shop.endpoints.create!(uid: "e#{number}", url: server.url) }
          published = nil
          expect { published = described_class.publish("shop", event) }
            .to output(/the job queue of endpoints raised IOError: the queue is down/).to_stderr
          expect(published.map(&:status).tally).to eq(failure: 20, success: 20)
          expect([server.requests.size, attempts.count, states.tally])
            .to eq([40, 40, { "succeeded" => 20, "pending" => 20 }])
          expect { described_class.publish_later("shop", event) }.to output(/the queue is down/).to_stderr
          expect(states.tally).to eq("succeeded" => 20, "pending" => 60)
        end
      end
    end

    describe "retrying" do
      it "follows the schedule, and reports the last failure once" do
        exhausted = []
        settings.on_exhausted = ->(attempt) { exhausted << attempt.retry_count }
        ScriptedServer.open([{ "status" => 500, "body" => "a\0b" * 4096 }]) do |server|
          application(retry_schedule: { wait: 30, max_retries: 2 }).endpoints.create!(url: server.url)
          described_class.publish("shop", event)
          waits = Array.new(3) do
            row = deliveries.first
            due!
            described_class.deliver_due
            row.next_attempt_at - described_class.store.now
          end
          expect(waits.first(2).map { |wait| wait / 1_000_000.0 }).to match([be_within(5).of(30), be_within(5).of(90)])
          expect([server.requests.size, states, exhausted]).to eq([3, %w[failed], [2]])
          expect(server.requests.map { |request| request.headers["x-simplyq-event-uid"] }.uniq.size).to eq(1)
          expect(attempts.map { |attempt| [attempt.retry_count, attempt.response.size] })
            .to eq([[0, 2731], [1, 2731], [2, 2731]])
        end
      end

      it "holds an endpoint's other events back for as long as it asks" do
        ScriptedServer.open([{ "status" => 429, "headers" => { "Retry-After" => "3600" } }, ok]) do |server|
          application.endpoints.create!(url: server.url)
          described_class.publish("shop", event)
          later = described_class.publish("shop", event)
          expect([later.first.status, server.requests.size]).to eq([:pending, 1])
          waits = deliveries.pluck(:next_attempt_at).map { |time| (time - described_class.store.now) / 1_000_000 }
          expect(waits).to all(be_between(3500, 4000))
        end
      end

      it "cancels what is for an endpoint that a person made inactive, or removed" do
        ScriptedServer.open([ok]) do |server|
          shop = application
          one, two = Array.new(2) { shop.endpoints.create!(url: server.url) }
          described_class.publish_later("shop", event)
          one.update!(active: false)
          two.destroy!
          described_class.deliver_due
          expect([states, server.requests]).to eq([%w[canceled canceled], []])
        end
      end

      it "has the deliveries of an invalid application wait, reports it, and goes on with the others" do
        ScriptedServer.open([ok]) do |server|
          shops = %w[bad good odd].to_h { |uid| [uid, application(uid:)] }
          shops.each_value { |shop| shop.endpoints.create!(uid: "one", url: server.url) }
          shops.each_key { |uid| described_class.publish_later(uid, event(uid: "for_#{uid}")) }
          # Such as after a change of config.allow_private.
          shops["bad"].endpoints.update_all(url: "https://10.0.0.1")
          shops["odd"].update_columns(retry_schedule: { "wat" => 1 })
          SimpleConnect.configuration.allow_private = ["127.0.0.0/8"]
          described_class.reset
          reports = /ConfigurationError: the application bad: .*10.0.0.1.*application odd: retry_schedule/m
          expect { expect(described_class.deliver_due).to eq(3) }.to output(reports).to_stderr
          expect([server.requests.map { |request| request.headers["x-simplyq-event-uid"] }, attempts.count])
            .to eq([["for_good"], 1])
          waiting = deliveries.where(state: "pending").to_a
          expect(waiting.map { |each| [each.retry_count, each.lease_token] }).to eq([[0, nil]] * 2)
          expect(waiting.map { |each| each.next_attempt_at - described_class.store.now })
            .to all(be_between(40_000_000, 80_000_000))

          shops["bad"].endpoints.first.update!(url: server.url)
          due!
          expect { described_class.deliver_due }.to output(/application odd/).to_stderr
          expect(states.tally).to eq("succeeded" => 2, "pending" => 1)
        end
      end

      it "sends with options that were changed after it has sent before" do
        ScriptedServer.open([ok]) do |server|
          application.endpoints.create!(url: server.url)
          described_class.publish("shop", event)
          settings.connection = { user_agent: "Shop/2" }
          described_class.publish("shop", event)
          SimpleConnect.configure { |config| config.allow_private = ["10.0.0.0/8"] }
          expect { described_class.publish("shop", event) }.to raise_error(SimpleConnect::ConfigurationError, /guard/)
          expect(server.requests.map { |request| request.headers["user-agent"] }).to match([/simple_connect/, "Shop/2"])
        end
      end

      it "uses up no attempt, and counts no failure, for a fault of our own side" do
        application.endpoints.create!(url: "http://127.0.0.1:1")
        settings.connection = { proxy: "http://127.0.0.1:1" }
        attempt = described_class.publish("shop", event).first
        failures = SimpleConnect::Endpoints::Endpoint.first.failures
        expect([attempt.status, states, deliveries.first.retry_count, failures]).to eq([:failure, %w[pending], 0, 0])
        expect(deliveries.first.next_attempt_at - described_class.store.now).to be_between(40_000_000, 80_000_000)
      end
    end

    describe "failing endpoints" do
      it "are disabled when count and time are reached, with warnings before; their events wait for them" do
        settings.disable_after_failures = 4
        settings.disable_after = 3600
        warned = []
        settings.on_failing = ->(endpoint, percent) { warned << [endpoint.uid, percent, endpoint.failures] }
        events = []
        hook = SimpleConnect.on_event("failing.simple_connect") do |_, each|
          events << each.values_at(:endpoint_uid, :percent)
        end
        ScriptedServer.open([*([{ "status" => 500 }] * 6), ok]) do |server|
          shop = application(retry_schedule: { wait: 1, max_retries: 100 })
          endpoint = shop.endpoints.create!(uid: "a", url: server.url)
          5.times { |number| described_class.publish("shop", event(uid: "ev_#{number}")) }
          expect([endpoint.reload.failures, warned]).to eq([5, []])
          endpoint.class.update_all(failing_since: described_class.store.now - 3_600_000_000)
          expect(described_class.publish("shop", event(uid: "ev_5")).first.status).to eq(:failure)
          expect([endpoint.reload.disabled?, endpoint.disabled_reason]).to eq([true, "failing"])
          expect(warned).to eq([["a", 100, 6]])
          expect(described_class.find_application("shop").endpoint("a").active?).to be(false)

          expect(described_class.publish("shop", event(uid: "ev_6")).map(&:status)).to eq([:pending])
          due!
          described_class.deliver_due
          expect([server.requests.size, states.tally]).to eq([6, { "kept" => 7 }])

          expect(endpoint.enable!(replay: true)).to eq(7)
          described_class.deliver_due
          expect([states.uniq, endpoint.reload.failures, server.requests.size]).to eq([%w[succeeded], 0, 13])
          expect(server.requests.last(7).map { |request| request.headers["x-simplyq-event-uid"] })
            .to match_array(Array.new(7) { |number| "ev_#{number}" })
        end
        expect(events).to eq([["a", 100]])
      ensure
        SimpleConnect.off_event(hook)
      end

      it "warns at 50 and 75 percent, once each, and starts again after a success" do
        settings.disable_after_failures = 4
        settings.disable_after = 0
        warned = []
        settings.on_failing = ->(_, percent) { warned << percent }
        ScriptedServer.open([*([{ "status" => 500 }] * 3), ok, *([{ "status" => 500 }] * 4)]) do |server|
          endpoint = application.endpoints.create!(url: server.url)
          3.times { described_class.publish("shop", event) }
          expect(warned).to eq([50, 75])
          5.times { described_class.publish("shop", event) }
          expect([warned, endpoint.reload.disabled?]).to eq([[50, 75, 50, 75, 100], true])
          expect(endpoint.enable!).to eq(1)
          expect(states.last).to eq("canceled")
        end
      end

      it "are disabled at once by a 410, which keeps the event" do
        ScriptedServer.open([{ "status" => 410 }]) do |server|
          endpoint = application.endpoints.create!(url: server.url)
          described_class.publish("shop", event)
          expect([endpoint.reload.disabled_reason, states]).to eq(["gone", %w[kept]])
        end
      end
    end

    it "sends again what an endpoint did not get, with the same uid and body, and says so" do
      ScriptedServer.open([{ "status" => 500 }, ok]) do |server|
        shop = application(retry_schedule: { wait: 1, max_retries: 0 })
        endpoint = shop.endpoints.create!(url: server.url, secret: "s")
        described_class.publish("shop", event(uid: "lost"))
        described_class.publish("shop", event(uid: "got"))
        expect(endpoint.replay(since: Time.now - 60, until: Time.now - 30)).to eq(0)
        expect(endpoint.replay(since: Time.now - 60)).to eq(1)
        expect(described_class.deliver_due).to eq(1)
        first, _, again = server.requests
        expect([again.body, again.headers["x-simplyq-event-uid"], again.headers["x-simplyq-event-replay"]])
          .to eq([first.body, "lost", "true"])
        expect(first.headers).not_to include("x-simplyq-event-replay")
        expect(signed?(again, "s")).to be(true)
        expect(endpoint.replay(since: Time.now - 60, only: nil)).to eq(2)
        expect(attempts.last.to_attempt.trigger_type).to eq(:manual)
      end
    end

    describe "enabling an endpoint" do
      # As a process has read it that was paused until the endpoint was enabled.
      def outdated(endpoint)
        endpoint.update!(disabled_at: 1, disabled_reason: "failing")
        SimpleConnect::Endpoints.directory.find("shop").tap { endpoint.enable! }
      end

      it "sends what is recorded by a process that has not seen it, also if it is enabled twice" do
        ScriptedServer.open([ok]) do |server|
          endpoint = application.endpoints.create!(url: server.url)
          allow(described_class.directory).to receive(:find).and_return(outdated(endpoint))
          described_class.publish_later("shop", event)
          expect(endpoint.enable!).to eq(0)
          described_class.deliver_due
          expect([states, server.requests.size]).to eq([%w[succeeded], 1])
        end
      end

      it "sends what is claimed by a process that has not seen it" do
        ScriptedServer.open([ok]) do |server|
          shop = application
          endpoint = shop.endpoints.create!(url: server.url)
          entry = outdated(endpoint)
          described_class.publish_later("shop", event)
          outdated = [{ shop.id => entry }]
          allow(described_class.directory).to receive(:find_all).and_wrap_original do |find_all, ids|
            outdated.pop || find_all.call(ids)
          end
          described_class.deliver_due
          expect([states, server.requests.size, deliveries.first.retry_count]).to eq([%w[succeeded], 1, 0])
        end
      end

      it "sends what is published in a transaction that is open meanwhile" do
        skip("SQLite has one writer at a time") if database.engine == "SQLite"
        ScriptedServer.open([ok]) do |server|
          endpoint = application.endpoints.create!(url: server.url)
          endpoint.update!(disabled_at: 1, disabled_reason: "failing")
          EndpointTables::Base.transaction do
            described_class.publish_later("shop", event)
            Thread.new { endpoint.enable! }.join
          end
          described_class.deliver_due
          expect([states, server.requests.size]).to eq([%w[succeeded], 1])
        end
      end
    end

    # Finishes what is pending before each look for what to send again, as a relay could, at most 20 times.
    def finishing(state)
      looks = 0
      finish = ActiveSupport::Notifications.subscribe(/\Asql.active_record/, Class.new do
        define_method(:start) do |_, _, payload|
          next unless payload[:sql].match?(/\ASELECT .*endpoint_deliveries.* LIMIT /)
          raise "it has no end" if (looks += 1) > 20

          Thread.new { EndpointTables.models[3].where(state: "pending").update_all(state:) }.join
        end
        define_method(:finish) { |*| nil }
      end.new)
      yield
    ensure
      ActiveSupport::Notifications.unsubscribe(finish)
    end

    it "sends each event again once, also if it is delivered, fails or is canceled meanwhile" do
      stub_const("SimpleConnect::Endpoints::Endpoint::SLICE", 2)
      endpoint = application.endpoints.create!(url: "https://a.example")
      5.times { described_class.publish_later("shop", event) }
      again = ->(only) { endpoint.replay(since: Time.now - 60, until: Time.now + 60, only:) }
      finishing("succeeded") { expect(again[nil]).to eq(5) }
      deliveries.update_all(state: "failed")
      finishing("canceled") { expect(again[:failed]).to eq(5) }
      deliveries.update_all(state: "kept")
      finishing("kept") { expect(endpoint.enable!(replay: true)).to eq(5) }
      deliveries.update_all(state: "kept")
      expect([endpoint.enable!, states.uniq]).to eq([5, %w[canceled]])
    end

    it "relays until it is told to stop, and keeps nobody waiting for a slow endpoint" do
      gate = Queue.new
      ScriptedServer.open([ScriptedServer.held(gate), ok]) do |server|
        shop = application
        2.times { |number| shop.endpoints.create!(url: server.url, filter_types: ["t#{number}"]) }
        described_class.publish_later("shop", event("t0"))
        stopped = false
        relay = Thread.new { described_class.sender.serve { stopped } }
        server.wait_for(1)
        3.times { described_class.publish_later("shop", event("t1")) }
        server.wait_for(3)
        sleep(0.01) until states.tally == { "pending" => 1, "succeeded" => 3 }
        stopped = true
        gate.close
        relay.join
        expect(states.uniq).to eq(%w[succeeded])
      end
    end

    it "has doctor name endpoints that fail, and what is late" do
      doctor = lambda do
        SimpleConnect.const_get(:Doctor).const_get(:StoredEndpoints).new(SimpleConnect.configuration).findings
                     .to_h { |finding| [finding.name, [finding.level, finding.seen]] }
      end
      endpoint = application.endpoints.create!(uid: "acme", url: "https://acme.example")
      described_class.publish_later("shop", event)
      expect(doctor.call.values.map(&:first)).to eq(%i[green green green])
      due!
      endpoint.update!(disabled_at: 1)
      settings.encryption_key = "n" * 32
      expect(doctor.call).to match(
        "endpoints key" => [:red, /cannot be decrypted/], "endpoints" => [:yellow, "1 disabled: acme"],
        "endpoints relay" => [:red, "1 deliveries are late by more than 5 minutes"]
      )
    end

    it "deletes what is older than it is kept for, but nothing that is due" do
      ScriptedServer.open([ok]) do |server|
        application.endpoints.create!(url: server.url)
        described_class.publish("shop", event(uid: "old"))
        described_class.publish_later("shop", event(uid: "due"))
        [SimpleConnect::Endpoints::Event, attempts.klass].zip(%i[created_at attempted_at]) do |model, column|
          model.update_all(column => 1)
        end
        described_class.publish("shop", event(uid: "new"))
        expect(described_class.clean).to eq(1)
        expect(SimpleConnect::Endpoints::Event.order(:id).pluck(:uid)).to eq(%w[due new])
        expect([deliveries.count, attempts.count]).to eq([2, 1])
      end
    end

    it "gives 10 permits now and places in the next second, at 10 a second; what has to wait, waits in the database" do
      ScriptedServer.open([ok]) do |server|
        endpoint = application(rate_limit: 10).endpoints.create!(url: server.url)
        started = Process.clock_gettime(Process::CLOCK_MONOTONIC)
        waits = Array.new(15) { described_class.store.take(endpoint.id, 10, waited: false) }
        # On a machine that is slow today, the next second may have begun.
        quick = Process.clock_gettime(Process::CLOCK_MONOTONIC) - started < 0.9
        expect([waits.first(10).uniq, waits.last(5).uniq.size]).to eq([[0.0], quick ? 5 : waits.last(5).uniq.size])
        endpoint.class.update_all(window_queue: described_class.store.now + 30_000_000)
        waiting = described_class.publish("shop", event).first
        expect([waiting.status, server.requests]).to eq([:pending, []])
        expect(waiting.scheduled_at - Time.now).to be_between(20, 31)
        endpoint.class.update_all(window_queue: 0, window_started_at: 0)
        due!
        described_class.deliver_due
        expect(server.requests.size).to eq(1)
      end
    end
  end

  it "blames an endpoint for nothing that is our own fault" do
    health = described_class.const_get(:Health)
    failed = ->(kind, phase, error) { SimpleConnect::Result.failed(1, 0.1, error, kind, phase, false) }
    own = [[:unreachable, :connect, "no route"], [:proxy, :proxy, "407"], [:io, :connect, "Too many open files"],
           [:io, :resolve, "can't create Thread"], [:timeout, :resolve, "timed out"],
           [:dns, :resolve, "SocketError: x: getaddrinfo: Temporary failure in name resolution"],
           [:refused, :connect, "Errno::ECONNREFUSED: proxy 127.0.0.1:1: refused"]]
    theirs = [[:refused, :connect, "Errno::ECONNREFUSED: 127.0.0.1:1: refused"], [:timeout, :connect, "timed out"],
              [:timeout, :read, "timed out"], [:dns, :resolve, "Name or service not known"], [:tls, :tls, "expired"],
              [:reset, :read, "reset"], [:guarded, :connect, "guard"]]
    expect(own.map { |each| health.own_fault?(failed[*each]) }.uniq).to eq([true])
    expect(theirs.map { |each| health.own_fault?(failed[*each]) }.uniq).to eq([false])
    expect(health.own_fault?(SimpleConnect::Result.new(success: false, status_code: 500))).to be(false)
  end
end
