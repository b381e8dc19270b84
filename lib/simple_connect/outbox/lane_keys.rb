# frozen_string_literal: true

require "openssl"
require_relative "../internal/autoload"

module SimpleConnect
  module Outbox
    # Computes the keys of lanes. A key has two parts, with a colon between them: one that depends only on the
    # recipient, so that all of a recipient's events can be found and erased, and one that depends on what else
    # separates lanes. Both are HMACs, because a plain digest of a phone number can be guessed.
    # @api private
    class LaneKeys
      # The number of hex digits of each part.
      DIGITS = 32
      private_constant :DIGITS

      # @param key [String]
      # @param purpose [String]
      # @return [String] 32 bytes
      def self.derive(key, purpose) = OpenSSL::HMAC.digest("SHA256", key, "simple_connect outbox #{purpose}")

      # @param keys [Array<String>] the current one first
      def initialize(keys)
        @keys = keys.map { |key| LaneKeys.derive(key, "lanes") }
      end

      # @param client [String] its name
      # @param mobile_no [String, nil] the recipient
      # @param lane [String, nil] a lane of the user's
      # @param event_id [String, nil] of an event that has a lane of its own
      # @return [String]
      def of(client, mobile_no: nil, lane: nil, event_id: nil)
        key = @keys.first
        first = lane || mobile_no ? prefix(key, mobile_no:, lane:) : part(key, "event", client, event_id)
        "#{first}:#{part(key, "client", client, event_id)}"
      end

      # @param mobile_no [String, nil]
      # @param lane [String, nil]
      # @return [Array<String>] the first part, for each of the keys
      def prefixes(mobile_no: nil, lane: nil) = @keys.map { |key| prefix(key, mobile_no:, lane:) }

      # @return [String]
      def inspect = "#<#{self.class.name}>"

      private

      def prefix(key, mobile_no:, lane:)
        lane ? part(key, "lane", lane) : part(key, "recipient", digits(mobile_no))
      end

      # However the number is written.
      def digits(mobile_no)
        digits = mobile_no.gsub(/\D/, "")
        digits.empty? ? mobile_no : digits
      end

      # Each part with its length, so that two lists of parts never become the same text.
      def part(key, *parts)
        OpenSSL::HMAC.hexdigest("SHA256", key, parts.map { |part| "#{part.to_s.bytesize}:#{part}" }.join)[0, DIGITS]
      end
    end
  end
end
