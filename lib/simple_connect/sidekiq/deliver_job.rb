# frozen_string_literal: true

require_relative "../internal/job_run"
require_relative "../sidekiq"

module SimpleConnect
  module Sidekiq
    # The Sidekiq job of {Api::Events#deliver_later}. It schedules itself again while the service fails. Permanent
    # failures go to Sidekiq's dead set.
    #
    # @example With your own options, after `config.job = "NotifyJob"`
    #   class NotifyJob < SimpleConnect::Sidekiq::DeliverJob
    #     sidekiq_options tags: ["whatsapp"]
    #   end
    class DeliverJob
      include ::Sidekiq::Job

      # An error is final, so Sidekiq must not retry.
      sidekiq_options retry: 0, dead: true

      class << self
        # @api private
        # @param jobs [Array<Hash>] their arguments
        # @param options [Hash] `queue:` and `wait:`
        # @return [void]
        # @raise [EnqueueError] if a middleware rejects a job
        def enqueue_deliveries(jobs, options)
          queue = options[:queue]&.to_s
          # A Sidekiq job does not know its queue.
          jobs = jobs.map { |arguments| { **arguments, "queue" => queue } } if queue
          setter = set({ queue:, wait_until: options[:wait] && (Time.now.to_f + options[:wait]) }.compact)
          return refuse(setter.perform_async(jobs.first) ? 0 : 1, 1) if jobs.size == 1

          refuse(jobs.size - setter.perform_bulk(jobs.map { |arguments| [arguments] }).compact.size, jobs.size)
        end

        # @api private
        # @raise [ArgumentError] for options that Sidekiq does not have
        def check_options(options)
          return unless options[:priority]

          raise ArgumentError, "priority: is ActiveJob's; in Sidekiq use a queue of that priority, with queue:"
        end

        private

        def refuse(refused, all)
          return if refused.zero?

          raise EnqueueError, "a Sidekiq middleware rejected #{refused} of #{all} jobs"
        end
      end

      # @api private
      # @param arguments [Hash{String => Object}]
      # @return [void]
      # @raise [DeliveryError] if the delivery failed permanently
      def perform(arguments)
        JobRun.call(arguments, self.class.name) do |wait, later, error|
          # Sidekiq's test mode does not wait, so the job would retry in an endless loop.
          raise error if defined?(::Sidekiq::Testing) && ::Sidekiq::Testing.enabled?

          job = self.class.set({ queue: later["queue"] }.compact).perform_at(Time.now.to_f + wait, later)
          raise EnqueueError, "a Sidekiq middleware rejected the job's next attempt" unless job
        end
      end
    end
  end
end
