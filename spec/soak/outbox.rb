# frozen_string_literal: true

require "json"
require "simple_connect/sandbox"
require "timeout"
require_relative "../support/databases"
require_relative "../support/outbox_database"

# Two processes write events of 200 recipients, and three relays send them. The service fails one request in ten, in
# many ways. At random, a relay is killed 20 times, and stopped 3 times for longer than its leases. Every event arrives,
# none is accepted twice, and each recipient's events arrive in order. SEED repeats the moments.
RSpec.describe "The outbox" do
  count = Integer(ENV.fetch("EVENTS", 5_000))
  recipients = Integer(ENV.fetch("RECIPIENTS", 200))
  kills = Integer(ENV.fetch("KILLS", 20))
  stops = Integer(ENV.fetch("STOPS", 3))
  patience = Integer(ENV.fetch("PATIENCE", 240))
  seed = Integer(ENV.fetch("SEED", Random.new_seed % 1_000_000))

  # How often each occurs. After a 429 and a 503 the client waits, with all its lanes, so these are rare.
  failures = { broken: 40, cut: 40, lost: 50, garbled: 40, slow: 5, late: 20, busy: 2, overloaded: 2 }
  # How often one event fails at most: each time its lane waits twice as long. Of 5,000 events, one in 20 runs would
  # fail five times, and wait for three minutes.
  most = 3

  # The sandbox, which fails one request in ten, and remembers what it has accepted.
  service = Class.new do
    # How often each answer was given.
    attr_reader :answers
    # The numbers of each recipient's events, in the order of their acceptance.
    attr_reader :accepted
    # Events that came before an earlier one of their recipient was accepted.
    attr_reader :early

    def initialize(sandbox, failures, most, random)
      @sandbox = sandbox
      @failures = failures
      @most = most
      @random = random
      @lock = Mutex.new
      @answers = Hash.new(0)
      @failed = Hash.new(0)
      @accepted = Hash.new { |all, recipient| all[recipient] = [] }
      @early = []
    end

    def size = @lock.synchronize { accepted.sum { |_, numbers| numbers.size } }

    def call(env)
      body = env["rack.input"].read
      env["rack.input"].rewind
      recipient, number = JSON.parse(body).dig("event", "event_id").split("/").map(&:to_i)
      failure = @lock.synchronize do
        @early << [recipient, number] if number > accepted[recipient].size
        choose([recipient, number])
      end
      answer = failure ? fail_with(failure, recipient, number, env) : deliver(recipient, number, env)
      @lock.synchronize { @answers[failure || answer.first] += 1 }
      answer
    end

    private

    def deliver(recipient, number, env)
      answer = @sandbox.call(env)
      @lock.synchronize { accepted[recipient] << number } if answer.first == 202
      answer
    end

    def choose(event)
      return unless @random.rand(10).zero? && @failed[event] < @most

      @failed[event] += 1
      share = @random.rand(@failures.values.sum)
      @failures.find { |_, weight| (share -= weight).negative? }.first
    end

    def fail_with(failure, recipient, number, env)
      case failure
      when :broken then [500, {}, ["no JSON"]]
      when :late then [408, {}, ["{}"]]
      when :busy then [429, { "Retry-After" => "1" }, ["{}"]]
      when :overloaded then [503, {}, ["{}"]]
      when :cut then cut(env)
      # The service has it, and nobody can read its answer.
      when :garbled
        deliver(recipient, number, env)
        [202, {}, ["accepted!"]]
      # The service has it, and its answer is lost, or comes too late.
      when :lost
        deliver(recipient, number, env)
        cut(env)
      when :slow
        deliver(recipient, number, env)
        sleep(3)
        [500, {}, []]
      end
    end

    def cut(env)
      env["rack.hijack"].call.close
      [500, {}, []]
    end
  end

  # What runs in a process of its own.
  def in_process(&work)
    fork do
      work.call
      exit!(0)
    rescue Exception => e # rubocop:disable Lint/RescueException -- nothing of RSpec's may run in here
      warn e.full_message
      exit!(1)
    end
  end

  def wake(pid)
    Process.kill("CONT", pid)
  rescue Errno::ESRCH
    # It was killed meanwhile.
  end

  # Writes each recipient's events one after another, a few in a transaction, and rolls some transactions back.
  define_method(:write) do |outbox, share, random|
    per_recipient = Array.new(recipients) { |recipient| (recipient...count).step(recipients).count }
    mine = (0...recipients).select { |recipient| recipient % 2 == share }
    written = Hash.new(0)
    until mine.empty?
      chosen = mine.sample(1 + random.rand(3), random:)
      outbox.transaction do
        chosen.each { |recipient| outbox.write(recipient, "#{recipient}/#{written[recipient]}") }
        raise ActiveRecord::Rollback if random.rand(20).zero?

        chosen.each { |recipient| written[recipient] += 1 }
      end
      mine.reject! { |recipient| written[recipient] == per_recipient[recipient] }
    end
  end

  before { WebMock.allow_net_connect! if defined?(WebMock) }

  Databases.each(self) do |database|
    it "delivers each event once and in order, while relays are killed" do
      puts "#{database.engine}: SEED=#{seed}"
      random = Random.new(seed)
      sandbox = SimpleConnect::Sandbox.new
      counting = service.new(sandbox, failures, most, Random.new(random.rand(1 << 30)))
      server = SimpleConnect.const_get(:Server).new(counting, "the service", "127.0.0.1", 0)
      outbox = OutboxDatabase.new(database)
      outbox.configure("#{server.url}/api/v1/integrations/sandbox/events",
                       key_id: sandbox.key_id, secret: sandbox.secret)
      outbox.create
      # Children have its code as it is now.
      outbox.relay.run(seconds: 0)
      # Connections of SQLite must not be carried into children.
      database.disconnect
      relay = lambda do
        in_process { outbox.relay(concurrency: 16, timeout: 1).run }
      end
      started = Process.clock_gettime(Process::CLOCK_MONOTONIC)
      writers = Array.new(2) do |share|
        writing = Random.new(random.rand(1 << 30))
        in_process { write(outbox, share, writing) }
      end
      relays = Array.new(3) { relay.call }
      waking = []
      Timeout.timeout(patience) do
        signals = [*["KILL"] * kills, *["STOP"] * stops]
        moments = signals.map { |signal| [random.rand(count), random.rand(relays.size), signal] }
        moments.sort.each do |moment, victim, signal|
          sleep(0.01) until counting.size >= moment
          pid = relays[victim]
          Process.kill(signal, pid)
          next waking << Thread.new { sleep(6) && wake(pid) } if signal == "STOP"

          Process.wait(pid)
          relays[victim] = relay.call
        end
        sleep(0.05) until counting.size >= count
      end
      seconds = Process.clock_gettime(Process::CLOCK_MONOTONIC) - started
      writers.delete_if { |pid| expect(Process.wait2(pid).last).to be_success }
      Timeout.timeout(patience) { sleep(0.1) until outbox.empty? }
      puts "#{database.engine}: #{count} events in #{seconds.round} s; answers #{counting.answers}"
      expect(counting.early).to be_empty
      expect(counting.accepted.transform_values(&:size).values.sum).to eq(count)
      expect(counting.accepted.values.reject { |numbers| numbers == [*0...numbers.size] }).to be_empty
    rescue Timeout::Error
      warn "#{counting.size} of #{count} arrived; answers #{counting.answers}; left:", outbox.left
      raise
    ensure
      waking&.each(&:kill)
      [*relays, *writers].each do |pid|
        Process.kill("KILL", pid)
        Process.wait(pid)
      end
      server&.stop
    end
  end
end
