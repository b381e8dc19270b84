# frozen_string_literal: true

require_relative "../errors"

module SimpleConnect
  # Checks of arguments that several classes share.
  # @api private
  module Checks
    UID = /\A[a-zA-Z0-9\-_.]{1,255}\z/
    UID_ERROR = "must be a String of 1 to 255 letters, digits, dashes, underscores and dots"
    private_constant :UID

    class << self
      def class_name?(name) = name.is_a?(String) && name.match?(/\A(::)?[A-Z]/)

      # What keys are derived from. Not Rails' key generator, whose digest depends on `config.load_defaults`: after an
      # upgrade of Rails, it would decrypt nothing.
      #
      # @return [String, nil] the `secret_key_base`; nil without a Rails application
      def rails_secret
        app = ::Rails.application if defined?(::Rails) && ::Rails.respond_to?(:application)
        app&.secret_key_base
      end

      def uid?(uid) = uid.is_a?(String) && uid.b.match?(UID)

      # @return [String, nil] a String or Symbol as a header value; nil if it cannot be one
      def line(value)
        value = value.name if value.is_a?(Symbol)
        return unless value.is_a?(String) && !value.empty?

        text = value.encode(Encoding::UTF_8)
        text.freeze if text.valid_encoding? && !text.match?(/[[:cntrl:]]/)
      rescue EncodingError
        nil
      end

      # @return [Hash, nil] a Hash, or the result of `to_h` on anything else. An error raised by that `to_h`, such as
      #   for unpermitted parameters, is not rescued
      def hash(value)
        return value if value.nil? || value.is_a?(Hash)

        hash = value.to_h if value.respond_to?(:to_h)
        hash if hash.is_a?(Hash)
      rescue TypeError, ArgumentError
        # An Enumerable whose elements are not pairs.
        raise unless value.is_a?(Enumerable)
      end

      def rate_limit_error(limit)
        return if limit.nil? || (limit.is_a?(Integer) && limit.between?(1, 2**32))

        "rate_limit: must be an Integer of 1 or more, the events a second, or nil for any number, " \
          "not #{limit.inspect}"
      end

      # @param zero [Boolean] whether it may be 0
      # @param finite [Boolean] whether it must be finite
      # @return [Numeric] the value
      def seconds(option, value, example, error = ConfigurationError, zero: false, finite: false)
        return value if seconds?(value, zero) && (value.finite? || !finite)

        raise error, "#{option} must be a #{"positive " unless zero}number of seconds, such as #{example}, " \
                     "not #{value.inspect}"
      end

      # @return [Array<String>, nil] the keys as texts; nil for nil
      def event_keys(keys)
        return keys&.map(&:to_s) if keys.nil? || (keys.respond_to?(:map) && !keys.is_a?(Hash))

        raise ConfigurationError, "event_keys: must be a list, such as %w[order_paid order_sent], not #{keys.class}"
      end

      private

      def seconds?(value, zero)
        value.is_a?(Numeric) && value.real? && (zero ? value >= 0 : value.positive?)
      end
    end
  end
  private_constant :Checks
end
