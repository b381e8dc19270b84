# frozen_string_literal: true

require "openssl"
require_relative "../internal/autoload"

module SimpleConnect
  class Sandbox
    # Authenticates requests. Uses Ruby's OpenSSL, so that it shares no code with the signer that it tests.
    # @api private
    class Credentials
      # @return [Array<String>] the accepted signing secrets, the current one first
      attr_accessor :secrets
      # @return [String]
      attr_reader :key_id
      # @return [Numeric] seconds
      attr_reader :tolerance

      # @param key_id [String]
      # @param secrets [Array<String>] the current one first
      # @param api_key [String]
      # @param tolerance [Numeric] seconds
      def initialize(key_id, secrets, api_key, tolerance)
        @key_id = key_id
        @secrets = secrets
        @api_key = api_key
        @tolerance = tolerance
      end

      # @param env [Hash] Rack's
      # @param body [String] the raw body
      # @return [Boolean] whether it was signed with the previous secret
      # @raise [Refusal]
      def check_signature(env, body)
        key_id = header(env, "X-SimpleConnect-Key-Id")
        timestamp = header(env, "X-SimpleConnect-Timestamp")
        signature = header(env, "X-SimpleConnect-Signature")
        raise Refusal.new(401, "Unknown key id") unless key_id == @key_id.b

        # Compares with all secrets, and checks the signature before the timestamp, so that a response reveals nothing.
        matches = @secrets.map { |secret| OpenSSL.secure_compare(sign(secret, timestamp, body), signature) }
        raise Refusal.new(401, "Invalid signature") unless matches.any?

        check_age(timestamp)
        !matches.first
      end

      # @param env [Hash] Rack's
      # @raise [Refusal]
      def check_api_key(env)
        raise Refusal.new(401, "Invalid API key") unless api_key?(env)
      end

      # @param env [Hash] Rack's
      # @return [Boolean] whether it has the API key
      def api_key?(env)
        OpenSSL.secure_compare(@api_key, env["HTTP_AUTHORIZATION"].to_s[/\ABearer +(.+)\z/i, 1].to_s)
      end

      # @return [String] the signature that a request with this timestamp and body must have
      def sign(secret, timestamp, body)
        "sha256=#{OpenSSL::HMAC.hexdigest("SHA256", secret, "#{timestamp}.#{body.b}")}"
      end

      private

      def header(env, name)
        env["HTTP_#{name.upcase.tr("-", "_")}"] || raise(Refusal.new(401, "Missing #{name}"))
      end

      def check_age(timestamp)
        raise Refusal.new(401, "Invalid timestamp") unless timestamp.match?(/\A[0-9]{1,12}\z/)

        age = Time.now.to_i - timestamp.to_i
        return if age.abs <= @tolerance

        raise Refusal.new(401, "Stale timestamp: it is off by #{age.abs} s, and #{@tolerance} s are tolerated")
      end
    end
    private_constant :Credentials
  end
end
