# frozen_string_literal: true

require "timeout"
require_relative "../support/outboxes"

RSpec.describe "The outbox's store", unchecked: true do
  include Outboxes

  around { |example| Timeout.timeout(30) { example.run } }

  concurrent = Databases::ENGINES - ["SQLite"]

  Databases.each(self) do |database|
    let(:base) { database.base }
    let(:store) { Outboxes::Store.new(base) }

    before(:context) { OutboxTables.migrate(database.base) }

    after do
      @subscribers&.each { |subscriber| ActiveSupport::Notifications.unsubscribe(subscriber) }
      threads&.each { |thread| thread.kill.join }
      clear
    end

    def claim(limit = 10, lease: 60) = store.claim(limit, owner: "a spec", lease:)

    # The lane with these events, claimed.
    def claimed(*ids, **row)
      write(*ids, **row)
      store.intake(100)
      claim.first
    end

    def states = sql("SELECT event_id, state, lane_id FROM events ORDER BY id").map { |id, *rest| [id.to_s, *rest] }

    # A thread that waits after the first statement of this kind until the Proc is called.
    def in_the_middle_of(pattern)
      start = Queue.new
      reached = Queue.new
      go_on = Queue.new
      thread = nil
      subscriber = ActiveSupport::Notifications.subscribe("sql.active_record") do |*, payload|
        if Thread.current == thread && payload[:sql].match?(pattern)
          reached << true
          go_on.pop
        end
      end
      thread = aside do
        start.pop
        yield
      end
      start << true
      Thread.pass until reached.size == 1 || !thread.alive?
      thread.value if reached.empty?
      [thread, -> { go_on << true }]
    ensure
      @subscribers = [*@subscribers, subscriber]
    end

    [{ role: :reading }, { role: :writing, shard: :two }].each do |current|
      it "uses the database that is written to where the application uses #{current}" do
        ActiveRecord::Base.connected_to(**current) do
          write("1")
          expect([store.intake(100), claim.size]).to eq([1, 1])
          store.session { |db| store.reconnect(db) }
        end
        expect(states).to match([["1", 1, a_value > 0]])
      end
    end

    it "gives one job at a time its turn, until it ends or its lease is over" do
      take = ->(lease) { store.take_turn(owner: "a spec", lease:) }
      turns = Array.new(4) { aside { take.call(60) } }.map(&:value)
      expect([turns.compact.size, store.sweep, take.call(60)]).to eq([1, 0, nil])
      store.end_turn(turns.compact.first + 1)
      expect(take.call(60)).to be_nil
      store.end_turn(turns.compact.first)
      expect([take.call(-1), take.call(60), take.call(60)]).to match([Integer, Integer, nil])
    end

    it "writes an event once, and refuses another one with its id" do
      expect(store.insert([row("1"), row("2")])).to eq(2)
      expect(store.insert([row("2"), row("3")])).to eq(1)
      expect(store.insert([row("2", client: "billing")])).to eq(1)
      later = row("2")[:body].sub("2026-01-01", "2026-01-02")
      expect(store.insert([row("2", body: later)])).to eq(0)
      expect { store.insert([row("2", body: row("2")[:body].sub("paid", "due"))]) }
        .to raise_error(SimpleConnect::EventConflictError, /"2" is in the outbox with another body/)
      expect { store.insert([row("x" * 256)]) }.to raise_error(ArgumentError, /event_id must have at most 255 bytes/)
      expect(store.insert([row("é" * 127, lane: "a'b\\"), row("A"), row("a"), row("a ")])).to eq(4)
    end

    it "writes bodies of any bytes and size, also sealed" do
      cipher = Class.new do
        def encrypt(body) = "sealed#{body.reverse.b}"
        def decrypt(stored) = stored.delete_prefix("sealed").force_encoding("UTF-8").reverse
      end.new
      sealing = Outboxes::Store.new(base, cipher:)
      body = "{\"a\":\"é'\\\\\\u0000:id #{"x" * 500_000}\"}"
      sealing.insert([row("1", body:), row("2", body:)])
      expect(sealing.insert([row("1", body:)])).to eq(0)
      expect(sql("SELECT COUNT(*) FROM events WHERE LENGTH(body) > 500000")).to eq([[2]])
      sealing.intake(10)
      event = sealing.head(claim.first)
      expect(sealing.body(event)).to eq(body)
      expect(event).to have_attributes(event_id: "1", client: "default", event_key: "paid", attempts: 0)
      expect(event.event_id.encoding).to eq(Encoding::UTF_8)
    end

    it "sends a parked event again that is written again, unless the service may have forgotten it" do
      %w[expired refused old].each do |id|
        lane = claimed(id, expires_at: 1)
        attempts = id == "expired" ? 0 : 1
        store.park(lane, store.head(lane), attempts:, status: nil, error: "expired")
        store.release(lane)
      end
      sql("UPDATE events SET created_at = created_at - #{4 * 24 * 3600 * 1_000_000} WHERE event_id <> 'refused'")
      expect { store.insert([row("expired", body: row("expired")[:body].sub("paid", "due"))]) }
        .to raise_error(SimpleConnect::EventConflictError)
      expect(store.insert(%w[expired refused old].map { |id| row(id, expires_at: 7) })).to eq(0)
      expect(sql("SELECT event_id, state, attempts, expires_at FROM events ORDER BY id")
        .map { |id, *rest| [id.to_s, *rest] })
        .to eq([["expired", 0, 0, 7], ["refused", 0, 1, 7], ["old", 2, 1, 1]])
    end

    it "writes many large ones, in statements that MySQL's and MariaDB's servers take" do
      largest = 5_000_000
      sealing = Outboxes::Store.new(base, cipher: Class.new { def encrypt(body) = [body].pack("m") }.new)
      expect(sealing.insert([row("large", body: "x" * largest)])).to eq(1)
      expect(store.insert(Array.new(20) { |number| row(number.to_s, body: "x" * 1_000_000) })).to eq(20)
      expect(sql("SELECT COUNT(*) FROM events")).to eq([[21]])
    end

    it "writes only into the table of events, and locks nothing that is there" do
      seen = []
      subscriber = ActiveSupport::Notifications.subscribe("sql.active_record") { |*, payload| seen << payload[:sql] }
      store.now
      seen.clear
      write("1", "2")
      expect(seen.map { |text| text[/\A\w+/] }).to eq([*("SELECT" if database.engine == "MariaDB"), "INSERT"])
      expect(seen).to all(include("simple_connect_outbox_events"))
    ensure
      ActiveSupport::Notifications.unsubscribe(subscriber)
    end

    it "gives events their lanes in the order of ids, and lanes their events the oldest first" do
      write("1", "2", lane: "asha")
      write("3", lane: "ravi")
      expect([store.intake(2), store.intake(10), store.intake(10)]).to eq([2, 1, 0])
      lanes = claim.to_h { |lane| [lane.key, lane] }
      expect(lanes.keys.sort).to eq(%w[asha ravi])
      heads = store.heads(lanes.values, 5)
      expect(heads[lanes["asha"].id].map(&:event_id)).to eq(%w[1 2])
      expect(heads[lanes["ravi"].id].map(&:event_id)).to eq(%w[3])
      expect(store.head(lanes["asha"]).event_id).to eq("1")
      expect(store.done(lanes["asha"], store.head(lanes["asha"]))).to be(true)
      expect(store.head(lanes["asha"]).event_id).to eq("2")
    end

    it "claims each lane once, those that are due longest first, and the clients in turns" do
      8.times { |number| write(number.to_s, lane: "lane #{number}") }
      write("other", client: "billing", lane: "other")
      store.intake(100)
      first = claim(4)
      expect(first.size).to eq(4)
      expect(first.map(&:client)).to include("billing")
      rest = claim
      expect([*first, *rest].map(&:key).uniq.size).to eq(9)
      expect(claim).to eq([])
    end

    it "lets nothing be done by a lease that was lost" do
      mine = claimed("1", "2")
      event = store.head(mine)
      sql!("UPDATE lanes SET lease_until = 1")
      other = claim.first
      expect(other.id).to eq(mine.id)
      expect([store.renew(mine, lease: 60), store.done(mine, event), store.release(mine),
              store.park(mine, event, attempts: 1, status: 422, error: "http_422"),
              store.postpone(mine, event, seconds: 5, status: 500, error: "http_500")]).to eq([false] * 5)
      expect(states).to eq([["1", 1, mine.id], ["2", 1, mine.id]])
      expect([store.renew(other, lease: 60), store.done(other, event), store.release(other)]).to eq([true] * 3)
    end

    it "parks an event, lets its lane go on, and sends it again when a person says so" do
      lane = claimed("1", "2", expires_at: 5)
      sql!("UPDATE events SET attempts = 8")
      expect(store.park(lane, store.head(lane), attempts: 1, status: 422, error: "http_422")).to be(true)
      expect(store.head(lane).event_id).to eq("2")
      parked = store.parked.first
      expect(parked).to have_attributes(event_id: "1", client: "default", last_status: 422, last_error: "http_422",
                                        attempts: 9)
      expect([store.parked(client: "billing").to_a, store.stats[:parked]]).to eq([[], 1])
      expect([store.retry_parked([parked.id]), store.retry_parked([parked.id])]).to eq([1, 0])
      store.intake(10)
      # It was sent before, which must not be forgotten, but its waits begin again.
      expect(store.head(lane)).to have_attributes(event_id: "1", attempts: 1, expires_at: nil, first_attempt_at: nil)
    end

    it "deletes parked events by when they were parked, and knows whether they were sent" do
      lane = claimed("1", "2")
      sql!("UPDATE events SET created_at = created_at - 31 * 86400000000")
      store.park(lane, store.head(lane), attempts: 0, status: nil, error: "expired")
      store.park(lane, store.head(lane), attempts: 1, status: 422, error: "http_422")
      expect(store.parked.map(&:attempts)).to eq([0, 1])
      expect(store.clean(parked_before: store.now - 60_000_000)).to eq(0)
      expect(store.clean(parked_before: store.now + 1)).to eq(2)
    end

    it "deletes parked events, and the events of a recipient" do
      lane = claimed("1", "2", lane: "asha-1")
      2.times { store.park(lane, store.head(lane), attempts: 1, status: 422, error: "http_422") }
      write("3", lane: "asha-2")
      write("4", lane: "ravi")
      expect(store.purge_parked(store.parked.first(1).map(&:id))).to eq(1)
      expect(store.erase(["asha"])).to eq(2)
      expect(states).to eq([["4", 0, 0]])
      write("5")
      store.intake(10)
      lane = claim.find { |each| each.key == "ravi" }
      store.park(lane, store.head(lane), attempts: 1, status: 400, error: "http_400")
      expect(store.clean(parked_before: store.now - 60_000_000)).to eq(0)
      expect(store.clean(parked_before: store.now + 1, pause: 0)).to eq(1)
      expect(states.map(&:first)).to eq(%w[5])
    end

    it "deletes lanes that have nothing to send, and no other" do
      lane = claimed("1", lane: "asha")
      write("2", lane: "ravi")
      store.intake(10)
      store.done(lane, store.head(lane))
      expect(store.sweep).to eq(0)
      store.release(lane)
      expect([store.sweep, sql("SELECT lane_key FROM lanes").flatten.map(&:to_s)]).to eq([1, ["ravi"]])
    end

    it "says whether something is due, not counting what another relay has" do
      expect(store).not_to be_due
      write("1")
      expect(store).to be_due
      store.intake(10)
      expect(store).to be_due
      lane = claim.first
      expect(store).not_to be_due
      store.postpone(lane, store.head(lane), seconds: 30, status: 500, error: "http_500")
      expect(store).not_to be_due
      sql!("UPDATE lanes SET next_attempt_at = 1")
      expect(store).to be_due
      store.hold_back("default", seconds: 100)
      expect(store).not_to be_due
      sql!("UPDATE clients SET probe_at = 1")
      expect(store).to be_due
    end

    it "lets one relay at a time send one event of a client that is stopped" do
      3.times { |number| write(number.to_s, lane: "lane #{number}") }
      store.intake(100)
      expect([store.hold_back("default", seconds: 60), store.hold_back("default", seconds: 0)]).to eq([true, false])
      expect([claim, store.clients.first.failures]).to eq([[], 1])
      store.hold_back("default", seconds: 0, probe: true)
      probe = claim
      expect([probe.size, probe.first.probe, claim]).to match([1, a_value > store.now, []])
      store.pause("default", reason: "http_401", probe_in: 0, probe: true)
      expect(store.clients.first).to have_attributes(paused_reason: "http_401", failures: 3, stopped?: true)
      expect([claim.size, claim]).to eq([1, []])
      expect([store.resume("default"), store.resume("default")]).to eq([true, false])
      expect(store.clients.first).to have_attributes(paused_reason: nil, probe_at: nil, failures: 0, stopped?: false)
      expect(claim.map(&:probe)).to eq([nil])
    end

    it "takes a probe back that found no lane, or sent nothing, unless there was another one since" do
      write("1")
      store.intake(100)
      store.hold_back("default", seconds: 0)
      before = store.clients
      sql!("UPDATE lanes SET lease_until = #{store.now + 60_000_000}")
      expect(store.claim(10, owner: "a spec", lease: 60, clients: before)).to eq([])
      expect(store.clients.first).to have_attributes(probe_due: true, due: false)
      sql!("UPDATE lanes SET lease_until = 1")
      lane = claim.first
      expect(store.clients.first.probe_due).to be(false)
      store.return_probe(lane)
      expect([store.clients.first.probe_due, lane.probe]).to eq([true, nil])
      sql!("UPDATE lanes SET lease_until = 1")
      late = claim.first
      store.hold_back("default", seconds: 3600, probe: true)
      store.return_probe(late)
      expect(store.clients.first.probe_at - store.now).to be > 3_500_000_000
      store.resume("default")
      store.return_probe(claimed("2", lane: "ravi"))
      expect(store.clients.first).to have_attributes(stopped?: false)
    end

    it "measures an event's time by a clock that stands still while its client is stopped" do
      lane = claimed("1")
      store.postpone(lane, store.head(lane), seconds: 0, status: 500, error: "http_500")
      sql!("UPDATE events SET first_attempt_at = first_attempt_at - 7000000")
      age = -> { store.trial(lane, store.head(lane)).age.round }
      expect(age.call).to eq(7)
      store.hold_back("default", seconds: 60)
      sql!("UPDATE clients SET stopped_since = stopped_since - 5000000")
      expect(age.call).to eq(2)
      store.resume("default")
      expect(age.call).to eq(2)
    end

    it "measures how long an event fails while others succeed" do
      lane = claimed("1")
      # SQLite's clock counts milliseconds.
      succeed = lambda do
        sleep(0.002)
        store.succeeded("default")
        sleep(0.002)
      end
      failing = lambda do
        store.postpone(lane, store.head(lane), seconds: 0, status: 500, error: "http_500")
        lane = claim.first
        sql!("UPDATE lanes SET first_failure_at = first_failure_at - 10000000")
        store.trial(lane, store.head(lane)).failing&.round
      end
      # An outage of all is no fault of the event.
      expect([failing.call, failing.call]).to eq([nil, nil])
      succeed.call
      expect(store.trial(lane, store.head(lane)).failing.round).to eq(10)
      expect(failing.call).to be_nil
      succeed.call
      expect(store.trial(lane, store.head(lane)).failing.round).to eq(20)
      store.done(lane, store.head(lane))
      expect(sql("SELECT first_failure_at FROM lanes")).to eq([[nil]])
    end

    it "works within a transaction that is open, such as that of fixtures" do
      base.connection.begin_transaction(joinable: false)
      lane = claimed("1", "2")
      expect(store.done(lane, store.head(lane))).to be(true)
      expect(store.postpone(lane, store.head(lane), seconds: 5, status: 500, error: "http_500")).to be(true)
      expect(store).not_to be_due
    ensure
      base.connection.rollback_transaction
    end

    it "works whatever the session's isolation is" do
      skip("SQLite has one") if database.engine == "SQLite"
      level = if database.engine == "PostgreSQL"
                "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL"
              else
                "SET SESSION TRANSACTION ISOLATION LEVEL"
              end
      aside do
        base.connection.execute("#{level} SERIALIZABLE")
        lane = claimed("1", "2")
        store.done(lane, store.head(lane))
        store.postpone(lane, store.head(lane), seconds: 0, status: 500, error: "http_500")
        expect(store.release(claim.first)).to be(true)
      ensure
        base.connection.disconnect!
      end.value
    end

    it "waits for another process that writes" do
      skip("SQLite only") unless database.engine == "SQLite"
      lane = claimed("1", "2")
      write("3")
      code = 'require "sqlite3"; $stdout.sync = true; ' \
             "SQLite3::Database.new(ARGV[0]).transaction(:immediate) { puts; sleep(0.2) }"
      IO.popen([RbConfig.ruby, "-e", code, database.config[:database]]) do |other|
        other.gets
        expect([store.renew(lane, lease: 60), store.release(lane)]).to eq([true, true])
        expect([store.intake(10), claim.size]).to eq([1, 1])
      end
    end

    # SQLite has one writer at a time, and its driver holds the lock of all threads while it waits.
    next unless concurrent.include?(database.engine)

    it "sends an event that gets its lane while that is let go" do
      lane = claimed("1")
      store.done(lane, store.head(lane))
      write("2")
      # Letting go has locked the lane and seen no events.
      letting_go, go_on = in_the_middle_of(/SELECT 1 FROM simple_connect_outbox_events WHERE lane_id/) do
        store.release(lane)
      end
      taking = aside { Outboxes::Store.new(base).intake(10) }
      sleep(0.05)
      go_on.call
      expect([letting_go.value, taking.value]).to eq([true, 1])
      expect(claim.map { |each| store.head(each).event_id }).to eq(["2"])
    end

    it "sends an event that has its lane, but is not committed while that is let go" do
      lane = claimed("1")
      store.done(lane, store.head(lane))
      write("2")
      taking, go_on = in_the_middle_of(/UPDATE simple_connect_outbox_events SET state/) { store.intake(10) }
      letting_go = aside { Outboxes::Store.new(base).release(lane) }
      sleep(0.05)
      go_on.call
      expect([letting_go.value, taking.value]).to eq([true, 1])
      expect(claim.map { |each| store.head(each).event_id }).to eq(["2"])
    end

    it "finds events of transactions that commit late, before or after others have their lanes" do
      written = Queue.new
      commit = Queue.new
      late = aside do
        base.transaction do
          write("1")
          written << true
          commit.pop
        end
      end
      written.pop
      write("2")
      expect(store.intake(10)).to eq(1)
      commit << true
      late.value
      expect(store.intake(10)).to eq(1)
      expect(store.heads([claim.first], 5).values.flatten.map(&:event_id)).to eq(%w[1 2])
    end

    it "does not hold up writers while its transactions are open" do
      4.times { |number| write(number.to_s, lane: "lane #{number}") }
      waiting = []
      { /UPDATE simple_connect_outbox_events SET state/ => -> { store.intake(2) },
        /lease_owner = 'a spec'/ => -> { claim(1) },
        /UPDATE simple_connect_outbox_lanes SET next_attempt_at = [^,]*, lease_owner = NULL/ => lambda {
          store.release(claim(1).first)
        } }.each do |pattern, statements|
        store.intake(1)
        relaying, go_on = in_the_middle_of(pattern, &statements)
        %i[repeatable_read serializable].each do |isolation|
          aside do
            base.transaction(isolation:) do
              base.connection.select_value(in_full("SELECT COUNT(*) FROM clients")) if isolation == :repeatable_read
              4.times { |number| write("#{pattern.source.size}#{isolation}#{number}", lane: "lane #{number}") }
            end
          end.join(1) or waiting << pattern
        end
        go_on.call
        relaying.value
      end
      expect(waiting).to eq([])
    end

    it "gives new lanes their events while lanes are claimed" do
      write("1", lane: "asha")
      store.intake(10)
      write("2", lane: "ravi")
      claiming, go_on = in_the_middle_of(/lease_owner = 'a spec'/) { claim(10) }
      expect(aside { Outboxes::Store.new(base).intake(10) }.join(1)&.value).to eq(1)
      go_on.call
      expect(claiming.value.size).to eq(1)
    end

    it "lets an event be written again that a relay has changed since the transaction began" do
      write("1")
      base.transaction(isolation: :repeatable_read) do
        base.connection.select_value(in_full("SELECT COUNT(*) FROM clients"))
        aside { Outboxes::Store.new(base).intake(10) }.value
        expect(write("1")).to eq(0)
      end
    end

    it "does not wait for who writes an event a second time" do
      # On MySQL, at SERIALIZABLE, everything that is read is locked.
      [nil, :repeatable_read].each do |isolation|
        next if isolation && database.engine == "SQLite"

        ids = %w[1 2].map { |number| "#{isolation}#{number}" }
        write(*ids)
        written = Queue.new
        commit = Queue.new
        again = aside do
          base.transaction(isolation:) do
            write(*ids)
            written << true
            commit.pop
          end
        end
        written.pop
        sent = aside do
          store.intake(10)
          lane = claim.first
          [store.done(lane, store.head(lane)), store.release(lane)]
        end
        expect(sent.join(1)&.value).to eq([true, true])
        commit << true
        again.value
      end
    end
  end

  describe "and the databases that it does not support" do
    database = SimpleConnect.const_get(:Database)

    def connection(adapter_name, answers = {}, **more)
      rows = lambda do |text, *|
        found = answers.find { |pattern, _| text.include?(pattern) }.last
        Struct.new(:cast_values, :columns).new(found, found.first.is_a?(Array) ? [1, 2] : [1])
      end
      Class.new do
        define_method(:exec_query, &rows)
        { adapter_name:, **more }.each { |name, value| define_method(name) { value } }
        alias_method(:mariadb?, :mariadb) if more.key?(:mariadb)
      end.new
    end

    mysql = { "SHOW VARIABLES" => [%w[binlog_format STATEMENT], %w[log_bin ON]] }
    [["OracleEnhanced", {}, {}, /needs PostgreSQL, MySQL, MariaDB or SQLite, not OracleEnhanced/],
     ["PostgreSQL", { "server_version_num" => ["110022"] }, {}, /PostgreSQL 12 or later, not PostgreSQL 11/],
     ["Mysql2", {}, { mariadb: true, database_version: "10.5.9" }, /MariaDB 10.6 or later, not MariaDB 10.5.9/],
     ["Mysql2", {}, { mariadb: false, database_version: "5.7.9" }, /MySQL 8.0.1, .* not MySQL 5.7.9/],
     ["Trilogy", mysql, { mariadb: false, database_version: "8.0.36" }, /binlog_format MIXED or ROW, not STATEMENT/],
     ["SQLite", { "sqlite_version" => ["3.34.1"] }, {}, /SQLite 3.35 or later, not SQLite 3.34.1/]]
      .each do |adapter, answers, more, message|
      it "are refused: #{message.source}" do
        expect { database.engine(connection(adapter, answers, **more)) }
          .to raise_error(SimpleConnect::ConfigurationError, message)
      end
    end
  end
end
