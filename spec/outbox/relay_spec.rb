# frozen_string_literal: true

require "logger"
require "timeout"
require_relative "../support/outboxes"

RSpec.describe "The outbox's relay", unchecked: true do
  include Outboxes

  around { |example| Timeout.timeout(30) { example.run } }

  before { @configuration = SimpleConnect.instance_variable_get(:@configuration) }

  after { SimpleConnect.instance_variable_set(:@configuration, @configuration) }

  Databases.each(self) do |database|
    let(:base) { database.base }

    before(:context) { OutboxTables.migrate(database.base) }

    after { clear }

    def relay(**options) = Outboxes::Relay.new(store:, **options)

    it "sends the events of a recipient in their order, and those of others side by side" do
      lock = Mutex.new
      busy = Hash.new(0)
      most = 0
      overlaps = 0
      answer = lambda do |id, _|
        lane = id[0]
        lock.synchronize do
          overlaps += 1 if (busy[lane] += 1) > 1
          most = [most, busy.values.sum].max
        end
        sleep(0.02)
        lock.synchronize { busy[lane] -= 1 }
        202
      end
      Outboxes.serve(answer) do |server|
        configure(server.endpoint)
        %w[a b c d].each { |lane| write(*(1..7).map { |n| "#{lane}#{n}" }, lane:) }
        relay = relay(concurrency: 3)
        expect(relay.run(seconds: 20)).to be(false)
        expect(relay.counters).to eq(done: 28)
        orders = came(server).group_by { |id| id[0] }.values
        expect(orders).to eq(orders.map(&:sort))
        expect([overlaps, most]).to eq([0, 3])
        expect(sql("SELECT COUNT(*) FROM events")).to eq([[0]])
      end
    end

    # Sends all that is due, with a sandbox's answers.
    def relayed(answer, relay = relay(), seconds: 10)
      Outboxes.serve(answer) do |server|
        configure(server.endpoint)
        relay.run(seconds:)
        yield server if block_given?
        came(server)
      end
    end

    def client = store.clients.first

    # What {SimpleConnect.on_event} gets meanwhile, without facts about the event.
    def published
      events = []
      hook = SimpleConnect.on_event { |name, payload| events << [name.delete_suffix(".simple_connect"), payload] }
      yield
      events.reject { |name, _| %w[deliver request].include?(name) }
    ensure
      SimpleConnect.off_event(hook)
    end

    it "holds a client back after a 429, sends one event to find out, and then all; nothing is used up" do
      4.times { |number| write(number.to_s, lane: "lane #{number}") }
      answers = [[429, { "Retry-After" => "7" }], [503, {}], [202, {}]]
      first = relay(concurrency: 1)
      events = published do
        relayed(->(*) { answers.size > 1 ? answers.shift : answers.first }, first) do |server|
          expect(came(server).size).to eq(1)
          expect(client).to have_attributes(paused_reason: nil, failures: 1)
          expect(client.probe_at - store.now).to be_between(5_000_000, 9_000_000)
          sql!("UPDATE clients SET probe_at = 1")
          relay(concurrency: 4).run(seconds: 5)
          expect(came(server).size).to eq(2)
          expect(client.failures).to eq(2)
          sql!("UPDATE clients SET probe_at = 1")
          relay(concurrency: 4).run(seconds: 5)
        end
      end
      expect(sql("SELECT COUNT(*) FROM events")).to eq([[0]])
      expect(client).to have_attributes(stopped?: false, failures: 0)
      expect(events.first.last).to include(outcome: :held_back, status: 429, attempts: 1, client: "default")
      expect(events.map(&:first).tally).to eq("relay" => 6, "pause" => 2)
      expect(events.find { |name, _| name == "pause" }.last).to include(paused: false, reason: "http_429", status: 429)
      expect(first.counters).to eq(held_back: 1)
    end

    # A client whose probe is due, and whose first lanes have nothing to send.
    def probed(*silent, **row)
      silent.each { |id| write(id, lane: id, **row) }
      write("live", lane: "live")
      store.intake(100)
      store.hold_back("default", seconds: 0)
    end

    it "sends a probe although events before it have expired" do
      probed("1", "2", "3", expires_at: 1)
      expect(relayed(->(*) { 202 })).to eq(["live"])
      expect([client.stopped?, store.parked.count]).to eq([false, 3])
    end

    it "sends a probe although the first events were erased" do
      probed("1", "2")
      sql!("DELETE FROM events WHERE event_id <> 'live'")
      expect(relayed(->(*) { 202 })).to eq(["live"])
      expect(client).to have_attributes(stopped?: false)
    end

    it "sends a probe although it lost the first lane" do
      probed("1", expires_at: 1)
      mine = store
      test = self
      mine.define_singleton_method(:claim) do |*arguments, **options|
        super(*arguments, **options).each { |lane| test.sql!("UPDATE lanes SET lease_token = 1") if lane.key == "1" }
      end
      losing = Outboxes::Relay.new(store: mine)
      expect(relayed(->(*) { 202 }, losing)).to eq(["live"])
      expect(losing.counters).to eq(done: 1, lease_lost: 1)
    end

    it "gives the probes back that it did not send before it was stopped" do
      %w[default billing].each { |name| write(name, lane: name, client: name) }
      store.intake(100)
      %w[default billing].each { |name| store.hold_back(name, seconds: 0) }
      mine = store
      stopped = Outboxes::Relay.new(store: mine)
      mine.define_singleton_method(:claim) { |*arguments, **options| super(*arguments, **options).tap { stopped.stop } }
      Outboxes.serve(->(*) { 202 }) do |server|
        configure(server.endpoint, billing: server.endpoint)
        stopped.run(seconds: 10)
        left = store.clients.select(&:stopped?)
        expect([came(server).size, left.map(&:probe_due)]).to eq([1, [true]])
      end
    end

    it "waits before it tries again to claim a lane for a probe" do
      probed
      mine = store
      tries = 0
      mine.define_singleton_method(:claim_of) { |*| (tries += 1) && [] }
      running = Outboxes::Relay.new(store: mine)
      thread = aside { running.run }
      Thread.pass until tries.positive? || sleep(0.01).nil?
      sleep(0.3)
      running.stop
      thread.join
      expect(tries).to be_between(1, 3)
      expect(client.probe_due).to be(true)
    end

    it "uses up neither attempts nor time of an event whose client is held back" do
      write("1")
      relayed(->(*) { 503 })
      expect(sql("SELECT attempts, first_attempt_at FROM events")).to eq([[0, nil]])
    end

    it "pauses a client whose key is wrong, parks nothing, and goes on once the key is right" do
      6.times { |number| write(number.to_s, lane: "lane #{number % 3}") }
      right = false
      events = published do
        relayed(->(*) { right ? 202 : 401 }, relay(concurrency: 2)) do |server|
          expect(came(server).size).to be <= 2
          expect(client).to have_attributes(paused_reason: "http_401")
          expect(client.probe_at - store.now).to be_between(170_000_000, 181_000_000)
          sql!("UPDATE clients SET probe_at = 1")
          relay.run(seconds: 5)
          expect(client).to have_attributes(paused_reason: "http_401", failures: 2)
          right = true
          store.resume("default")
          relay.run(seconds: 5)
        end
      end
      expect(sql("SELECT COUNT(*) FROM events")).to eq([[0]])
      pause = events.select { |name, _| name == "pause" }.map(&:last)
      expect(pause.size).to eq(2)
      expect(pause).to all(include(client: "default", paused: true, reason: "http_401", status: 401))
    end

    it "pauses a client that is not configured, and sends the events of others" do
      write("1", client: "nobody")
      write("2", lane: "other")
      expect(relayed(->(*) { 202 })).to eq(["2"])
      paused = store.clients.find(&:stopped?)
      expect(paused).to have_attributes(name: "nobody", paused_reason: "client_not_configured")
    end

    it "holds back a client whose service cannot be reached" do
      write("1")
      configure("http://127.0.0.1:1/events")
      relay.run(seconds: 5)
      expect(client).to have_attributes(paused_reason: nil, failures: 1)
    end

    it "parks an event that the service rejects, and lets its lane go on" do
      write("1", "2")
      events = published { relayed(->(id, _) { id == "1" ? 422 : 202 }) }
      expect(store.parked.map { |event| [event.event_id, event.last_status, event.last_error] })
        .to eq([["1", 422, "http_422"]])
      expect(sql("SELECT COUNT(*) FROM events")).to eq([[1]])
      park = events.find { |name, _| name == "park" }.last
      expect(park).to eq(client: "default", event_id: "1", event_key: "paid", status: 422, error: "http_422")
    end

    it "lets the lane of an event that fails wait, and no other; nothing overtakes it" do
      write("1", "2", lane: "asha")
      write("3", "4", lane: "ravi")
      fails = true
      came = relayed(->(id, _) { id == "1" && fails ? [500, { "Retry-After" => "70" }] : 202 }) do |server|
        expect(came(server)).to match_array(%w[1 3 4])
        expect(sql("SELECT attempts, last_status, last_error FROM events WHERE event_id = '1'"))
          .to eq([[1, 500, "http_500"]])
        due_at = sql("SELECT MAX(next_attempt_at) FROM lanes").flatten.first
        expect(due_at - store.now).to be_between(65_000_000, 90_000_000)
        fails = false
        sql!("UPDATE lanes SET next_attempt_at = 1")
        relay.run(seconds: 5)
      end
      expect(came.last(2)).to eq(%w[1 2])
    end

    it "parks an event that keeps failing while others succeed" do
      write("1", "2", lane: "asha")
      write("3", lane: "ravi")
      relayed(->(id, _) { id == "1" ? 500 : 202 }) do
        sql!("UPDATE lanes SET next_attempt_at = 1, last_failure_at = 1")
        sql!("UPDATE lanes SET first_failure_at = first_failure_at - 11000000")
        sql!("UPDATE clients SET last_success_at = 2")
        relay(park_after: 10).run(seconds: 5)
      end
      expect(store.parked.map { |event| [event.event_id, event.last_error] }).to eq([%w[1 http_500]])
      expect(sql("SELECT COUNT(*) FROM events")).to eq([[1]])
    end

    { 503 => "http_503", 403 => "http_403" }.each do |status, error|
      it "does not stop a client again for an event that alone gets a #{status}" do
        write("1", lane: "asha")
        write("2", lane: "ravi")
        relayed(->(id, _) { id == "1" ? status : 202 }, relay(concurrency: 1)) do |server|
          # Once it is stopped, the next probe is of the other lane, or was sent before.
          sql!("UPDATE clients SET probe_at = 1")
          relay(concurrency: 1).run(seconds: 5)
          sql!("UPDATE clients SET probe_at = 1 WHERE probe_at IS NOT NULL")
          relay(concurrency: 1).run(seconds: 5)
          expect(client).to have_attributes(stopped?: false)
          expect(sql("SELECT event_id, attempts, last_error FROM events").map { |row| row.map(&:to_s) })
            .to eq([["1", "1", error]])
          expect(came(server)).to include("2")
          sql!("UPDATE lanes SET next_attempt_at = 1, last_failure_at = 1")
          sql!("UPDATE lanes SET first_failure_at = first_failure_at - 11000000")
          relay(concurrency: 1, park_after: 10).run(seconds: 5)
        end
        expect(store.parked.map(&:last_error)).to eq(status == 403 ? [error] : [])
      end
    end

    it "parks events that are over: past expires_at, or days after their first attempt" do
      write("1", expires_at: store.now - 1)
      write("2", lane: "asha", expires_at: store.now + 60_000_000)
      write("3", lane: "ravi")
      fails = relayed(->(id, _) { id == "3" ? 500 : 202 })
      expect(fails).to match_array(%w[2 3])
      sql!("UPDATE lanes SET next_attempt_at = 1")
      sql!("UPDATE events SET first_attempt_at = first_attempt_at - 100000000")
      relayed(->(*) { 500 }, relay(give_up_after: 99))
      expect(store.parked.map { |event| [event.event_id, event.last_status, event.last_error, event.attempts] })
        .to eq([["1", nil, "expired", 0], ["3", 500, "expired", 2]])
    end

    it "sends the same bytes again after it was killed between sending and recording" do
      write("1", "2")
      bodies = []
      relayed(->(id, request) { bodies << [id, request.body] && 202 }) do |server|
        store = store()
        def store.done(*) = raise(NoMemoryError)
        sql!("UPDATE events SET state = 0, lane_id = 0")
        write("1", "2")
        expect { Outboxes::Relay.new(store:).run(seconds: 5) }.to raise_error(NoMemoryError)
        expect(came(server)).to eq(%w[1 2 1])
        relay.run(seconds: 5)
      end
      expect(bodies.map(&:first)).to eq(%w[1 2 1 1 2])
      expect(bodies[2]).to eq(bodies[3])
    end

    it "records nothing by a lease that it lost" do
      write("1", "2")
      taken = lambda do |id, _|
        sql!("UPDATE lanes SET lease_token = 1") if id == "1"
        202
      end
      losing = relay
      events = published { relayed(taken, losing) }
      expect(losing.counters).to eq(lease_lost: 1)
      expect(events).to eq([["lease_lost", { client: "default", event_id: "1", event_key: "paid" }]])
      expect(sql("SELECT COUNT(*) FROM events WHERE state = 1")).to eq([[2]])
    end

    it "goes on with the lane of an event that was erased while it was sent" do
      write("1", "2", "3")
      erasing = lambda do |id, _|
        sql!("DELETE FROM events WHERE event_id = '1'") if id == "1"
        sql!("DELETE FROM events WHERE event_id = '2'") if id == "2"
        id == "2" ? 422 : 202
      end
      mine = relay
      expect(relayed(erasing, mine)).to eq(%w[1 2 3])
      expect(mine.counters).to eq(done: 2, parked: 1)
      expect(sql("SELECT COUNT(*) FROM events")).to eq([[0]])
    end

    it "does not send what was erased after it was read ahead" do
      write("1", "2", "3", "4", "5", "6", lane: "asha")
      write("7", lane: "ravi")
      later = 0
      clock = SimpleConnect.const_get(:Clock)
      allow(clock).to receive(:now) { Process.clock_gettime(Process::CLOCK_MONOTONIC) + later }
      slow = lambda do |id, *|
        sql!("DELETE FROM events WHERE event_id = '2'") if id == "1"
        store.erase(["asha"]) if id == "4"
        later += 1.1
        202
      end
      expect(relayed(slow, relay(concurrency: 1), seconds: 600)).to eq(%w[1 3 4 7])
    end

    it "lets other lanes have their turn although it reads events again" do
      write(*%w[1 2 3 4 5 6 7], lane: "asha")
      write("8", lane: "ravi")
      later = 0
      clock = SimpleConnect.const_get(:Clock)
      allow(clock).to receive(:now) { Process.clock_gettime(Process::CLOCK_MONOTONIC) + later }
      slow = ->(*) { (later += 1.1) && 202 }
      expect(relayed(slow, relay(concurrency: 1), seconds: 600)).to eq(%w[1 2 3 4 5 8 6 7])
    end

    it "renews a lease before it sends, once half of it is over" do
      write("1", "2", "3", "4")
      leases = []
      later = 0
      # Not a short lease, which would end on a slow machine.
      clock = SimpleConnect.const_get(:Clock)
      allow(clock).to receive(:now) { Process.clock_gettime(Process::CLOCK_MONOTONIC) + later }
      slow = lambda do |*|
        leases << sql("SELECT lease_until FROM lanes").flatten.first
        later += 25
        202
      end
      relayed(slow, relay(sender: Outboxes::Outbox.const_get(:Sender).new(timeout: 30)), seconds: 600)
      expect([leases.size, leases.uniq.size]).to eq([4, 2])
    end

    it "finishes what is under way when it is stopped, and lets the rest go" do
      %w[1 2 3 4].each { |id| write(id, "#{id} later", lane: "lane #{id}") }
      stopped = relay(concurrency: 2)
      came = relayed(lambda do |*|
        stopped.stop
        sleep(0.1)
        202
      end, stopped)
      expect(came.size).to be_between(1, 2)
      expect(sql("SELECT COUNT(*) FROM events")).to eq([[8 - came.size]])
      expect(sql("SELECT COUNT(*) FROM lanes WHERE lease_until IS NOT NULL")).to eq([[0]])
    end

    it "runs until it is stopped, and sends what comes meanwhile at once" do
      running = relay
      Outboxes.serve(->(*) { 202 }) do |server|
        configure(server.endpoint)
        thread = aside { running.run }
        %w[1 2 3].each do |id|
          write(id)
          started = Process.clock_gettime(Process::CLOCK_MONOTONIC)
          server.wait_for(1)
          expect(Process.clock_gettime(Process::CLOCK_MONOTONIC) - started).to be < 1
        end
        running.stop
        expect(thread.join(2).value).to be(false)
        expect(sql("SELECT COUNT(*) FROM events")).to eq([[0]])
      end
    end

    it "deletes lanes that have nothing to send, however many there are" do
      write("1")
      relayed(->(*) { 202 }) do
        client = store.clients.first.id
        2100.times.map { |number| "('lane #{number}', #{client})" }.each_slice(700) do |values|
          sql!("INSERT INTO lanes (lane_key, client_id) VALUES #{values.join(", ")}")
        end
        running = relay
        thread = aside { running.run }
        Thread.pass until sql("SELECT COUNT(*) FROM lanes").flatten == [0] || sleep(0.05).nil?
        running.stop
        thread.join
      end
    end

    it "says whether something is left when its time is over" do
      write("1", "2", "3")
      answer = lambda do |*|
        sleep(0.2)
        202
      end
      Outboxes.serve(answer) do |server|
        configure(server.endpoint)
        expect([relay.run(seconds: 0.3), relay.run(seconds: 5)]).to eq([true, false])
      end
    end

    it "goes on after the database was away, with the results of what was under way" do
      write("1", "2", lane: "asha")
      write("3", lane: "ravi")
      store = store()
      failures = 4
      store.define_singleton_method(:done) do |*arguments|
        raise ActiveRecord::StatementInvalid, "the server closed the connection" if (failures -= 1) >= 0

        super(*arguments)
      end
      log = StringIO.new
      came = Outboxes.serve(->(*) { 202 }) do |server|
        configure(server.endpoint)
        SimpleConnect.configure { |config| config.logger = Logger.new(log) }
        Outboxes::Relay.new(store:, concurrency: 2).run(seconds: 10)
        came(server)
      end
      expect(came).to match_array(%w[1 2 3])
      expect(sql("SELECT COUNT(*) FROM events")).to eq([[0]])
      expect(log.string).to include("the outbox's database failed: ActiveRecord::StatementInvalid")
    end

    it "goes on when the database has ended its connection" do
      skip("SQLite has none") if database.engine == "SQLite"
      id, kill = if database.engine == "PostgreSQL"
                   ["pg_backend_pid()", "SELECT pg_terminate_backend(%d)"]
                 else
                   ["CONNECTION_ID()", "KILL %d"]
                 end
      %w[asha ravi mira].each { |lane| write("#{lane} 1", "#{lane} 2", lane:) }
      connection = nil
      answer = lambda do |*|
        ending = connection
        connection = nil
        base.connection_pool.with_connection { |mine| mine.execute(format(kill, ending)) } if ending
        202
      end
      came = Outboxes.serve(answer) do |server|
        configure(server.endpoint)
        mine = relay(concurrency: 1)
        aside do
          connection = base.connection.select_value("SELECT #{id}")
          mine.run(seconds: 10)
        end.value
        came(server)
      end
      expect(came.group_by { |event| event.split.first }.values.map(&:uniq))
        .to match_array(%w[asha ravi mira].map { |lane| ["#{lane} 1", "#{lane} 2"] })
      expect(sql("SELECT COUNT(*) FROM events")).to eq([[0]])
    end

    it "waits for a row's lock for two seconds, on a new connection too, and only while it runs" do
      skip("MySQL and MariaDB only") if database.engine != "MariaDB"
      look = -> { base.connection.select_rows("SELECT @@innodb_lock_wait_timeout, CONNECTION_ID()").first }
      seen = []
      answer = lambda do |*|
        base.connection_pool.with_connection { |mine| mine.execute("KILL #{seen.last.last}") } if seen.size == 2
        202
      end
      write("1", "2", lane: "asha")
      Outboxes.serve(answer) do |server|
        configure(server.endpoint)
        aside do
          seen << look.call
          ActiveSupport::Notifications.subscribed(->(*) { seen << look.call }, "relay.simple_connect") do
            relay(concurrency: 1).run(seconds: 10)
          end
          seen << look.call
        end.value
      end
      expect(seen.map(&:first)).to eq([50, 2, 2, 50])
      expect(seen.map(&:last).uniq.size).to eq(2)
    end

    it "works in a process that was forked" do
      skip("SQLite's connections do not survive it") if database.engine == "SQLite"
      write("1")
      relayed(->(*) { 202 }) do
        write("2")
        pid = fork { exit!(relay.run(seconds: 5) == false) }
        expect(Process.wait2(pid).last).to be_success
      end
      expect(sql("SELECT COUNT(*) FROM events")).to eq([[0]])
    end

    it "raises if it cannot begin, such as without tables" do
      OutboxTables.migrate(base, :down)
      expect { relay.run(seconds: 5) }.to raise_error(ActiveRecord::StatementInvalid)
    ensure
      OutboxTables.migrate(base)
    end

    # A relay that opens no body of events whose id has "old".
    def keyless(**options)
      cipher = Class.new do
        attr_reader :tries

        def encrypt(body) = body

        def decrypt(body)
          @tries = @tries.to_i + 1
          raise(SimpleConnect::ConfigurationError, "no key") if body.include?("old")

          body
        end
      end.new
      @cipher = cipher
      Outboxes::Relay.new(store: store(cipher:), **options)
    end

    it "leaves events whose body no key opens, and pauses their client, if it can read none" do
      %w[1 2 3].each { |number| write("old #{number}", lane: "lane #{number}") }
      relayed(->(*) { 202 }, keyless)
      expect(client.paused_reason).to eq("body_unreadable")
      expect(client.probe_at - store.now).to be_between(170_000_000, 181_000_000)
      expect(@cipher.tries).to be <= 6
      expect(sql("SELECT state, attempts FROM events")).to eq([[1, 0]] * 3)
    end

    it "sends what it can read at once, although there are bodies before it that no key opens" do
      5.times { |number| write("old #{number}", lane: "lane #{number}") }
      write("new", lane: "new")
      expect(relayed(->(*) { 202 }, keyless(concurrency: 2))).to eq(["new"])
      expect(client).to have_attributes(stopped?: false)
    end

    it "parks a body that no key opens while others of its client arrive, however rarely" do
      write("old", lane: "asha")
      answers = relayed(->(*) { 202 }, keyless) do
        expect(client.paused_reason).to eq("body_unreadable")
        write("new", lane: "ravi")
        sql!("UPDATE clients SET probe_at = 1")
        keyless.run(seconds: 5)
        2.times do
          expect(client).to have_attributes(stopped?: false)
          expect(sql("SELECT attempts FROM events")).to eq([[0]])
          sql!("UPDATE lanes SET next_attempt_at = 1")
          keyless.run(seconds: 5)
        end
        sql!("UPDATE lanes SET next_attempt_at = 1")
        sql!("UPDATE events SET first_attempt_at = first_attempt_at - 11000000")
        keyless(park_after: 10).run(seconds: 5)
      end
      expect(answers).to eq(["new"])
      expect(store.parked.map { |event| [event.event_id, event.last_error, event.attempts] })
        .to eq([["old", "body_unreadable", 0]])
    end

    it "learns nothing about a client that is held back from a body that no key opens" do
      probed("an old one")
      sql!("UPDATE events SET last_error = 'body_unreadable' WHERE event_id LIKE '%old%'")
      expect(relayed(->(*) { 503 }, keyless)).to eq(["live"])
      expect(client).to have_attributes(stopped?: true, paused_reason: nil, failures: 2)
    end
  end
end
