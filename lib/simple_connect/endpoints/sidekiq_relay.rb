# frozen_string_literal: true

require_relative "../endpoints"

module SimpleConnect
  module Endpoints
    # The Sidekiq job that sends what is due. Loaded if Sidekiq is loaded. It has no arguments: the events are in the
    # database.
    # @api private
    class SidekiqRelay
      include ::Sidekiq::Job

      # @param seconds [Numeric] from now
      # @param queue [String, nil] nil for the default one
      # @return [void]
      # @raise [EnqueueError] if a middleware rejects the job
      # @raise [StandardError] any error of Redis
      def self.enqueue(seconds, queue)
        setter = queue ? set(queue:) : self
        seconds.positive? ? setter.perform_in(seconds.to_f) : setter.perform_async or
          raise EnqueueError, "a Sidekiq middleware rejected the job of #{name}"
      end

      def perform = Endpoints.deliver_due
    end
    private_constant :SidekiqRelay
  end
end
