# frozen_string_literal: true

module SimpleConnect
  module Webhooks
    # Checks signatures in a Rails controller of your own. A request that is not believed gets a 401, with the reason as
    # JSON; `rescue_from SimpleConnect::SignatureVerificationError` answers it in another way.
    #
    # In a controller that descends from ActionController::Base, `skip_forgery_protection` too: a webhook has no token.
    #
    # @example
    #   class WebhooksController < ActionController::API
    #     include SimpleConnect::Webhooks::Controller
    #     before_action :verify_simple_connect_signature!
    #
    #     def create
    #       event = params.require(:event)
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
      end

      private

      # Raises unless the request is signed, and signed not long ago.
      #
      # @param secret [String, Array<String>] by default what SIMPLECONNECT_WEBHOOK_SECRET is in the environment
      # @param options [Hash] `scheme:`, `tolerance:` and `now:`, as for {Signature.verify!}
      # @return [Integer] which secret has signed, from 0
      # @raise [SignatureVerificationError] where it is not believed; answered with a 401
      # @raise [ConfigurationError] as {Signature.verify!}
      # @example With a secret from elsewhere
      #   before_action { verify_simple_connect_signature!(secret: Rails.application.credentials.webhook_secret) }
      def verify_simple_connect_signature!(secret: ENV.fetch(SECRET, nil), **options)
        Signature.verify!(request.raw_post, request.headers, secret:, **options)
      end

      def refuse_simple_connect_signature(error)
        render(json: error.to_h, status: :unauthorized)
      end
    end
  end
end
