# frozen_string_literal: true

require_relative "../errors"
require_relative "clock"
require_relative "log"

module SimpleConnect
  # Decides what a job does after an attempt: the table in docs/jobs.md.
  # @api private
  module JobPolicy
    # The integration, the URL or a proxy is wrong, not the event.
    INTEGRATION = [401, 402, 403, 404, 405, 407, 410, *300..399].freeze
    # The first wait in seconds; it doubles after each attempt.
    FIRST_WAIT = 5.0
    # The maximum jitter, as a fraction of the wait.
    JITTER = 0.25
    # The minimum seconds between calls of on_unauthorized.
    SPARED = 60
    private_constant :INTEGRATION, :FIRST_WAIT, :JITTER, :SPARED

    # `todo` is `:done`, `:retry`, `:dead` or `:discard`; `wait` is in seconds, for `:retry`.
    Decision = Struct.new(:todo, :wait, :exhausted)

    @lock = Mutex.new

    class << self
      # @param result [Result]
      # @return [:done, :retry, :integration, :rejected]
      def verdict(result)
        # After a success, or a response too large to read: the service has accepted the event.
        return :done if result.success? || result.taken? || result.network_error == :too_large
        return :integration if result.network_error == :guarded
        return :retry if result.status_code.zero? || result.retryable?

        INTEGRATION.include?(result.status_code) ? :integration : :rejected
      end

      # @param error [DeliveryError]
      # @return [:done, :retry, :integration, :rejected]
      def verdict_of(error)
        return verdict(error.result) if error.result

        case error
        when AuthenticationError, NotFoundError, RedirectError then :integration
        when PermanentError then :rejected
        else :retry
        end
      end

      # Decides, and calls the hooks.
      #
      # @param verdict [Symbol] see {.verdict}
      # @param result [Result, nil]
      # @param failed [Integer] the number of failed attempts, including this one
      # @param since [Float] the start of the first attempt, in seconds since 1970
      # @param context [Hash{Symbol => String, nil}] for the hooks
      # @return [Decision]
      def decide(verdict, result, failed:, since:, context:)
        config = SimpleConnect.configuration
        case verdict
        when :done then Decision.new(:done)
        when :retry then later(config, result, failed, since, context)
        when :integration
          tell(config.on_unauthorized, :on_unauthorized, result, context) if config.on_unauthorized && due?
          Decision.new(:dead)
        else
          tell(config.on_rejected, :on_rejected, result, context)
          Decision.new(config.rejected)
        end
      end

      # @return [Float, nil] the wait in seconds; nil if the time is over, or the server asks for more than is left
      def wait(config, failed, since, asked)
        return if Time.now.to_f - since >= config.give_up_after || (asked && asked > config.give_up_after)

        random = 1 + (rand * JITTER)
        longest = config.max_wait / (1 + JITTER)
        backoff = [FIRST_WAIT * (2.0**(failed - 1)), longest].min * random
        asked ? [backoff, asked * random].max : backoff
      end

      private

      def later(config, result, failed, since, context)
        seconds = wait(config, failed, since, result&.retry_after)
        return Decision.new(:retry, seconds) if seconds

        tell(config.on_exhausted, :on_exhausted, result, context)
        Decision.new(:dead, nil, true)
      end

      def due?
        now = Clock.now
        @lock.synchronize do
          next false if @told && now - @told < SPARED

          @told = now
          true
        end
      end

      def tell(hook, name, result, context)
        hook&.call(result, context)
      rescue StandardError, ScriptError => e
        Log.report(e, "config.#{name}")
      end
    end
  end
  private_constant :JobPolicy
end
