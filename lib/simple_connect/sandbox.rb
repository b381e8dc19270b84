# frozen_string_literal: true

require "json"
require "socket"
require_relative "internal/autoload"
require_relative "internal/checks"
require_relative "internal/clock"
require_relative "internal/keeps_secrets"
require_relative "internal/log"
require_relative "internal/server"
require_relative "internal/wire"

module SimpleConnect
  # The service, as far as this gem talks to it, on your own machine: for development and for tests. It takes both
  # layouts of events and the messages of {MessagesClient}, checks signatures and keys, knows duplicates, and fails on
  # command. Nothing is sent to anybody, and nothing outlives it.
  #
  # {.start} serves it through Puma on a port of its own; it also is a Rack app, to be mounted in another server.
  # Threads may share it.
  #
  # @example In a spec
  #   require "simple_connect/sandbox"
  #
  #   SimpleConnect::Sandbox.start do |sandbox|
  #     client = SimpleConnect::Client.new(
  #       endpoint_url: sandbox.endpoint_url, key_id: sandbox.key_id, secret: sandbox.secret
  #     )
  #     client.events.deliver("order_paid", recipient: { mobile_no: "+919812345678" }, event: { order: 7 })
  #     sandbox.events.last["payload"] # => { "order" => 7 }
  #   end
  # @example As a Rack app, in a config.ru
  #   run SimpleConnect::Sandbox.new(event_keys: %w[order_paid order_sent])
  class Sandbox
    autoload :Callbacks, File.expand_path("sandbox/callbacks.rb", __dir__)
    autoload :Credentials, File.expand_path("sandbox/credentials.rb", __dir__)
    autoload :Ledger, File.expand_path("sandbox/ledger.rb", __dir__)
    autoload :Refusal, File.expand_path("sandbox/ledger.rb", __dir__)

    include KeepsSecrets

    # A request that came: `verb`, `path`, `headers` (their names in lower case, an API key redacted), `body`, and the
    # `status` it was answered with; nil while it has no answer, and where the connection was cut instead.
    Request = Struct.new(:verb, :path, :headers, :body, :status)

    # The most bytes that a request's body may have.
    MAX_BODY_BYTES = 1024 * 1024
    # The most bytes of requests that are kept; and what one counts for beside its path, headers and body.
    MAX_KEPT_BYTES = 64 * 1024 * 1024
    KEPT_BYTES = 1024
    # Two levels less than readers of JSON take: that much deeper an event lies in the answer that shows it.
    MAX_NESTING = 98

    ROUTES = {
      %r{\A/api/v1/integrations/[^/]+/events/?\z} => ["POST", :deliver_event],
      %r{\A/api/v1/integrations/[^/]+/events/([^/]+)/?\z} => ["GET", :show_event],
      %r{\A/api/v1/integrations/([^/]+)/status/?\z} => ["GET", :show_status],
      %r{\A/api/v1/whatsapp_messages/?\z} => ["POST", :deliver_messages],
      %r{\A/api/v1/whatsapp_messages/([^/]+)/?\z} => ["GET", :show_message]
    }.freeze

    Fault = Struct.new(:kind, :delay)
    # Faults that are no answer: what is written before the connection is closed.
    CUTS = { reset: nil, close: nil, garbage: "\x16\x03garbage, and no HTTP\r\n\r\n" }.freeze
    # The credentials that it has by default.
    KNOWN_SECRET = "sandbox-secret"
    KNOWN_API_KEY = "sandbox-api-key"
    # Addresses that only this machine can reach.
    LOOPBACK = /\A(127\.|localhost\z|\[?::1\]?\z)/i
    private_constant :KNOWN_SECRET, :KNOWN_API_KEY, :LOOPBACK, :MAX_BODY_BYTES, :MAX_KEPT_BYTES, :KEPT_BYTES,
                     :MAX_NESTING, :ROUTES, :Fault, :CUTS

    # @return [String] what clients sign with
    attr_reader :key_id, :secret
    # @return [String] what {MessagesClient} sends
    attr_reader :api_key
    # @return [String] what status callbacks are signed with
    attr_reader :webhook_secret

    # Starts a new sandbox. With a block, it is stopped when the block ends.
    #
    # @param host [String] the address to listen on
    # @param port [Integer] 0 for any that is free
    # @param options [Hash] see {#initialize}
    # @yieldparam sandbox [Sandbox]
    # @return [Sandbox, Object] what the block gives, where there is one
    # @raise [ConfigurationError] for an option that cannot be used
    # @raise [LoadError] where Puma is missing
    # @raise [SystemCallError, SocketError] where it cannot listen there
    # @example
    #   sandbox = SimpleConnect::Sandbox.start(event_keys: %w[order_paid])
    #   at_exit { sandbox.stop }
    def self.start(host: "127.0.0.1", port: 0, **options)
      sandbox = new(**options).start(host:, port:)
      return sandbox unless block_given?

      begin
        yield sandbox
      ensure
        sandbox.stop
      end
    end

    # The credentials that it has by default are known to everybody: give it others where more than this machine can
    # reach it.
    #
    # @param key_id [String] the key id to accept
    # @param secret [String] the signing secret
    # @param previous_secret [String, nil] the secret before a rotation: it is still accepted, and flagged
    # @param api_key [String] the key to accept for messages
    # @param event_keys [Array<String, Symbol>, nil] the event keys to accept; nil accepts all
    # @param tolerance [Numeric] how many seconds a timestamp may be off, in either direction
    # @param status_callback_url [String, nil] where to post what becomes of each message, as a signed webhook
    #   `{"event":"message.status","data":{"message_id":…,"status":…}}`
    # @param webhook_secret [String] what to sign these with
    # @raise [ConfigurationError] for an option that cannot be used; the message says what to write
    # @example A secret in rotation
    #   SimpleConnect::Sandbox.new(secret: "new", previous_secret: "old")
    # @example Both halves on one machine
    #   SimpleConnect::Sandbox.start(status_callback_url: "http://127.0.0.1:8080/v/1/webhooks/message.status")
    def initialize(key_id: "wa_sec_sandbox", secret: KNOWN_SECRET, previous_secret: nil, api_key: KNOWN_API_KEY,
                   event_keys: nil, tolerance: 300, status_callback_url: nil, webhook_secret: "sandbox-webhook-secret")
      { key_id:, secret:, api_key:, webhook_secret: }.each do |name, value|
        raise ConfigurationError, "#{name} is required" if value.to_s.strip.empty?
      end
      @key_id = key_id
      @secret = secret
      @api_key = api_key
      @webhook_secret = webhook_secret
      @callbacks = callbacks(status_callback_url) if status_callback_url
      # A blank one would let in whoever signs with nothing.
      secrets = [secret, previous_secret].reject { |value| value.to_s.strip.empty? }
      Checks.seconds("tolerance:", tolerance, 300, zero: true, finite: true)
      @credentials = Credentials.new(key_id, secrets, api_key, tolerance)
      @event_keys = Checks.event_keys(event_keys)
      # Guards all that follows, and wakes whoever is held up.
      @lock = Mutex.new
      @wake = ConditionVariable.new
      reset
    end

    # Serves through Puma, in the background. Writes a warning to standard error where more than this machine can reach
    # it by the credentials that it has by default.
    #
    # @param host [String] the address to listen on
    # @param port [Integer] 0 for any that is free
    # @return [Sandbox] self
    # @raise [Error] where it is started already
    # @raise [LoadError] where Puma is missing
    # @raise [SystemCallError, SocketError] where it cannot listen there
    # @example
    #   sandbox = SimpleConnect::Sandbox.new.start(port: 9292)
    def start(host: "127.0.0.1", port: 0)
      raise Error, "this sandbox is started already, at #{url}" if @server

      server = Server.new(self, "the sandbox", host, port)
      warn_of_known_credentials(host)
      @url = server.url
      @server = server
      self
    end

    # Stops serving, after answering what is under way, and posting the status callbacks that wait. What has come stays
    # readable.
    #
    # @return [void]
    # @raise [Exception] what a status callback raised, such as WebMock's refusal; after all of that
    def stop
      server = @lock.synchronize do
        @server.tap do
          @server = nil
          @wake.broadcast
        end
      end
      server&.stop
      @callbacks&.stop
      nil
    end

    # @return [String] where it serves, such as `"http://127.0.0.1:9292"`: the `base_url:` of a {MessagesClient}
    # @raise [Error] where it was never started
    def url = @url || raise(Error, "the sandbox has no URL yet: call start first")

    # @return [String] the `endpoint_url:` of a {Client}
    # @raise [Error] where it was never started
    # @example
    #   sandbox.endpoint_url # => "http://127.0.0.1:9292/api/v1/integrations/sandbox/events"
    def endpoint_url = "#{url}/api/v1/integrations/sandbox/events"

    # Answers one request: what Rack calls.
    #
    # @param env [Hash{String => Object}]
    # @return [Array(Integer, Hash{String => String}, Array<String>)] status, headers and body
    # @raise [ConfigurationError] where {#fail_next} asked for a cut that this server cannot make
    def call(env)
      request = read(env)
      fault = @lock.synchronize do
        keep(request)
        @faults.shift
      end
      hold_up(fault.delay) if fault
      return cut(env, fault.kind) if fault && CUTS.key?(fault.kind)

      status, json, headers = fault&.kind ? [fault.kind, { "error" => "scripted by fail_next" }] : respond(env, request)
      request.status = status
      answered(request)
      body = request.verb == "HEAD" ? [] : [JSON.generate(json)]
      [status, { "content-type" => "application/json", **headers.to_h }, body]
    end

    # Makes the coming requests fail, whatever they ask, before anything else is done with them. Several calls queue up.
    #
    # Note that a client with an idle connection takes its being cut for old age, and sends the request once more
    # without counting an attempt.
    #
    # @param fault [Integer, :reset, :close, :garbage, nil] the HTTP status to answer; or to reset the connection, to
    #   close it, or to write what is no HTTP, for which the server must offer Rack's full hijack, as Puma does; nil for
    #   the delay alone
    # @param times [Integer] how many requests
    # @param delay [Numeric] for how many seconds to hold each up first; without a fault it is then answered as usual,
    #   also when the client has given up
    # @return [void]
    # @raise [ArgumentError] for anything else
    # @example
    #   sandbox.fail_next(503)             # the next attempt gets a 503
    #   sandbox.fail_next(:reset, times: 2)
    #   sandbox.fail_next(delay: 1.5)      # the event is taken, but the answer is late
    def fail_next(fault = nil, times: 1, delay: 0)
      unless fault.nil? || CUTS.key?(fault) || (fault.is_a?(Integer) && fault.between?(400, 599))
        raise ArgumentError, "fault must be a status from 400 to 599, :reset, :close or :garbage, not #{fault.inspect}"
      end
      unless times.is_a?(Integer) && times.positive?
        raise ArgumentError, "times: must be an Integer of 1 or more, not #{times.inspect}"
      end

      Checks.seconds("delay:", delay, 2.5, ArgumentError, zero: true, finite: true)
      raise ArgumentError, "pass a fault, such as 503, or a delay:, such as 1.5" if fault.nil? && delay.zero?

      @lock.synchronize { @faults.concat([Fault.new(fault, delay)] * times) }
      nil
    end

    # @return [Array<Hash{String => Object}>] the events taken, in order: `"log_id"`, `"event_id"`, `"event_key"`,
    #   `"recipient"`, `"language"`, `"payload"`, `"used_previous_secret"` and more; frozen
    # @example
    #   expect(sandbox.events.map { |event| event["event_key"] }).to eq(%w[order_paid order_sent])
    def events = @lock.synchronize { @ledger.events }

    # @return [Array<Hash{String => Object}>] the messages taken from {MessagesClient}, in order, one for each
    #   recipient: `"message_id"`, `"template_name"`, `"recipient"`, `"status"` and whatever else was sent; frozen
    # @example
    #   expect(sandbox.messages.last["recipient"]).to eq("mobile_no" => "+919812345678")
    def messages = @lock.synchronize { @ledger.messages }

    # @return [Array<Request>] all requests, also refused ones, in the order in which they came; frozen copies. Of more
    #   than 64 MiB only the last ones are kept
    # @example
    #   expect(sandbox.requests.map(&:status)).to eq([503, 202])
    def requests = @lock.synchronize { @requests.map { |request| request.dup.freeze } }

    # Forgets all events, messages, requests and faults to come.
    #
    # @return [void]
    # @example
    #   before { sandbox.reset }
    def reset
      @lock.synchronize do
        @ledger = Ledger.new(@event_keys)
        @requests = []
        @kept_bytes = 0
        @faults = []
      end
      nil
    end

    # @return [String] without secrets
    def inspect = "#<#{self.class.name} #{@server ? @url : "not started"}>"

    private

    # The command prints a line here.
    def answered(_request) = nil

    def warn_of_known_credentials(host)
      return if host.to_s.match?(LOOPBACK) || (secret != KNOWN_SECRET && api_key != KNOWN_API_KEY)

      Log.stderr do
        "the sandbox listens on #{host} with credentials that everybody knows: pass secret: and api_key: of your own"
      end
    end

    def read(env)
      fields = env.select { |name, _| name.match?(/\A(HTTP_|CONTENT_TYPE\z)/) }
      headers = fields.transform_keys { |name| name.delete_prefix("HTTP_").downcase.tr("_", "-") }
      headers["authorization"] &&= "[redacted]"
      # One byte too many tells a body that is too large.
      body = env["rack.input"]&.read(MAX_BODY_BYTES + 1).to_s.dup.force_encoding(Encoding::UTF_8)
      Request.new(env["REQUEST_METHOD"], env["PATH_INFO"], headers, body)
    end

    # Whoever can reach the sandbox must not be able to fill its memory, not even by requests that it refuses.
    def keep(request)
      @requests << request
      @kept_bytes += size(request)
      @kept_bytes -= size(@requests.shift) while @kept_bytes > MAX_KEPT_BYTES && @requests.size > 1
    end

    def size(request)
      KEPT_BYTES + [request.path, request.body, *request.headers.flatten].sum { |text| text.to_s.bytesize }
    end

    # Until the time is up, or the server stops, which waits for what is under way.
    def hold_up(seconds)
      deadline = Clock.now + seconds
      @lock.synchronize do
        server = @server
        @wake.wait(@lock, deadline - Clock.now) while @server.equal?(server) && Clock.now < deadline
      end
    end

    def cut(env, kind)
      hijack = env["rack.hijack"]
      unless hijack
        raise ConfigurationError, "this server lets no app cut a connection, as fail_next(#{kind.inspect}) asks: " \
                                  "start the sandbox with Sandbox.start, or run it under Puma"
      end

      io = hijack.call
      io.write(CUTS[kind]) if CUTS[kind]
      # Unsent and unread data are dropped, and the client gets a reset.
      io.to_io.setsockopt(Socket::SOL_SOCKET, Socket::SO_LINGER, [1, 0].pack("ii")) if kind == :reset
      io.close
      # Nobody reads this: the connection is no longer the server's.
      [200, {}, []]
    rescue IOError, SystemCallError
      # The client went first.
      [200, {}, []]
    end

    def respond(env, request)
      pattern, (verb, action) = ROUTES.find { |pattern, _| pattern.match?(request.path) }
      raise Refusal.new(404, "not found") unless pattern

      unless request.verb == verb
        return [405, { "error" => "#{request.verb} is not allowed here: use #{verb}" }, { "allow" => verb }]
      end

      body = request.body
      raise Refusal.new(413, "the body is larger than #{MAX_BODY_BYTES} bytes") if body.bytesize > MAX_BODY_BYTES

      __send__(action, env, body, request.path[pattern, 1]&.then { |segment| Wire.unescape(segment) })
    rescue Refusal => e
      [e.status, e.json]
    end

    def deliver_event(env, body, _)
      previous = @credentials.check_signature(env, body)
      event = parse(body)
      @lock.synchronize do
        status, answer = @ledger.deliver_event(event, previous_secret: previous)
        tell { @ledger.show_event(answer["event_id"]).last["message"]["data"] } unless answer["duplicate"]
        [status, answer]
      end
    end

    def show_event(env, body, event_id)
      @credentials.check_signature(env, body)
      @lock.synchronize { @ledger.show_event(event_id) }
    end

    def show_status(env, body, provider)
      @credentials.check_signature(env, body)
      @lock.synchronize { @ledger.show_status(provider) }
    end

    def deliver_messages(env, body, _)
      @credentials.check_api_key(env)
      messages = parse(body)
      @lock.synchronize do
        status, answer = @ledger.deliver_messages(messages)
        answer["queued_messages"].each { |queued| tell { @ledger.show_message(queued["message_id"]).last } }
        [status, answer]
      end
    end

    def show_message(env, _, message_id)
      @credentials.check_api_key(env)
      @lock.synchronize { @ledger.show_message(message_id) }
    end

    def callbacks(url)
      # Nothing else here needs the extension.
      Callbacks.new(url, webhook_secret)
    end

    def tell = @callbacks&.push(yield)

    def parse(body)
      raise Refusal.new(422, "the body is not UTF-8") unless body.valid_encoding?

      json = JSON.parse(body, max_nesting: MAX_NESTING, freeze: true)
      raise Refusal.new(422, "the body is not a JSON object") unless json.is_a?(Hash)

      # What cannot be written again could not be shown: 1e400 is read as infinite.
      JSON.generate(json)
      json
    rescue JSON::ParserError, JSON::GeneratorError => e
      raise Refusal.new(422, "the body is not JSON: #{e.message[0, 100].scrub}")
    end
  end
end
