# frozen_string_literal: true

module SimpleConnect
  module Webhooks
    # What the texts and numbers of endpoints, applications and events must be.
    # @api private
    module Checks
      UID = /\A[a-zA-Z0-9\-_.]{1,255}\z/
      UID_ERROR = "must be a String of 1 to 255 letters, digits, dashes, underscores and dots"
      private_constant :UID

      class << self
        def uid?(uid) = uid.is_a?(String) && uid.b.match?(UID)

        # Whether it is a text that can be sent in a header.
        def line?(value)
          return false unless value.is_a?(String) && !value.empty?

          text = value.encode(Encoding::UTF_8)
          text.valid_encoding? && !text.match?(/[[:cntrl:]]/)
        rescue EncodingError
          false
        end

        def rate_limit_error(limit)
          return if limit.nil? || (limit.is_a?(Integer) && limit.between?(1, 2**32))

          "rate_limit: must be an Integer of 1 or more, the events a second, or nil for any number, " \
            "not #{limit.inspect}"
        end
      end
    end
    private_constant :Checks
  end
end
