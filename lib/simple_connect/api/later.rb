# frozen_string_literal: true

require_relative "../errors"
require_relative "../internal/autoload"
require_relative "../internal/job_queue"

module SimpleConnect
  module Api
    # Delivers events in background jobs, with options of the queue: {Events#later}.
    class Later
      # The number of jobs to enqueue at a time.
      SLICE = 1_000
      private_constant :SLICE

      # @api private
      # @param events [Events]
      # @param configuration [Configuration, nil]
      # @param client [Symbol, nil] its name
      # @param options [Hash] see {Events#later}
      # @return [Later]
      def self.of(events, configuration, client, **options)
        queue = configuration&.job == :outbox ? Outbox::LaterQueue : JobQueue
        new(events, queue.new(configuration, client, **options))
      end

      # @api private
      # @param events [Events]
      # @param queue [JobQueue]
      def initialize(events, queue)
        @events = events
        @queue = queue
      end

      # The same as {Events#deliver_later}.
      #
      # @overload deliver(event_key, recipient:, event: {})
      # @overload deliver(event_key, fields = {}, event_id: nil, language: "en", occurred_at: nil, **fields)
      # @return [String] the `event_id`
      # @raise [ArgumentError] see {Events#deliver}
      # @raise [UnknownEventError] see {Events#deliver}
      # @raise [JSON::GeneratorError] see {Events#deliver}
      # @raise [EnqueueError] if a callback or a middleware of the queue rejects the job
      # @example
      #   SimpleConnect.client.events.later(wait: 3600).deliver("cart_left", recipient: { mobile_no: "+919812345678" })
      def deliver(...)
        job = @queue.job(@events.body_of(...))
        @queue.push([job])
        job["event_id"]
      end

      # Enqueues a job for each of many events, 1,000 at a time.
      #
      # An invalid event raises, with its index; none of its batch of 1,000 is enqueued.
      #
      # @param deliveries [Enumerable<Array, Hash>] see {Events#deliver_all}; can be lazy
      # @return [Integer] the number of events
      # @raise [ArgumentError] if `deliveries` has no `each`, and see {#deliver}
      # @raise [UnknownEventError] see {#deliver}
      # @raise [JSON::GeneratorError] see {#deliver}
      # @raise [EnqueueError] if a callback or a middleware of the queue rejects a job
      # @example
      #   payments = Payment.unsent.lazy.map do |payment|
      #     ["customer_payment_received", { recipient: payment.recipient, event: { event_id: "pp_#{payment.id}" } }]
      #   end
      #   SimpleConnect.client.events.later(queue: "low").deliver_all(payments)
      def deliver_all(deliveries)
        unless deliveries.respond_to?(:each)
          raise ArgumentError, "deliveries must be an Array or another Enumerable, not #{deliveries.class}"
        end

        count = 0
        deliveries.to_enum.each_slice(SLICE) do |slice|
          @queue.push(slice.map.with_index(count) { |item, index| job_of(item, index, count) })
          count += slice.size
        end
        count
      end

      # @return [String]
      def inspect = "#<#{self.class.name} #{@queue.inspect}>"

      private

      def job_of(item, index, enqueued)
        @queue.job(@events.body_of_item(item))
      rescue ArgumentError, TypeError, EncodingError, Error, *json_errors => e
        raise e, "delivery #{index}: #{e.message} (#{enqueued} before it are enqueued)"
      end

      # If ActiveJob raised the error, it is loaded.
      def json_errors = defined?(JSON::JSONError) ? [JSON::JSONError] : []
    end
  end
end
