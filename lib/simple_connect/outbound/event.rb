# frozen_string_literal: true

require "securerandom"
require_relative "../internal/autoload"
require_relative "../internal/checks"
require_relative "../internal/extension"

module SimpleConnect
  module Outbound
    # An event to send to the {Endpoint}s that match it. Immutable.
    #
    # @example
    #   SimpleConnect::Outbound::Event.new(event_type: "parcel.sent", topics: ["north"], payload: { user: 7 })
    class Event
      # @return [String] identifies the event in all attempts
      attr_reader :uid
      # @return [String] such as `"parcel.sent"`
      attr_reader :event_type
      # @return [String, nil] such as `"1.0.0"`
      attr_reader :version
      # @return [Array<String>]
      attr_reader :topics
      # @return [String] the request body
      attr_reader :body

      # @param event_type [String, Symbol] such as `"parcel.sent"`
      # @param payload [Object, String] sent as JSON; a String is sent unchanged
      # @param uid [String, nil] identifies the event; generated if nil
      # @param version [String, nil] an event without one does not reach endpoints that have a version
      # @param topics [Array<String, Symbol>, nil] an event without topics does not reach endpoints that have topics
      # @raise [ArgumentError] if one of them is invalid; the message says what to write
      # @raise [JSON::GeneratorError] if the payload cannot be JSON
      # @example
      #   SimpleConnect::Outbound::Event.new(event_type: "parcel.sent", version: "1.0.0", payload: { user: 7 })
      def initialize(event_type:, payload:, uid: nil, version: nil, topics: nil)
        @event_type = line("event_type", event_type)
        @uid = uid.nil? ? "ev_#{SecureRandom.hex(12)}" : line("uid", uid)
        @version = version && line("version", version)
        @topics = list(topics).freeze
        @body = text(payload).freeze
        freeze
      end

      # @return [Hash{Symbol => Object}] the arguments of {.new} for an equal event
      # @example
      #   SimpleConnect::Outbound::Event.new(**event.to_h)
      def to_h = { uid:, event_type:, version:, topics:, payload: body }

      # @param other [Object]
      # @return [Boolean] whether it is an event with the same members
      def ==(other) = other.instance_of?(self.class) && to_h == other.to_h
      alias eql? ==

      # @return [Integer] equal for equal events
      def hash = to_h.hash

      # @return [String] without the payload, which does not belong in a log
      def inspect = "#<#{self.class.name} #{uid} #{event_type}>"
      alias to_s inspect

      private

      # It is sent as a header, so it must be one line.
      def line(name, value)
        line = Checks.line(value)
        return line if line

        raise ArgumentError, "#{name}: must be a String, and neither empty nor with line breaks or other control " \
                             "characters, such as #{name == "version" ? '"1.0.0"' : '"parcel.sent"'}, " \
                             "not #{value.inspect}"
      end

      def list(topics)
        return [] if topics.nil?
        return topics.map { |topic| line("topics", topic) } if topics.is_a?(Array)

        raise ArgumentError, "topics: must be a list, such as [\"north\"], not #{topics.inspect}"
      end

      def text(payload)
        return Codec.generate(payload) unless payload.is_a?(String)

        text = payload.encode(Encoding::UTF_8)
        raise EncodingError unless text.valid_encoding?

        text
      rescue EncodingError
        raise ArgumentError, "payload: must be UTF-8 if it is a String: encode binary data, such as in base64"
      end
    end
  end
end
