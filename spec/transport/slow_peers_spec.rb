# frozen_string_literal: true

require "simple_connect/webhooks"
require "timeout"
require_relative "../support/certificates"
require_relative "../support/delivering"
require_relative "../support/name_server"
require_relative "../support/namespace"
require_relative "../support/private_addresses"
require_relative "../support/reactor"
require_relative "../support/stuck_server"

# Promise 15 of the transport: in a batch, one slow peer holds up nobody else. Here it goes on only when all others are
# done: if it held them up, it would time out.
RSpec.describe "A batch with a slow peer (promise 15)" do
  include Delivering
  include PrivateAddresses

  authority = Certificates.authority
  ok = { "status" => 200, "body" => "ok" }

  around { |example| Timeout.timeout(30) { example.run } }

  # Runs the block by itself, or as a fiber among others: in that case another one calls `let_through`, in its turn.
  def run(reactor, done, let_through)
    return yield(-> { let_through.call if done.call }) unless reactor

    reactor.run do
      watch = reactor.start do
        sleep(0.001) until done.call
        let_through.call
      end
      value = yield(-> {})
      watch.wait
      value
    end
  end

  # Publishes an event to an endpoint of each URL, and calls `let_through` when all but the last are done.
  def publish(urls, reactor, let_through, **options)
    attempts = 0
    done = -> { attempts == urls.size - 1 }
    run(reactor, done, let_through) do |check|
      on_attempt = lambda do |_|
        attempts += 1
        check.call
      end
      endpoints = urls.map { |url| SimpleConnect::Outbound::Endpoint.new(url:) }
      application = SimpleConnect::Outbound::Application.new(name: "Acme", endpoints:)
      event = SimpleConnect::Outbound::Event.new(event_type: "user.created", payload: { user: 7 })
      options = { jobs: false, on_attempt:, timeout: 3, **options }
      SimpleConnect::Outbound::Dispatcher.new(application, **options).publish(event)
    end
  end

  # Delivers as many events, each on a connection of its own, and calls `let_through` when all but one are done.
  def deliver_all(client, count, reactor, let_through)
    results = []
    done = -> { results.size == count - 1 }
    run(reactor, done, let_through) do |check|
      items = Array.new(count) { |number| ["order_paid", { event_id: "e#{number}" }] }
      client.events.deliver_all(items, concurrency: count) do |result|
        results << result
        check.call
      end
    end
    results
  end

  # A proxy whose first connection gets no answer before `gate` is closed.
  def open_proxy(gate, &block)
    relay = lambda do |connection|
      place = connection.io.gets("\r\n\r\n")[/\ACONNECT 127\.0\.0\.1:(\d+) /, 1]
      gate.pop if connection.number.zero?
      server = TCPSocket.new("127.0.0.1", place)
      connection.io.write("HTTP/1.1 200 Established\r\n\r\n")
      back = Thread.new { IO.copy_stream(server, connection.io) }
      IO.copy_stream(connection.io, server)
    ensure
      back&.kill&.join
      server&.close
    end
    ScriptedServer.open(relay, &block)
  end

  [nil, *Reactor::ALL].each do |reactor|
    context(reactor ? "with #{reactor.label}" : "without a Fiber scheduler") do
      if (reason = reactor&.unavailable)
        it("is not tried", skip: reason)
        next
      end

      [false, true].each do |tls|
        it "goes on while a name is looked up, over HTTP#{"S" if tls}", if: Namespace.inside? do
          good, slow = ["127.0.0.1", NameServer::HOST].map { |host| (authority.issue(host).context if tls) }
          names = NameServer.new(Queue.new)
          ScriptedServer.open([ok], tls: good) do |server|
            ScriptedServer.open([ok], tls: slow) do |named|
              urls = Array.new(3) { |number| "#{server.url}/#{number}" }
              urls << named.url.sub("127.0.0.1", NameServer::HOST)
              attempts = publish(urls, reactor, names.method(:let_through), ca_file: authority.file)
              expect(attempts.map { |attempt| attempt.error || attempt.status }).to eq([:success] * 4)
              expect(named.requests.size).to eq(1)
            end
          end
        ensure
          names&.stop
        end

        it "goes on while a proxy is silent, over HTTP#{"S" if tls}", unless: Namespace.inside? do
          gate = Queue.new
          first = ScriptedServer.held(gate)
          # Over HTTP the proxy is asked for the answer itself.
          script = tls ? [ok] : [first, ok]
          ScriptedServer.open(script, tls: (authority.issue("127.0.0.1").context if tls)) do |server|
            open_proxy(gate) do |proxy|
              through = { proxy: tls ? proxy.url : server.url, ca_file: authority.file }
              urls = Array.new(4) { |number| "#{server.url}/#{number}" }
              attempts = publish(urls, reactor, gate.method(:close), **through)
              expect(attempts.map { |attempt| attempt.error || attempt.status }).to eq([:success] * 4)
            end
          end
        end
      end

      it "goes on while a TLS handshake drags", unless: Namespace.inside? do
        server = StuckServer.new(:tls)
        results = deliver_all(client_of(server, **server.trust), 4, reactor, server.method(:let_through))
        expect(results.map(&:error)).to eq([nil] * 4)
      ensure
        server&.stop
      end
    end
  end

  def resolvers = Thread.list.count { |thread| thread.name == "simple_connect resolver" }

  it "looks a name up once at a time, however many wait for it", if: Namespace.inside? do
    names = NameServer.new(Queue.new)
    client = client_of("http://#{NameServer::HOST}:1/events", retryable: quick(2), open_timeout: 0.5)
    taken = time do
      results = client.events.deliver_all(Array.new(20) { ["order_paid", { order: 7 }] }, concurrency: 20)
      expect(results.map(&:network_phase)).to eq([:resolve] * 20)
    end
    # One after the other they would take twenty seconds.
    expect(taken).to be < 10
    expect(Array.new(10) { Thread.new { deliver(client).network_phase } }.map(&:value)).to eq([:resolve] * 10)
    expect(resolvers).to eq(1)
  ensure
    names.let_through
    # Else other examples would share what is left behind.
    sleep(0.01) until resolvers.zero?
    names.stop
  end

  it "goes on while a name is looked up, too", skip: NameServer.unavailable, unless: Namespace.inside? do
    output, status = Namespace.rspec(__FILE__, addresses: NameServer::ADDRESSES)
    expect(status).to be_success, output
    expect(output).to match(/^[1-9]\d* examples, 0 failures/)
  end
end
