# frozen_string_literal: true

require_relative "../internal/autoload"
require_relative "../internal/job_queue"
require_relative "../internal/observation"

module SimpleConnect
  module Outbox
    # Writes what {Api::Events#deliver_later} delivers into the outbox, with the interface of {JobQueue}.
    # @api private
    class LaterQueue
      # @param configuration [Configuration]
      # @param client [Symbol, nil] its name
      # @param options [Hash] `queue:`, `wait:` and `priority:`; the outbox has none of them
      # @raise [ConfigurationError] if the relay could not find the client
      # @raise [ArgumentError] for any option
      def initialize(configuration, client, **options)
        JobQueue.check_client(configuration, client)
        unless options.compact.empty?
          raise ArgumentError, "the outbox has no #{options.compact.keys.map { |name| "#{name}:" }.join(", ")}: " \
                               "config.job is :outbox, so write SimpleConnect.client.events.deliver_later"
        end

        @writer = configuration.writer(client)
      end

      # @param body [String] JSON
      # @return [Hash{String => String}]
      def job(body) = { "body" => body, "event_id" => Observation.identify(body)[:event_id] }

      # @param jobs [Array<Hash>]
      # @return [void]
      # @raise [EventConflictError] see {Writer#deliver}
      def push(jobs) = @writer.insert_bodies(jobs.map { |job| job["body"] })

      # @return [String]
      def inspect = "of the outbox"
    end
  end
end
