# frozen_string_literal: true

require_relative "../errors"
require_relative "../internal/after_commit"
require_relative "../internal/autoload"
require_relative "../internal/clock"
require_relative "../internal/job_class"
require_relative "../internal/log"
require_relative "../internal/transport"

module SimpleConnect
  module Outbox
    # Enqueues the relay's job after a commit, at most twice in {EVERY} seconds: at once, and once more for what is
    # written meanwhile. This only makes deliveries faster: what guarantees them is the application's schedule.
    # @api private
    module Wake
      EVERY = 1
      JOBS = { active_job: "SimpleConnect::Outbox::RelayJob", sidekiq: "SimpleConnect::Sidekiq::RelayJob" }.freeze
      private_constant :JOBS

      @lock = Mutex.new

      class << self
        # @return [void]
        def after_commit = AfterCommit.call { now }

        # @return [void]
        def now
          # Testing.drain and the matchers deliver it.
          return Transport.testing.outbox_written if Transport.testing&.enabled?

          job = job_class or return
          # An adapter that runs jobs at once has no later.
          wait = job.at_once? ? 0 : turn
          job.enqueue_relay(wait) if wait
        rescue StandardError, ScriptError => e
          # The event is stored; it must not look to the caller as if it were not.
          Log.report(e, "the job that wakes the outbox's relay")
        end

        # @return [Class, nil] nil if there is none
        # @raise [ConfigurationError] if the configured one cannot be used
        def job_class
          job = SimpleConnect.configuration.outbox_settings.job
          job == false ? nil : JobClass.find("config.outbox.job", job, JOBS, :enqueue_relay)
        end

        # @return [void]
        def reset = @lock.synchronize { @next = nil }

        private

        # @return [Float, nil] the seconds to wait; nil if a job that starts later is enqueued already
        def turn
          now = Clock.now
          @lock.synchronize do
            wait = (@next || now) - now
            if wait.positive? && wait <= EVERY
              @next += EVERY
              wait
            elsif wait <= 0
              @next = now + EVERY
              0
            end
          end
        end
      end
    end
  end
end
