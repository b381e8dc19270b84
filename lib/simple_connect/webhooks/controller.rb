# frozen_string_literal: true

require_relative "../internal/autoload"
require_relative "../internal/once"

module SimpleConnect
  module Webhooks
    # Checks signatures in a Rails controller of your own. A request that is not believed gets a 401, with the reason as
    # JSON; `rescue_from SimpleConnect::SignatureVerificationError` answers it in another way.
    #
    # The signature covers the body alone. Read {#simple_connect_event}, not `params`: in Rails a parameter of the
    # query, which anybody can add to a request, wins over one of the body.
    #
    # In a controller that descends from ActionController::Base, `skip_forgery_protection` too: a webhook has no token.
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
      # The variable that the secret is in, where none is given.
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

      # Raises unless the request is signed, and signed not long ago.
      #
      # @param secret [String, Array<String>] by default what SIMPLECONNECT_WEBHOOK_SECRET is in the environment
      # @param replay_guard [#begin, #finish, #forget, nil] what remembers the requests that came, such as a
      #   {ReplayGuard} that all requests share; nil for nothing: a copy of a request is then as good as the request.
      #   What ends in a status of 400 or more may come again
      # @param options [Hash] `scheme:`, `tolerance:` and `now:`, as for {Signature.verify!}
      # @return [Integer] which secret has signed, from 0
      # @raise [SignatureVerificationError] where it is not believed; answered with a 401
      # @raise [ReplayError] where it came before; answered with a 200 and `{"ok":true,"duplicate":true}`, or with a 409
      #   while it is being handled, or where it came to another path
      # @raise [ConfigurationError] as {Signature.verify!}
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

      # Once in a request, however often it is verified.
      def begin_simple_connect_request(guard, key)
        return if @simple_connect_begun

        once = Once.new(guard, key, request.path)
        verdict = once.begin
        raise ReplayError, verdict unless verdict == :new

        @simple_connect_begun = once
      end

      # Around callbacks and rescue_from.
      def process_action(*)
        super.tap { @simple_connect_handled = response.status < 400 }
      ensure
        @simple_connect_begun&.public_send(@simple_connect_handled ? :finish : :forget)
      end

      # The event that was signed.
      #
      # @return [InboundEvent]
      # @raise [MalformedPayloadError] where the body is no JSON object; answered with a 400
      # @raise [Error] where the signature was not checked before
      # @example
      #   simple_connect_event["order"] # => 7
      def simple_connect_event
        unless @simple_connect_body
          raise Error, "the request is not verified: write before_action :verify_simple_connect_signature!"
        end

        InboundEvent.new(Webhooks.parse(@simple_connect_body))
      end

      # Up to Rails 7.0 `raw_post` reads as much as Content-Length says: nothing of a chunked body, where the server,
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
