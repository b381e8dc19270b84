# frozen_string_literal: true

require_relative "../internal/job_run"

module SimpleConnect
  # The ActiveJob job of {Api::Events#deliver_later}. It retries while the service fails. Permanent failures are raised,
  # so that the adapter keeps the job as failed.
  #
  # @example With your own options, after `config.job = "NotifyJob"`
  #   class NotifyJob < SimpleConnect::DeliverJob
  #     queue_with_priority 20
  #   end
  class DeliverJob < ::ActiveJob::Base
    # Rails 6.1 and later. Keeps recipients out of the log.
    self.log_arguments = false if respond_to?(:log_arguments=)

    # If Sidekiq runs ActiveJob's jobs: an error is final, so Sidekiq must not retry.
    include ::Sidekiq::Job::Options if defined?(::Sidekiq::Job::Options) && !respond_to?(:sidekiq_options)
    sidekiq_options retry: 0, dead: true if respond_to?(:sidekiq_options)

    queue_as { SimpleConnect.configuration.queue }

    class << self
      # @api private
      # @param jobs [Array<Hash>] their arguments
      # @param options [Hash] `queue:`, `wait:` and `priority:`
      # @return [void]
      # @raise [EnqueueError] if a callback rejects a job
      # @raise [StandardError] any error of the adapter
      def enqueue_deliveries(jobs, options)
        jobs = jobs.map { |arguments| new(arguments) }
        if jobs.size > 1 && ::ActiveJob.respond_to?(:perform_all_later)
          ::ActiveJob.perform_all_later(jobs.each { |job| job.set(options) })
          return jobs.each { |job| refuse(job) unless job.successfully_enqueued? }
        end

        jobs.each { |job| job.enqueue(options) || refuse(job) }
      end

      # @api private
      # ActiveJob supports all options.
      def check_options(_options) = nil

      private

      # Since Rails 7, an adapter's error may only be kept in the job.
      def refuse(job)
        error = job.enqueue_error if job.respond_to?(:enqueue_error)
        raise error || EnqueueError.new("a callback of #{name} rejected the job")
      end
    end

    # @api private
    # @param arguments [Hash{String => Object}]
    # @return [void]
    # @raise [DeliveryError] if the delivery failed permanently
    def perform(arguments)
      JobRun.call(arguments, self.class.name) do |wait, later, error|
        # The test adapter does not wait, so the job would retry in an endless loop.
        raise error if queue_adapter.try(:perform_enqueued_at_jobs)

        self.arguments = [later]
        retry_job(wait:, error:) or raise EnqueueError, "a callback of #{self.class.name} rejected the next attempt"
      end
    end
  end
end
