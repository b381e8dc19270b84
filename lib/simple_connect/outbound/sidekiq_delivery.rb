# frozen_string_literal: true

require_relative "../outbound"

module SimpleConnect
  module Outbound
    # Has Sidekiq wait for an attempt that is due later. It is loaded when Sidekiq is there.
    # @api private
    class SidekiqDelivery
      include ::Sidekiq::Job

      # @param time [Time]
      # @param queue [String, nil] nil for the default one
      # @param delivery [Hash{String => Object}] plain JSON
      # @return [String, nil] nil where a middleware refused it
      def self.enqueue(time, queue, delivery) = (queue ? set(queue:) : self).perform_at(time.to_f, delivery)

      def perform(delivery) = Dispatcher.perform(delivery)
    end
  end
end
