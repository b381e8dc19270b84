# frozen_string_literal: true

require_relative "../outbound"

module SimpleConnect
  module Outbound
    # The Sidekiq job that makes a later attempt. Loaded if Sidekiq is loaded.
    # @api private
    class SidekiqDelivery
      include ::Sidekiq::Job

      # @param time [Time]
      # @param queue [String, nil] nil for the default one
      # @param delivery [Hash{String => Object}] plain JSON
      # @return [String, nil] nil if a middleware rejects the job
      def self.enqueue(time, queue, delivery) = (queue ? set(queue:) : self).perform_at(time.to_f, delivery)

      def perform(delivery) = Dispatcher.perform(delivery)
    end
  end
end
