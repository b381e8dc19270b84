# frozen_string_literal: true

require_relative "../internal/job_run"
require_relative "../sidekiq"

module SimpleConnect
  module Sidekiq
    # Delivers an event that {Api::Events#deliver_later} has enqueued, for Sidekiq. It schedules itself again while the
    # service fails; what fails for good goes into Sidekiq's dead set.
    #
    # @example With options of your own, after `config.job = "NotifyJob"`
    #   class NotifyJob < SimpleConnect::Sidekiq::DeliverJob
    #     sidekiq_options tags: ["whatsapp"]
    #   end
    class DeliverJob
      include ::Sidekiq::Job

      # What is raised is final.
      sidekiq_options retry: 0, dead: true

      class << self
        # @api private
        # @param jobs [Array<Hash>] their arguments
        # @param options [Hash] `queue:` and `wait:`
        # @return [void]
        # @raise [EnqueueError] where a middleware refuses one
        def enqueue_deliveries(jobs, options)
          queue = options[:queue]&.to_s
          # A job does not know in which queue it was.
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

          raise EnqueueError, "a middleware of Sidekiq refused #{refused} of #{all} jobs"
        end
      end

      # @api private
      # @param arguments [Hash{String => Object}]
      # @return [void]
      # @raise [DeliveryError] where the delivery failed for good
      def perform(arguments)
        JobRun.call(arguments, self.class.name) do |wait, later, error|
          # Which waits for nothing, so that the job would come back for ever.
          raise error if defined?(::Sidekiq::Testing) && ::Sidekiq::Testing.enabled?

          job = self.class.set({ queue: later["queue"] }.compact).perform_at(Time.now.to_f + wait, later)
          raise EnqueueError, "a middleware of Sidekiq refused the job's next attempt" unless job
        end
      end
    end
  end
end
