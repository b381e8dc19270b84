# frozen_string_literal: true

require "json"
require "open3"
require "timeout"
require_relative "../support/certificates"
require_relative "../support/delivering"
require_relative "../support/echo_server"
require_relative "../support/namespace"
require_relative "../support/select_scheduler"
require_relative "../support/subprocess"

# Promise 4 of the transport: a client that was made or used before a fork works on in the parent and in the child, and
# the child leaves the parent's connections alone. There is nothing to call.
#
# The parent of these forks is a process of its own. The server is in yet another, and sees who sends what on which
# connection.
RSpec.describe "A client and forks", unchecked: true do
  include Delivering

  around do |example|
    @identity = Certificates.self_signed("127.0.0.1") if example.metadata[:tls]
    EchoServer.open(tls: @identity&.context) do |server|
      @server = server
      Timeout.timeout(60) { example.run }
    end
  end

  attr_reader :server

  def lib = File.expand_path("../../lib", __dir__)

  def client = client_of(server, timeout: 30, ca_file: @identity&.file)

  # Delivers events of these ids one by one.
  def deliver_each(client, *ids)
    ids.each do |id|
      result = deliver(client, event_id: id)
      raise "#{id}: #{result.inspect}" unless result.data&.event_id == id
    end
  end

  # Forks, and waits for the child to end well.
  def in_child(&)
    _, status = Process.wait2(fork(&))
    raise "the child ended badly: #{status}" unless status.success?
  end

  # Forks, and returns what the block returns in the child.
  def in_child_with_value
    reader, writer = IO.pipe
    in_child do
      writer.write(JSON.generate(yield))
      writer.close
      exit!(0)
    end
    writer.close
    JSON.parse(reader.read)
  end

  # Other specs' may not have been collected yet.
  def clients_alive
    GC.start
    ObjectSpace.each_object(SimpleConnect::Client).count
  end

  def by_connection = server.event_ids_by_connection.sort.map(&:last)

  it "get on where it has not been used before" do
    Subprocess.run do
      client = client()
      in_child { deliver_each(client, "child 1", "child 2") }
      deliver_each(client, "parent 1", "parent 2")
    end
    expect(by_connection).to eq([["child 1", "child 2"], ["parent 1", "parent 2"]])
  end

  it "get on where children have children" do
    Subprocess.run do
      client = client()
      deliver_each(client, "parent 1")
      in_child do
        deliver_each(client, "child 1")
        in_child do
          deliver_each(client, "grandchild 1")
          in_child { deliver_each(client, "great-grandchild") }
          deliver_each(client, "grandchild 2")
        end
        deliver_each(client, "child 2")
      end
      deliver_each(client, "parent 2")
    end
    expect(by_connection).to eq([["parent 1", "parent 2"], ["child 1", "child 2"], ["grandchild 1", "grandchild 2"],
                                 ["great-grandchild"]])
  end

  # What the child does with a client that it has inherited, after it has or has not used it.
  deeds = {
    "exits" => ->(_) {},
    "exits in the middle of things" => ->(_) { exit },
    "collects garbage" => lambda do |clients|
      clients.clear
      raise "it was not collected" if clients_alive > @clients_before
    end,
    "closes it" => ->(clients) { clients.each(&:close) },
    "delivers as it exits" => ->(clients) { at_exit { deliver_each(clients.fetch(0), "child at its exit") } },
    "finalizes as it exits" => ->(clients) { ObjectSpace.define_finalizer(+"", ->(_) { clients.fetch(0).close }) },
    "becomes another program" => ->(_) { exec("true") }
  }

  [false, true].each do |tls|
    context "over HTTP#{"S" if tls}", tls: tls do
      deeds.each do |what, child|
        [false, true].each do |used|
          it "get on where the child #{"uses it and " if used}#{what}, though a thread of the parent was delivering" do
            hold = server.hold("held")
            process = Subprocess.new do |io|
              @clients_before = clients_alive
              # Made and used in another thread, so that nothing on this one's stack keeps it alive.
              clients = []
              Thread.new { deliver_each(clients.push(client).fetch(0), "parent 1") }.join
              thread = Thread.new { deliver_each(clients.fetch(0), "held") }
              io.gets
              in_child do
                deliver_each(clients.fetch(0), "child 1", "child 2") if used
                instance_exec(clients, &child)
              end
              io.puts
              thread.join
              deliver_each(clients.fetch(0), "parent 2")
            end
            hold.wait
            process.puts
            process.gets
            hold.release
            process.value

            expect(by_connection.fetch(0)).to eq(["parent 1", "held", "parent 2"])
            expected = used ? ["child 1", "child 2"] : []
            expected += ["child at its exit"] if what == "delivers as it exits"
            expect(by_connection.drop(1).flatten).to eq(expected)
          end
        end
      end
    end
  end

  it "get on where 200 children come and go while threads of the parent deliver" do
    delivered = Subprocess.run do
      client = client()
      finished = false
      threads = Array.new(4) do |thread|
        Thread.new do
          (1..).each do |count|
            deliver_each(client, "parent #{thread} #{count}")
            break count if finished
          end
        end
      end
      200.times.each_slice(8) do |children|
        pids = children.map do |child|
          fork do
            deliver_each(client, "child #{child} 1", "child #{child} 2")
            # Without the handlers and finalizers of a plain exit; with them it takes longer.
            exit!(0) unless (child % 8).zero?
          end
        end
        pids.each { |pid| Process.wait2(pid).last.success? || raise("a child ended badly") }
      end
      finished = true
      threads.map(&:value)
    end

    parents = delivered.flat_map.with_index { |count, thread| Array.new(count) { |n| "parent #{thread} #{n + 1}" } }
    children = Array.new(200) { |child| ["child #{child} 1", "child #{child} 2"] }
    expect(server.event_ids).to match_array(parents + children.flatten)
    expect(by_connection.select { |ids| ids.first.start_with?("child") }).to match_array(children)
  end

  [false, true].each do |tls|
    it "get on where workers are forked from a process that has used it#{", over HTTPS" if tls}", tls: tls do
      Subprocess.run do
        client = client()
        deliver_each(client, "parent 1")
        workers = Array.new(4) do |worker|
          fork do
            threads = Array.new(5) do |thread|
              Thread.new { deliver_each(client, *Array.new(20) { |n| "worker #{worker} #{thread} #{n}" }) }
            end
            threads.each(&:join)
          end
        end
        workers.each { |pid| Process.wait2(pid).last.success? || raise("a worker ended badly") }
        deliver_each(client, "parent 2")
      end

      expect(by_connection.first).to eq(["parent 1", "parent 2"])
      expect(by_connection.map { |ids| ids.map { |id| id[/\A(worker \d|parent)/] }.uniq.size }).to all(eq(1))
      expect(server.event_ids.uniq.size).to eq(server.event_ids.size).and eq(402)
    end
  end

  { "HTTP" => false, "HTTPS" => true }.each do |scheme, tls|
    describe "leave the parent's sockets to the parent over #{scheme}", tls: do
      def sockets = sockets_to(server.port).size

      it "when a child uses the client, closes it, or has it collected" do
        counts = Subprocess.run do
          clients = Array.new(3) { client }
          clients.each_with_index { |client, number| deliver_each(client, "parent #{number}") }
          in_child_with_value do
            inherited = sockets
            deliver_each(clients[0], "child")
            used = sockets
            clients[1].close
            closed = sockets
            # The conservative collector may see one on the stack.
            clients.clear.push(client)
            Thread.new { deliver_each(clients[0], "another client's") }.join
            GC.start
            [inherited, used, closed, sockets]
          end
        end
        expect(counts[0..2]).to eq([3, 3, 2])
        expect(counts.last).to be_between(1, 2)
        expect(by_connection.flatten).to eq(["parent 0", "parent 1", "parent 2", "child", "another client's"])
      end

      it "so that a chain of forks holds no more than its end needs, and nothing after close" do
        counts = Subprocess.run do
          client = client()
          generations = lambda do |number|
            Array.new(2) { |thread| Thread.new { deliver_each(client, "#{number} #{thread}") } }.each(&:join)
            counts = [sockets]
            next counts + in_child_with_value { generations.call(number + 1) } if number < 6

            client.close
            counts + [sockets]
          end
          generations.call(1)
        end
        expect(counts).to match([*Array.new(6) { be_between(1, 2) }, 0])
      end

      it "so that the server sees the parent close, though a child that has used the client lives on" do
        process = Subprocess.new do |io|
          client = client()
          deliver_each(client, "parent")
          theirs, ours = UNIXSocket.pair
          child = fork do
            ours.close
            deliver_each(client, "child")
            theirs.puts
            theirs.gets
            exit!(0)
          end
          ours.gets
          client.close
          io.gets
          ours.puts
          Process.wait(child)
        end
        expect(server.closed.pop).to eq(0)
        process.puts
        process.value
        expect(server.connections).to eq(2)
      end
    end
  end

  it "get on where a child has its parent's process id, as in a PID namespace of its own",
     skip: Namespace.pids_unavailable do
    output, = Open3.capture2e("unshare", "--pid", "--fork", RbConfig.ruby, "-I", lib, "-W0", "-e", <<~RUBY)
      require "simple_connect"
      client = SimpleConnect::Client.new(endpoint_url: #{server.endpoint.dump}, key_id: "k", secret: "s")
      client.events.deliver("order_paid", event_id: "parent 1")
      # unshare(CLONE_NEWPID): the next child is number 1, as this process is.
      syscall(272, 0x20000000)
      child = fork do
        client.events.deliver("order_paid", event_id: "child \#{$$}")
        exit!
      end
      Process.wait(child)
      client.events.deliver("order_paid", event_id: "parent \#{$$}, again")
    RUBY
    expect(output).to eq("")
    expect(by_connection).to eq([["parent 1", "parent 1, again"], ["child 1"]])
  end

  it "are told apart without a system call" do
    skip "takes strace(1)" unless system("strace", "-V", out: File::NULL, err: File::NULL)

    calls = [1, 51].map do |count|
      script = "client = SimpleConnect::Client.new(endpoint_url: #{server.endpoint.dump}, key_id: 'k', secret: 's'); " \
               "#{count}.times { client.events.deliver('order_paid', event_id: 'e') }"
      trace, = Open3.capture2e("strace", "-f", "-e", "trace=getpid,sendto", RbConfig.ruby, "-I", lib, "-r",
                               "simple_connect", "-e", script)
      %w[getpid sendto].map { |call| trace.scan(/\b#{call}\(/).size }
    end
    expect(calls).to match([[calls[1][0], be >= 1], [be < 50, be >= 51]])
  end

  # There are two ways in which a delivery itself may get into a child: a signal's handler, and another fiber. Then it
  # is the parent's alone.
  describe "in the middle of a delivery" do
    let(:refusal) { ["SimpleConnect::Error", /belongs to the parent process/] }

    def outcome_of
      yield
      []
    rescue StandardError => e
      [e.class.name, e.message]
    end

    # Delivers an event in the midst of which USR1 comes, whose handler forks and calls the block. Returns the outcome
    # in the child and in the parent.
    def deliver_and_fork(client)
      parent = Process.pid
      reader, writer = IO.pipe
      trap("USR1") do
        child = fork
        yield
        # So that whatever comes is the child's to take.
        Process.wait(child) if child
      end
      outcome = outcome_of { deliver_each(client, "held") }
      unless Process.pid == parent
        writer.write(JSON.generate(outcome))
        deliver_each(client, "child")
        exit!(0)
      end
      writer.close
      deliver_each(client, "parent")
      [JSON.parse(reader.read), outcome]
    end

    def expect_the_parent_alone_to_deliver(in_child, in_parent)
      expect(in_child).to match(refusal)
      expect(in_parent).to eq([])
      expect(by_connection).to contain_exactly(%w[held parent], ["child"])
    end

    it "leave the delivery to the parent, where a signal's handler forks" do
      hold = server.hold("held")
      process = Subprocess.new { |io| deliver_and_fork(client) { io.puts } }
      hold.wait
      Process.kill("USR1", process.pid)
      2.times { process.gets }
      hold.release
      expect_the_parent_alone_to_deliver(*process.value)
    end

    # Has this process look names up by the block.
    def resolve_by(&block)
      IPSocket.singleton_class.prepend(Module.new { define_method(:getaddress) { |_| block.call } })
    end

    # Has the first attempt find nothing that listens.
    def fail_first
      addresses = %w[127.0.0.2 127.0.0.1]
      resolve_by { addresses.size > 1 ? addresses.shift : addresses.first }
    end

    # Ruby methods that a delivery waits in, and how to put one's own in their place.
    ways = {
      "the next attempt" => lambda do |url, wait|
        fail_first
        { endpoint_url: url, retryable: SimpleConnect::Retryable.new(delay: ->(_) { 0 }, sleep: wait) }
      end,
      "the next attempt of a policy that drives them itself" => lambda do |url, wait|
        fail_first
        { endpoint_url: url, retryable: SimpleConnect::Retryable.exponential(sleep: wait) }
      end,
      "a name" => lambda do |url, wait|
        resolve_by { wait.call && "127.0.0.1" }
        { endpoint_url: url, max_attempts: 1 }
      end
    }

    ways.each do |what, options|
      it "leave the delivery to the parent, where a signal's handler forks while it waits for #{what}" do
        in_child, in_parent = Subprocess.run do
          forked = Queue.new
          waits = 0
          wait = lambda do |*|
            next true if (waits += 1) > 1

            Process.kill("USR1", Process.pid)
            forked.pop.nil?
          end
          url = server.endpoint.sub("127.0.0.1", "app.example")
          client = SimpleConnect::Client.new(key_id: "k", secret: "s", **instance_exec(url, wait, &options))
          deliver_and_fork(client) { forked.close }
        end

        expect(in_child).to match(refusal)
        expect(in_parent).to eq([])
        expect(server.event_ids).to match_array(%w[held parent child])
      end
    end

    it "leave the delivery to the parent, where who is asked before an attempt forks" do
      in_child, in_parent = Subprocess.run do
        client = client()
        deliver_each(client, "first")
        parent = Process.pid
        reader, writer = IO.pipe
        child = nil
        interceptor = Object.new
        interceptor.define_singleton_method(:intercept) { |*| nil if child ||= fork }
        transport = SimpleConnect.send(:const_get, :Transport)
        transport.singleton_class.prepend(Module.new { define_method(:interceptor) { interceptor } })
        outcome = outcome_of { deliver_each(client, "held") }
        unless Process.pid == parent
          writer.write(JSON.generate(outcome))
          exit!(0)
        end
        writer.close
        [JSON.parse(reader.read), outcome]
      end
      expect(in_child).to match(refusal)
      expect(in_parent).to eq([])
      expect(server.event_ids).to eq(%w[first held])
    end

    it "leave the delivery to the parent, where another fiber forks" do
      hold = server.hold("held")
      process = Subprocess.new do |io|
        client = client()
        parent = Process.pid
        reader, writer = IO.pipe
        outcome = nil
        SelectScheduler.run do
          Fiber.schedule do
            outcome = outcome_of { deliver_each(client, "held") }
            writer.write(JSON.generate(outcome)) if Process.pid != parent
          end
          Fiber.schedule do
            io.wait_readable
            # The parent waits, as above. In the child this fiber is the first of its thread, which no scheduler can
            # suspend; when it ends, the scheduler goes on with what other fibers there are.
            in_child do
              io.puts
              Fiber.new(blocking: true) { deliver_each(client, "child") }.resume
            end
          end
        end
        writer.close
        deliver_each(client, "parent")
        [JSON.parse(reader.read), outcome]
      end
      hold.wait
      process.puts
      process.gets
      hold.release
      expect_the_parent_alone_to_deliver(*process.value)
    end
  end
end
