# frozen_string_literal: true

require "timeout"
require_relative "../support/delivering"
require_relative "../support/namespace"
require_relative "../support/relay"

# Promises 1, 6, 7 and 8: no stale answer, deadlines, one free reconnect, the pool.
RSpec.describe "The transport's connections" do
  include Delivering

  accepted = Delivering::ACCEPTED
  stale = "HTTP/1.1 202 Accepted\r\nContent-Length: 35\r\n\r\n{\"event_id\":\"of another's request\"}"
  large = { "status" => 202, "body" => "{}#{" " * 10_000}" }
  timeout = "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"

  around { |example| Timeout.timeout(60) { example.run } }

  # Answers as it should, and does something unasked when told to.
  def then_unasked(gate, &unasked)
    lambda do |connection, _|
      connection.io.write("HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\n{}")
      gate.pop
      unasked.call(connection)
    end
  end

  Delivering.over_each_wire(self, "give no stale answer (promise 1)") do
    unasked = {
      "a 408 and an end" => ->(connection) { !connection.io.write(timeout) },
      "a 408, the connection still open" => ->(connection) { connection.io.write(timeout) },
      "the answer to another request" => ->(connection) { connection.io.write(stale) },
      "half an answer" => ->(connection) { connection.io.write(stale[0, 20]) },
      "an end" => ->(_) { false },
      "a reset" => ->(connection) { connection.reset }
    }

    unasked.each do |what, action|
      it "after #{what} came while the connection was idle" do
        gate = Queue.new
        serve(then_unasked(gate, &action), accepted) do |server|
          client = client_of(server)
          expect(deliver(client)).to be_success
          await_news_from(server) { gate << true }
          expect(deliver(client)).to have_attributes(status_code: 202, attempts: 1)
          expect(server.requests.map(&:connection)).to eq([0, 1])
        end
      end
    end

    it "to a message either, which must not be sent twice" do
      gate = Queue.new
      serve(then_unasked(gate) { false }, accepted) do |server|
        client = messages_client_of(server)
        expect(send_message(client)).to be_success
        await_news_from(server) { gate << true }
        expect(send_message(client)).to be_success
        expect(server.requests.map(&:connection)).to eq([0, 1])
      end
    end

    it "behind an answer that ends with a record of TLS" do
      head = "HTTP/1.1 202 Accepted\r\nContent-Length: 16336\r\n\r\n"
      full = "#{head}{}".ljust(16_384)
      expect(full.size - head.size).to eq(16_336)
      both = lambda do |connection, _|
        connection.io.write(full + stale)
        connection.wait_for_client_to_close
      end
      serve(both, accepted) do |server|
        client = client_of(server)
        expect(deliver(client).response_body.size).to eq(16_336)
        expect(deliver(client).data.event_id).to eq("payment_42")
        expect(server.requests.map(&:connection)).to eq([0, 1])
      end
    end

    it "where a call was given up on: its answer comes to nobody" do
      gate = Queue.new
      late = lambda do |connection, _|
        gate.pop
        connection.io.write(stale)
      end
      serve(accepted, late, accepted) do |server|
        client = client_of(server)
        expect(deliver(client)).to be_success
        expect(deliver(client.with(read_timeout: 0.1)).network_error).to eq(:timeout)
        gate << true
        expect(server.closed.pop).to eq(0)
        expect(deliver(client).data.event_id).to eq("payment_42")
        expect(server.requests.map(&:connection)).to eq([0, 0, 1])
      end
    end
  end

  Delivering.over_each_wire(self, "are replaced once without counting, when one dies under a request (promise 7)") do
    dead = { "fault" => "close" }

    { "closed" => dead, "reset" => { "fault" => "reset" } }.each do |how, step|
      it "for an event (#{how})" do
        serve(accepted, step, accepted) do |server|
          client = client_of(server)
          expect(deliver(client)).to be_success
          expect(deliver(client)).to have_attributes(success: true, attempts: 1)
          expect(server.requests.map(&:connection)).to eq([0, 0, 1])
          # The same event, so that the server knows it again.
          expect(server.requests.last(2).map(&:body).uniq.size).to eq(1)
        end
      end
    end

    it "for what only reads" do
      serve(accepted, dead, accepted) do |server|
        client = messages_client_of(server)
        client.messages.detail("m1")
        expect(client.messages.detail("m1")).to have_attributes(success: true, attempts: 1)
        expect(server.requests.map(&:connection)).to eq([0, 0, 1])
      end
    end

    it "not a second time" do
      serve(accepted, dead, dead, accepted) do |server|
        client = client_of(server)
        deliver(client)
        expect(deliver(client)).to have_attributes(network_error: :eof, attempts: 1)
        expect(server.requests.map(&:connection)).to eq([0, 0, 1])
      end
      serve(accepted, dead, dead, accepted) do |server|
        client = client_of(server, retryable: quick)
        deliver(client)
        expect(deliver(client)).to have_attributes(success: true, attempts: 2)
        expect(server.requests.map(&:connection)).to eq([0, 0, 1, 2])
      end
    end

    it "not when it was new" do
      serve(dead, accepted) do |server|
        expect(deliver(client_of(server))).to have_attributes(network_error: :eof, attempts: 1)
        expect(server.connections).to eq(1)
      end
    end

    it "not once the answer has begun" do
      begun = { "fault" => "raw", "bytes" => "HTTP/1.1 20" }
      serve(accepted, begun, accepted) do |server|
        client = client_of(server)
        deliver(client)
        expect(deliver(client)).to have_attributes(network_error: :eof, attempts: 1)
      end
    end

    it "not once a part of the answer has come that cannot be decrypted yet" do
      serve(large) do |server|
        Relay.open(server.port) do |relay|
          client = client_of(server.endpoint.sub(server.port.to_s, relay.port.to_s))
          expect(deliver(client)).to be_success
          relay.limit = 5000
          expect(deliver(client)).to have_attributes(network_error: :eof, attempts: 1)
          expect(server.requests.map(&:connection)).to eq([0, 0])
        end
      end
    end

    it "not when the server was merely slow" do
      serve(accepted, { "fault" => "silence" }, accepted) do |server|
        client = client_of(server, read_timeout: 0.1)
        deliver(client)
        expect(deliver(client)).to have_attributes(network_error: :timeout, attempts: 1)
        expect(server.connections).to eq(1)
      end
    end

    it "not for a message of which a byte may have been read" do
      serve(accepted, dead, accepted) do |server|
        client = messages_client_of(server)
        send_message(client)
        expect(send_message(client)).to have_attributes(network_error: :eof, attempts: 1)
        expect(server.requests.map(&:connection)).to eq([0, 0])
      end
    end

    it "for a message of which not one byte could be written" do
      # It neither reads nor closes, so that the look before finds nothing.
      aloof = lambda do |connection, _|
        connection.io.write("HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\n{}")
        Thread.stop
      end
      serve(aloof, accepted) do |server|
        client = messages_client_of(server)
        send_message(client)
        sockets_to(server.port).each { |socket| socket.shutdown(:WR) }
        expect(send_message(client)).to have_attributes(success: true, attempts: 1)
        expect(server.requests.map(&:connection)).to eq([0, 1])
      end
    end
  end

  describe "are kept for a while (promise 7)" do
    def connections_of(server, **options)
      client = client_of(server, **options)
      deliver(client)
      yield
      deliver(client)
      server.connections
    end

    keeping = ->(value) { accepted.merge("headers" => { "Keep-Alive" => value }) }

    it "as long as idle_timeout allows" do
      serve(accepted) do |server|
        expect(connections_of(server, idle_timeout: 0.05) { sleep(0.06) }).to eq(2)
      end
      serve(accepted) do |server|
        expect(connections_of(server, idle_timeout: 30) { sleep(0.06) }).to eq(1)
      end
    end

    it "as long as the server says, less a margin" do
      serve(keeping["timeout=1, max=9"]) do |server|
        expect(connections_of(server) { sleep(0.55) }).to eq(2)
      end
      serve(keeping["timeout=5"]) do |server|
        expect(connections_of(server) { sleep(0.55) }).to eq(1)
      end
    end

    it "no longer than idle_timeout, whatever the server says" do
      serve(keeping["timeout=500"]) do |server|
        expect(connections_of(server, idle_timeout: 0.05) { sleep(0.06) }).to eq(2)
      end
    end

    it "not at all where the server says so" do
      serve(keeping["timeout=0"]) do |server|
        expect(connections_of(server) { expect(server.closed.pop).to eq(0) }).to eq(2)
      end
    end
  end

  describe "in the pool (promise 8)" do
    # A step that answers when told to.
    def held(gate)
      lambda do |connection, _|
        gate.pop
        connection.io.write("HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\n{}")
      end
    end

    def deliver_together(client, server, count, gate)
      threads = Array.new(count) { Thread.new { deliver(client) } }
      server.wait_for(count)
      yield if block_given?
      count.times { gate << true }
      expect(threads.map(&:value)).to all(be_success)
    end

    it "are kept up to pool_size, and are as many as needed in use" do
      gate = Queue.new
      serve(held(gate)) do |server|
        client = client_of(server, pool_size: 3)
        deliver_together(client, server, 10, gate)
        expect(Array.new(7) { server.closed.pop }.uniq.size).to eq(7)
        expect(sockets_to(server.port).size).to eq(3)
        deliver_together(client, server, 3, gate)
        expect(server.connections).to eq(10)
      end
    end

    it "are not kept where pool_size is 0" do
      serve(accepted) do |server|
        client = client_of(server, pool_size: 0)
        2.times { deliver(client) }
        expect(Array.new(2) { server.closed.pop }).to contain_exactly(0, 1)
        expect(sockets_to(server.port)).to eq([])
      end
    end

    it "are closed by close while idle, and go on while in use" do
      gate = Queue.new
      serve(held(gate)) do |server|
        client = client_of(server)
        deliver_together(client, server, 2, gate)
        # One of the two is in use when the other is closed.
        deliver_together(client, server, 1, gate) do
          client.close
          server.closed.pop
          expect(sockets_to(server.port).size).to eq(1)
        end
        deliver_together(client, server, 1, gate)
        expect(server.connections).to eq(2)
      end
    end

    it "are closed with the client, and those who share them, when nobody needs it any more" do
      serve(accepted) do |server|
        # In a thread of its own, so that no reference is left on this one's stack.
        Thread.new do
          client = client_of(server)
          deliver(client)
          deliver(client.with(total_timeout: 5))
        end.join
        GC.start
        expect(server.closed.pop).to eq(0)
      end
    end
  end

  Delivering.over_each_wire(self, "within deadlines (promise 6)") do
    it "take each byte on the wire for the end of a silence" do
      serve(large) do |server|
        # A record of TLS comes in pieces that cannot be decrypted one by one.
        Relay.open(server.port, piece: 1500, gap: 0.1) do |relay|
          client = client_of(server.endpoint.sub(server.port.to_s, relay.port.to_s), read_timeout: 0.5)
          result = nil
          expect(time { result = deliver(client) }).to be > 0.5
          expect(result).to be_success
        end
      end
    end
  end

  describe "within deadlines (promise 6)" do
    # Yields the port of a listener that takes no connection, because those that wait for it fill its queue.
    def full_backlog(host = "127.0.0.1", port = 0)
      listener = Socket.new(host.include?(":") ? :INET6 : :INET, :STREAM)
      listener.bind(Addrinfo.tcp(host, port))
      listener.listen(0)
      address = listener.local_address
      waiting = Array.new(3) { Socket.new(address.pfamily, :STREAM) }
      waiting.each { |socket| socket.connect_nonblock(address, exception: false) }
      waiting.first.wait_writable(5)
      yield address.ip_port
    ensure
      [listener, *waiting].compact.each(&:close)
    end

    silence = { "fault" => "silence" }

    it "open_timeout bounds connecting" do
      full_backlog do |port|
        result = nil
        taken = time { result = deliver(client_of("http://127.0.0.1:#{port}/events", open_timeout: 0.25)) }
        expect(taken).to be_between(0.25, 3)
        expect([result.network_error, result.network_phase]).to eq(%i[timeout connect])
        expect(result.error).to eq("Net::OpenTimeout: 127.0.0.1:#{port}: no connection within 0.25 s (open_timeout)")
        expect(result.elapsed).to be_between(0.25, 3)
      end
    end

    it "read_timeout bounds the wait for the answer" do
      serve(silence) do |server|
        result = nil
        expect(time { result = deliver(client_of(server, read_timeout: 0.25)) }).to be_between(0.25, 3)
        expect([result.network_error, result.network_phase]).to eq(%i[timeout read])
        expect(result.error).to eq("Net::ReadTimeout: 127.0.0.1:#{server.port}: no answer for 0.25 s (read_timeout); " \
                                   "the server may have taken the request")
        expect(server.closed.pop).to eq(0)
      end
    end

    it "timeout stands for all of them that are not named" do
      serve(silence) do |server|
        expect(deliver(client_of(server, timeout: 0.2)).error).to match(/0.2 s \(read_timeout\)/)
        expect(deliver(client_of(server, timeout: 9, read_timeout: 0.2)).error).to match(/0.2 s \(read_timeout\)/)
      end
      full_backlog do |port|
        expect(deliver(client_of("http://127.0.0.1:#{port}/", timeout: 0.2)).error).to match(/0.2 s \(open_timeout\)/)
      end
    end

    it "total_timeout bounds a single attempt" do
      serve(silence) do |server|
        result = nil
        expect(time { result = deliver(client_of(server, total_timeout: 0.25)) }).to be_between(0.25, 3)
        expect([result.network_error, result.network_phase, result.attempts]).to eq([:timeout, :read, 1])
        expect(result.error).to start_with("Net::ReadTimeout: 127.0.0.1:#{server.port}: the time limit for all " \
                                           "attempts (total_timeout) was reached after 0.")
      end
      full_backlog do |port|
        result = deliver(client_of("http://127.0.0.1:#{port}/events", total_timeout: 0.2))
        expect([result.network_error, result.network_phase]).to eq(%i[timeout connect])
      end
    end

    it "total_timeout ends the attempts where the next wait would outlast it" do
      serve({ "status" => 503 }) do |server|
        result = nil
        # The default policy would wait a second.
        taken = time { result = deliver(client_of(server, max_attempts: nil, total_timeout: 0.5)) }
        expect(taken).to be < 0.5
        expect(result).to have_attributes(status_code: 503, attempts: 1)
      end
    end

    it "total_timeout bounds attempts and waits together" do
      serve({ "status" => 503 }) do |server|
        policy = SimpleConnect::Retryable.new(max_attempts: 100, delay: ->(_) { 0.1 })
        result = nil
        expect(time { result = deliver(client_of(server, retryable: policy, total_timeout: 0.55)) }).to be < 3
        expect(result).to have_attributes(status_code: 503, attempts: be_between(2, 6))
        expect(server.requests.size).to eq(result.attempts)
      end
      serve({ "status" => 503 }, silence) do |server|
        result = nil
        taken = time { result = deliver(client_of(server, retryable: quick(9), total_timeout: 0.4)) }
        expect(taken).to be_between(0.4, 3)
        expect(result).to have_attributes(network_error: :timeout, attempts: 2)
      end
    end

    it "total_timeout bounds what a policy of one's own does; nothing is sent when it is over" do
      persistent = Class.new do
        def call(retriable_if:)
          Array.new(3) { |index| yield(index + 1) }.each { |result| retriable_if.call(result) }.last
        end
      end
      serve(accepted, silence) do |server|
        client = client_of(server, retryable: persistent.new, total_timeout: 0.3)
        result = nil
        expect(time { result = deliver(client) }).to be_between(0.3, 3)
        expect([result.network_error, result.network_phase]).to eq(%i[timeout connect])
        # The first was answered, the second was cut, and the third did not begin.
        expect(server.requests.size).to eq(2)
      end
    end

    it "nothing is sent on a connection in the pool either when the time is over" do
      serve(accepted) do |server|
        late = lambda do |**, &attempt|
          sleep(0.02)
          attempt.call(1)
        end
        client = client_of(server, retryable: late)
        deliver(client)
        result = deliver(client.with(total_timeout: 0.01))
        expect([result.network_error, result.network_phase]).to eq(%i[timeout connect])
        expect(server.requests.size).to eq(1)
      end
    end

    it "`with` sets them for a single call, and leaves the client as it was" do
      serve(silence, accepted) do |server|
        client = client_of(server, timeout: 5)
        expect(deliver(client.with(read_timeout: 0.1)).error).to match(/0.1 s \(read_timeout\)/)
        expect(deliver(client)).to be_success
      end
      serve(silence) do |server|
        client = client_of(server, retryable: quick)
        expect(time { expect(deliver(client.with(total_timeout: 0.2)).network_error).to eq(:timeout) }).to be < 3
        bounds = messages_client_of(server).with(read_timeout: 0.1)
        expect(send_message(bounds).error).to match(/0.1 s \(read_timeout\)/)
      end
    end
  end

  describe "that cannot be made" do
    it "are refused where nothing listens" do
      port = TCPServer.open("127.0.0.1", 0) { |server| server.addr[1] }
      result = deliver(client_of("http://127.0.0.1:#{port}/events", retryable: quick))
      expect([result.network_error, result.network_phase, result.attempts]).to eq([:refused, :connect, 3])
      expect(result.error).to eq("Errno::ECONNREFUSED: 127.0.0.1:#{port}: the connection was refused: nothing " \
                                 "listens there, or a firewall blocks it")
    end

    it "tell of a name that cannot be resolved" do
      # No label of a name is that long, so nobody needs to be asked.
      name = "#{"a" * 64}.example"
      result = deliver(client_of("http://#{name}/events"))
      expect([result.network_error, result.network_phase]).to eq(%i[dns resolve])
      expect(result.error).to match(/\A\S+Error: #{name}:80: the name cannot be resolved \(.+\): check its spelling/)
    end

    it "tell of a name without addresses of the one kind that is wanted" do
      result = deliver(client_of("http://127.0.0.1:9/events", ip_version: :ipv6))
      expect([result.network_error, result.network_phase]).to eq(%i[dns resolve])
      expect(result.error).to eq("SocketError: 127.0.0.1:9: it has no IPv6 address (ip_version: :ipv6)")
      result = deliver(client_of("http://[::1]:9/events", ip_version: :ipv4))
      expect(result.error).to eq("SocketError: [::1]:9: it has no IPv4 address (ip_version: :ipv4)")
    end

    it "tell of hosts and networks without a route", skip: Namespace.unavailable(mounts: false) do
      seen = Namespace.run(<<~RUBY, routes: ["unreachable 192.0.2.1/32"])
        ["192.0.2.1", "192.0.2.2", "[2001:db8::1]"].map do |host|
          result = deliver(client_of("http://\#{host}:80/events"))
          [result.network_error, result.network_phase, result.error]
        end
      RUBY
      check = "check the address and the network"
      expect(seen).to eq(
        [["unreachable", "connect", "Errno::EHOSTUNREACH: 192.0.2.1:80: there is no route to it: #{check}"],
         ["unreachable", "connect", "Errno::ENETUNREACH: 192.0.2.2:80: there is no route to its network: #{check}"],
         ["unreachable", "connect", "Errno::ENETUNREACH: [2001:db8::1]:80: there is no route to its network: #{check}"]]
      )
    end

    it "wait no longer than open_timeout for a name server", skip: Namespace.unavailable do
      silent = "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n"
      seen = Namespace.run(<<~RUBY, files: { "/etc/resolv.conf" => silent })
        silent = UDPSocket.new.tap { |socket| socket.bind("127.0.0.1", 53) }
        result = nil
        taken = time { result = deliver(client_of("http://app.example/events", open_timeout: 0.3)) }
        asked = !silent.recv_nonblock(512, exception: false).is_a?(Symbol)
        [asked, taken < 3, result.network_error, result.network_phase, result.error]
      RUBY
      expect(seen).to eq([true, true, "timeout", "resolve",
                          "Net::OpenTimeout: app.example:80: no connection within 0.3 s (open_timeout)"])
    end
  end

  describe "to a name with several addresses", skip: Namespace.unavailable do
    let(:files) { { "/etc/hosts" => "127.0.0.1 many.test\n127.0.0.2 many.test\n::1 many.test\n" } }

    it "try one after the other" do
      seen = Namespace.run(<<~RUBY, files:)
        %w[127.0.0.1 127.0.0.2 ::1].map do |address|
          ScriptedServer.open([ACCEPTED], host: address) do |server|
            deliver(client_of("http://many.test:\#{server.port}/events")).status_code
          end
        end
      RUBY
      expect(seen).to eq([202, 202, 202])
    end

    it "give each its share of open_timeout" do
      seen = Namespace.run(<<~RUBY, files:)
        addresses = Addrinfo.getaddrinfo("many.test", nil, nil, :STREAM).map(&:ip_address)
        ScriptedServer.open([ACCEPTED], host: addresses.last) do |server|
          full = addresses[0..1].map do |address|
            listener = Socket.new(address.include?(":") ? :INET6 : :INET, :STREAM)
            listener.bind(Addrinfo.tcp(address, server.port))
            listener.listen(0)
            waiting = Socket.tcp(address, server.port)
            [listener, waiting]
          end
          result = nil
          taken = time { result = deliver(client_of("http://many.test:\#{server.port}/events", open_timeout: 0.9)) }
          [full.size, taken.between?(0.3, 0.9), result.status_code]
        end
      RUBY
      expect(seen).to eq([2, true, 202])
    end

    it "take those of the one kind that is wanted" do
      seen = Namespace.run(<<~RUBY, files:)
        [["127.0.0.1", :ipv4], ["127.0.0.1", :ipv6], ["::1", :ipv6], ["::1", :ipv4]].map do |address, ip_version|
          ScriptedServer.open([ACCEPTED], host: address) do |server|
            result = deliver(client_of("http://many.test:\#{server.port}/events", ip_version:))
            [result.status_code, result.network_error]
          end
        end
      RUBY
      expect(seen).to eq([[202, nil], [0, "refused"], [202, nil], [0, "refused"]])
    end
  end
end
