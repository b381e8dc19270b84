# frozen_string_literal: true

require_relative "../internal/autoload"

module SimpleConnect
  class Kiket < Webhooks::App
    # Signatures, as Kiket's own SDK offers them; see {Signature} for what they are.
    module Auth
      # What {.verify_signature} raises.
      AuthenticationError = SignatureVerificationError

      # @param secret [String]
      # @param body [String]
      # @param timestamp [Time, Integer, nil] nil for now
      # @return [Hash{Symbol => String}] `:signature` and `:timestamp`, the values of the two headers
      # @raise [ConfigurationError] for a blank secret
      # @raise [ArgumentError] where the body is no String, or the timestamp none
      # @example
      #   SimpleConnect::Kiket::Auth.generate_signature("s3cret", '{"issue":7}')[:timestamp] # => "1700000000"
      def self.generate_signature(secret, body, timestamp = nil)
        headers = Signature.sign(body, secret:, scheme: :kiket, timestamp: timestamp || Time.now)
        { signature: headers.fetch("X-Kiket-Signature"), timestamp: headers.fetch("X-Kiket-Timestamp") }
      end

      # @param secret [String]
      # @param body [String, nil] byte by byte as it came
      # @param headers [Hash, #each] the header fields, or a Rack env
      # @return [true]
      # @raise [SignatureVerificationError] where the request is not believed
      # @raise [ConfigurationError] for a blank secret
      # @raise [ArgumentError] where the body is no String, or the headers are no such thing
      # @example
      #   SimpleConnect::Kiket::Auth.verify_signature("s3cret", request.body.read, request.env)
      def self.verify_signature(secret, body, headers)
        Signature.verify!(body, headers, secret:, scheme: :kiket)
        true
      end
    end
  end
end
