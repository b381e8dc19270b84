# frozen_string_literal: true

require_relative "../internal/job_run"

module SimpleConnect
  # Delivers an event that {Api::Events#deliver_later} has enqueued, for ActiveJob. It retries itself while the service
  # fails; what fails for good is raised, so that the adapter keeps it as it keeps failed jobs.
  #
  # @example With options of your own, after `config.job = "NotifyJob"`
  #   class NotifyJob < SimpleConnect::DeliverJob
  #     queue_with_priority 20
  #   end
  class DeliverJob < ::ActiveJob::Base
    # From Rails 6.1 on. Whom an event is for is nobody's business in a log.
    self.log_arguments = false if respond_to?(:log_arguments=)

    # Where it is Sidekiq that works on ActiveJob's jobs: what is raised is final.
    include ::Sidekiq::Job::Options if defined?(::Sidekiq::Job::Options) && !respond_to?(:sidekiq_options)
    sidekiq_options retry: 0, dead: true if respond_to?(:sidekiq_options)

    queue_as { SimpleConnect.configuration.queue }

    class << self
      # @api private
      # @param jobs [Array<Hash>] their arguments
      # @param options [Hash] `queue:`, `wait:` and `priority:`
      # @return [void]
      # @raise [EnqueueError] where a callback refuses one
      # @raise [StandardError] whatever the adapter raises
      def enqueue_deliveries(jobs, options)
        jobs = jobs.map { |arguments| new(arguments) }
        if jobs.size > 1 && ::ActiveJob.respond_to?(:perform_all_later)
          ::ActiveJob.perform_all_later(jobs.each { |job| job.set(options) })
          return jobs.each { |job| refuse(job) unless job.successfully_enqueued? }
        end

        jobs.each { |job| job.enqueue(options) || refuse(job) }
      end

      # @api private
      # ActiveJob has all of them.
      def check_options(_options) = nil

      private

      # Since Rails 7 what an adapter raises may only be kept in the job.
      def refuse(job)
        error = job.enqueue_error if job.respond_to?(:enqueue_error)
        raise error || EnqueueError.new("a callback of #{name} refused the job")
      end
    end

    # @api private
    # @param arguments [Hash{String => Object}]
    # @return [void]
    # @raise [DeliveryError] where the delivery failed for good
    def perform(arguments)
      JobRun.call(arguments, self.class.name) do |wait, later, error|
        # The test adapter does not wait, and would come back for ever.
        raise error if queue_adapter.try(:perform_enqueued_at_jobs)

        self.arguments = [later]
        retry_job(wait:, error:) or raise EnqueueError, "a callback of #{self.class.name} refused the next attempt"
      end
    end
  end
end
