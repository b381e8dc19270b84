# frozen_string_literal: true

require_relative "../internal/autoload"
module SimpleConnect
  class Kiket < Webhooks::App
    # The settings of an extension: a Hash with String keys. `inspect` hides the values, because some are secrets.
    class Settings < Hash
      # @param settings [Hash] with Strings or Symbols as keys
      # @example
      #   SimpleConnect::Kiket::Settings.new("MAX_RETRIES" => 3)
      def initialize(settings = {})
        super()
        settings.each { |key, value| self[key.to_s] = value }
      end

      # @api private
      # @param settings [Hash]
      # @return [Settings]
      # @raise [ConfigurationError] if it is not a Hash
      def self.of(settings)
        return new(settings) if settings.is_a?(Hash)

        raise ConfigurationError, "settings: must be a Hash, such as { \"MAX_RETRIES\" => 3 }, not #{settings.class}"
      end

      # @param key [String, Symbol]
      # @return [Object, nil]
      # @example
      #   context[:settings][:MAX_RETRIES] # => 3
      def [](key) = super(text(key))

      # @param key [String, Symbol]
      # @return [Object]
      # @raise [KeyError] if there is no such setting, and neither default nor block
      def fetch(key, ...) = super(text(key), ...)

      # @param key [String, Symbol]
      # @return [Boolean]
      def key?(key) = super(text(key))
      alias has_key? key?
      alias include? key?
      alias member? key?

      # @param key [String, Symbol]
      # @return [Object, nil]
      def dig(key, *path) = super(text(key), *path)

      # @param keys [Array<String, Symbol>]
      # @return [Array<Object, nil>]
      def values_at(*keys) = super(*keys.map { |key| text(key) })

      # @param keys [Array<String, Symbol>]
      # @return [Hash{String => Object}]
      def slice(*keys) = to_h.slice(*keys.map { |key| text(key) })

      # @return [String] the keys alone
      def inspect = "#<#{self.class.name} #{keys.join(", ")}>"
      alias to_s inspect

      # Used by IRB and `pp`.
      # @api private
      def pretty_print(printer) = printer.text(inspect)

      private

      def text(key) = key.is_a?(Symbol) ? key.name : key
    end
  end
end
