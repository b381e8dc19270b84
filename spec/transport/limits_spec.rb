# frozen_string_literal: true

require "json"
require "logger"
require "objspace"
require "open3"
require "psych"
require "rbconfig"
require "stringio"
require_relative "../support/certificates"
require_relative "../support/delivering"
require_relative "../support/environment"

# Promises 10 to 13: limits, injection, secrets, panics.
RSpec.describe "The transport's limits" do
  include Delivering
  include Environment

  accepted = Delivering::ACCEPTED
  breaks = { "a carriage return" => "\r", "a line feed" => "\n", "both" => "\r\nX-Evil: 1", "a NUL" => "\0" }

  def serve(*script, **options, &block)
    ScriptedServer.open(script, **options, &block)
  end

  describe "on what is read (promise 10)" do
    framings = {
      "with its length" => ->(body) { "Content-Length: #{body.size}\r\n\r\n#{body}" },
      "in chunks" => ->(body) { "Transfer-Encoding: chunked\r\n\r\n#{body.size.to_s(16)}\r\n#{body}\r\n0\r\n\r\n" },
      "until the connection ends" => ->(body) { "\r\n#{body}" }
    }

    framings.each do |how, framed|
      it "take a body of max_response_bytes, and not a byte more (#{how})" do
        { 50 => nil, 51 => :too_large }.each do |size, kind|
          bytes = "HTTP/1.1 202 OK\r\n#{framed["[#{" " * (size - 2)}]"]}"
          serve({ "fault" => "raw", "bytes" => bytes }) do |server|
            result = deliver(client_of(server, max_response_bytes: 50, retryable: quick))
            expect([result.network_error, result.attempts]).to eq([kind, 1])
            expect(result.error).to match(/larger than 50 bytes \(max_response_bytes:\)\z/) if kind
          end
        end
      end
    end

    it "do not wait for a body that is announced too large" do
      announce = lambda do |connection, _|
        connection.io.write("HTTP/1.1 202 OK\r\nContent-Length: 1048577\r\n\r\n")
        connection.wait_for_client_to_close
      end
      serve(announce, accepted) do |server|
        client = client_of(server)
        expect(deliver(client).network_error).to eq(:too_large)
        expect(server.closed.pop).to eq(0)
        expect(deliver(client)).to be_success
      end
    end

    it "take a head of 64 KiB, and not a byte more" do
      { 65_536 => nil, 65_537 => :too_large }.each do |size, kind|
        head = "HTTP/1.1 202 OK\r\nContent-Length: 2\r\nX-Long: "
        bytes = "#{head}#{"x" * (size - head.size - 4)}\r\n\r\n{}"
        serve({ "fault" => "raw", "bytes" => bytes }) do |server|
          expect(deliver(client_of(server)).network_error).to eq(kind)
        end
      end
    end
  end

  describe "on what is sent: no line break and no NUL outside of JSON (promise 11)", unchecked: true do
    breaks.each do |what, evil|
      it "#{what} in an id is refused before anything is sent" do
        serve(accepted) do |server|
          expect { client_of(server).events.detail("a#{evil}b") }.to raise_error(ArgumentError, /event_id must not/)
          expect { messages_client_of(server).messages.detail("a#{evil}b") }
            .to raise_error(ArgumentError, /message_id must not/)
          expect(server.connections).to eq(0)
        end
      end

      it "#{what} in an option is refused before anything is sent" do
        serve(accepted) do |server|
          {
            "user_agent" => -> { client_of(server, user_agent: "x#{evil}") },
            "endpoint_url" => -> { client_of("#{server.url}/ev#{evil}ents") },
            "proxy" => -> { client_of(server, proxy: "http://127.0.0.1#{evil}:3128") },
            "proxy:" => -> { client_of(server, proxy: "http://me:pass#{evil}@127.0.0.1:3128") },
            "base_url" => -> { SimpleConnect::MessagesClient.new(base_url: "#{server.url}#{evil}", api_key: "k") },
            "api_key" => -> { SimpleConnect::MessagesClient.new(base_url: server.url, api_key: "k#{evil}") },
            "key_id" => -> { SimpleConnect::Client.new(endpoint_url: server.url, key_id: "k#{evil}", secret: "s") }
          }.each do |option, build|
            expect(&build).to raise_error(SimpleConnect::ConfigurationError, /\A#{option}/)
          end
          expect(server.connections).to eq(0)
        end
      end

      it "#{what} in a target is refused, whoever asks for it" do
        serve(accepted) do |server|
          transport = SimpleConnect.const_get(:Transport).open({ url: server.url, url_option: "url" }, {},
                                                               timeout: 5, user_agent: nil)
          call = transport.class::Call.new(nil, nil, nil, quick, 1)
          ["/x#{evil}", "/x HTTP/1.1#{evil}", "x", ""].each do |target|
            expect do
              transport.request("POST", target, body: "{}")
            end.to raise_error(ArgumentError, /target of a request/)
            expect { transport.deliver(call, target, "{}", nil, nil) }
              .to raise_error(ArgumentError, /target of a request/)
          end
          expect(server.connections).to eq(0)
        end
      end

      it "#{what} in what is delivered stays within the JSON" do
        serve(accepted) do |server|
          client = client_of(server)
          client.events.deliver("key#{evil}", { "field#{evil}" => "value#{evil}" }, event_id: "id#{evil}id",
                                                                                    language: "en#{evil}en")
          client.events.deliver("key#{evil}", recipient: { name: "A#{evil}", mobile_no: "+91#{evil}1" }, event: {})
          messages_client_of(server).messages.deliver(template_name: "t#{evil}", recipients: [{ mobile_no: "+91" }])
          flat, nested, message = server.requests.map { |request| JSON.parse(request.body) }
          expect(flat).to include("event" => "key#{evil}", "field#{evil}" => "value#{evil}",
                                  "event_id" => "id#{evil}id", "language" => "en#{evil}en")
          expect(nested.dig("event", "name")).to eq("key#{evil}")
          expect(nested["recipient"]).to eq("name" => "A#{evil}", "mobile_no" => "+91#{evil}1")
          expect(message.dig("messages", 0, "template_name")).to eq("t#{evil}")
          expect(server.requests.flat_map { |request| request.headers.keys }).not_to include("x-evil")
        end
      end
    end
  end

  describe "on who learns a secret (promise 12)" do
    secret = Delivering::SECRET
    password = "s3cr3t-p4ss"
    # Also in the form in which a proxy gets them.
    secrets = [secret, password, ["me:#{password}"].pack("m0")]

    define_method(:those_that_tell) do |*texts|
      texts.flatten.select { |text| secrets.any? { |it| text.to_s.b.include?(it) } }
    end

    # Each client, and what it would be asked.
    def clients(server, **options)
      [[client_of(server, **options), :deliver], [messages_client_of(server, **options), :send_message]]
    end

    it "none shows in inspect, to_s or dumps, however deep one looks" do
      serve(accepted) do |server|
        clients(server, proxy: "http://me:#{password}@127.0.0.1:9").each do |client, _|
          bounded = client.with(total_timeout: 5)
          [client, bounded].each do |object|
            shown = [object.inspect, object.to_s, JSON.generate([object])]
            expect(those_that_tell(shown)).to eq([])
            expect { Marshal.dump(object) }.to raise_error(TypeError, /cannot be dumped/)
            expect { Psych.dump(object) }.to raise_error(TypeError, /cannot be dumped/)
          end
        end
      end
    end

    it "none is kept where Ruby could find it" do
      serve(accepted) do |server|
        proxy = "http://me:#{password}@127.0.0.1:9"
        clients(server, proxy:, logger: Logger.new(StringIO.new), debug: true, max_attempts: 1).each do |client, _|
          expect(those_that_tell(strings_within(client))).to eq([])
        end
      end
    end

    # Every String that can be reached from `root` by references, classes and what they hold left aside.
    def strings_within(root)
      seen = {}.compare_by_identity
      queue = [root]
      until queue.empty?
        object = queue.pop
        next if seen[object] || object.is_a?(Module)

        seen[object] = true
        next if object.is_a?(ObjectSpace::InternalObjectWrapper)

        queue.concat(ObjectSpace.reachable_objects_from(object) || [])
      end
      seen.keys.grep(String)
    end

    answers = {
      "an accepted request" => accepted,
      "a refused request" => { "status" => 422, "body" => '{"error":"no"}' },
      "a lost answer" => { "fault" => "close" },
      "an answer that is no JSON" => { "status" => 200, "body" => "nonsense" }
    }

    answers.each do |what, step|
      it "none shows in logs, results and errors: #{what}" do
        serve(step) do |server|
          lines = StringIO.new
          told = clients(server, logger: Logger.new(lines), debug: true).map do |client, call|
            result = send(call, client)
            [result.inspect, result.error, result.headers.inspect]
          rescue SimpleConnect::MalformedResponseError => e
            [e.message, e.inspect, e.full_message]
          end
          expect(lines.string).to include("[redacted]")
          expect(those_that_tell(lines.string, told)).to eq([])
        end
      end
    end

    it "none shows on standard error, where debug: true writes without a logger" do
      serve(accepted) do |server|
        harmless = satisfy { |text| text.include?("[redacted]") && those_that_tell(text).empty? }
        expect { clients(server, debug: true).each { |client, call| send(call, client) } }.to output(harmless).to_stderr
      end
    end

    it "none shows where a connection cannot be made" do
      identity = Certificates.self_signed("127.0.0.1")
      serve({ "status" => 407 }) do |proxy|
        serve(accepted, tls: identity.context) do |server|
          lines = StringIO.new
          options = { logger: Logger.new(lines), debug: true }
          proxies = [proxy.url.sub("//", "//me:#{password}@"), "http://me:#{password}@127.0.0.1:9", false]
          told = proxies.flat_map do |url|
            clients(server, proxy: url, **options).map { |client, call| send(call, client).to_h.inspect }
          end
          expect(told.size).to eq(6)
          expect(told).to all(match(/success(=>|: )false/))
          expect(those_that_tell(lines.string, told)).to eq([])
        end
      end
    end

    it "none shows in what is said of options that cannot be used", unchecked: true do
      server = "http://127.0.0.1:9"
      [
        -> { client_of("#{server}/", proxy: "http://me:#{password}@exa mple:3128") },
        -> { client_of("#{server}/", proxy: "socks5://me:#{password}@proxy.example:3128") },
        -> { client_of("#{server}/", proxy: "http://me:#{password}@proxy.example:port") },
        -> { client_of("http://me:#{password}@127.0.0.1/events") },
        -> { client_of("http://me:#{password}@exa mple/events") },
        -> { client_of("http://me:#{password}@:80/events") },
        -> { client_of("ftp://me:#{password}@127.0.0.1/events") },
        -> { client_of("me:#{password}@127.0.0.1/events") },
        -> { client_of("http:/me:#{password}@127.0.0.1/events") },
        -> { client_of("http://127.0.0.1/ev ents/me:#{password}@x") },
        -> { client_of("http://127.0.0.1:+8/events?token=#{password}") },
        -> { client_of("#{server}/", timeout: 0) },
        -> { client_of("#{server}/", user_agent: "\n") },
        -> { SimpleConnect::MessagesClient.new(base_url: server, api_key: "#{secret}\n") },
        -> { SimpleConnect::Client.new(endpoint_url: "#{server}/", key_id: "k\n", secret:) }
      ].each do |build|
        expect(&build).to raise_error(SimpleConnect::ConfigurationError) { |error|
          expect(those_that_tell(error.message, error.inspect, error.full_message(highlight: false))).to eq([])
        }
      end
    end
  end

  describe "on what clients take that nobody needs any more (promise 14)" do
    it "let Ruby know what one weighs, so that it collects them in time" do
      GC.start
      GC.disable
      before = GC.stat(:malloc_increase_bytes)
      clients = Array.new(20) { client_of("http://127.0.0.1:9/events") }
      expect(GC.stat(:malloc_increase_bytes) - before).to be > 20 * 40_000
      # One for less time is the same client.
      before = GC.stat(:malloc_increase_bytes)
      clients.each { |client| client.with(total_timeout: 1) }
      expect(GC.stat(:malloc_increase_bytes) - before).to be < 20 * 20_000
    ensure
      GC.enable
    end
  end

  describe "on what a bug may do: it is an InternalError (promise 13)" do
    { "while other threads are held up" => false, "while other threads go on" => true }.each do |moment, without_gvl|
      it "and nothing worse, #{moment}" do
        serve(accepted) do |server|
          client = client_of(server)
          expect(deliver(client)).to be_success
          # What Rust says of a panic goes to standard error.
          expect { panic(without_gvl) }.to output(/on purpose/).to_stderr_from_any_process
          2.times { expect(deliver(client)).to be_success }
          expect(server.connections).to eq(1)
        end
      end

      it "in a thread of its own, too, #{moment}" do
        expect do
          thread = Thread.new { panic(without_gvl) }
          expect(thread.value).to be_a(SimpleConnect::InternalError)
        end.to output(/on purpose/).to_stderr_from_any_process
      end
    end

    # What is beyond rescue there ends the process, so it has one of its own.
    it "on the way through a Hash, and Hashes in it" do
      script = <<~RUBY
        require "simple_connect"
        codec = SimpleConnect.const_get(:Codec)
        [{ a: 1 }, { a: { b: { c: 1 } } }].each do |hash|
          codec.panic_in(hash)
        rescue SimpleConnect::InternalError => e
          puts e.message
          hash[:afterwards] = codec.generate(hash)
        end
      RUBY
      out, _, status = Open3.capture3(RbConfig.ruby, "-I", File.expand_path("../../lib", __dir__), stdin_data: script)
      said = "on purpose, in a Hash (this is a bug in simple_connect-client, please report it)"
      expect([out.lines(chomp: true), status.success?]).to eq([[said, said], true])
    end

    def panic(without_gvl)
      SimpleConnect.const_get(:Codec).panic(without_gvl)
      raise "there was no panic"
    rescue SimpleConnect::Error => e
      expect(e).to be_a(SimpleConnect::InternalError)
      expect(e.message).to match(/\Aon purpose.* \(this is a bug in simple_connect-client, please report it\)\z/)
      e
    end
  end
end
