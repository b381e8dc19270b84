# frozen_string_literal: true

require_relative "../active_job"
require_relative "../internal/job_policy"

module SimpleConnect
  module ActiveJob
    # Handles errors of {Api::Events#deliver!} in your own job as {DeliverJob} does: see docs/jobs.md. Transient errors
    # are retried, permanent errors are raised.
    #
    # @example
    #   class ReceiptJob < ApplicationJob
    #     include SimpleConnect::ActiveJob::Retries
    #
    #     def perform(payment)
    #       event = { event_id: "payment_#{payment.id}", amount: payment.amount }
    #       SimpleConnect.client.with(max_attempts: 1)
    #                    .events.deliver!("payment_received", recipient: payment.recipient, event:)
    #     end
    #   end
    module Retries
      # @api private
      def self.included(job)
        super
        job.rescue_from(DeliveryError) { |error| retry_delivery(error) }
        # The service has accepted the event.
        job.rescue_from(MalformedResponseError) { nil }
      end

      # @api private
      # @return [Hash] with the state that must survive the attempts
      def serialize
        return super unless @simple_connect_since

        super.merge("simple_connect_since" => @simple_connect_since, "simple_connect_failed" => @simple_connect_failed)
      end

      # @api private
      # @param job_data [Hash]
      def deserialize(job_data)
        super
        @simple_connect_since, @simple_connect_failed = job_data.values_at("simple_connect_since",
                                                                           "simple_connect_failed")
      end

      private

      def retry_delivery(error)
        @simple_connect_since ||= Time.now.to_f
        @simple_connect_failed = (@simple_connect_failed || 0) + 1
        context = { client: nil, event_key: nil, event_id: nil, job: self.class.name }
        decision = JobPolicy.decide(JobPolicy.verdict_of(error), error.result,
                                    failed: @simple_connect_failed, since: @simple_connect_since, context:)
        case decision.todo
        when :dead then raise error
        when :retry
          retry_job(wait: decision.wait, error:) or raise EnqueueError, "a callback rejected the job's next attempt"
        end
      end
    end
  end
end
