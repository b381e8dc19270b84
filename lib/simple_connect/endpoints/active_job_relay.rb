# frozen_string_literal: true

require_relative "../endpoints"

module SimpleConnect
  module Endpoints
    # The ActiveJob job that sends what is due. Loaded if ActiveJob is loaded. It has no arguments: the events
    # are in the database.
    # @api private
    class ActiveJobRelay < ::ActiveJob::Base
      # @param seconds [Numeric] from now
      # @param queue [String, nil] nil for the default one
      # @return [void]
      # @raise [StandardError, NotImplementedError] any error of the adapter; those that run jobs at once have no later
      def self.enqueue(seconds, queue)
        job = new
        enqueued = job.enqueue({ wait: seconds.positive? ? seconds : nil, queue: }.compact)
        error = job.enqueue_error if job.respond_to?(:enqueue_error)
        raise error || EnqueueError.new("a callback of #{name} rejected the job") unless enqueued
      end

      # The next job, or the relay, does what this one could not.
      discard_on(StandardError, ScriptError) { |_, error| Log.report(error, "the job of endpoints") }

      def perform = Endpoints.deliver_due
    end
    private_constant :ActiveJobRelay
  end
end
