# frozen_string_literal: true

require_relative "../outbound"

module SimpleConnect
  module Outbound
    # Has ActiveJob wait for an attempt that is due later. It is loaded when ActiveJob is there.
    # @api private
    class ActiveJobDelivery < ::ActiveJob::Base
      # The event's payload is nobody's business in a log.
      self.log_arguments = false
      # As Sidekiq does by itself: an error, such as a queue that is down for a moment, must not end the attempts.
      retry_on StandardError, attempts: 10, wait: ->(executions) { executions**4 }

      # @param time [Time]
      # @param queue [String, nil] nil for the default one
      # @param delivery [Hash{String => Object}] plain JSON
      # @return [Object, false] false where a callback refused it
      # @raise [StandardError] whatever the adapter raises; since ActiveJob 7 an EnqueueError is only kept in the job
      def self.enqueue(time, queue, delivery)
        job = new(delivery)
        enqueued = job.enqueue({ wait_until: time, queue: }.compact)
        error = job.enqueue_error if job.respond_to?(:enqueue_error)
        raise error if error

        enqueued
      end

      def perform(delivery) = Dispatcher.perform(delivery)
    end
  end
end
