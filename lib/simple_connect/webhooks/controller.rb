# frozen_string_literal: true

require_relative "../internal/autoload"
require_relative "../internal/log"
require_relative "../internal/once"

module SimpleConnect
  module Webhooks
    # Verifies signatures in your own Rails controller. A request with an invalid signature gets a 401, with the reason
    # as JSON; use `rescue_from SimpleConnect::SignatureVerificationError` for another response.
    #
    # The signature covers only the body. Read {#simple_connect_event}, not `params`: anybody can add query parameters
    # to a request, and in Rails they take precedence over the body's.
    #
    # In a subclass of ActionController::Base, also call `skip_forgery_protection`: a webhook has no CSRF token.
    #
    # @example
    #   class WebhooksController < ActionController::API
    #     include SimpleConnect::Webhooks::Controller
    #     before_action :verify_simple_connect_signature!
    #
    #     def create
    #       Order.find(simple_connect_event["order"]).paid!
    #     end
    #   end
    module Controller
      # The environment variable with the default secret.
      SECRET = "SIMPLECONNECT_WEBHOOK_SECRET"
      private_constant :SECRET

      # @api private
      def self.included(controller)
        super
        controller.rescue_from(SignatureVerificationError, with: :refuse_simple_connect_signature)
        controller.rescue_from(MalformedPayloadError, with: :refuse_simple_connect_payload)
        controller.rescue_from(ReplayError, with: :answer_simple_connect_copy)
      end

      private

      # Verifies the signature and timestamp of the request; raises if they are invalid.
      #
      # @param secret [String, Array<String>] default: the environment variable SIMPLECONNECT_WEBHOOK_SECRET
      # @param replay_guard [#begin, #finish, #forget, nil] remembers requests, such as a {ReplayGuard} that all
      #   requests share; nil accepts copies of a request. After a response with a status of 400 or more, the sender can
      #   repeat the request
      # @param options [Hash] `scheme:`, `tolerance:` and `now:`, as for {Signature.verify!}
      # @return [Integer] the index of the secret that signed it
      # @raise [SignatureVerificationError] if the signature or timestamp is missing or invalid; the response is a 401
      # @raise [ReplayError] if the request was received before; the response is a 200 with
      #   `{"ok":true,"duplicate":true}`, or a 409 while the request is in progress or if it was sent to another path
      # @raise [ConfigurationError] see {Signature.verify!}
      # @example With a secret from elsewhere
      #   before_action { verify_simple_connect_signature!(secret: Rails.application.credentials.webhook_secret) }
      def verify_simple_connect_signature!(secret: ENV.fetch(SECRET, nil), replay_guard: nil, **options)
        @simple_connect_body = nil
        body = simple_connect_raw_body
        which = Signature.verify!(body, request.headers, secret:, **options)
        if replay_guard
          begin_simple_connect_request(replay_guard, Webhooks.fingerprint(body, request.headers, secret:, **options))
        end
        @simple_connect_body = body
        which
      end

      # Only once per request, even if it is verified several times.
      def begin_simple_connect_request(guard, key)
        return if @simple_connect_begun

        once = Once.new(guard, key, request.path)
        verdict = once.begin
        raise ReplayError, verdict unless verdict == :new

        @simple_connect_begun = once
      end

      # Runs around callbacks and rescue_from.
      def process_action(*)
        super.tap { @simple_connect_handled = response.status < 400 }
      ensure
        end_simple_connect_request if @simple_connect_begun
      end

      # The action has run, so the sender gets its response even if the guard fails; it is user code and can raise
      # anything. The lease ends by itself.
      def end_simple_connect_request
        @simple_connect_begun.public_send(@simple_connect_handled ? :finish : :forget)
      rescue StandardError, ScriptError => e
        Log.report(e, "the replay guard")
      end

      # Returns the verified event.
      #
      # @return [InboundEvent]
      # @raise [MalformedPayloadError] if the body is not a JSON object; the response is a 400
      # @raise [Error] if the signature was not verified before
      # @example
      #   simple_connect_event["order"] # => 7
      def simple_connect_event
        unless @simple_connect_body
          raise Error, "the request is not verified: write before_action :verify_simple_connect_signature!"
        end

        InboundEvent.new(Webhooks.parse(@simple_connect_body))
      end

      # Up to Rails 7.0, `raw_post` reads as many bytes as Content-Length says: none of a chunked body if the server,
      # such as WEBrick, does not set it.
      def simple_connect_raw_body
        input = request.get_header("rack.input")
        return request.raw_post unless request.get_header("HTTP_TRANSFER_ENCODING") && input.respond_to?(:rewind)

        input.rewind
        input.read.tap { input.rewind }
      end

      def refuse_simple_connect_signature(error)
        render(json: error.to_h, status: :unauthorized)
      end

      def answer_simple_connect_copy(error)
        return render(json: { ok: true, duplicate: true }) unless error.under_way? || error.elsewhere?

        response.set_header("Retry-After", "1") if error.under_way?
        render(json: { error: error.message }, status: :conflict)
      end

      def refuse_simple_connect_payload(error)
        render(json: { error: error.message }, status: :bad_request)
      end
    end
  end
end
