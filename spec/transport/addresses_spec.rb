# frozen_string_literal: true

require "timeout"
require_relative "../support/certificates"
require_relative "../support/delivering"
require_relative "../support/namespace"

# Promise 17 of the transport: a failure teaches.
RSpec.describe "A failure" do
  include Delivering

  around { |example| Timeout.timeout(60) { example.run } }

  { "HTTP" => false, "HTTPS" => true }.each do |scheme, tls|
    describe "of an idle connection, over #{scheme} (promise 17)" do
      let(:identity) { tls ? Certificates.self_signed("127.0.0.1") : nil }
      let(:options) { { retryable: quick(2), **(tls ? { ca_file: identity.file } : {}) } }

      silence = ->(connection) { connection.wait_for_client_to_close }
      reset = ->(connection) { connection.reset }

      # Makes five requests of the client that the block makes, at once, and then another. By then those connections
      # are lost, in the way of `lose`, when something comes on them, while new ones are answered.
      def lose_five(lose, request, &client_of)
        gate = Queue.new
        ScriptedServer.open([losing(gate, lose)], tls: identity&.context) do |server|
          client = client_of.call(server)
          threads = Array.new(5) { Thread.new { request.call(client) } }
          server.wait_for(5)
          5.times { gate << true }
          gate.close
          expect(threads.map(&:value)).to all(be_success)
          result = request.call(client)
          expect(Array.new(5) { server.closed.pop }.sort).to eq([0, 1, 2, 3, 4])
          result
        end
      end

      # A step that answers what passes the gate, and what is new.
      def losing(gate, lose)
        lambda do |connection, _|
          next lose.call(connection) && false unless gate.pop || connection.number > 4

          connection.io.write("HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\n{}")
        end
      end

      it "closes the others, when it is silent, and the next attempt opens a new one" do
        result = lose_five(silence, method(:deliver)) { |server| client_of(server, read_timeout: 0.3, **options) }
        expect(result).to have_attributes(success: true, attempts: 2)
      end

      it "closes the others, when it is reset, and the next attempt opens a new one" do
        result = lose_five(reset, method(:send_message)) { |server| messages_client_of(server, **options) }
        expect(result).to have_attributes(success: true, attempts: 2)
      end

      it "closes the others, when it is reset and replaced" do
        result = lose_five(reset, method(:deliver)) { |server| client_of(server, **options) }
        expect(result).to have_attributes(success: true, attempts: 1)
      end

      it "closes the others, when it is silent until a Timeout of the caller's, and the next call opens a new one" do
        request = lambda do |client|
          Timeout.timeout(0.5) { deliver(client) }
        rescue Timeout::Error
          deliver(client)
        end
        result = lose_five(silence, request) { |server| client_of(server, **options) }
        expect(result).to have_attributes(success: true, attempts: 1)
      end
    end
  end

  describe "of an address (promise 17)", skip: Namespace.unavailable(mounts: false) do
    # Runs a script in a network where `many.test` has these addresses, in this order. The script has `client` and
    # `server`; these all have the same port, and TLS where that is wanted.
    def run(script, addresses, tls: false, **network)
      prelude = <<~RUBY
        require "#{File.expand_path("../support/certificates", __dir__)}"
        ADDRESSES = #{addresses.inspect}
        class << Addrinfo
          def getaddrinfo(*) = ADDRESSES.map { |address| Addrinfo.tcp(address, 0) }
        end
        IDENTITY = (Certificates.self_signed("many.test") if #{tls})
        PORT = TCPServer.open("127.0.0.1", 0) { |server| server.addr[1] }
        SCHEME = IDENTITY ? "https" : "http"
        def server(host, *script, &block)
          ScriptedServer.open(script, tls: IDENTITY&.context, host:, port: PORT, &block)
        end
        def client(**options)
          options = { ca_file: IDENTITY.file, **options } if IDENTITY
          client_of("\#{SCHEME}://many.test:\#{PORT}/events", **options)
        end
      RUBY
      Namespace.run(prelude + script, **network)
    end

    hole = "192.0.2.1"

    { "HTTP" => false, "HTTPS" => true }.each do |scheme, tls|
      context "over #{scheme}" do
        it "that swallows what comes delays the next by a moment, not by its share of the time" do
          taken, status = run(<<~RUBY, [hole, "127.0.0.1"], tls:, holes: [hole])
            server("127.0.0.1", ACCEPTED) do
              status = nil
              [time { status = deliver(client(open_timeout: 20)).status_code }, status]
            end
          RUBY
          expect([taken < 5, status]).to eq([true, 202])
        end

        it "that swallows what comes leaves the next its share of total_timeout, where that is less" do
          seen = run(<<~RUBY, [hole, "192.0.2.2", "127.0.0.1"], tls:, holes: [hole, "192.0.2.2"])
            server("127.0.0.1", ACCEPTED) do
              deliver(client(open_timeout: 20, total_timeout: 1.5)).then { |result| [result.status_code, result.error] }
            end
          RUBY
          expect(seen).to eq([202, nil])
        end

        it "has the one that answered come first with the next connection" do
          seen = run(<<~RUBY, ["127.0.0.1", "127.0.0.2"], tls:)
            client = client()
            server("127.0.0.2", ACCEPTED) do |second|
              # Nothing listens on the first.
              deliver(client)
              client.close
              server("127.0.0.1", ACCEPTED) do |first|
                deliver(client)
                client.close
                second.stop
                deliver(client)
                [first.requests.size, second.requests.size]
              end
            end
          RUBY
          expect(seen).to eq([1, 2])
        end

        it "that takes connections and does not answer has the next attempt try another" do
          seen = run(<<~RUBY, ["127.0.0.1", "127.0.0.2"], tls:)
            server("127.0.0.1", { "fault" => "silence" }) do |silent|
              server("127.0.0.2", ACCEPTED) do |answering|
                client = client(read_timeout: 0.3, retryable: quick(2))
                first = deliver(client)
                client.close
                [first, deliver(client)].map { |result| [result.status_code, result.attempts] } << silent.requests.size
              end
            end
          RUBY
          expect(seen).to eq([[202, 2], [202, 1], 1])
        end
      end
    end

    it "in a TLS handshake has the next attempt try another" do
      seen = run(<<~RUBY, ["127.0.0.1", "127.0.0.2"], tls: true)
        TCPServer.open("127.0.0.1", PORT) do
          server("127.0.0.2", ACCEPTED) do
            result = deliver(client(open_timeout: 0.5, retryable: quick(2)))
            [result.status_code, result.attempts]
          end
        end
      RUBY
      expect(seen).to eq([202, 2])
    end

    it "is told where all fail, and no time is left for another" do
      seen = run(<<~RUBY, [hole, "192.0.2.2"], holes: [hole, "192.0.2.2"])
        [{ open_timeout: 0.4 }, { total_timeout: 0.4 }].map { |options| deliver(client(**options)).error[/\\w+: .*/] }
      RUBY
      expect(seen).to match([/\AOpenTimeout: many.test:\d+: no connection within 0.4 s \(open_timeout\)\z/,
                             /\AOpenTimeout: many.test:\d+: the time limit for all attempts \(total_timeout\) was/])
    end
  end
end
