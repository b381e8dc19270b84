# frozen_string_literal: true

require_relative "../internal/batch"
require_relative "../errors"
require_relative "../result"

module SimpleConnect
  module Api
    # Many deliveries at a time.
    module DeliverAll
      # Delivers many at a time, on this thread alone. Each is delivered as by `deliver`, with its own retries and
      # bounds on time; one that cannot be, such as one without recipient, gives a failed {Result} that says why, and
      # the rest go on. A `retryable:` with a sleep of its own holds up the others while it waits.
      #
      # What is raised meanwhile (Timeout, Ctrl-C, an error of the block) ends all that is under way. Whether the
      # server had taken those nobody can know: repeat them with the same `event_id`.
      #
      # @param deliveries [Enumerable<Array, Hash>] each `[event_key, { recipient:, event: }]`, or a Hash of the
      #   arguments, `event_key:` among them. Of {Messages}: a Hash of the keywords. Taken one by one as capacity
      #   frees, so it may be lazy, and endless
      # @param concurrency [Integer] how many at a time
      # @yieldparam result [Result] as soon as it is there
      # @yieldparam item [Object] what it is the result of
      # @yieldparam index [Integer] which one that was, from 0
      # @return [Array<Result>, Integer] the results in the order of the deliveries; with a block, how many there were
      # @raise [ArgumentError] where `deliveries` has no `each`, or `concurrency` is no Integer of 1 or more
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

      # What is wrong with an item and not with the rest; anything else ends the whole call.
      def item_errors
        [ArgumentError, TypeError, EncodingError, Error, *(JSON::JSONError if defined?(JSON::JSONError))]
      end
    end
    private_constant :DeliverAll
  end
end
