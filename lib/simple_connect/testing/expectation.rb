# frozen_string_literal: true

require_relative "../internal/autoload"

module SimpleConnect
  module Testing
    # What a test expects to be delivered, shared by the RSpec matcher and the Minitest assertions. It finds matching
    # deliveries and describes how others differ.
    # @api private
    class Expectation
      ANY_NUMBER = (1..)
      # The maximum number of deliveries in a failure message.
      MOST_SHOWN = 10
      private_constant :ANY_NUMBER, :MOST_SHOWN

      # Shown for a field that was not sent. It matches nothing.
      NOTHING = Class.new { def inspect = "nothing" }.new
      private_constant :NOTHING

      # Expected values are compared by `===`. Symbols, Times and the like are converted as in JSON.
      #
      # @param event_key [String, Symbol, #===, nil] nil for any
      # @param recipient [String, Hash, #===, nil] the number, or a Hash of the recipient's fields; nil for any
      # @param fields [Hash] fields of the event or the envelope
      # @param count [Integer, Range, nil] the number of deliveries; nil for at least one
      def initialize(event_key, recipient: nil, fields: {}, count: nil)
        unless fields.is_a?(Hash)
          raise ArgumentError, "with: must be a Hash of fields, such as { payment_amount: \"450.00\" }, " \
                               "not #{fields.class}"
        end

        @event_key = plain(event_key)
        @recipient = recipient.nil? || recipient.is_a?(Hash) ? plain(recipient) : { "mobile_no" => plain(recipient) }
        @fields = plain(fields)
        @count = count.is_a?(Integer) ? (count..count) : count || ANY_NUMBER
      end

      # @param deliveries [Array<Delivery>]
      # @return [Array<Delivery>] those that match
      def matching(deliveries) = deliveries.select { |delivery| fits?(delivery) }

      # @param deliveries [Array<Delivery>]
      # @return [Boolean] whether the number of matches is as expected
      def met?(deliveries) = @count.cover?(matching(deliveries).size)

      # @return [String] such as `deliver event "order_paid" to "+919812345678" with order 7 once`
      def description = [target, times].compact.join(" ")

      # @param deliveries [Array<Delivery>]
      # @return [String] what was delivered instead
      def complaint(deliveries)
        fitting = matching(deliveries)
        return "it did so #{counted(fitting.size)}:\n#{list(fitting)}" unless fitting.empty?
        return "it delivered nothing" if deliveries.empty?

        # The same event first.
        others = deliveries.sort_by.with_index { |delivery, index| [same_event?(delivery) ? 0 : 1, index] }
        "it delivered:\n#{list(others)}"
      end

      private

      # Converts as JSON does, except values to compare by `===`.
      def plain(value)
        case value
        when Hash then value.to_h { |key, element| [key.to_s, plain(element)] }
        when Array then value.map { |element| plain(element) }
        when Symbol then value.to_s
        when Numeric then Codec.parse(Codec.generate(value))
        else value.respond_to?(:iso8601) ? Codec.parse(Codec.generate(value)) : value
        end
      end

      def fits?(delivery)
        same_event?(delivery) && comparison(delivery).all? { |_, expected, actual| fit?(expected, actual) }
      end

      def same_event?(delivery) = @event_key.nil? || fit?(@event_key, delivery.event_key)

      # Names, with expected and actual values.
      def comparison(delivery)
        recipient = delivery.recipient || {}
        envelope = { "event_id" => delivery.event_id, "language" => delivery.language,
                     "occurred_at" => delivery.occurred_at }
        fields = { **envelope, **delivery.fields }
        [*@recipient&.map { |name, expected| ["recipient #{name}", expected, recipient.fetch(name, NOTHING)] },
         *@fields.map { |name, expected| [name, expected, fields.fetch(name, NOTHING)] }]
      end

      def fit?(expected, actual)
        return false if NOTHING.equal?(actual)

        case expected
        when Hash
          actual.is_a?(Hash) && actual.size == expected.size &&
            expected.all? { |name, element| actual.key?(name) && fit?(element, actual[name]) }
        when Array
          actual.is_a?(Array) && actual.size == expected.size &&
            expected.zip(actual).all? { |pair| fit?(*pair) }
        else expected === actual # rubocop:disable Style/CaseEquality -- that is what matchers are compared by
        end
      end

      def list(deliveries)
        shown = deliveries.first(MOST_SHOWN).map { |delivery| difference(delivery) }
        shown << "  and #{deliveries.size - MOST_SHOWN} more" if deliveries.size > MOST_SHOWN
        shown.join("\n")
      end

      # For the expected event, it shows the difference field by field.
      def difference(delivery)
        number = delivery.recipient&.fetch("mobile_no", nil)
        title = "  event #{delivery.event_key.inspect}#{" to #{number.inspect}" if number}, " \
                "event_id #{delivery.event_id.inspect}"
        return title unless same_event?(delivery)

        lines = comparison(delivery).flat_map do |name, expected, actual|
          next "      #{name}: #{actual.inspect}" if fit?(expected, actual)

          ["    - #{name}: #{shown(expected)}", "    + #{name}: #{actual.inspect}"]
        end
        [title, *lines].join("\n")
      end

      def target
        fields = @fields.map { |name, expected| "#{name}: #{shown(expected)}" }.join(", ")
        recipient = @recipient&.keys == ["mobile_no"] ? @recipient["mobile_no"] : @recipient
        ["deliver #{@event_key.nil? ? "an event" : "event #{shown(@event_key)}"}",
         ("to #{shown(recipient)}" if recipient), ("with #{fields}" unless fields.empty?)].compact.join(" ")
      end

      # A matcher describes itself.
      def shown(expected)
        return "{ #{expected.map { |name, element| "#{name}: #{shown(element)}" }.join(", ")} }" if expected.is_a?(Hash)

        expected.respond_to?(:matches?) && expected.respond_to?(:description) ? expected.description : expected.inspect
      end

      def times
        return if @count == ANY_NUMBER
        return counted(@count.begin) if @count.begin == @count.end
        return "at least #{counted(@count.begin)}" if @count.end.nil?

        @count.begin.to_i.zero? ? "at most #{counted(@count.end)}" : "#{@count.begin} to #{@count.end} times"
      end

      def counted(number) = { 1 => "once", 2 => "twice" }.fetch(number) { "#{number} times" }
    end
    private_constant :Expectation
  end
end
