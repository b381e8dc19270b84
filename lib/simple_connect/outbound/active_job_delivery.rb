# frozen_string_literal: true

require_relative "../outbound"

module SimpleConnect
  module Outbound
    # Has ActiveJob wait for an attempt that is due later. It is loaded when ActiveJob is there.
    # @api private
    class ActiveJobDelivery < ::ActiveJob::Base
      # The event's payload is nobody's business in a log.
      self.log_arguments = false

      # @param time [Time]
      # @param delivery [Hash{String => Object}] plain JSON
      # @return [Object, false] false where a callback refused it
      # @raise [StandardError] whatever the adapter raises; since ActiveJob 7 an EnqueueError is only kept in the job
      def self.enqueue(time, delivery)
        job = new(delivery)
        enqueued = job.enqueue(wait_until: time)
        error = job.enqueue_error if job.respond_to?(:enqueue_error)
        raise error if error

        enqueued
      end

      def perform(delivery) = Dispatcher.perform(delivery)
    end
  end
end
