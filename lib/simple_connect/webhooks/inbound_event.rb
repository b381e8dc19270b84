# frozen_string_literal: true

require_relative "../internal/autoload"

module SimpleConnect
  module Webhooks
    # A webhook with a verified signature: the result of {Webhooks.construct_event}.
    class InboundEvent
      # @return [Hash{String => Object}] the payload
      attr_reader :data

      # @param data [Hash{String => Object}] the parsed payload
      # @example In a spec
      #   SimpleConnect::Webhooks::InboundEvent.new("order" => 7)
      def initialize(data)
        @data = data
        freeze
      end

      # @param key [String, Symbol]
      # @return [Object, nil] a field of the payload
      # @example
      #   event["order"] # => 7
      def [](key) = data[name(key)]

      # @param keys [Array<String, Symbol, Integer>] the path
      # @return [Object, nil] a nested field of the payload
      # @example
      #   event.dig("order", "items", 0, "sku")
      def dig(*keys) = data.dig(*keys.map { |key| name(key) })

      # @return [Hash{String => Object}] a copy of the payload
      def to_h = data.dup

      # @param other [Object]
      # @return [Boolean] whether `other` is an InboundEvent with an equal payload
      def ==(other) = other.instance_of?(self.class) && data == other.data

      # @return [String] without the payload's values, which do not belong in a log
      def inspect = "#<#{self.class.name} #{data.keys.join(", ")}>"
      alias to_s inspect

      private

      def name(key) = key.is_a?(Symbol) ? key.name : key
    end
  end
end
