# frozen_string_literal: true

require_relative "../internal/autoload"
require_relative "../sidekiq"

module SimpleConnect
  module Sidekiq
    # The Sidekiq job that delivers what is in the outbox: see {Outbox::RelayJob}.
    #
    # @example With your own options, after `config.outbox.job = "MyRelayJob"`
    #   class MyRelayJob < SimpleConnect::Sidekiq::RelayJob
    #     sidekiq_options tags: ["whatsapp"]
    #   end
    class RelayJob
      include ::Sidekiq::Job

      # The next one does what this one could not.
      sidekiq_options retry: 0, dead: false

      # @api private
      # @param wait [Numeric] seconds
      # @return [void]
      def self.enqueue_relay(wait)
        setter = set({ queue: SimpleConnect.configuration.outbox_settings.queue&.to_s }.compact)
        wait.zero? ? setter.perform_async : setter.perform_in(wait)
      end

      # @api private
      # @return [Boolean] whether it runs within {enqueue_relay}
      def self.at_once? = false

      # @api private
      # @return [void]
      def perform = Outbox.relay_in_job(self.class)
    end
  end
end
