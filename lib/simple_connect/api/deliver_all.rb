# frozen_string_literal: true

require_relative "../internal/batch"
require_relative "../errors"
require_relative "../result"

module SimpleConnect
  module Api
    # Delivers many items at a time.
    module DeliverAll
      # See {Events#deliver_all} and {Messages#deliver_all}.
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
