# frozen_string_literal: true

require "json"
require "timeout"
require_relative "../support/certificates"
require_relative "../support/delivering"
require_relative "../support/echo_server"
require_relative "../support/name_server"
require_relative "../support/reactor"

# Promises 1, 2, 5 and 6 of the transport with a Fiber scheduler: a delivery that waits gives way to the other fibers of
# its thread, and can be stopped.
RSpec.describe "A client and fibers" do
  include Delivering

  authority = Certificates.authority

  let(:arrived) { Queue.new }
  let(:gate) { Queue.new }
  # Answers when told to, and tells when there is something to answer.
  let(:held) do
    lambda do |connection, request|
      arrived << true
      gate.pop
      id = JSON.parse(request.body).fetch("event_id")
      body = JSON.generate(status: "accepted", log_id: 7, event_id: id)
      connection.io.write("HTTP/1.1 202 Accepted\r\nContent-Length: #{body.bytesize}\r\n\r\n#{body}")
    end
  end

  around { |example| Timeout.timeout(30) { example.run } }

  # Lets the other fibers go on until the block is true.
  def pass_until
    sleep(0.001) until yield
  end

  # Counts how often this fiber comes to run while `task` does not end.
  def turns_during(task)
    turns = 0
    pass_until do
      turns += 1
      task.finished?
    end
    turns
  end

  # A listener that takes no connection, because those that wait for it fill its queue.
  def full_backlog
    listener = Socket.new(:INET, :STREAM)
    listener.bind(Addrinfo.tcp("127.0.0.1", 0))
    listener.listen(0)
    waiting = Socket.tcp("127.0.0.1", listener.local_address.ip_port)
    yield listener.local_address.ip_port
  ensure
    [listener, waiting].compact.each(&:close)
  end

  Reactor::ALL.each do |reactor|
    context "with #{reactor.label}" do
      if (reason = reactor.unavailable)
        it("is not tried", skip: reason)
        next
      end

      it "deliver 50 events to a slow server together, on one thread (promise 5)" do
        late = Delivering::ACCEPTED.merge("delay" => 0.1)
        ScriptedServer.open([late]) do |server|
          client = client_of(server)
          threads = Queue.new
          results = nil
          taken = time do
            results = reactor.run do
              tasks = Array.new(50) do
                reactor.start do
                  threads << Thread.current
                  deliver(client)
                end
              end
              tasks.map(&:wait)
            end
          end
          expect(results.size).to eq(50)
          expect(results).to all(be_success)
          # One by one they would take five seconds.
          expect(taken).to be_between(0.1, 1)
          expect(Array.new(50) { threads.pop }.uniq).to eq([Thread.current])
        end
      end

      it "get each its own answers, over TLS too (promise 1)" do
        [nil, authority.issue("127.0.0.1").context].each do |tls|
          EchoServer.open(tls:) do |server|
            client = client_of(server, ca_file: authority.file)
            ids = Array.new(200) { |number| "e#{number}" }
            answers = reactor.run do
              tasks = ids.each_slice(10).map do |some|
                reactor.start { some.map { |id| deliver(client, event_id: id).data.event_id } }
              end
              tasks.flat_map(&:wait)
            end
            expect(answers).to eq(ids)
            expect(server.connections).to be <= 20
          end
        end
      end

      it "send large requests and read large answers (promise 5)" do
        large = "x" * 2_000_000
        body = "{\"message\":\"#{"y" * 500_000}\"}"
        ScriptedServer.open([{ "status" => 422, "body" => body }]) do |server|
          client = client_of(server)
          results = reactor.run { Array.new(4) { reactor.start { deliver(client, note: large) } }.map(&:wait) }
          expect(results.map(&:response_body)).to all(eq(body))
          expect(server.requests.map { |request| request.body.include?(large) }).to eq([true] * 4)
        end
      end

      describe "that wait (promise 5)" do
        let(:bounds) { { timeout: 0.2 } }

        it "give way while connecting" do
          full_backlog do |port|
            reactor.run do
              delivery = reactor.start { deliver(client_of("http://127.0.0.1:#{port}/events", **bounds)) }
              expect(turns_during(delivery)).to be > 10
              expect(delivery.wait).to have_attributes(network_error: :timeout, network_phase: :connect)
            end
          end
        end

        it "give way while shaking hands for TLS" do
          ScriptedServer.open(->(connection) { connection.wait_for_client_to_close }) do |server|
            reactor.run do
              url = "https://127.0.0.1:#{server.port}/events"
              delivery = reactor.start { deliver(client_of(url, ca_file: authority.file, **bounds)) }
              expect(turns_during(delivery)).to be > 10
              expect(delivery.wait).to have_attributes(network_error: :timeout, network_phase: :tls)
            end
          end
        end

        it "give way while writing" do
          over = Queue.new
          ScriptedServer.open(->(_) { over.pop }) do |server|
            reactor.run do
              delivery = reactor.start { deliver(client_of(server, **bounds), note: "x" * 12_000_000) }
              expect(turns_during(delivery)).to be > 10
              expect(delivery.wait).to have_attributes(network_error: :timeout, network_phase: :write)
            end
            over.close
          end
        end

        it "give way while reading" do
          ScriptedServer.open([{ "fault" => "silence" }]) do |server|
            reactor.run do
              delivery = reactor.start { deliver(client_of(server, **bounds)) }
              expect(turns_during(delivery)).to be > 10
              expect(delivery.wait).to have_attributes(network_error: :timeout, network_phase: :read)
            end
          end
        end

        it "give way between attempts" do
          ScriptedServer.open([{ "status" => 503 }, Delivering::ACCEPTED]) do |server|
            policy = SimpleConnect::Retryable.new(delay: ->(_) { 0.2 })
            reactor.run do
              delivery = reactor.start { deliver(client_of(server, retryable: policy)) }
              expect(turns_during(delivery)).to be > 10
              expect(delivery.wait).to have_attributes(success: true, attempts: 2)
            end
          end
        end

        it "give way while looking a name up", skip: NameServer.unavailable do
          seen = Namespace.run(<<~RUBY, addresses: NameServer::ADDRESSES)
            require "#{File.expand_path("../support/name_server", __dir__)}"
            require "#{File.expand_path("../support/reactor", __dir__)}"
            reactor = Reactor.const_get(#{reactor.name[/\w+\z/].inspect})
            reactor.unavailable
            names = NameServer.new(asked = Queue.new)
            ScriptedServer.open([ACCEPTED]) do |server|
              reactor.run do
                client = client_of("http://\#{NameServer::HOST}:\#{server.port}/events")
                delivery = reactor.start { deliver(client).status_code }
                turns = 0
                until delivery.finished?
                  sleep(0.001)
                  names.let_through if (turns += 1) == 50
                end
                [asked.size.positive?, turns > 50, delivery.wait]
              end
            end
          RUBY
          expect(seen).to eq([true, true, 202])
        end
      end

      describe "that are stopped (promise 2)" do
        # What is to be seen when a delivery was stopped while it waited for its answer, and `gate` shut.
        def expect_the_next_to_be_right(server, client)
          gate << true
          # Its answer is nobody's.
          expect(server.closed.pop).to eq(0)
          gate << true
          expect(deliver(client, event_id: "next").data.event_id).to eq("next")
          expect(server.requests.map(&:connection)).to eq([0, 1])
        end

        it "by their task close their connection, and the next delivery is right" do
          ScriptedServer.open([held]) do |server|
            client = client_of(server, timeout: 20)
            reactor.run do
              delivery = reactor.start { deliver(client, event_id: "stopped") }
              pass_until { arrived.size == 1 }
              delivery.stop
              expect(delivery.wait).to be_nil
            end
            expect_the_next_to_be_right(server, client)
          end
        end

        it "by Timeout.timeout close their connection, and the next delivery is right", skip: reactor.timeless do
          ScriptedServer.open([held]) do |server|
            client = client_of(server, timeout: 20)
            ended = nil
            call = lambda do
              Timeout.timeout(0.2) { deliver(client, event_id: "stopped") }
            rescue Timeout::Error
              ended = :late
            end
            reactor.run(&call)
            expect(ended).to eq(:late)
            expect_the_next_to_be_right(server, client)
          end
        end

        it "while connecting, leave no descriptor behind" do
          full_backlog do |port|
            client = client_of("http://127.0.0.1:#{port}/events", timeout: 20)
            # It would close what other examples have left open.
            GC.disable
            reactor.run do
              delivery = reactor.start { deliver(client) }
              before = Dir.children("/dev/fd").size
              delivery.stop
              pass_until { delivery.finished? }
              expect(Dir.children("/dev/fd").size).to eq(before - 1)
            end
          ensure
            GC.enable
          end
        end

        it "many at a time, leave no connection behind" do
          ScriptedServer.open([held]) do |server|
            client = client_of(server, timeout: 20)
            reactor.run do
              deliveries = Array.new(5) { reactor.start { deliver(client) } }
              pass_until { arrived.size == 5 }
              deliveries.each(&:stop)
            end
            5.times { gate << true }
            expect(Array.new(5) { server.closed.pop }).to match_array(0..4)
          end
        end
      end

      it "keep to deadlines (promise 6)" do
        ScriptedServer.open([{ "status" => 503 }, { "fault" => "silence" }]) do |server|
          client = client_of(server, retryable: quick(9))
          result = nil
          taken = time { result = reactor.run { deliver(client.with(total_timeout: 0.3)) } }
          expect(taken).to be_between(0.3, 3)
          expect(result).to have_attributes(network_error: :timeout, network_phase: :read, attempts: 2)
        end
      end

      it "share connections with threads that have no scheduler" do
        EchoServer.open do |server|
          client = client_of(server)
          inside = reactor.run { Array.new(3) { |number| deliver(client, event_id: "in #{number}").data.event_id } }
          outside = Array.new(3) { |number| deliver(client, event_id: "out #{number}").data.event_id }
          expect(inside + outside).to eq(server.event_ids)
          expect(server.connections).to eq(1)
        end
      end

      it "deliver many at a time from a batch, too" do
        EchoServer.open do |server|
          client = client_of(server)
          items = Array.new(20) { |number| ["order_paid", { event_id: "e#{number}" }] }
          results = reactor.run { client.events.deliver_all(items, concurrency: 5) }
          expect(results.map { |result| result.data.event_id }).to eq(Array.new(20) { |number| "e#{number}" })
        end
      end
    end
  end
end
