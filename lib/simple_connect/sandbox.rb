# frozen_string_literal: true

require "json"
require "socket"
require "time"
require_relative "internal/autoload"
require_relative "internal/checks"
require_relative "internal/clock"
require_relative "internal/keeps_secrets"
require_relative "internal/log"
require_relative "internal/server"
require_relative "internal/wire"

module SimpleConnect
  # A local simulation of the service, for development and tests. It accepts both layouts of events and the messages of
  # {MessagesClient}, checks signatures and keys, detects duplicates, and fails on demand. It sends nothing to anybody.
  # {Inbox} is a page that shows what it receives.
  #
  # {.start} serves it with Puma on its own port; it is also a Rack app that you can mount in another server. Threads
  # may share it.
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
    autoload :Inbox, File.expand_path("sandbox/inbox.rb", __dir__)
    autoload :Ledger, File.expand_path("sandbox/ledger.rb", __dir__)
    autoload :Refusal, File.expand_path("sandbox/ledger.rb", __dir__)

    include KeepsSecrets

    # A received request: `verb`, `path`, `headers` (names in lower case, an API key redacted), `body`, and the
    # response's `status`, which is nil before the response and after a cut connection.
    Request = Struct.new(:verb, :path, :headers, :body, :status)

    # The maximum size of a request body, in bytes.
    MAX_BODY_BYTES = 1024 * 1024
    # The maximum bytes of requests that are kept, and the size of a request in addition to path, headers and body.
    MAX_KEPT_BYTES = 64 * 1024 * 1024
    KEPT_BYTES = 1024
    # Two levels less than JSON parsers allow, because the response that shows an event nests it that much deeper.
    MAX_NESTING = 98

    ROUTES = {
      %r{\A/api/v1/integrations/[^/]+/events/?\z} => ["POST", :deliver_event],
      %r{\A/api/v1/integrations/[^/]+/events/([^/]+)/?\z} => ["GET", :show_event],
      %r{\A/api/v1/integrations/([^/]+)/status/?\z} => ["GET", :show_status],
      %r{\A/api/v1/whatsapp_messages/?\z} => ["POST", :deliver_messages],
      %r{\A/api/v1/whatsapp_messages/([^/]+)/?\z} => ["GET", :show_message]
    }.freeze

    # `headers` are those of the response.
    # @api private
    Fault = Struct.new(:kind, :delay, :headers) do
      # @return [Boolean] whether it is a status to respond with
      def status? = kind.is_a?(Integer)
      # @return [Boolean] whether it ends the connection without a response
      def cut? = CUTS.key?(kind)
    end
    # Faults without a response: the bytes to write before the connection is closed.
    CUTS = { reset: nil, close: nil, garbage: "\x16\x03garbage, and no HTTP\r\n\r\n", timeout: nil }.freeze
    # The faults that `fail_next` takes.
    CUT_NEXT = %i[reset close garbage].freeze
    # Members of a Rack env: what became of a delivery, as rows of {Ledger} and as {Refusal}s; and what must become of
    # it: `:duplicate`, `:skipped` or nil.
    OUTCOMES = "simple_connect.outcomes"
    FORCED = "simple_connect.forced"
    # The default credentials.
    KNOWN_SECRET = "sandbox-secret"
    KNOWN_API_KEY = "sandbox-api-key"
    # Addresses that only this machine can reach.
    LOOPBACK = /\A(127\.|localhost\z|\[?::1\]?\z)/i
    private_constant :KNOWN_SECRET, :KNOWN_API_KEY, :LOOPBACK, :MAX_BODY_BYTES, :MAX_KEPT_BYTES, :KEPT_BYTES,
                     :MAX_NESTING, :ROUTES, :Fault, :CUTS, :CUT_NEXT, :OUTCOMES, :FORCED

    # @return [String] the signing secret of clients
    attr_reader :key_id, :secret
    # @return [String] the API key for {MessagesClient}
    attr_reader :api_key
    # @return [String] the signing secret of status callbacks
    attr_reader :webhook_secret

    # Starts a new sandbox. With a block, it stops when the block ends.
    #
    # @param host [String] the address to listen on
    # @param port [Integer] 0 for any free port
    # @param options [Hash] see {#initialize}
    # @yieldparam sandbox [Sandbox]
    # @return [Sandbox, Object] the block's value, if there is a block
    # @raise [ConfigurationError] for an invalid option
    # @raise [LoadError] if Puma is missing
    # @raise [SystemCallError, SocketError] if it cannot listen on that address
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

    # The default credentials are public: pass your own if other machines can reach the sandbox.
    #
    # @param key_id [String] the key id to accept
    # @param secret [String] the signing secret
    # @param previous_secret [String, nil] the secret before a rotation: still accepted, and reported in the response
    # @param api_key [String] the key to accept for messages
    # @param event_keys [Array<String, Symbol>, nil] the accepted event keys; nil accepts all
    # @param tolerance [Numeric] the maximum difference between a timestamp and now, in seconds, in either direction
    # @param status_callback_url [String, nil] where to post the status of each message, as a signed webhook
    #   `{"event":"message.status","data":{"message_id":…,"status":…}}`
    # @param webhook_secret [String] the signing secret of these webhooks
    # @raise [ConfigurationError] for an invalid option; the message says what to write
    # @example A secret in rotation
    #   SimpleConnect::Sandbox.new(secret: "new", previous_secret: "old")
    # @example Sandbox and receiver on one machine
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
      @callbacks = new_callbacks(status_callback_url) if status_callback_url
      # With a blank secret anybody could sign.
      secrets = [secret, previous_secret].reject { |value| value.to_s.strip.empty? }
      Checks.seconds("tolerance:", tolerance, 300, zero: true, finite: true)
      @credentials = Credentials.new(key_id, secrets, api_key, tolerance)
      @event_keys = Checks.event_keys(event_keys)
      # Guards the state below, and wakes requests that are delayed.
      @lock = Mutex.new
      @wake = ConditionVariable.new
      reset
    end

    # Serves with Puma, in the background. Warns on standard error if other machines can reach it and it uses the
    # default credentials.
    #
    # @param host [String] the address to listen on
    # @param port [Integer] 0 for any free port
    # @return [Sandbox] self
    # @raise [Error] if it is already started
    # @raise [LoadError] if Puma is missing
    # @raise [SystemCallError, SocketError] if it cannot listen on that address
    # @example
    #   sandbox = SimpleConnect::Sandbox.new.start(port: 9292)
    def start(host: "127.0.0.1", port: 0)
      raise Error, "this sandbox is already started, at #{url}" if @server

      @inbox&.start
      server = Server.new(@inbox || self, "the sandbox", host, port)
      warn_of_known_credentials(host)
      @url = server.url
      @server = server
      self
    end

    # Stops after answering requests in progress and posting the waiting status callbacks. The recorded data stays
    # readable.
    #
    # @return [void]
    # @raise [Exception] an error raised by a status callback, such as WebMock's; after everything has stopped
    def stop
      server = @lock.synchronize do
        @server.tap do
          @server = nil
          @wake.broadcast
        end
      end
      @inbox&.stop
      server&.stop
      @callbacks&.stop
      nil
    end

    # @return [String] its URL, such as `"http://127.0.0.1:9292"`: the `base_url:` of a {MessagesClient}
    # @raise [Error] if it was never started
    def url = @url || raise(Error, "the sandbox has no URL yet: call start first")

    # @return [String] the `endpoint_url:` of a {Client}
    # @raise [Error] if it was never started
    # @example
    #   sandbox.endpoint_url # => "http://127.0.0.1:9292/api/v1/integrations/sandbox/events"
    def endpoint_url = "#{url}/api/v1/integrations/sandbox/events"

    # Handles one request; called by Rack.
    #
    # @param env [Hash{String => Object}]
    # @return [Array(Integer, Hash{String => String}, Array<String>)] status, headers and body
    # @raise [ConfigurationError] if {#fail_next} requested a cut that this server does not support
    def call(env)
      request = read(env)
      fault = @lock.synchronize do
        keep(request)
        @faults.shift
      end
      return @inbox.watch(env, request, fault) if @inbox

      hold_up(fault.delay) if fault
      return cut(env, fault.kind) if fault&.cut?

      answer(request, *respond(env, request, fault))
    end

    # Makes the next requests fail before they are processed. Several calls queue up.
    #
    # If an idle connection is cut, a client treats it as a stale connection and sends the request once more without
    # counting an attempt.
    #
    # @param fault [Integer, :reset, :close, :garbage, nil] an HTTP status; or `:reset` or `:close` for the connection,
    #   or `:garbage` to write bytes that are not HTTP: these need Rack's full hijack, as in Puma; nil for only a delay
    # @param times [Integer] the number of requests
    # @param delay [Numeric] the seconds to delay each request; without a fault it is then processed as usual, even if
    #   the client has given up
    # @return [void]
    # @raise [ArgumentError] for an invalid value
    # @example
    #   sandbox.fail_next(503)             # the next attempt gets a 503
    #   sandbox.fail_next(:reset, times: 2)
    #   sandbox.fail_next(delay: 1.5)      # the event is accepted, but the response is late
    def fail_next(fault = nil, times: 1, delay: 0)
      unless fault.nil? || CUT_NEXT.include?(fault) || (fault.is_a?(Integer) && fault.between?(400, 599))
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

    # @return [Array<Hash{String => Object}>] the accepted events, in order: `"log_id"`, `"event_id"`, `"event_key"`,
    #   `"recipient"`, `"language"`, `"payload"`, `"used_previous_secret"` and more; frozen
    # @example
    #   expect(sandbox.events.map { |event| event["event_key"] }).to eq(%w[order_paid order_sent])
    def events = ledgers { |ledgers| ledgers.flat_map(&:events) }

    # @return [Array<Hash{String => Object}>] the accepted messages of {MessagesClient}, in order, one for each
    #   recipient: `"message_id"`, `"template_name"`, `"recipient"`, `"status"` and the other fields; frozen
    # @example
    #   expect(sandbox.messages.last["recipient"]).to eq("mobile_no" => "+919812345678")
    def messages = ledgers { |ledgers| ledgers.flat_map(&:messages) }

    # @return [Array<Request>] all requests, including rejected ones, in order; frozen copies. Only the last 64 MiB are
    #   kept
    # @example
    #   expect(sandbox.requests.map(&:status)).to eq([503, 202])
    def requests = @lock.synchronize { @requests.map { |request| request.dup.freeze } }

    # Forgets all events, messages, requests and planned faults.
    #
    # @return [void]
    # @example
    #   before { sandbox.reset }
    def reset
      @inbox&.reset
      @lock.synchronize do
        @ledger = new_ledger
        @requests = []
        @kept_bytes = 0
        @faults = []
      end
      nil
    end

    # @return [String] without secrets
    def inspect = "#<#{self.class.name} #{@server ? @url : "not started"}>"

    # What follows is for {Inbox}.

    # Shows all that comes in this inbox from now on, and serves it, once started.
    # @api private
    def attach(inbox)
      raise Error, "this sandbox is already started: make its inbox before" if @server
      raise Error, "this sandbox has an inbox already" if @inbox

      @inbox = inbox
    end

    # @api private
    # @return [Boolean] whether it serves the inbox itself
    def served? = !@server.nil?

    # @api private
    # @return [Credentials]
    attr_reader :credentials

    # @api private
    # @return [Callbacks, nil]
    attr_reader :callbacks

    # @api private
    # @param secrets [Array<String>] the current one first
    def rotate(secrets)
      @secret = secrets.first
      @credentials.secrets = secrets
    end

    # @api private
    # @return [Ledger]
    def new_ledger = Ledger.new(@event_keys)

    # Responds to a request that has been read, if need be with a fault.
    # @api private
    # @return [Array(Integer, Hash, Hash)] status, JSON and headers
    def respond(env, request, fault)
      env[OUTCOMES] = []
      env[FORCED] = fault&.kind
      return route(env, request) unless fault&.status?

      [fault.kind, { "error" => "scripted by #{@inbox ? "the sandbox" : "fail_next"}" }, fault.headers]
    end

    # @api private
    # @return [Array(Integer, Hash{String => String}, Array<String>)] the response for Rack
    def answer(request, status, json, headers = nil)
      request.status = status
      answered(request)
      body = request.verb == "HEAD" ? [] : [JSON.generate(json)]
      [status, { "content-type" => "application/json", "date" => Time.now.httpdate, **headers.to_h }, body]
    end

    # Waits until the time is up or the server stops, because stopping waits for requests in progress.
    # @api private
    def hold_up(seconds)
      deadline = Clock.now + seconds
      @lock.synchronize do
        server = @server
        @wake.wait(@lock, deadline - Clock.now) while @server.equal?(server) && Clock.now < deadline
      end
    end

    # Ends the connection without a response. With a block, its caller ends it.
    # @api private
    # @yieldparam io [IO] the connection
    def cut(env, kind)
      hijack = env["rack.hijack"]
      unless hijack
        raise ConfigurationError, "this server cannot cut a connection, as fail_next(#{kind.inspect}) requires: " \
                                  "start the sandbox with Sandbox.start, or run it under Puma"
      end

      io = hijack.call
      if block_given?
        yield io
        return [200, {}, []]
      end

      io.write(CUTS[kind]) if CUTS[kind]
      # With linger 0, closing drops all data and sends a reset.
      io.to_io.setsockopt(Socket::SOL_SOCKET, Socket::SO_LINGER, [1, 0].pack("ii")) if kind == :reset
      io.close
      # The server ignores this response: the connection was hijacked.
      [200, {}, []]
    rescue IOError, SystemCallError
      # The client has already closed the connection.
      [200, {}, []]
    end

    private

    def ledgers(&block)
      return @lock.synchronize { yield [@ledger] } unless @inbox

      @inbox.ledgers(&block)
    end

    def with_ledger(env)
      @lock.synchronize { yield @inbox ? @inbox.ledger(env) : @ledger }
    end

    # Overridden by the command to print a line.
    def answered(_request) = nil

    def warn_of_known_credentials(host)
      return if host.to_s.match?(LOOPBACK) || (secret != KNOWN_SECRET && api_key != KNOWN_API_KEY)

      Log.stderr do
        "the sandbox listens on #{host} with public default credentials: pass your own secret: and api_key:"
      end
    end

    def read(env)
      fields = env.select { |name, _| name.match?(/\A(HTTP_|CONTENT_TYPE\z)/) }
      headers = fields.transform_keys { |name| name.delete_prefix("HTTP_").downcase.tr("_", "-") }
      headers["authorization"] &&= "[redacted]"
      # Reads one byte more than allowed, to detect a body that is too large.
      body = env["rack.input"]&.read(MAX_BODY_BYTES + 1).to_s.dup.force_encoding(Encoding::UTF_8)
      Request.new(env["REQUEST_METHOD"], env["PATH_INFO"], headers, body)
    end

    # A client must not be able to fill the memory, even with rejected requests.
    def keep(request)
      @requests << request
      @kept_bytes += size(request)
      @kept_bytes -= size(@requests.shift) while @kept_bytes > MAX_KEPT_BYTES && @requests.size > 1
    end

    def size(request)
      KEPT_BYTES + [request.path, request.body, *request.headers.flatten].sum { |text| text.to_s.bytesize }
    end

    def route(env, request)
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
      with_ledger(env) do |ledger|
        status, answer = ledger.deliver_event(event, previous_secret: previous, forced: env[FORCED])
        env[OUTCOMES] << ledger.event(answer["event_id"])
        message = ledger.show_event(answer["event_id"]).last["message"] unless answer["duplicate"]
        tell { message["data"] } if message
        [status, answer]
      end
    end

    def show_event(env, body, event_id)
      @credentials.check_signature(env, body)
      with_ledger(env) { |ledger| ledger.show_event(event_id) }
    end

    def show_status(env, body, provider)
      @credentials.check_signature(env, body)
      with_ledger(env) { |ledger| ledger.show_status(provider) }
    end

    def deliver_messages(env, body, _)
      @credentials.check_api_key(env)
      messages = parse(body)
      with_ledger(env) do |ledger|
        status, answer = ledger.deliver_messages(messages) { |outcome| env[OUTCOMES] << outcome }
        answer["queued_messages"].each { |queued| tell { ledger.show_message(queued["message_id"]).last } }
        [status, answer]
      end
    end

    def show_message(env, _, message_id)
      @credentials.check_api_key(env)
      with_ledger(env) { |ledger| ledger.show_message(message_id) }
    end

    def new_callbacks(url)
      # Required here, because only this part needs the extension.
      Callbacks.new(url, webhook_secret)
    end

    def tell = @callbacks&.push(yield)

    def parse(body)
      raise Refusal.new(422, "the body is not UTF-8") unless body.valid_encoding?

      json = JSON.parse(body, max_nesting: MAX_NESTING, freeze: true)
      raise Refusal.new(422, "the body is not a JSON object") unless json.is_a?(Hash)

      # Rejects values that cannot be written as JSON again, such as 1e400, which Ruby reads as Infinity.
      JSON.generate(json)
      json
    rescue JSON::ParserError, JSON::GeneratorError => e
      raise Refusal.new(422, "the body is not JSON: #{e.message[0, 100].scrub}")
    end
  end
end
