# frozen_string_literal: true

require_relative "../internal/autoload"

module SimpleConnect
  class Kiket < Webhooks::App
    # Signs and verifies with the interface of Kiket's own SDK; see {Signature}.
    module Auth
      # Raised by {.verify_signature}.
      AuthenticationError = SignatureVerificationError

      # @param secret [String]
      # @param body [String]
      # @param timestamp [Time, Integer, nil] nil for now
      # @return [Hash{Symbol => String}] `:signature` and `:timestamp`, the values of the two headers
      # @raise [ConfigurationError] for a blank secret
      # @raise [ArgumentError] if the body is not a String, or the timestamp is invalid
      # @example
      #   SimpleConnect::Kiket::Auth.generate_signature("s3cret", '{"issue":7}')[:timestamp] # => "1700000000"
      def self.generate_signature(secret, body, timestamp = nil)
        headers = Signature.sign(body, secret:, scheme: :kiket, timestamp: timestamp || Time.now)
        { signature: headers.fetch("X-Kiket-Signature"), timestamp: headers.fetch("X-Kiket-Timestamp") }
      end

      # @param secret [String]
      # @param body [String, nil] the raw body, byte for byte
      # @param headers [Hash, #each] the headers, or a Rack env
      # @return [true]
      # @raise [SignatureVerificationError] if the signature or timestamp is missing or invalid
      # @raise [ConfigurationError] for a blank secret
      # @raise [ArgumentError] if the body is not a String, or the headers are invalid
      # @example
      #   SimpleConnect::Kiket::Auth.verify_signature("s3cret", request.body.read, request.env)
      def self.verify_signature(secret, body, headers)
        Signature.verify!(body, headers, secret:, scheme: :kiket)
        true
      end
    end
  end
end
