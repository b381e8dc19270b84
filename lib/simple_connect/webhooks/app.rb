# frozen_string_literal: true

require_relative "../internal/autoload"
require_relative "../internal/clock"
require_relative "../internal/keeps_secrets"
require_relative "../internal/once"
require_relative "../internal/server"
require_relative "../internal/wire"
require_relative "../signature"

module SimpleConnect
  module Webhooks
    # Receives webhooks: a Rack app that verifies the signature of each request and calls the handler for its event and
    # version. Mount it in Rails, run it with any Rack server, or call {#run!}. Threads may share it.
    #
    # `POST /webhooks/<event>` and `POST /v/<version>/webhooks/<event>` receive events; `GET /health` returns 200. If
    # the path has no version, it comes from the header `X-SimpleConnect-Event-Version` (`X-Kiket-…`, `X-Simplyq-…` or
    # `webhook-event-version` by the scheme), then from the query's `version`.
    #
    # All responses are JSON:
    #
    # | status | |
    # |---|---|
    # | 200 | the handler's value; `{"ok":true}` for nil; `{"ok":true,"duplicate":true}` for a copy of a handled request
    # | | 400 | no version, or the body is not a JSON object |
    # | 401 | the signature or timestamp is missing or invalid; see `reason` |
    # | 404 | no handler for the event and its version, or an unknown path |
    # | 405 | the method is not supported |
    # | 409 | the same request is in progress; or it was received before, with `replay: :reject` or for another event |
    # | 413 | the body is too large |
    # | 500 | the handler raised, or returned a value that cannot be JSON; the sender can repeat the request |
    #
    # @example In a config.ru
    #   app = SimpleConnect::Webhooks::App.new(secret: ENV.fetch("SIMPLECONNECT_WEBHOOK_SECRET"))
    #   app.register("message.status", version: "v1") { |payload, context| puts payload["data"]["status"] }
    #   run app
    class App
      include KeepsSecrets

      # Ends a request with this status, without calling a handler.
      class Refusal < StandardError
        # @return [Integer]
        attr_reader :status
        # @return [Hash{Symbol => Object}]
        attr_reader :json
        # @return [Hash{String => String}]
        attr_reader :headers

        def initialize(status, json, headers = {})
          super()
          @status = status
          @json = json.is_a?(Hash) ? json : { error: json }
          @headers = headers
        end
      end
      private_constant :Refusal

      WEBHOOK = %r{\A(?:/v/([^/]+))?/webhooks/([^/]+)/?\z}n
      HEALTH = %r{\A/health/?\z}n
      OK = { ok: true }.freeze
      DUPLICATE_JSON = '{"ok":true,"duplicate":true}'
      EVENT = "webhook.simple_connect"
      EVENTS = [EVENT].freeze
      # Handlers, registry and replay guard are user code and can raise anything; the sender must still get a response.
      # Other exceptions end a thread or the process on purpose.
      FAILURES = [StandardError, ScriptError, SystemStackError].freeze
      private_constant :WEBHOOK, :HEALTH, :OK, :DUPLICATE_JSON, :EVENT, :EVENTS, :FAILURES

      # @return [Registry]
      attr_reader :registry

      # @api private
      # @return [Integer]
      attr_reader :max_body_bytes

      # @param secret [String, Array<String>] the signing secret; several during a rotation
      # @param scheme [:simple_connect, :kiket, :simplyq, :standard_webhooks] the signature scheme, see {Signature}
      # @param registry [Registry, #find] the handlers; several apps may share one
      # @param tolerance [Numeric] the maximum difference between a timestamp and now, in seconds, in either direction
      # @param replay_guard [#begin, #finish, #forget, false, nil] remembers requests, see {ReplayGuard}; or a cache
      #   such as `Rails.cache`; nil creates one for this app, false disables it. With `replay: :reject`, an object with
      #   only `first_time?`, and perhaps `forget`, also works
      # @param replay [:answer, :reject] the response to a copy of a handled request: `:answer` returns a 200 without
      #   calling the handler, so that a sender who lost the response stops; `:reject` returns a 409
      # @param max_body_bytes [Integer] the maximum body size
      # @param expose_errors [Boolean] whether a 500 shows the handler's exception; for development
      # @raise [ConfigurationError] if an option is invalid; the message says what to write
      # @example During a rotation of the secret
      #   SimpleConnect::Webhooks::App.new(secret: [ENV.fetch("NEW_SECRET"), ENV.fetch("OLD_SECRET")])
      def initialize(secret: nil, scheme: :simple_connect, registry: Registry.new, tolerance: 300, replay_guard: nil,
                     replay: :answer, max_body_bytes: 1024 * 1024, expose_errors: false)
        @keys = SigningKeys.of(secret, scheme)
        @tolerance = SigningKeys.tolerance(tolerance)
        @registry = registry
        unless %i[answer reject].include?(replay)
          raise ConfigurationError, "replay: must be :answer or :reject, not #{replay.inspect}"
        end

        @reject = replay == :reject
        @replay_guard = guard(replay_guard)
        @max_body_bytes = checked(max_body_bytes)
        @expose_errors = expose_errors
      end

      # Registers a handler. The last one for an event and a version counts. `v1` and `1` are the same version, unless
      # both are registered.
      #
      # @param event [String, Symbol] such as `"order.paid"`
      # @param version [String, Symbol, Integer] such as `"v1"`
      # @yieldparam payload [Hash{String => Object}] the body's JSON
      # @yieldparam context [Context]
      # @yieldreturn [Object, nil] the response, sent as JSON
      # @return [Registry::Registration]
      # @raise [ArgumentError] if event or version is blank, or there is no block
      # @example
      #   app.register("order.paid", version: "v1") do |payload, context|
      #     Order.find(payload["order"]).paid!
      #     { ok: true }
      #   end
      def register(event, version:, &handler) = @registry.register(event, version, handler)

      # Registers a handler that is defined elsewhere.
      #
      # @param event [String, Symbol]
      # @param version [String, Symbol, Integer]
      # @return [Proc] call it with the handler, as an argument or as a block; it returns the handler. A block passed to
      #   this method is registered directly
      # @raise [ArgumentError] see {#register}
      # @example
      #   app.webhook("order.paid", version: "v1").call(OrderPaid.new)
      def webhook(event, version:, &handler)
        take = lambda do |callable = nil, &block|
          @registry.register(event, version, callable || block).handler
        end
        take.call(handler) if handler
        take
      end

      # Handles one request; called by Rack.
      #
      # @param env [Hash{String => Object}]
      # @return [Array(Integer, Hash{String => String}, Array<String>)] status, headers and body
      # @example
      #   Rack::MockRequest.new(app).get("/health").status # => 200
      def call(env)
        started = Clock.now
        status, json, headers = respond(env)
        report_webhook(env, status, json, Clock.now - started) if Instrumentation.listening?(EVENTS)
        [status, { "content-type" => "application/json", **headers }, env["REQUEST_METHOD"] == "HEAD" ? [] : [json]]
      end

      # Serves with Puma until the process gets INT or TERM.
      #
      # @param host [String] the address to listen on
      # @param port [Integer]
      # @return [void]
      # @raise [LoadError] if Puma is missing
      # @raise [SystemCallError, SocketError] if it cannot listen on that address
      # @example
      #   app.run!(port: 9292)
      def run!(host: "127.0.0.1", port: 8080)
        Server.run(self, "the app", host, port, max_body_bytes:) do |url|
          warn("Listening on #{url}; Ctrl-C stops it.")
        end
      end

      # @return [String] without secrets
      def inspect = "#<#{self.class.name} #{@registry.inspect}>"

      private

      # Event and version come from the request; unless the status is 200, they can be anything.
      def report_webhook(env, status, json, elapsed)
        version, event = WEBHOOK.match(env["PATH_INFO"].to_s.b)&.captures
        return unless event

        version = text(version) || version_beside_path(env)
        Instrumentation.publish(EVENT, { event: text(event), version:, status:, duplicate: json.equal?(DUPLICATE_JSON),
                                         elapsed: })
      end

      def checked(max_body_bytes)
        return max_body_bytes if max_body_bytes.is_a?(Integer) && max_body_bytes.positive?

        raise ConfigurationError, "max_body_bytes: must be a positive Integer, not #{max_body_bytes.inspect}"
      end

      def guard(guard)
        # A timestamp can be ahead of the clock by the tolerance, and is valid until it is too old.
        window = (2 * @tolerance) + 1
        return ReplayGuard.new(window:) if guard.nil?
        return CacheReplayGuard.new(guard, window:) if CacheReplayGuard.cache?(guard)
        return guard if guard == false || Once.guard?(guard)
        return Once.guard(guard) if @reject && guard.respond_to?(:first_time?)

        raise ConfigurationError, "replay_guard: must have begin, finish and forget, as a ReplayGuard has, and " \
                                  "#{guard.class} has not; one with first_time? alone needs replay: :reject"
      end

      def respond(env)
        path = env["PATH_INFO"].to_s.b
        case path
        when WEBHOOK then receive(env, text(Regexp.last_match(2)), text(Regexp.last_match(1)))
        when HEALTH then health(env)
        else raise Refusal.new(404, "not found: webhooks go to /webhooks/<event> or /v/<version>/webhooks/<event>")
        end
      rescue Refusal => e
        [e.status, Codec.generate(e.json), e.headers]
      rescue *FAILURES => e
        failure(env, e)
      end

      def health(env)
        allow(env, %w[GET HEAD])
        [200, Codec.generate({ status: "ok" }), {}]
      end

      # Verifies the signature first, so that an unauthenticated request learns nothing about the handlers.
      def receive(env, event, version)
        allow(env, %w[POST])
        body = read(env)
        authenticate(body, env)
        version ||= version_beside_path(env)
        registration = version && @registry.find(event, version)
        place = registration ? [registration.event, registration.version] : [event, version]
        once(body, env, place.join(" ")) do
          raise Refusal.new(400, "no version: write /v/<version>/webhooks/#{event}") unless version
          raise Refusal.new(404, "no handler for #{event} version #{version}") unless registration

          [200, handle(registration, payload(body), env), {}]
        end
      end

      def allow(env, methods)
        return if methods.include?(env["REQUEST_METHOD"])

        raise Refusal.new(405, "#{Webhooks.utf8(env["REQUEST_METHOD"])} is not allowed here: use #{methods.first}",
                          { "allow" => methods.join(", ") })
      end

      def read(env)
        too_large = Refusal.new(413, "the body is larger than #{@max_body_bytes} bytes")
        raise too_large if env["CONTENT_LENGTH"].to_s.to_i > @max_body_bytes

        input = env["rack.input"] or return ""
        # A middleware may have read it.
        input.rewind if input.respond_to?(:rewind)
        body = input.read(@max_body_bytes + 1) || ""
        input.rewind if input.respond_to?(:rewind)
        raise too_large if body.bytesize > @max_body_bytes

        body
      end

      def authenticate(body, env)
        @keys.verify(body, env, @tolerance, Time.now)
      rescue SignatureVerificationError => e
        raise Refusal.new(401, e.to_h)
      end

      # The signed bytes identify a request. The path is not signed: the same bytes for another event may be a replay,
      # so its handler does not run, or a different event, so the sender must not get a 200.
      def once(body, env, place, &answer)
        return yield unless @replay_guard

        request = Once.new(@replay_guard, @keys.fingerprint_of(body, env), @reject ? nil : place)
        case request.begin
        when :new then handle_once(request, env, &answer)
        when :under_way then raise Refusal.new(409, ReplayError.new(:under_way).message, { "retry-after" => "1" })
        when :elsewhere then raise Refusal.new(409, ReplayError.new(:elsewhere).message)
        else
          raise Refusal.new(409, ReplayError.new.message) if @reject

          [200, DUPLICATE_JSON, {}]
        end
      end

      def handle_once(request, env)
        handled = false
        answer = yield
        handled = true
        finish(request, env)
        answer
      ensure
        request.forget unless handled
      end

      # The handler has finished, so the sender gets its response; the lease ends by itself.
      def finish(request, env)
        request.finish
      rescue *FAILURES => e
        report(env["rack.errors"], "[SimpleConnect] the replay guard failed: #{told(e) { "#{e.class}: #{e.message}" }}")
      end

      def version_beside_path(env)
        field = Webhooks.utf8(@keys.field(env, "Event-Version")).strip
        query = text(env["QUERY_STRING"].to_s.b[/(?:\A|&)version=([^&]*)/n, 1]).to_s
        [field, query].find { |version| !version.empty? }
      end

      def payload(body)
        Webhooks.parse(body)
      rescue MalformedPayloadError => e
        raise Refusal.new(400, e.message)
      end

      # @return [String] the response body
      def handle(registration, payload, env)
        value = registration.handler.call(payload, context(registration, headers(env)))
        Codec.generate(value.nil? ? OK : value)
      end

      def context(registration, headers) = Context.new(registration.event, registration.version, headers)

      def headers(env)
        fields = env.select { |name, _| name.match?(/\A(HTTP_|CONTENT_TYPE\z|CONTENT_LENGTH\z)/) }
        fields.to_h { |name, value| [name.delete_prefix("HTTP_").downcase.tr("_", "-"), Webhooks.utf8(value)] }
      end

      def failure(env, error)
        # Error trackers read a rescued exception from this key.
        env["rack.exception"] = error
        story = told(error) { error.full_message(highlight: false) }
        report(env["rack.errors"], "[SimpleConnect] a webhook failed: #{story}")
        message = @expose_errors ? told(error) { "#{error.class}: #{error.message}" } : "internal error"
        [500, Codec.generate({ error: message }), {}]
      end

      def report(errors, text)
        errors&.puts(text)
      rescue *FAILURES
        # The server's error stream may be broken; the sender must still get a response.
        nil
      end

      # The block's description of an error, or only its class if the description raises.
      def told(error)
        Webhooks.utf8(yield)
      rescue *FAILURES
        error.class.to_s
      end

      def text(segment) = segment && Wire.unescape(segment).scrub
    end
  end
end
