# frozen_string_literal: true

require "ipaddr"
require "json"
require "simple_connect/internal/job_policy"
require "socket"
require "timeout"
require_relative "../support/delivering"
require_relative "../support/environment"
require_relative "../support/name_server"
require_relative "../support/namespace"
require_relative "../support/private_addresses"

RSpec.describe "The guard" do
  include Delivering
  include Environment

  around { |example| Timeout.timeout(60) { example.run } }

  file = File.expand_path("../conformance/own/guard.json", __dir__)
  table = JSON.parse(File.read(file))
  refusal = /the guard refuses it: it has an address that is not public; for networks .+ set allow_private: \[/

  def endpoint(host, **options)
    host = "[#{host}]" if host.include?(":")
    SimpleConnect::Outbound::Endpoint.new(url: "https://#{host}/hooks", **options)
  end

  def refused?(host, **options) = endpoint(host, **options).errors.any?

  describe "where a URL is entered" do
    it "classifies the table's addresses" do
      wrong = table["addresses"].reject { |row| refused?(row["address"]) == (row["class"] != "public") }
      expect(wrong).to eq([])
    end

    it "reads the table's hosts in every notation" do
      public_address = table["addresses"].to_h { |row| [row["address"], row["class"] == "public"] }
      expected = ->(row) { row["local"] || row["malformed"] || (row["address"] && !public_address[row["address"]]) }
      wrong = table["hosts"].reject do |row|
        refused?(row["host"]) == (expected.call(row) ? true : false)
      end
      expect(wrong).to eq([])
    end

    it "allows what the table allows" do
      wrong = table["allowed"].select { |row| refused?(row["address"], allow_private: row["allow"]) == row["allowed"] }
      expect(wrong).to eq([])
    end

    # By Ruby's own address arithmetic, and the registries once more.
    it "agrees with a simple classification of random addresses" do
      v4 = %w[0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 168.63.129.16 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24
              192.0.2.0/24 192.31.196.0/24 192.52.193.0/24 192.88.99.0/24 192.168.0.0/16 192.175.48.0/24 198.18.0.0/15
              198.51.100.0/24 203.0.113.0/24 224.0.0.0/3].map { |range| IPAddr.new(range) }
      v6 = %w[2001::/23 2001:db8::/32 2002::/16 2620:4f:8000::/48 3fff::/20].map { |range| IPAddr.new(range) }
      global = IPAddr.new("2000::/3")
      random = Random.new(RSpec.configuration.seed)
      near = (v4 + v6 + [global]).flat_map { |range| [range.to_range.first, range.to_range.last] }
      numbers = Array.new(2000) do
        start = near.sample(random:)
        bits = start.ipv4? ? 32 : 128
        value = random.rand(3).zero? ? random.rand(2**bits) : start.to_i + random.rand(-3..3)
        IPAddr.new(value % (2**bits), start.family)
      end
      wrong = numbers.reject do |address|
        internal = if address.ipv4?
                     v4.any? { |range| range.include?(address) }
                   else
                     !global.include?(address) || v6.any? { |range| range.include?(address) }
                   end
        refused?(address.to_s) == internal
      end
      expect(wrong).to eq([])
    end

    it "overlooks no notation that the system reads as an address" do
      random = Random.new(RSpec.configuration.seed)
      part = -> { [random.rand(300), random.rand(2**32), 0, 127].sample(random:) }
      write = ->(n) { format(["%d", "0%o", "0x%x", "0X%X", "00%o", "%dx"].sample(random:), n) }
      hosts = Array.new(3000) { Array.new(random.rand(1..5)) { write.call(part.call) }.join(".") }
      hosts += table["hosts"].map { |row| row["host"] }.reject { |host| host.include?(":") }
      read = hosts.to_h do |host|
        found = Addrinfo.getaddrinfo(host, nil, nil, :STREAM, 0, Socket::AI_NUMERICHOST)
        [host, found.map(&:ip_address)]
      rescue SocketError
        [host, nil]
      end
      numeric = read.compact
      expect(numeric.size).to be > 200
      wrong = numeric.reject { |host, addresses| refused?(host) == addresses.any? { |address| refused?(address) } }
      expect(wrong).to eq({})
    end

    it "says what to write" do
      texts = ["https://10.0.0.1/", "https://localhost/", "http://acme.example/", "https://1.2.3.256/"].map do |url|
        SimpleConnect::Outbound::Endpoint.new(url:).errors
      end
      expect(texts).to eq(
        [["url: the guard refuses https://10.0.0.1: it has an address that is not public; for networks of your own, " \
          "set allow_private: [\"10.0.0.0/8\"], or true in development and tests"],
         ["url: the guard refuses https://localhost: it has an address that is not public; for networks of your own, " \
          "set allow_private: [\"10.0.0.0/8\"], or true in development and tests"],
         ["url: the guard refuses http://acme.example: its URL is http, so that everybody on the way can read the " \
          "requests; write https://, or set allow_http: true"],
         ["url: the guard refuses https://1.2.3.256: its host ends in a number, but is not an address; write a name " \
          "or an address"]]
      )
    end

    it "allows http where it is allowed, and to private addresses that are" do
      urls = %w[http://acme.example/ http://10.0.0.1/ http://localhost/ http://8.8.8.8/]
      refused = ->(**options) { urls.map { |url| !SimpleConnect::Outbound::Endpoint.new(url:, **options).valid? } }
      expect(refused.call).to eq([true] * 4)
      expect(refused.call(allow_http: true)).to eq([false, true, true, false])
      expect(refused.call(allow_private: true)).to eq([false, false, false, true])
      expect(refused.call(allow_private: ["127.0.0.0/8"])).to eq([false, true, false, true])
    end

    it "asks the configuration where an endpoint and a dispatcher say nothing" do
      SimpleConnect.configuration.allow_private = -> { ["10.0.0.0/8"] }
      SimpleConnect.configuration.allow_http = true
      expect([refused?("10.0.0.1"), refused?("127.0.0.1"), refused?("10.0.0.1", allow_private: false)])
        .to eq([false, true, true])
      expect(SimpleConnect::Outbound::Endpoint.new(url: "http://acme.example")).to be_valid
      SimpleConnect.configuration.allow_private = ["10.0.0.0/33"]
      application = SimpleConnect::Outbound::Application.new(name: "Acme")
      message = 'allow_private: "10.0.0.0/33" is not a network: write it like 10.0.0.0/8 or fd00::/8'
      expect { endpoint("10.0.0.1") }.to raise_error(SimpleConnect::ConfigurationError, message)
      expect { SimpleConnect::Outbound::Dispatcher.new(application, jobs: false) }
        .to raise_error(SimpleConnect::ConfigurationError, message)
    ensure
      SimpleConnect.configuration.allow_private = SimpleConnect.configuration.allow_http = nil
    end

    bad = { { guard: "yes" } => /\Aguard must be true or false, not "yes"/,
            { guard: true, allow_private: "10.0.0.0/8" } => %r{\Aallow_private: must be true or a list .*"10.0.0.0/8"},
            { guard: true, allow_private: [7] } => /not \[7\]/,
            { guard: true, allow_http: 1 } => /\Aallow_http must be/,
            { guard: true, allow_private: ["\xFF"] } => /allow_private must be a String in UTF-8/,
            { guard: true, allow_private: ["all"] } => /allow_private: "all" is not a network/,
            { allow_private: true } => /exceptions from guard: true, which is missing/,
            { allow_http: true, guard: false } => /exceptions from guard: true/ }
    bad.each do |options, message|
      it "refuses #{options} in clients", unchecked: true do
        expect { client_of("https://acme.example/events", **options) }
          .to raise_error(SimpleConnect::ConfigurationError, message)
      end
    end
  end

  describe "of a configured client" do
    it "is off, whatever endpoints may be, and takes its exceptions when it is on" do
      serve(Delivering::ACCEPTED) do |server|
        config = SimpleConnect::Configuration.new(env: {})
        { endpoint_url: server.endpoint, key_id: "k", secret: "s", max_attempts: 1, allow_private: ["10.0.0.0/8"] }
          .each { |option, value| config.public_send("#{option}=", value) }
        status = lambda do
          config.reset
          deliver(config.built(SimpleConnect::Client, nil)).then { |result| result.network_error || result.status_code }
        end
        before = status.call
        config.guard = true
        on = status.call
        config.allow_private = true
        expect([before, on, status.call]).to eq([202, :guarded, 202])
      end
    end
  end

  describe "where a connection is opened" do
    def server_and_dispatcher(server, **options)
      endpoint = SimpleConnect::Outbound::Endpoint.new(uid: "one", url: server.url, secret: "s", allow_private: true)
      application = SimpleConnect::Outbound::Application.new(name: "Acme", endpoints: [endpoint])
      SimpleConnect::Outbound::Dispatcher.new(application, jobs: false, **options)
    end

    event = SimpleConnect::Outbound::Event.new(event_type: "parcel.sent", payload: {})

    it "refuses an endpoint on this machine, with what to write, and neither asks it nor retries" do
      serve do |server|
        dispatcher = server_and_dispatcher(server)
        attempt = dispatcher.publish(event).first
        expect(attempt).to have_attributes(status: :failure, network_error: :guarded, response: nil,
                                           error: /\AErrno::EACCES: 127\.0\.0\.1:#{server.port}: #{refusal}/)
        expect(dispatcher.next_attempt(attempt)).to be_nil
        stored = JSON.parse(JSON.generate(attempt.to_h)).transform_keys(&:to_sym)
        expect(SimpleConnect::Outbound::DeliveryAttempt.new(**stored).network_error).to eq(:guarded)
        expect(server.connections).to eq(0)
      end
    end

    it "lets a dispatcher send to networks that are allowed, or without a guard" do
      serve do |server|
        [{ allow_private: true }, { allow_private: ["127.0.0.0/8"] }, { guard: false }].each do |options|
          expect(server_and_dispatcher(server, **options).publish(event).first).to be_success
        end
        expect(server_and_dispatcher(server, allow_private: ["10.0.0.0/8"]).publish(event).first).to be_failure
      end
    end

    it "refuses a client's server for good: one attempt, and a PermanentError" do
      serve(Delivering::ACCEPTED) do |server|
        client = client_of(server, guard: true, retryable: quick)
        result = deliver(client)
        expect(result).to have_attributes(network_error: :guarded, network_phase: :connect, attempts: 1,
                                          retryable?: false, error: refusal)
        expect(SimpleConnect.const_get(:JobPolicy).verdict(result)).to eq(:integration)
        expect { client.events.deliver!("order_paid", order: 7) }.to raise_error(SimpleConnect::PermanentError)
        expect(send_message(messages_client_of(server, guard: true)).network_error).to eq(:guarded)
        expect(deliver(client_of(server, guard: true, allow_private: true))).to be_success
        expect(server.connections).to eq(1)
      end
    end

    it "uses no proxy of the environment, and only what proxy: says" do
      serve(Delivering::ACCEPTED) do |proxy|
        with_environment("http_proxy" => proxy.url, "no_proxy" => nil, "NO_PROXY" => nil, "REQUEST_METHOD" => nil) do
          url = "http://127.0.0.2:1/events"
          options = { guard: true, allow_private: true }
          expect(deliver(client_of(url.sub("127.0.0.2", "10.1.1.1"), allow_private: ["127.0.0.1"], guard: true))
            .network_error).to eq(:guarded)
          expect(deliver(client_of(url, **options)).network_error).to eq(:refused)
          expect(deliver(client_of(url, **options, proxy: proxy.url))).to be_success
          expect(proxy.requests.size).to eq(1)
          # Here the proxy resolves names, but an address in the URL can be seen.
          literal = deliver(client_of("https://2130706433/", guard: true, proxy: proxy.url))
          expect(literal).to have_attributes(network_error: :guarded, error: /\AErrno::EACCES: 2130706433:443: /)
          expect(deliver(client_of("https://app.example/", guard: true, proxy: "http://127.0.0.1:1")).network_error)
            .to eq(:refused)
        end
      end
    end
  end

  # All addresses lead to this machine in there, so that a connection that should not be shows.
  describe "in a network of its own", skip: Namespace.unavailable do
    everywhere = ["local 0.0.0.0/0 dev lo", "local ::/0 dev lo"]

    # Answers what `$answers` has for the name; the last one for ever.
    names = <<~RUBY
      class << Addrinfo
        def getaddrinfo(host, *)
          $looked_up += 1
          answer = $answers.size > 1 ? $answers.shift : $answers.first
          answer.map { |address| Addrinfo.tcp(address, 0) }
        end
      end
      $looked_up = 0
      IDENTITY = Certificates.self_signed("hook.example")
      # Listens on all addresses of both versions.
      def on_all(tls, *script, &block)
        ScriptedServer.open(script, tls: (IDENTITY.context if tls), host: "::", &block)
      end
      def guarded(port, tls, **options)
        client_of("http\#{"s" if tls}://hook.example:\#{port}/events", guard: true, ca_file: IDENTITY.file, **options)
      end
      TABLE = JSON.parse(File.read(#{file.dump}))
    RUBY

    it "connects to no address of the table that is not public, and to those that are, over HTTP and TLS" do
      seen = Namespace.run("#{names}\n#{<<~RUBY}", routes: everywhere)
        parts = TABLE["addresses"].partition { |row| row["class"] == "public" }
        good, bad = parts.map { |rows| rows.map { |row| row["address"] } }
        [false, true].map do |tls|
          on_all(tls, ACCEPTED) do |server|
            $looked_up = 0
            $answers = bad.map { |address| [address] }
            client = guarded(server.port, tls, allow_http: true)
            kinds = bad.map { deliver(client).network_error }
            many = TABLE["names"].select { |row| row["refused"] && row["allow"] == [] && row["http"] == "https" }
            $answers = many.map { |row| row["addresses"] }
            kinds += many.map { deliver(client).network_error }
            through = [$looked_up, server.connections]
            statuses = good.map do |address|
              $answers = [[address]]
              deliver(guarded(server.port, tls, allow_http: true)).status_code
            end
            [kinds.tally, *through, statuses.tally, server.connections]
          end
        end
      RUBY
      bad, good = table["addresses"].partition { |row| row["class"] != "public" }.map(&:size)
      many = table["names"].count { |row| row["refused"] && row["allow"] == [] && row["http"] == "https" }
      expect(seen).to eq([[{ "guarded" => bad + many }, bad + many, 0, { "202" => good }, good]] * 2)
    end

    it "connects to the address that was checked, and refuses the next one of a name that is bound again" do
      seen = Namespace.run("#{names}\n#{<<~RUBY}", routes: everywhere)
        [false, true].map do |tls|
          on_all(tls, { **ACCEPTED, "then" => "close" }) do |server|
            $answers = [["8.8.8.8"], ["127.0.0.1"]]
            $looked_up = 0
            client = guarded(server.port, tls, allow_http: true)
            first = deliver(client).status_code
            once = $looked_up
            # What was resolved for the first attempt is used for some seconds: a new client resolves at once.
            second = deliver(guarded(server.port, tls, allow_http: true))
            [first, once, second.network_error.to_s, second.error[/127\\.0\\.0\\.1|8\\.8\\.8\\.8/], server.connections]
          end
        end
      RUBY
      expect(seen).to eq([[202, 1, "guarded", nil, 1]] * 2)
    end

    it "refuses a name that a name server answers with a public address first and then with this machine",
       skip: NameServer.unavailable do
      seen = Namespace.run("#{names.sub(/\Aclass << Addrinfo.*?^end\n/m, "")}\n#{<<~RUBY}", routes: everywhere)
        require "#{File.expand_path("../support/name_server", __dir__)}"
        names = NameServer.new(asked = Queue.new, ["8.8.8.8", "127.0.0.1"])
        names.let_through
        on_all(false, ACCEPTED) do |server|
          url = "http://\#{NameServer::HOST}:\#{server.port}/events"
          results = Array.new(2) { deliver(client_of(url, guard: true, allow_http: true)) }
          [results.map(&:status_code), results.map(&:network_error), server.connections]
        end
      RUBY
      expect(seen).to eq([[202, 0], [nil, "guarded"], 1])
    end

    it "follows no redirect to a metadata service" do
      seen = Namespace.run("#{names}\n#{<<~RUBY}", routes: everywhere)
        location = { "status" => 302, "headers" => { "Location" => "http://169.254.169.254/latest/meta-data/" } }
        $answers = [["8.8.8.8"]]
        [false, true].map do |tls|
          ScriptedServer.open([ACCEPTED], host: "169.254.169.254", port: 80) do |metadata|
            ScriptedServer.open([location], tls: (IDENTITY.context if tls), host: "8.8.8.8") do |server|
              result = deliver(guarded(server.port, tls, allow_http: true))
              [result.status_code, server.connections, metadata.connections]
            end
          end
        end
      RUBY
      expect(seen).to eq([[302, 1, 0]] * 2)
    end
  end
end
