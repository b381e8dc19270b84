# frozen_string_literal: true

require_relative "webhooks"

module SimpleConnect
  # Verifies webhooks signed as Simplyq does, with the interface of Simplyq's Ruby library: after
  # `Simplyq = SimpleConnect::Simplyq`, code for that library works unchanged.
  #
  # Not loaded by default: `require "simple_connect/simplyq"`.
  module Simplyq
    # The name in Simplyq's library.
    SignatureVerificationError = SimpleConnect::SignatureVerificationError

    # Verifies the signatures of webhooks.
    module Webhook
      # The maximum difference between a timestamp and now, in seconds, in either direction.
      DEFAULT_TOLERANCE = 300

      # Verifies the signature and timestamp of a request; raises if they are invalid.
      #
      # @param body [String] the raw body, byte for byte
      # @param signatures [String, Array<String>, nil] the header `X-Simplyq-Signature`; one of several must match
      # @param timestamp [String, Integer, nil] the header `X-Simplyq-Timestamp`
      # @param secret [String, Array<String>] the endpoint's secret; several during a rotation
      # @param tolerance [Numeric] the maximum difference between the timestamp and now, in seconds, in either direction
      # @return [true]
      # @raise [SignatureVerificationError] if the signature or timestamp is missing or invalid
      # @raise [ConfigurationError] for a blank secret, or a tolerance that is not a number of seconds
      # @raise [ArgumentError] if the body is not a String
      # @example
      #   SimpleConnect::Simplyq::Webhook.verify_signature(
      #     request.raw_post, secret: ENV.fetch("DEPOT_SECRET"),
      #     timestamp: request.headers["X-Simplyq-Timestamp"], signatures: request.headers["X-Simplyq-Signature"]
      #   )
      def self.verify_signature(body, signatures:, timestamp:, secret:, tolerance: DEFAULT_TOLERANCE)
        Signature.verify!(body, headers(signatures, timestamp), secret:, scheme: :simplyq, tolerance:)
        true
      end

      # Verifies a request as {.verify_signature} does, and parses its body.
      #
      # @param body [String] as for {.verify_signature}
      # @param signatures [String, Array<String>, nil] as for {.verify_signature}
      # @param timestamp [String, Integer, nil] as for {.verify_signature}
      # @param secret [String, Array<String>] as for {.verify_signature}
      # @param tolerance [Numeric] as for {.verify_signature}
      # @return [Webhooks::InboundEvent]
      # @raise [SignatureVerificationError] if the signature or timestamp is missing or invalid
      # @raise [MalformedPayloadError] if the body is not a JSON object
      # @raise [ConfigurationError] see {.verify_signature}
      # @raise [ArgumentError] see {.verify_signature}
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
