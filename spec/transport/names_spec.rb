# frozen_string_literal: true

require "timeout"
require_relative "../support/delivering"
require_relative "../support/reactor"
require_relative "../support/subprocess"

# One look-up of a name at a time serves all who wait for it; what happens to one of them is nothing to the others.
RSpec.describe "Looking names up", unchecked: true do
  include Delivering

  around { |example| Timeout.timeout(60) { example.run } }

  # A process where looking a name up takes until `gate` is closed; `asked` gets each name.
  def resolving(url)
    Subprocess.run do
      asked = Queue.new
      gate = Queue.new
      slow = Module.new do
        define_method(:getaddress) do |host|
          asked << host
          gate.pop
          "127.0.0.1"
        end
      end
      IPSocket.singleton_class.prepend(slow)
      yield client_of(url.sub("127.0.0.1", "app.example"), timeout: 20), asked, gate
    end
  end

  def resolvers = Thread.list.count { |thread| thread.name == "simple_connect resolver" }

  # Returns when all of these threads wait, and not only for a lock on their way.
  def until_waiting(threads)
    calm = 0
    until calm == 20
      sleep(0.002)
      calm = threads.all?(&:stop?) ? calm + 1 : 0
    end
  end

  around do |example|
    ScriptedServer.open([Delivering::ACCEPTED]) do |server|
      @url = server.endpoint
      example.run
    end
  end

  it "is done once for threads, fibers and batches that wait together" do
    seen = resolving(@url) do |client, asked, gate|
      threads = Array.new(5) { Thread.new { deliver(client).status_code } }
      threads << Thread.new { client.events.deliver_all([["order_paid", { order: 7 }]] * 5).map(&:status_code) }
      fiber = -> { Reactor::WithSelect.start { deliver(client).status_code } }
      threads << Thread.new { Reactor::WithSelect.run { Array.new(5) { fiber.call }.map(&:wait) } }
      asked.pop
      until_waiting(threads)
      gate.close
      [threads.flat_map(&:value), asked.size]
    end
    expect(seen).to eq([[202] * 15, 0])
  end

  it "goes on for the others where one who waits is killed" do
    seen = resolving(@url) do |client, asked, gate|
      first = Thread.new { deliver(client) }
      asked.pop
      second = Thread.new { deliver(client).status_code }
      until_waiting([first, second])
      first.kill.join
      gate.close
      [second.value, asked.size]
    end
    expect(seen).to eq([202, 0])
  end

  it "fails for all who wait where its thread is killed, and is done anew for the next" do
    seen = resolving(@url) do |client, asked, gate|
      threads = Array.new(2) { Thread.new { deliver(client).error } }
      asked.pop
      until_waiting(threads)
      Thread.list.find { |thread| thread.name == "simple_connect resolver" }.kill
      errors = threads.map(&:value)
      gate.close
      [errors, deliver(client).status_code]
    end
    expect(seen).to match([all(match(/\AThreadError: app\.example:.*was killed/)), 202])
  end

  it "is done anew in a child that is forked meanwhile" do
    seen = resolving(@url) do |client, asked, gate|
      thread = Thread.new { deliver(client).status_code }
      asked.pop
      reader, writer = IO.pipe
      child = fork do
        # It has this thread alone, and a gate of its own.
        gate.close
        writer.write(deliver(client).status_code, " ", asked.size)
        exit!(0)
      end
      writer.close
      in_child = reader.read
      Process.wait(child)
      gate.close
      [in_child, thread.value]
    end
    expect(seen).to eq(["202 1", 202])
  end

  it "is done in a signal's handler, too" do
    seen = resolving(@url) do |client, _, gate|
      gate.close
      status = nil
      # Where WebMock is there its adapter is loaded by the first delivery, and a handler can load nothing.
      SimpleConnect.const_get(:Transport).interceptor
      trap("USR1") { status = deliver(client).status_code }
      Process.kill("USR1", Process.pid)
      sleep(0.01) until status
      status
    end
    expect(seen).to eq(202)
  end

  it "takes no more than 256 threads, and is a failed result beyond" do
    seen = resolving(@url) do |_, asked, gate|
      clients = Array.new(257) { |number| client_of("http://app#{number}.example:1/events", open_timeout: 0.2) }
      errors = clients.map { |client| Thread.new { deliver(client).error } }.map(&:value)
      threads = resolvers
      256.times { asked.pop }
      gate.close
      [threads, errors.grep(/\ANet::OpenTimeout/).size, errors.grep_v(/\ANet::OpenTimeout/)]
    end
    expect(seen).to match([256, 256, [/\AThreadError: app\d+\.example:1: .*256 other names are being looked up/]])
  end

  it "leaves nothing open once it is done" do
    counts = resolving(@url) do |client, asked, gate|
      gate.close
      Array.new(3) do
        client.with(open_timeout: 5).then { |own| deliver(own) }
        client.close
        5.times { deliver(client_of("http://app.example:1/events")) }
        asked.clear
        Dir.children("/dev/fd").size
      end
    end
    # One or the other look-up may just be ending; of 18 that leave something open there would be more.
    expect(counts.last - counts.first).to be < 5
  end
end
