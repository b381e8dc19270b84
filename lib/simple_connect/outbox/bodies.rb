# frozen_string_literal: true

require "active_support"
require "active_support/message_encryptor"
require_relative "../internal/autoload"
require_relative "../errors"

module SimpleConnect
  module Outbox
    # Encrypts bodies for the database, if wanted, and opens them again, whether they are encrypted or not.
    # @api private
    class Bodies
      # What begins with it is JSON; an encrypted body is Base64.
      JSON_BEGINS = "{"
      # The mark keeps ActiveSupport from taking the JSON for its own metadata.
      module Marked
        def self.dump(body) = "b#{body}"
        def self.load(text) = text.byteslice(1..)
      end
      private_constant :JSON_BEGINS, :Marked

      # @param settings [Settings]
      def initialize(settings) = @settings = settings

      # @param body [String] JSON
      # @return [String] what to store
      # @raise [ConfigurationError] without a key
      def encrypt(body) = @settings.encrypt ? encryptor.encrypt_and_sign(body.b) : body

      # @param stored [String]
      # @return [String] JSON
      # @raise [ConfigurationError] if no key opens it
      def decrypt(stored)
        return stored.dup.force_encoding(Encoding::UTF_8) if stored.start_with?(JSON_BEGINS)

        encryptor.decrypt_and_verify(stored).force_encoding(Encoding::UTF_8)
      rescue ::ActiveSupport::MessageEncryptor::InvalidMessage
        raise ConfigurationError, "no key opens this event of the outbox: set config.outbox.encryption_key and " \
                                  "config.outbox.previous_encryption_keys"
      end

      # @return [String]
      def inspect = "#<#{self.class.name}>"

      private

      def encryptor
        @encryptor ||= begin
          keys = @settings.keys.map { |key| LaneKeys.derive(key, "bodies") }
          options = { cipher: "aes-256-gcm", serializer: Marked }
          encryptor = ::ActiveSupport::MessageEncryptor.new(keys.first, **options)
          keys.drop(1).each { |key| encryptor.rotate(key, **options) }
          encryptor
        end
      end
    end
  end
end
