# frozen_string_literal: true

require "rspec/core"
require "rspec/expectations"
require_relative "testing"

module SimpleConnect
  module Testing
    # Matchers for RSpec. `require "simple_connect/rspec"` adds them to all example groups. Each example starts with no
    # deliveries and no responses set, and with test mode as it was outside the example.
    #
    # @example In spec_helper.rb
    #   require "simple_connect/rspec"
    #   SimpleConnect.test!
    module Matchers
      # Expects a block to deliver an event, whatever the response.
      #
      # @param event_key [String, Symbol, #===, nil] nil for any
      # @return [DeliverEvent] chain recipient, fields and count on it
      # @example
      #   expect { pay! }.to deliver_event("customer_payment_received")
      #     .to_recipient("+919812345678").with(payment_amount: "450.00").once
      #   expect { pay! }.not_to deliver_event("customer_refunded")
      def deliver_event(event_key = nil) = DeliverEvent.new(event_key)
    end

    # The matcher that {Matchers#deliver_event} returns.
    class DeliverEvent
      include ::RSpec::Matchers::Composable

      # @api private
      def initialize(event_key)
        @event_key = event_key
        @recipient = nil
        @fields = {}
        @count = nil
      end

      # @param recipient [String, Hash, #===] the number, or a Hash of the recipient's fields; may contain matchers
      # @return [DeliverEvent] self
      # @example
      #   expect { pay! }.to deliver_event.to_recipient(a_string_starting_with("+91"))
      #   expect { pay! }.to deliver_event.to_recipient(name: "Lakshmi Nair")
      def to_recipient(recipient)
        @recipient = recipient
        self
      end

      # @param fields [Hash] some of the event's fields, including `event_id`, `language` and `occurred_at`; may contain
      #   matchers
      # @return [DeliverEvent] self
      # @raise [ArgumentError] if it is not a Hash
      # @example
      #   expect { pay! }.to deliver_event.with(event_id: "payment_42", payment_mode: a_kind_of(String))
      def with(fields)
        unless fields.is_a?(Hash)
          raise ArgumentError, "with takes a Hash of fields, such as with(payment_amount: \"450.00\"), " \
                               "not #{fields.class}"
        end

        @fields = { **@fields, **fields }
        self
      end

      # @return [DeliverEvent] self
      def once = exactly(1)

      # @return [DeliverEvent] self
      def twice = exactly(2)

      # @param number [Integer]
      # @return [DeliverEvent] self
      # @example
      #   expect { pay_all! }.to deliver_event("customer_payment_received").exactly(3).times
      def exactly(number) = counting(number..number)

      # @param number [Integer]
      # @return [DeliverEvent] self
      def at_least(number) = counting(number..)

      # @param number [Integer]
      # @return [DeliverEvent] self
      def at_most(number) = counting(0..number)

      # @return [DeliverEvent] self, so that `exactly(3).times` reads well
      def times = self

      # @api private
      def supports_block_expectations? = true

      # @api private
      def supports_value_expectations? = false

      # @api private
      def matches?(block)
        watch(block)
        expectation.met?(@deliveries)
      end

      # @api private
      def does_not_match?(block)
        raise ArgumentError, "not_to deliver_event takes no number of times" if @count

        watch(block)
        expectation.matching(@deliveries).empty?
      end

      # @return [String]
      def description = expectation.description

      # @return [String]
      def failure_message = "expected the block to #{description}, but #{expectation.complaint(@deliveries)}"

      # @return [String]
      def failure_message_when_negated
        "expected the block not to #{description}, but #{expectation.complaint(@deliveries)}"
      end

      private

      def counting(range)
        @count = range
        self
      end

      def watch(block)
        raise ArgumentError, "deliver_event takes a block: write expect { … }.to deliver_event" unless block.is_a?(Proc)

        @deliveries = Testing.session.deliveries_during(&block)
      end

      def expectation = Expectation.new(@event_key, recipient: @recipient, fields: @fields, count: @count)
    end
  end
end

RSpec.configure do |config|
  config.include SimpleConnect::Testing::Matchers
  config.around do |example|
    before = SimpleConnect::Testing.begin
    example.run
  ensure
    SimpleConnect::Testing.finish(before)
  end
end
