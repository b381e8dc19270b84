# frozen_string_literal: true

require "active_support"
require "active_support/message_encryptor"
require "json"
require "openssl"
require_relative "../internal/autoload"

module SimpleConnect
  module Endpoints
    # Encrypts the secrets and the sensitive headers of stored endpoints.
    # @api private
    class Vault
      CIPHER = "aes-256-gcm"
      private_constant :CIPHER

      class << self
        # @return [Vault] with the configured keys
        # @raise [ConfigurationError] if there are none
        def current
          keys = SimpleConnect.configuration.endpoints.keys
          vault = @current
          vault&.for?(keys) ? vault : @current = new(keys)
        end
      end

      # @param keys [Array<String>] the first encrypts
      def initialize(keys)
        @id = id(keys)
        first, *others = keys.map { |key| OpenSSL::HMAC.digest("SHA256", key, "simple_connect endpoints") }
        @encryptor = ::ActiveSupport::MessageEncryptor.new(first, cipher: CIPHER, serializer: JSON)
        others.each { |key| @encryptor.rotate(key) }
      end

      # @param keys [Array<String>]
      # @return [Boolean] whether this vault has these keys
      def for?(keys) = @id == id(keys)

      # @param value [Object] for JSON
      # @param purpose [String] where it is stored, so that it cannot be read anywhere else
      # @return [String]
      def seal(value, purpose) = @encryptor.encrypt_and_sign(value, purpose:)

      # @return [Object]
      # @raise [Error] if no key fits
      def open(text, purpose)
        @encryptor.decrypt_and_verify(text, purpose:)
      rescue ::ActiveSupport::MessageEncryptor::InvalidMessage
        raise Error, "a stored #{purpose} cannot be decrypted: config.endpoints.encryption_key must have the key " \
                     "that encrypted it, among others if need be"
      end

      # @return [String] without the keys
      def inspect = "#<#{self.class.name}>"

      private

      def id(keys) = keys.map { |key| OpenSSL::Digest::SHA256.digest(key) }
    end
    private_constant :Vault
  end
end
