# frozen_string_literal: true

require_relative "../internal/job_policy"
require_relative "../sidekiq"

module SimpleConnect
  module Sidekiq
    # Makes Sidekiq handle errors of {Api::Events#deliver!} in your own job as {DeliverJob} does; see docs/jobs.md.
    # Other errors keep Sidekiq's default. It sets `sidekiq_retry_in`, so it does not work in a job that sets its own.
    #
    # Before Sidekiq 6.5.2 such a block cannot end a job: after a permanent error, Sidekiq retries after
    # `config.max_wait`.
    #
    # @example
    #   class ReceiptJob
    #     include Sidekiq::Job
    #     include SimpleConnect::Sidekiq::Retries
    #
    #     def perform(payment_id)
    #       event = { event_id: "payment_#{payment_id}", amount: "450.00" }
    #       SimpleConnect.client.with(max_attempts: 1)
    #                    .events.deliver!("payment_received", recipient: { mobile_no: "+919812345678" }, event:)
    #     end
    #   end
    module Retries
      # The first version in which the block can end a job.
      ENDS_JOBS = Gem::Version.new("6.5.2")
      private_constant :ENDS_JOBS

      # @api private
      def self.included(job)
        super
        name = job.name
        # Sidekiq 7.0.8 and later passes the job.
        job.sidekiq_retry_in { |count, error, fields = nil| Retries.retry_in(count, error, fields, name) }
      end

      # @api private
      # @param count [Integer] the number of retries so far
      # @param error [Exception]
      # @param fields [Hash, nil] the job's
      # @param job [String] the name of its class
      # @return [Integer, Symbol, nil] seconds, `:kill` or `:discard`; nil for Sidekiq's default
      def self.retry_in(count, error, fields, job)
        case error
        when MalformedResponseError then ending(:discard)
        when DeliveryError then of_delivery(count, error, fields&.fetch("failed_at", nil), job)
        end
      end

      class << self
        private

        def of_delivery(count, error, failed_at, job)
          context = { client: nil, event_key: nil, event_id: nil, job: }
          decision = JobPolicy.decide(JobPolicy.verdict_of(error), error.result,
                                      failed: count + 1, since: seconds(failed_at), context:)
          case decision.todo
          when :retry then decision.wait.ceil
          when :dead then ending(:kill)
          else ending(:discard)
          end
        end

        # Sidekiq 8 and later uses milliseconds.
        def seconds(failed_at)
          return Time.now.to_f unless failed_at

          failed_at > 100_000_000_000 ? failed_at / 1000.0 : failed_at
        end

        def ending(how)
          return how if Gem::Version.new(::Sidekiq::VERSION) >= ENDS_JOBS

          SimpleConnect.configuration.max_wait.ceil
        end
      end
    end
  end
end
