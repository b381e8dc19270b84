# frozen_string_literal: true

require "minitest"
require_relative "testing"

module SimpleConnect
  # See `testing.rb`.
  module Testing
    # Assertions for Minitest. `require "simple_connect/minitest"` adds them to all tests, including Rails' tests. Each
    # test starts with no deliveries and no responses set, and with test mode as it was outside the test. This also
    # works for tests that run in parallel threads.
    #
    # @example In test_helper.rb
    #   require "simple_connect/minitest"
    #   SimpleConnect.test!
    module Assertions
      # Asserts that the block (without one, the test so far) delivered an event, whatever the response.
      #
      # Expected values are compared by `===`.
      #
      # @param event_key [String, Symbol, #===, nil] nil for any
      # @param to [String, Hash, #===, nil] the recipient's number, or a Hash of its fields; nil for any
      # @param with [Hash] some of the event's fields, including `event_id`, `language` and `occurred_at`
      # @param times [Integer, Range, nil] the number of deliveries; nil for at least one
      # @yield code that delivers it
      # @return [Delivery, nil] the first that matches
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
      # @yield code that must not deliver it
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
        block ? Testing.session.deliveries_during(&block) : Testing.session.deliveries_with_outbox
      end
    end

    # Starts a new session for each test.
    # @api private
    module EachTest
      # Whether other tests run at the same time in other threads of this process. The executor decides: Rails marks
      # tests as parallel even if each process runs one at a time.
      def self.on_threads?(test)
        return false unless test.is_a?(Minitest::Parallel::Test)

        executor = Minitest.parallel_executor
        # Rails 7.0 and later. Earlier versions fork with their own executor and use Minitest's for threads.
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
