# frozen_string_literal: true

require "timeout"
require "simple_connect/webhooks"
require_relative "../support/select_scheduler"
require_relative "../support/subprocess"

RSpec.describe SimpleConnect::RateLimiter do
  around { |example| Timeout.timeout(30) { example.run } }

  def now = Process.clock_gettime(Process::CLOCK_MONOTONIC)

  # A thread that waits for a permit, when it does.
  def waiting(limiter, **options)
    thread = Thread.new do
      Thread.current.report_on_exception = false
      limiter.acquire(**options)
    end
    Thread.pass until thread.stop?
    thread
  end

  # A limiter whose permits are all taken, for an hour.
  def spent(limit = 1) = described_class.new(limit, interval: 3600).tap { |limiter| limit.times { limiter.acquire } }

  it "gives 15 at once, with 10 a second, 10 now and 5 in the next second, in their order" do
    limiter = described_class.new(10)
    started = now
    got = Queue.new
    threads = Array.new(15) do |number|
      thread = Thread.new do
        limiter.acquire
        got << [number, now - started]
      end
      # The first ten have theirs, the others wait.
      Thread.pass until thread.stop?
      thread
    end
    threads.each(&:join)
    order, times = Array.new(15) { got.pop }.transpose
    expect(order).to eq((0..14).to_a)
    expect(times[9]).to be < 1
    expect(times[10..]).to all(be >= 1)
    # The bound is a promise, kept generously.
    expect(times[14]).to be < 2
  end

  it "gives no window more than its limit, whoever asks" do
    limiter = described_class.new(5, interval: 0.2)
    times = Array.new(4) { Thread.new { Array.new(6) { limiter.acquire && now } } }.flat_map(&:value).sort
    # Of any eleven two are in windows with one between; but for what passes between a permit and the look at the clock.
    expect(times.each_cons(11).map { |group| group.last - group.first }).to all(be > 0.15)
    expect(times.last - times.first).to be > 0.75
  end

  it "gives a permit to only one of two threads" do
    100.times do
      limiter = described_class.new(1, interval: 3600)
      expect(Array.new(2) { Thread.new { limiter.try_acquire } }.map(&:value)).to contain_exactly(true, false)
    end
  end

  it "does not let those who ask go before those who wait" do
    limiter = spent
    thread = waiting(limiter)
    expect([limiter.try_acquire, limiter.acquire(timeout: 1)]).to eq([false, false])
    expect(limiter.delay).to be_within(60).of(7200)
    thread.kill.join
    expect(limiter.delay).to be_within(60).of(3600)
  end

  it "lets nobody wait for another's limit" do
    threads = Array.new(3) { waiting(spent) }
    free = described_class.new(1)
    expect(free.acquire).to be(true)
    counted = 0
    counting = Thread.new { 1000.times { counted += 1 } }
    counting.join
    expect([counted, threads.none?(&:stop?)]).to eq([1000, false])
  ensure
    threads.each { |thread| thread.kill.join }
  end

  it "tells at once where there is no time to wait" do
    limiter = spent
    started = now
    expect(limiter.acquire(timeout: 3599)).to be(false)
    expect(limiter.acquire(timeout: 0)).to be(false)
    expect(now - started).to be < 5
  end

  it "waits for as long as the timeout allows" do
    limiter = described_class.new(1, interval: 0.2)
    expect(Array.new(3) { limiter.acquire(timeout: 0.3) }).to eq([true, true, true])
  end

  it "reserves permits, and says when they may be used" do
    limiter = described_class.new(2, interval: 3600)
    waits = Array.new(5) { limiter.reserve }
    expect(waits.first(2)).to eq([0.0, 0.0])
    expect(waits[2..3]).to all(be_within(60).of(3600))
    expect(waits[4]).to be_within(60).of(7200)
    expect(limiter.try_acquire).to be(false)
  end

  describe "interrupted while it waits" do
    mine = Class.new(StandardError)

    {
      "Thread#kill" => [:kill.to_proc, nil],
      "Thread#raise" => [->(thread) { thread.raise(mine, "of mine") }, mine]
    }.each do |name, (act, raised)|
      it "ends at once, and those behind move up: #{name}", unchecked: true do
        limiter = described_class.new(1, interval: 0.5)
        limiter.acquire
        started = now
        first = waiting(limiter)
        others = Array.new(8) { waiting(limiter) }
        last = Thread.new do
          limiter.acquire
          now - started
        end
        Thread.pass until last.stop?
        [first, *others].each(&act)
        [first, *others].each { |thread| raised ? expect { thread.value }.to(raise_error(raised)) : thread.join }
        # Its own turn would have been after five seconds.
        expect(last.value).to be < 2.5
      end
    end

    it "ends at once: Timeout.timeout", unchecked: true do
      limiter = spent
      started = now
      expect { Timeout.timeout(0.1) { limiter.acquire } }.to raise_error(Timeout::Error)
      expect(now - started).to be < 5
      expect(limiter.delay).to be < 3600
    end

    it "ends at once: Ctrl-C", unchecked: true do
      process = Subprocess.new do |io|
        limiter = spent
        limiter.acquire(timeout: 0)
        io.puts
        limiter.acquire
      rescue Interrupt
        limiter.delay < 3600
      end
      process.gets
      Process.kill("INT", process.pid)
      expect(process.value).to be(true)
    end

    it "goes on waiting after Thread#wakeup and a signal with a handler", unchecked: true do
      report = Subprocess.run do
        limiter = described_class.new(1, interval: 0.4)
        limiter.acquire
        started = now
        handled = false
        trap("USR1") { handled = true }
        main = Thread.current
        Thread.new do
          Thread.pass until main.stop?
          Process.kill("USR1", Process.pid)
          Thread.pass until handled
          main.wakeup
        end
        [limiter.acquire, handled, now - started >= 0.4]
      end
      expect(report).to eq([true, true, true])
    end
  end

  it "takes no processor time while it waits", unchecked: true do
    busy = Subprocess.run do
      limiter = spent
      Array.new(20) { waiting(limiter) }
      before = Process.clock_gettime(Process::CLOCK_PROCESS_CPUTIME_ID)
      sleep(0.2)
      Process.clock_gettime(Process::CLOCK_PROCESS_CPUTIME_ID) - before
    end
    expect(busy).to be < 0.05
  end

  { "a Fiber scheduler" => [SelectScheduler.method(:run), ->(&block) { Fiber.schedule(&block) }],
    "Async" => [->(&block) { Async(&block).wait }, ->(&block) { Async(&block) }] }.each do |name, (run, schedule)|
    it "holds up no other fiber under #{name}, and keeps the order", unchecked: true do
      begin
        require "async" if name == "Async"
      rescue LoadError => e
        skip("takes the gem async: #{e.message.lines.first}")
      end
      report = Subprocess.run do
        limiter = described_class.new(2, interval: 0.3)
        started = now
        order = []
        other = 0
        run.call do
          5.times do |number|
            schedule.call do
              limiter.acquire
              order << [number, ((now - started) / 0.3).floor]
            end
          end
          schedule.call do
            10.times do
              sleep(0.002)
              other += 1
            end
            order << [:other, other]
          end
        end
        order
      end
      # The other fiber was through before the first of those who waited.
      expect(report).to eq([[0, 0], [1, 0], [:other, 10], [2, 1], [3, 1], [4, 2]])
    end
  end

  it "serves fibers and threads that wait together" do
    limiter = described_class.new(1, interval: 0.1)
    limiter.acquire
    thread = waiting(limiter)
    fibers = SelectScheduler.run { Array.new(2) { limiter.acquire } }
    expect([thread.value, *fibers]).to eq([true, true, true])
  end

  describe "and forks", unchecked: true do
    it "does not wait in the child for those who wait in the parent" do
      report = Subprocess.run do
        limiter = described_class.new(1, interval: 0.3)
        limiter.acquire
        threads = Array.new(20) { waiting(limiter) }
        child = Subprocess.new do
          started = now
          [limiter.acquire, now - started < 3]
        end
        threads.each(&:kill)
        child.value
      end
      expect(report).to eq([true, true])
    end

    it "can be used in a child that was forked while another thread was at it" do
      report = Subprocess.run do
        limiter = described_class.new(2**32)
        stop = false
        threads = Array.new(3) { Thread.new { limiter.acquire until stop } }
        values = Array.new(20) { Subprocess.run { limiter.acquire(timeout: 10) } }
        stop = true
        threads.each(&:join)
        values.uniq
      end
      expect(report).to eq([true])
    end
  end

  it "refuses what cannot be used", unchecked: true do
    [0, -1, 1.5, nil, 2**33].each do |limit|
      expect { described_class.new(limit) }.to raise_error(SimpleConnect::ConfigurationError, /\Alimit must be/)
    end
    [0, -1, nil, "1"].each do |interval|
      expect { described_class.new(1, interval:) }.to raise_error(SimpleConnect::ConfigurationError, /\Ainterval: must/)
    end
    [-1, "1", true].each do |timeout|
      expect { described_class.new(1).acquire(timeout:) }.to raise_error(ArgumentError, /\Atimeout: must be a number/)
    end
  end

  it "knows no time that is too long" do
    limiter = described_class.new(1, interval: 1e300)
    expect([limiter.reserve, limiter.reserve.positive?, limiter.try_acquire]).to eq([0.0, true, false])
    thread = waiting(limiter, timeout: Float::INFINITY)
    expect(thread.stop?).to be(true)
    thread.kill.join
  end
end
