# frozen_string_literal: true

require_relative "../internal/autoload"
module SimpleConnect
  class Kiket < Webhooks::App
    # The settings of an {App}: a Hash with Strings for keys. It does not show its values, as some are secrets.
    class Settings < Hash
      # @param settings [Hash] its keys may be Symbols, too
      # @example
      #   SimpleConnect::Kiket::Settings.new("MAX_RETRIES" => 3)
      def initialize(settings = {})
        super()
        settings.each { |key, value| self[key.to_s] = value }
      end

      # @api private
      # @param settings [Hash]
      # @return [Settings]
      # @raise [ConfigurationError] where it is none
      def self.of(settings)
        return new(settings) if settings.is_a?(Hash)

        raise ConfigurationError, "settings: must be a Hash, such as { \"MAX_RETRIES\" => 3 }, not #{settings.class}"
      end

      # @return [String] the keys alone
      def inspect = "#<#{self.class.name} #{keys.join(", ")}>"
      alias to_s inspect

      # What IRB and `pp` show.
      # @api private
      def pretty_print(printer) = printer.text(inspect)
    end
  end
end
