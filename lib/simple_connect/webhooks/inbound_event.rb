# frozen_string_literal: true

require_relative "../internal/autoload"

module SimpleConnect
  module Webhooks
    # A webhook whose signature was checked: what {Webhooks.construct_event} gives.
    class InboundEvent
      # @return [Hash{String => Object}] the payload
      attr_reader :data

      # @param data [Hash{String => Object}] the parsed payload
      # @example For a spec of your own
      #   SimpleConnect::Webhooks::InboundEvent.new("order" => 7)
      def initialize(data)
        @data = data
        freeze
      end

      # @param key [String, Symbol]
      # @return [Object, nil] a member of the payload
      # @example
      #   event["order"] # => 7
      def [](key) = data[name(key)]

      # @param keys [Array<String, Symbol, Integer>] where it stands
      # @return [Object, nil] a member of a member of the payload
      # @example
      #   event.dig("order", "items", 0, "sku")
      def dig(*keys) = data.dig(*keys.map { |key| name(key) })

      # @return [Hash{String => Object}] a copy of the payload
      def to_h = data.dup

      # @param other [Object]
      # @return [Boolean] whether `other` is one with an equal payload
      def ==(other) = other.instance_of?(self.class) && data == other.data

      # @return [String] without the values of the payload, which are nobody's business in a log
      def inspect = "#<#{self.class.name} #{data.keys.join(", ")}>"
      alias to_s inspect

      private

      def name(key) = key.is_a?(Symbol) ? key.name : key
    end
  end
end
