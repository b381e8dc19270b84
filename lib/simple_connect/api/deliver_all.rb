# frozen_string_literal: true

require_relative "../internal/batch"
require_relative "../errors"
require_relative "../result"

module SimpleConnect
  module Api
    # Delivers many items at a time.
    module DeliverAll
      # Delivers many items at a time, in the calling thread. Each is delivered as by `deliver`, with its own retries
      # and timeouts. An invalid item, such as one without recipient, returns a failed {Result} with the reason; the
      # others continue. A custom `sleep:` of `retryable:` blocks the others while it waits.
      #
      # An exception (Timeout, Ctrl-C, or an error in the block) ends all deliveries in progress. The server may have
      # received some of them: repeat them with the same `event_id`.
      #
      # @param deliveries [Enumerable<Array, Hash>] each `[event_key, { recipient:, event: }]`, or a Hash of the
      #   arguments including `event_key:`. For {Messages}: a Hash of the keywords. Items are taken one by one, so the
      #   Enumerable can be lazy and endless
      # @param concurrency [Integer] the number of deliveries at a time
      # @yieldparam result [Result] called as soon as each result is known
      # @yieldparam item [Object] the item
      # @yieldparam index [Integer] the item's index, from 0
      # @return [Array<Result>, Integer] the results in the order of the items; with a block, the number of items
      # @raise [ArgumentError] if `deliveries` has no `each`, or `concurrency` is not an Integer of 1 or more
      # @example
      #   payments = Payment.unsent.lazy.map do |payment|
      #     ["customer_payment_received", { recipient: payment.recipient, event: { event_id: "pp_#{payment.id}" } }]
      #   end
      #   client.events.deliver_all(payments, concurrency: 16) do |result, _item, index|
      #     warn "#{index}: #{result.error}" unless result.success?
      #   end
      def deliver_all(deliveries, concurrency: 8)
        unless deliveries.respond_to?(:each)
          raise ArgumentError, "deliveries must be an Array or another Enumerable, not #{deliveries.class}"
        end

        results = [] unless block_given?
        sender = nil
        batch = Batch.new(concurrency) { |item| sender.deliver_item(item) }
        sender = dup.through(batch)
        count = batch.run(deliveries) do |result, item, index|
          results ? results[index] = result : yield(result, item, index)
        end
        results || count
      end

      # @api private
      # @param batch [Batch] whose work makes the calls
      # @return [Events, Messages] a copy
      def within_batch(batch) = dup.through(batch)

      protected

      def through(batch)
        @request = @request.in(batch)
        self
      end

      def deliver_item(item)
        deliver_arguments(item)
      rescue MalformedResponseError => e
        Result.new(success: false, error: "#{e.class}: #{e.message}")
      rescue *item_errors => e
        Result.new(success: false, error: "#{e.class}: #{e.message}", attempts: 0)
      end

      private

      # Errors of a single item; any other error ends the whole call.
      def item_errors
        [ArgumentError, TypeError, EncodingError, Error, *(JSON::JSONError if defined?(JSON::JSONError))]
      end
    end
    private_constant :DeliverAll
  end
end
