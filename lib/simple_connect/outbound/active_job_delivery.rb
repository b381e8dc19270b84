# frozen_string_literal: true

require_relative "../outbound"

module SimpleConnect
  module Outbound
    # The ActiveJob job that makes a later attempt. Loaded if ActiveJob is loaded.
    # @api private
    class ActiveJobDelivery < ::ActiveJob::Base
      # Keeps the event's payload out of the log.
      self.log_arguments = false
      # Sidekiq retries by itself. An error, such as a queue that is briefly down, must not end the attempts.
      retry_on StandardError, attempts: 10, wait: ->(executions) { executions**4 }

      # @param time [Time]
      # @param queue [String, nil] nil for the default one
      # @param delivery [Hash{String => Object}] plain JSON
      # @return [Object, false] false if a callback rejects the job
      # @raise [StandardError] any error of the adapter; since ActiveJob 7, an EnqueueError is only kept in the job
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
