# frozen_string_literal: true

require_relative "webhooks"

module SimpleConnect
  # What receives webhooks that are signed as Simplyq signs them, in the shape of its library: with
  # `Simplyq = SimpleConnect::Simplyq`, code that was written for that goes on working.
  #
  # It must be asked for, with `require "simple_connect/simplyq"`.
  module Simplyq
    # Where Simplyq's library has it.
    SignatureVerificationError = SimpleConnect::SignatureVerificationError

    # The signatures of webhooks.
    module Webhook
      # How many seconds a timestamp may be away from now, in either direction.
      DEFAULT_TOLERANCE = 300

      # Raises unless the request is signed, and signed not long ago.
      #
      # @param body [String] the body, byte by byte as it came
      # @param signatures [String, Array<String>, nil] the header `X-Simplyq-Signature`; one of several must match
      # @param timestamp [String, Integer, nil] the header `X-Simplyq-Timestamp`
      # @param secret [String, Array<String>] the endpoint's; several while it is being rotated
      # @param tolerance [Numeric] how many seconds the timestamp may be away from now, in either direction
      # @return [true]
      # @raise [SignatureVerificationError] where it is not believed
      # @raise [ConfigurationError] for a blank secret, or a tolerance that is no number of seconds
      # @raise [ArgumentError] where the body is no String
      # @example
      #   SimpleConnect::Simplyq::Webhook.verify_signature(
      #     request.raw_post, secret: ENV.fetch("DEPOT_SECRET"),
      #     timestamp: request.headers["X-Simplyq-Timestamp"], signatures: request.headers["X-Simplyq-Signature"]
      #   )
      def self.verify_signature(body, signatures:, timestamp:, secret:, tolerance: DEFAULT_TOLERANCE)
        Signature.verify!(body, headers(signatures, timestamp), secret:, scheme: :simplyq, tolerance:)
        true
      end

      # Checks a signature, and reads the body it belongs to.
      #
      # @param body [String] as for {.verify_signature}
      # @param signatures [String, Array<String>, nil] as for {.verify_signature}
      # @param timestamp [String, Integer, nil] as for {.verify_signature}
      # @param secret [String, Array<String>] as for {.verify_signature}
      # @param tolerance [Numeric] as for {.verify_signature}
      # @return [Webhooks::InboundEvent]
      # @raise [SignatureVerificationError] where it is not believed
      # @raise [MalformedPayloadError] where it is believed, but is no JSON object
      # @raise [ConfigurationError] as {.verify_signature}
      # @raise [ArgumentError] as {.verify_signature}
      # @example
      #   event = SimpleConnect::Simplyq::Webhook.construct_event(body, signatures:, timestamp:, secret:)
      #   event["user"] # => 7
      def self.construct_event(body, signatures:, timestamp:, secret:, tolerance: DEFAULT_TOLERANCE)
        Webhooks.construct_event(body, headers(signatures, timestamp), secret:, scheme: :simplyq, tolerance:)
      end

      def self.headers(signatures, timestamp)
        { "X-Simplyq-Signature" => signatures, "X-Simplyq-Timestamp" => timestamp }
      end
      private_class_method :headers
    end
  end
end
