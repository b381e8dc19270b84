# frozen_string_literal: true

require "fiddle"
require "io/nonblock"
require "timeout"
require_relative "../support/delivering"
require_relative "../support/echo_server"
require_relative "../support/subprocess"

# Promises 1 and 5 of the transport: threads share a client, whatever happens to one of them, and none holds up the
# others while it waits.
RSpec.describe "A client and threads" do
  include Delivering

  count = 25
  each = 400

  # Delivers these, and notes down in `wrong` the answers that belong to another event.
  def deliver_each(client, ids, wrong)
    ids.each do |id|
      result = deliver(client, event_id: id)
      wrong << [id, result] unless result.data&.event_id == id
    end
  end

  it "get each its own answers (promise 1)" do
    EchoServer.open do |server|
      client = client_of(server, timeout: 30)
      ids = Array.new(count) { |thread| Array.new(each) { |event| "#{thread}-#{event}" } }
      wrong = Queue.new
      ids.map { |own| Thread.new { deliver_each(client, own, wrong) } }.each(&:join)

      expect(Array.new(wrong.size) { wrong.pop }).to eq([])
      expect(server.event_ids).to match_array(ids.flatten)
      expect(server.connections).to be <= count
    end
  end

  describe "that are killed, interrupted and timed out at random" do
    # Answers late now and then, so that there is somebody waiting.
    def hesitant(random)
      lambda do |connection, request|
        sleep(random.rand * 0.004) if random.rand < 0.2
        id = JSON.parse(request.body).fetch("event_id")
        body = JSON.generate(status: "accepted", log_id: 7, event_id: id)
        connection.io.write("HTTP/1.1 202 Accepted\r\nContent-Length: #{body.bytesize}\r\n\r\n#{body}")
      end
    end

    let(:stop) { Class.new(StandardError) { def self.name = "Stop" } }

    # Delivers what is left of `ids`, each until it is answered. Some with too little time for that.
    def insist(client, ids, seen, random)
      while (id = ids.first)
        patience = random.rand * 0.004
        begin
          result = case random.rand(10)
                   when 0 then Timeout.timeout(patience) { deliver(client, event_id: id) }
                   when 1 then deliver(client.with(read_timeout: patience), event_id: id)
                   when 2 then deliver(client.with(total_timeout: patience), event_id: id)
                   else deliver(client, event_id: id)
                   end
          seen[result.network_error || (result.data.event_id == id ? :right : :wrong)] += 1
          ids.shift unless result.network_error
        rescue Timeout::Error, SimpleConnect::Error, stop => e
          seen[e.class.name] += 1
        end
      end
    end

    # Keeps a thread at each list until it is done, and meanwhile does to one after the other what comes to mind.
    def storm(lists, random, seen, &work)
      threads = lists.map { |list| Thread.new(list, &work) }
      until lists.all?(&:empty?)
        index = random.rand(lists.size)
        unless threads[index].alive?
          join(threads[index])
          threads[index] = Thread.new(lists[index], &work)
        end
        case random.rand(3)
        when 0 then threads[index].kill && seen[:killed] += 1
        when 1 then threads[index].raise(stop)
        end
        sleep(random.rand * 0.002)
      end
      threads.each { |thread| join(thread) }
    end

    # What was raised at it may have come where nobody rescued it; then another goes on with its list.
    def join(thread)
      thread.join
    rescue Exception # rubocop:disable Lint/RescueException -- also what Timeout throws
      nil
    end

    it "get each its own answers (promise 1)" do
      seed = Integer(ENV.fetch("SEED", Random.new_seed % 1_000_000))
      RSpec.configuration.reporter.message("SEED=#{seed}")
      random = Random.new(seed)
      ScriptedServer.open([hesitant(Random.new(seed))]) do |server|
        client = client_of(server, timeout: 30)
        lists = Array.new(count) { |thread| Array.new(each) { |event| "#{thread}-#{event}" } }
        ids = lists.flatten
        seen = Hash.new(0)
        Thread.report_on_exception = false
        storm(lists, random, seen) { |list| insist(client, list, seen, random) }

        expect(seen).to include(:right, :timeout, :killed, "Stop", "Timeout::Error")
        expect(seen[:right]).to be >= ids.size
        expect(seen.keys - [:right, :timeout, :killed, "Stop", "Timeout::Error"]).to eq([])
        expect(server.requests.map { |request| JSON.parse(request.body)["event_id"] }.uniq).to match_array(ids)
        # What was abandoned is closed, and what is left works.
        expect(sockets_to(server.port).size).to be <= count
        expect(Array.new(count) { Thread.new { deliver(client) } }.map(&:value)).to all(be_success)
      ensure
        Thread.report_on_exception = true
      end
    end
  end

  describe "do not hold each other up while they wait (promise 5)" do
    it "and are all under way together" do
      arrived = Queue.new
      go = Queue.new
      meet = lambda do |connection, _|
        arrived << true
        go.pop
        connection.io.write("HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\n{}")
      end
      ScriptedServer.open([meet]) do |server|
        client = client_of(server, timeout: 20)
        threads = Array.new(count) { Thread.new { deliver(client) } }
        count.times { arrived.pop }
        go.close
        expect(threads.map(&:value)).to all(be_success)
      end
    end

    # The longest time, in seconds, for which this thread did not come to run until `thread` had ended.
    def longest_stall(thread)
      last = Process.clock_gettime(Process::CLOCK_MONOTONIC)
      longest = 0
      while thread.alive?
        sleep(0.0005)
        now = Process.clock_gettime(Process::CLOCK_MONOTONIC)
        longest = [longest, now - last].max
        last = now
      end
      longest
    end

    it "so that another thread stalls for no more than 5 ms" do
      late = Delivering::ACCEPTED.merge("delay" => 0.05)
      ScriptedServer.open([late]) do |server|
        # The machine may be busy for reasons of its own: one quiet run of many is enough. A delivery that held the
        # others up would do so in each.
        quiet = Subprocess.run do
          client = client_of(server)
          Array.new(100).any? { longest_stall(Thread.new { deliver(client) }) < 0.005 }
        end
        expect(quiet).to be(true)
      end
    end

    # Keeps the GVL until a line comes.
    def hold_the_gvl(io)
      io.nonblock = false
      types = [Fiddle::TYPE_INT, Fiddle::TYPE_VOIDP, Fiddle::TYPE_SIZE_T], Fiddle::TYPE_SSIZE_T
      read = Fiddle::Function.new(Fiddle::Handle::DEFAULT["read"], *types, need_gvl: true)
      read.call(io.fileno, Fiddle.malloc(1), 1)
    end

    # In the process that delivers. Returns how many of 25 deliveries are over when another thread comes to run.
    def over_before_another_thread(client, io, release)
      # They are not to lose patience while we look on.
      SimpleConnect.const_get(:Codec).patience = 60_000
      over = Queue.new
      25.times { Thread.new { over << deliver(client) } }
      io.gets
      other = Thread.new { io.gets && over.size }
      Thread.pass until other.stop?
      io.puts("go on")
      hold_the_gvl(release)
      other.value
    end

    # Whether no thread of the process has anything to do but wait, or the process has ended.
    def asleep?(pid)
      Dir["/proc/#{pid}/task/*/stat"].all? { |stat| File.read(stat).match?(/\) [SZ]/) }
    rescue Errno::ENOENT
      false # One has just ended.
    end

    def wait_until_asleep(process) = (Thread.pass until asleep?(process.pid))

    # While nobody gets the GVL, 25 deliveries are answered, and after them another thread gets a line. Returns how many
    # are over when it comes to run.
    def deliveries_before_another_thread
      go_on = Queue.new
      answered = Queue.new
      held = ScriptedServer.held(go_on)
      answer = ->(*request) { held.call(*request).tap { answered << true } }
      ScriptedServer.open([answer]) do |server|
        release, go = IO.pipe
        process = Subprocess.new { |io| over_before_another_thread(client_of(server), io, release) }
        server.wait_for(25)
        process.puts("all are under way")
        process.gets
        wait_until_asleep(process)
        go_on.close
        25.times { answered.pop }
        wait_until_asleep(process)
        process.puts("your turn")
        wait_until_asleep(process)
        go.puts
        process.value
      end
    end

    it "so that another thread waits for a few of many" do
      skip "there is no /proc" unless File.exist?("/proc/self/task")
      # Ruby 3.1 may let a thread have the GVL that has only just come for it, so one round or two say little.
      expect(Array.new(9) { deliveries_before_another_thread }.sort[-3]).to be <= 16
    end

    # How often a thread that computes meanwhile comes to run between two of 100 deliveries.
    def turns_beside(client)
      over = Queue.new
      25.times { Thread.new { 4.times { over << deliver(client) } } }
      seen = [0]
      until (size = over.size) == 100
        seen << size if size > seen.last
      end
      seen.size
    end

    it "and do not take turns with a thread that computes" do
      ScriptedServer.open([Delivering::ACCEPTED]) do |server|
        expect(Subprocess.run { turns_beside(client_of(server)) }).to be <= 30
      end
    end
  end
end
