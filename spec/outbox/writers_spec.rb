# frozen_string_literal: true

require "simple_connect"
require "simple_connect/sandbox"
require "timeout"
require_relative "../support/outbox_database"

# Whatever a writer does, and however many there are: none fails or waits because of a relay, and what was committed
# arrives.
RSpec.describe "Writers of the outbox", unchecked: true do
  around { |example| Timeout.timeout(60) { example.run } }

  before { WebMock.allow_net_connect! if defined?(WebMock) }

  concurrent = Databases::ENGINES - ["SQLite"]

  # A sender whose lease is over soon.
  slow = Class.new do
    def initialize(&work) = @work = work
    def timeout = 0.05
    def call(event, _body, _batch) = SimpleConnect::Outbox.const_get(:Outcome).new(@work.call(event), 200, "slow")
  end

  # The ids of the events that the sandbox has accepted, in order.
  def accepted = sandbox.events.map { |event| event["event_id"] }

  def use(secret) = outbox.configure(sandbox.endpoint_url, key_id: sandbox.key_id, secret:)

  # What happens in another process, until it is killed.
  def in_killed_process
    reader, writer = IO.pipe
    pid = fork do
      yield
      writer.write(".")
      sleep
    rescue Exception => e # rubocop:disable Lint/RescueException -- nothing of RSpec's may run in here
      warn e.full_message
    ensure
      exit!(1)
    end
    writer.close
    reader.read(1) or raise "it failed"
  ensure
    Process.kill("KILL", pid)
    Process.wait(pid)
  end

  # The SQL statements that the block runs on this thread.
  def statements
    seen = []
    subscriber = ActiveSupport::Notifications.subscribe("sql.active_record") { |*, payload| seen << payload[:sql] }
    yield
    seen
  ensure
    ActiveSupport::Notifications.unsubscribe(subscriber)
  end

  Databases.each(self) do |database|
    let(:outbox) { OutboxDatabase.new(database) }
    let(:sandbox) { SimpleConnect::Sandbox.start }

    before do
      outbox.create
      use(sandbox.secret)
    end

    after do
      sandbox.stop
      outbox.drop
    end

    it "lose nothing, and send nothing, when they are rolled back or killed before the commit" do
      outbox.transaction do
        outbox.write(1, "rolled back")
        raise ActiveRecord::Rollback
      end
      database.disconnect
      in_killed_process do
        outbox.base.connection.begin_transaction
        outbox.write(1, "killed")
      end
      outbox.transaction { outbox.write(1, "committed") }
      outbox.drain
      expect(accepted).to eq(["committed"])
      expect(outbox.count).to eq(0)
    end

    it "may commit late: an event with a lower id is sent as well" do
      outbox.transaction { outbox.write(1, "before") }
      writing = Queue.new
      commit = Queue.new
      late = Thread.new do
        outbox.transaction do
          outbox.write(1, "late")
          writing << true
          commit.pop
        end
      end
      writing.pop
      # SQLite has one writer at a time: relays wait there.
      unless database.engine == "SQLite"
        outbox.transaction { outbox.write(1, "early") }
        outbox.drain
        expect(accepted).to eq(%w[before early])
      end
      commit << true
      late.value
      outbox.drain
      expect(accepted).to eq(database.engine == "SQLite" ? %w[before late] : %w[before early late])
    ensure
      # An open transaction holds up those who drop the tables.
      late&.kill&.join
    end

    it "are not held up by a relay that sends" do
      outbox.transaction { outbox.write(1, "first") }
      sandbox.fail_next(delay: 0.5)
      relay = Thread.new { outbox.drain }
      Thread.pass until sandbox.requests.size == 1
      elapsed = Process.clock_gettime(Process::CLOCK_MONOTONIC)
      outbox.transaction { outbox.write(1, "second") }
      elapsed = Process.clock_gettime(Process::CLOCK_MONOTONIC) - elapsed
      expect(elapsed).to be < 0.3
      relay.value
      outbox.drain
      expect(accepted).to eq(%w[first second])
    end

    it "have their events sent by three relays at once, each once and in order" do
      written = Array.new(10) { |recipient| Array.new(12) { |number| "#{recipient}/#{number}" } }
      outbox.transaction { written.transpose.each { |ids| ids.each { |id| outbox.write(id.to_i, id) } } }
      Array.new(3) { Thread.new { outbox.drain } }.each(&:value)
      outbox.drain
      expect(accepted.group_by(&:to_i).values).to match_array(written)
      expect(sandbox.requests.size).to eq(120)
    end

    it "lose nothing while the key is wrong: nothing is parked, and all is sent with the right one" do
      ids = Array.new(10) { |recipient| Array.new(2) { |number| "#{recipient}/#{number}" } }.flatten
      outbox.transaction { ids.each { |id| outbox.write(id.to_i, id) } }
      use("not this one")
      outbox.drain
      client = outbox.store.clients.first
      expect([client.paused_reason, outbox.count("state = 2"), accepted]).to match([/401|key|signature/i, 0, []])
      # Not each of them is tried.
      expect(sandbox.requests.size).to be < 20
      use(sandbox.secret)
      outbox.store.resume(OutboxDatabase::CLIENT)
      outbox.drain
      expect(accepted.sort).to eq(ids)
      expect(outbox.count).to eq(0)
    end

    it "do not slow down the claim: it finds the lanes that are due by their index, among many that wait" do
      outbox.transaction { outbox.store.insert(Array.new(500) { |number| outbox.row(number, "event #{number}") }) }
      outbox.store.intake(500)
      outbox.base.connection.execute(<<~SQL)
        UPDATE simple_connect_outbox_lanes SET next_attempt_at = next_attempt_at + 86400000000
        WHERE id > (SELECT few.id FROM (SELECT MIN(id) + 10 AS id FROM simple_connect_outbox_lanes) AS few)
      SQL
      outbox.analyze
      searches = statements { expect(outbox.store.claim(5, owner: "a spec", lease: 60).size).to eq(5) }
      plans = searches.grep(/next_attempt_at <=/).map { |search| outbox.explain(search) }
      expect(plans.size).to be >= 2
      # By both columns, whose keys have 17 bytes in MySQL's plans, and without sorting, which would read, and on MySQL
      # lock, all lanes that are due.
      expect(plans).to all(match(/index_simple_connect_outbox_lanes_on_due.*(next_attempt_at *<|^17$)/m))
      expect(plans.last).not_to match(/sort|temp b-tree/i)
    end

    it "have their events finished by the relay that holds the lane, not by one that slept through its lease" do
      events = Queue.new
      finish = Queue.new
      # The first relay's answer comes when its lease is over, the second one's when the first relay has ended.
      asleep = slow.new { |event| (events << event.event_id) && sleep(0.5) && :park }
      awake = slow.new { |event| (events << event.event_id) && finish.pop }
      outbox.transaction { outbox.write(1, "first") }
      relays = [asleep, awake].map { |sender| outbox.relay(sender:) }
      first = Thread.new { relays.first.run(seconds: 0.3) }
      events.pop
      second = Thread.new { relays.last.run }
      events.pop
      first.value
      expect([relays.first.counters, outbox.count("state = 1")]).to eq([{ lease_lost: 1 }, 1])
      finish << :done
      sleep(0.01) until outbox.count.zero?
      relays.last.stop
      second.value
      expect(relays.last.counters).to eq(done: 1)
    end

    if database.engine == "PostgreSQL"
      it "and relays leave nothing in a session that PgBouncer may give to another client after each transaction" do
        outbox.transaction { outbox.write(1, "first") }
        seen = statements { outbox.drain }
        expect(accepted).to eq(%w[first])
        expect(seen.grep(/\A *SET (?!TRANSACTION)|\bLISTEN\b|\bpg_\w*advisory|\bTEMP/i)).to be_empty
        connection = outbox.base.connection
        expect(connection.select_values("SELECT statement FROM pg_prepared_statements").grep(/outbox/)).to be_empty
      end
    end

    next unless concurrent.include?(database.engine)

    it "may commit while the lane is let go: it stays due" do
      outbox.transaction { outbox.write(1, "first") }
      writer = nil
      looked = /\ASELECT 1 FROM simple_connect_outbox_events WHERE lane_id = [1-9]/
      meanwhile = lambda do |*, payload|
        next unless writer.nil? && payload[:sql].match?(looked)

        # The relay has seen that nothing is left, and has not committed yet.
        writer = Thread.new do
          outbox.transaction { outbox.write(1, "second") }
          outbox.store.intake(10)
        end
        sleep(0.1)
      end
      ActiveSupport::Notifications.subscribed(meanwhile, "sql.active_record") { outbox.drain }
      expect(writer.value).to eq(1)
      outbox.drain
      expect(accepted).to eq(%w[first second])
    end

    it "of one recipient do not wait for each other, 20 at once, while a relay runs" do
      outbox.transaction { outbox.write(1, "before") }
      relaying = true
      relay = Thread.new { outbox.drain while relaying }
      inserted = Queue.new
      commit = Queue.new
      writers = Array.new(20) do |number|
        Thread.new do
          outbox.transaction do
            outbox.write(1, "writer #{number}")
            inserted << number
            commit.pop
          end
        end
      end
      # All have written before the first commits.
      Timeout.timeout(10) { 20.times { inserted.pop } }
      20.times { commit << true }
      writers.each(&:value)
      relaying = false
      relay.value
      outbox.drain
      expect(accepted.sort).to eq(["before", *Array.new(20) { |number| "writer #{number}" }].sort)
    ensure
      [relay, *writers].each { |thread| thread&.kill&.join }
    end

    %i[read_committed repeatable_read serializable].each do |isolation|
      it "do not fail at #{isolation}, whatever a relay does meanwhile" do
        outbox.base.connection.create_table(:orders)
        outbox.transaction { outbox.write(1, "before") }
        3.times do |number|
          outbox.transaction(isolation:) do
            # The transaction has its snapshot, and the relay changes the lane of this recipient and deletes an event.
            outbox.base.connection.select_value("SELECT COUNT(*) FROM orders")
            Thread.new { outbox.drain }.value
            outbox.write(1, "at #{number}")
            Thread.new { outbox.drain }.value
          end
        end
        outbox.drain
        expect(accepted).to eq(["before", "at 0", "at 1", "at 2"])
      ensure
        outbox.base.connection.drop_table(:orders)
      end
    end
  end
end
