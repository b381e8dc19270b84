# frozen_string_literal: true

require "minitest"
require_relative "testing"

module SimpleConnect
  # See `testing.rb`.
  module Testing
    # Assertions for Minitest. `require "simple_connect/minitest"` brings them into all tests, Rails' too, and has each
    # test begin anew: with no deliveries, with nothing set to be answered, and with test mode on or off as it was
    # outside. Also those that run at the same time, on threads.
    #
    # @example In test_helper.rb
    #   require "simple_connect/minitest"
    #   SimpleConnect.test!
    module Assertions
      # Asserts that an event was delivered: by the block, or else by the test so far; whatever was answered.
      #
      # Whatever is expected is held against what there is by `===`.
      #
      # @param event_key [String, Symbol, #===, nil] nil for any
      # @param to [String, Hash, #===, nil] the recipient's number, or a Hash of its fields; nil for any
      # @param with [Hash] some of the event's fields, `event_id`, `language` and `occurred_at` among them
      # @param times [Integer, Range, nil] how often; nil for once at least
      # @yield what is to deliver it
      # @return [Delivery, nil] the first that fits
      # @example
      #   assert_event_delivered("customer_payment_received", to: "+919812345678", with: { order: 7 }) { pay! }
      #   assert_event_delivered("customer_payment_received", with: { payment_mode: /UPI|cash/ }, times: 2)
      def assert_event_delivered(event_key = nil, to: nil, with: {}, times: nil, &block)
        expectation = Expectation.new(event_key, recipient: to, fields: with, count: times)
        deliveries = delivered(&block)
        assert(expectation.met?(deliveries), lambda do
          "Expected the #{block ? "block" : "test"} to #{expectation.description}, " \
            "but #{expectation.complaint(deliveries)}"
        end)
        expectation.matching(deliveries).first
      end

      # Asserts that no such event was delivered: see {#assert_event_delivered}.
      #
      # @param event_key [String, Symbol, #===, nil]
      # @param to [String, Hash, #===, nil]
      # @param with [Hash]
      # @yield what is not to deliver it
      # @return [void]
      # @example
      #   refute_event_delivered("customer_refunded") { pay! }
      def refute_event_delivered(event_key = nil, to: nil, with: {}, &block)
        expectation = Expectation.new(event_key, recipient: to, fields: with)
        deliveries = delivered(&block)
        refute(expectation.met?(deliveries), lambda do
          "Expected the #{block ? "block" : "test"} not to #{expectation.description}, " \
            "but #{expectation.complaint(deliveries)}"
        end)
      end

      private

      def delivered(&block)
        block ? Testing.session.deliveries_during(&block) : Testing.session.deliveries
      end
    end

    # Has each test begin anew.
    # @api private
    module EachTest
      # Whether others of this process run at the same time. What runs them decides, not their order: Rails' tests are
      # in parallel also where each process has one at a time.
      def self.on_threads?(test)
        return false unless test.is_a?(Minitest::Parallel::Test)

        executor = Minitest.parallel_executor
        # Rails' since 7.0; before, it forked by one of its own, and had Minitest's for threads.
        return executor.parallelize_with != :processes if executor.respond_to?(:parallelize_with)

        executor.is_a?(Minitest::Parallel::Executor)
      end

      # Before its setup.
      def before_setup
        @simple_connect_before = Testing.begin(alone: !EachTest.on_threads?(self))
        super
      end

      # After its teardown.
      def after_teardown
        super
      ensure
        Testing.finish(@simple_connect_before)
      end
    end
    private_constant :EachTest

    Minitest::Test.class_eval { include Assertions, EachTest }
  end
end
