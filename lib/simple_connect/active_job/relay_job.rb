# frozen_string_literal: true

require_relative "../internal/autoload"

module SimpleConnect
  module Outbox
    # The ActiveJob job that delivers what is in the outbox. It runs for some 20 seconds at most, and enqueues itself
    # again if there is more; if it is the turn of another one, it ends at once. It is enqueued after a commit; let a
    # schedule of yours enqueue it once a minute, too.
    #
    # @example With your own options, after `config.outbox.job = "MyRelayJob"`
    #   class MyRelayJob < SimpleConnect::Outbox::RelayJob
    #     queue_with_priority 20
    #   end
    class RelayJob < ::ActiveJob::Base
      # If Sidekiq runs ActiveJob's jobs: the next one does what this one could not.
      include ::Sidekiq::Job::Options if defined?(::Sidekiq::Job::Options) && !respond_to?(:sidekiq_options)
      sidekiq_options retry: 0, dead: false if respond_to?(:sidekiq_options)

      queue_as { SimpleConnect.configuration.outbox_settings.queue }

      # @api private
      # @param wait [Numeric] seconds
      # @return [void]
      def self.enqueue_relay(wait) = wait.zero? ? perform_later : set(wait:).perform_later

      # @api private
      # @return [Boolean] whether it runs within {enqueue_relay}
      def self.at_once? = queue_adapter.is_a?(::ActiveJob::QueueAdapters::InlineAdapter)

      # @api private
      # @return [void]
      def perform = Outbox.relay_in_job(self.class)
    end
  end
end
