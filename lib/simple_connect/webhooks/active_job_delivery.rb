# frozen_string_literal: true

require_relative "../webhooks"

module SimpleConnect
  module Webhooks
    # Has ActiveJob wait for an attempt that is due later. It is loaded when ActiveJob is there.
    # @api private
    class ActiveJobDelivery < ::ActiveJob::Base
      # The event's payload is nobody's business in a log.
      self.log_arguments = false

      # @param time [Time]
      # @param delivery [Hash{String => Object}] plain JSON
      def self.enqueue(time, delivery) = set(wait_until: time).perform_later(delivery)

      def perform(delivery) = Dispatcher.perform(delivery)
    end
  end
end
