# frozen_string_literal: true

require "timeout"
require_relative "../support/namespace"
require_relative "../support/stuck_server"
require_relative "../support/subprocess"

# Promises 2 and 3 of the transport: what interrupts a thread ends its delivery at once, wherever that is; what does not
# interrupt it leaves it alone.
#
# Each delivery is made in a process of its own, so that descriptors, processor time and signals are only its own.
RSpec.describe "A delivery that is stuck", unchecked: true do
  mine = Class.new(StandardError) { def self.name = "Mine" }
  # `rescue => error` does not catch it.
  shutdown = Class.new(Interrupt) { def self.name = "Sidekiq::Shutdown" }

  # What is done to the thread that delivers, and what is raised there. Two of them come from elsewhere.
  interrupts = {
    "Thread#kill" => [:kill.to_proc, nil],
    "Thread#raise" => [->(thread) { thread.raise(mine, "of mine") }, ["Mine", "of mine"]],
    "an exception like Sidekiq::Shutdown" => [->(thread) { thread.raise(shutdown, "bye") }, %w[Sidekiq::Shutdown bye]],
    "Timeout.timeout" => [nil, ["Timeout::Error", "execution expired"]],
    "Ctrl-C" => [nil, ["Interrupt", ""]]
  }
  disturbances = {
    "Thread#wakeup" => :wakeup.to_proc,
    "Thread#run" => :run.to_proc,
    "an exception that is deferred" => ->(thread) { thread.raise(mine, "of mine") },
    "a signal with a handler" => ->(_) {}
  }
  phases = if Namespace.inside?
             # That takes a name server of ours: see the end.
             { dns: "looking the name up" }
           else
             { connect: "connecting", tls: "shaking hands for TLS", write: "writing", read: "reading",
               wait: "waiting for the next attempt" }
           end

  # For how long a delivery is stuck at least, unless it is interrupted.
  long = 30
  # Time enough to get stuck, where that cannot be waited for.
  soon = 0.4
  latencies = {}

  after(:all) do
    where, slowest = latencies.max_by(&:last)
    RSpec.configuration.reporter.message("slowest interrupt: #{(slowest * 1000).round(1)} ms, by #{where}") if where
  end

  around do |example|
    @server = StuckServer.new(example.metadata[:phase]) if example.metadata[:phase]
    Timeout.timeout(20) { example.run }
  ensure
    @server&.stop
  end

  attr_reader :server

  def now = Process.clock_gettime(Process::CLOCK_MONOTONIC)

  # But for those of other specs, which this process has inherited and nobody needs any more.
  def descriptors
    GC.start
    Dir.children("/dev/fd").size
  end

  # Has the gem make what it keeps for a process.
  def warm_up
    ScriptedServer.open([{ "status" => 202 }]) do |server|
      client = SimpleConnect::Client.new(endpoint_url: server.endpoint, key_id: "k", secret: "s")
      client.events.deliver("order_paid", event_id: "warm")
      client.close
      server.closed.pop
    end
  end

  # A client that tells `io` when it waits for the next attempt.
  def client(io, timeout:, delay:)
    telling = lambda do |_|
      io.puts
      delay
    end
    SimpleConnect::Client.new(endpoint_url: server.endpoint, key_id: "k", secret: "s", timeout:, **server.trust,
                              retryable: SimpleConnect::Retryable.new(delay: telling))
  end

  # Delivers; more than all buffers on the way hold, if it is to get stuck writing.
  def deliver(client, phase)
    result = client.events.deliver("order_paid", event_id: "e", text: phase == :write ? "x" * 6_000_000 : "")
    [result.status_code, result.attempts]
  end

  # Runs `work`, and yields the thread that it runs in to another one when `io` says that it is stuck. Notes down in
  # `report` what came of it, and when.
  def disturb(io, report, work)
    thread = Thread.current
    if block_given?
      other = Thread.new do
        io.gets
        yield thread
      end
    end
    report[:result] = work.call
    other&.join
  rescue Exception => e # rubocop:disable Lint/RescueException -- the very thing
    report[:raised] = [e.class.name, e.message]
  ensure
    report[:ended] = now
  end

  # How much processor time this process takes in a while; enough for a loop that does not wait to show.
  def busy
    before = Process.clock_gettime(Process::CLOCK_PROCESS_CPUTIME_ID)
    sleep(0.1)
    Process.clock_gettime(Process::CLOCK_PROCESS_CPUTIME_ID) - before
  end

  # Sends the process a signal, or a line, as soon as its delivery is stuck. Returns when that was.
  def act_when_stuck(process, phase, signal: nil, line: true)
    phase == :wait ? process.gets : server.wait_until_stuck
    acted = now
    Process.kill(signal, process.pid) if signal
    process.puts if line
    acted
  end

  phases.each do |phase, while_phase|
    context "while #{while_phase}", phase: phase do
      interrupts.each do |name, (act, raised)|
        it "is ended by #{name}" do
          process = Subprocess.new do |io|
            warm_up
            report = { before: descriptors }
            client = client(io, timeout: long, delay: long)
            work = -> { deliver(client, phase) }
            case name
            when "Timeout.timeout"
              report[:due] = now + soon
              disturb(io, report, -> { Timeout.timeout(soon) { work.call } })
            # The end of the main thread would be that of the process.
            when "Thread#kill" then Thread.new { disturb(io, report, work, &act) }.join
            # Signals are the main thread's.
            else disturb(io, report, work, &act)
            end
            report[:busy] = busy
            io.puts
            io.gets
            report[:next] = work.call
            client.close
            # Whoever still asks for the name was left behind, and ends with the answer.
            200.times { descriptors > report[:before] ? sleep(0.02) : break }
            report.merge(after: descriptors)
          end
          acted = act_when_stuck(process, phase, line: act, signal: ("INT" if name == "Ctrl-C"))
          process.gets
          server.wait_until_left
          process.puts
          report = process.value

          latency = report[:ended] - report.fetch(:due, acted)
          latencies["#{name} while #{while_phase}"] = latency
          expect(latency).to be < 1
          expect(report).not_to include(:result)
          expect(report).to include({ raised:, next: [202, 1] }.compact)
          expect(report[:after]).to be <= report[:before]
          expect(report[:busy]).to be < 0.05
        end
      end

      disturbances.each do |name, act|
        it "goes on after #{name}" do
          process = Subprocess.new do |io|
            warm_up
            report = {}
            trap("USR1") { report[:handled] = now }
            client = client(io, timeout: long, delay: 1)
            begin
              Thread.handle_interrupt(mine => :never) do
                disturb(io, report, -> { deliver(client, phase) }) do |thread|
                  act.call(thread)
                  report.merge!(busy:, watched: now)
                  io.puts
                end
              end
            rescue mine
              report[:deferred] = true
            end
            report
          end
          acted = act_when_stuck(process, phase, signal: ("USR1" if name == "a signal with a handler"))
          process.gets
          server.let_through
          report = process.value

          attempts = phase == :wait ? 2 : 1
          expect(report).to include(result: [202, attempts])
          expect(server.requests.size).to eq(attempts)
          expect(server.requests.last.at - server.requests.first.at).to be >= 1 if phase == :wait
          expect(report[:ended]).to be > report[:watched]
          expect(report[:busy]).to be < 0.05
          expect(report[:deferred]).to be(true) if name == "an exception that is deferred"
          expect(report[:handled] - acted).to be < 1 if name == "a signal with a handler"
        end
      end
    end
  end

  it "is ended at once, or goes on, while looking the name up, too", skip: NameServer.unavailable,
                                                                     unless: Namespace.inside? do
    output, status = Namespace.rspec(__FILE__, addresses: NameServer::ADDRESSES)
    expect(status).to be_success, output
    expect(output).to include("#{interrupts.size + disturbances.size} examples, 0 failures\n")
    RSpec.configuration.reporter.message(output[/slowest interrupt.*/])
  end
end
