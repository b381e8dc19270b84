# frozen_string_literal: true

require "securerandom"
require_relative "records"
require_relative "../internal/after_commit"
require_relative "../internal/batch"
require_relative "../internal/clock"
require_relative "../internal/log"

module SimpleConnect
  module Endpoints
    # Records events and sends their deliveries, at once or when they are due.
    # @api private
    class Relay
      # Deliveries that are sent at the same time.
      CONCURRENCY = 16
      # Seconds after which another process may send a delivery that this one has claimed.
      LEASE = 90
      # Seconds to wait after a fault of our own side.
      OWN_FAULT = 60
      # The longest wait that an endpoint may ask for, in seconds.
      LONGEST_WAIT = 24 * 3600
      # The longest pause of a process that has nothing to send, in seconds.
      IDLE = 1.0
      # The shortest.
      LOOK = 0.02
      # Seconds between deletions of what is old.
      CLEAN_EVERY = 3600
      private_constant :CONCURRENCY, :LEASE, :OWN_FAULT, :LONGEST_WAIT, :IDLE, :LOOK, :CLEAN_EVERY

      # @param store [Store]
      # @param directory [Directory]
      def initialize(store, directory)
        @store = store
        @directory = directory
        @health = Health.new(store)
        @couriers = {}
        @lock = Mutex.new
      end

      # See {Endpoints.publish}.
      def publish(application_uid, event, now:)
        entry = @directory.find(application_uid) or
          raise ConfigurationError, "no application has the uid #{application_uid.inspect}: create it with " \
                                    "SimpleConnect::Endpoints::Application.create!"
        endpoints = entry.router.route(event)
        return [] if endpoints.empty?

        courier(entry.scheme).check_uid(event)
        token = SecureRandom.hex(16) if now && !@store.in_transaction?
        deliveries = @store.record(entry, event, endpoints, token && [token, LEASE])
        attempts = deliveries.to_h { |delivery| [delivery.endpoint_id, attempt(entry, delivery)] }
        if token
          mine = deliveries.select { |delivery| delivery.lease_token == token }
          finish(send_all(mine, entry.id => entry) { |attempt, delivery| attempts[delivery.endpoint_id] = attempt })
        else
          wake
        end
        endpoints.filter_map { |endpoint| attempts[entry.ids[endpoint.uid]] }
      end

      # Sends what is due, until nothing is or the time is over.
      #
      # @param seconds [Numeric]
      # @return [Integer] how many deliveries
      def run(seconds)
        state = Run.new(Clock.now, [], Clock.now + seconds)
        count = perform(state) { |batch| due(batch, state) }
        finish(state)
        clean_in_time
        count
      end

      # Sends what is due until the block returns true. Jobs send nothing of it.
      #
      # @yieldreturn [Boolean] whether to stop
      # @return [void]
      def serve(&stop)
        until yield
          begin
            state = Run.new(Clock.now, [])
            perform(state) { |batch| due(batch, state, stop) }
          rescue StandardError => e
            # Such as a database that is away.
            Log.report(e, "the relay of endpoints")
            sleep(IDLE) unless yield
          end
        end
      end

      # Enqueues a job that sends what is due, after the open transactions have committed. Without one, nothing is lost:
      # the next job, or the relay, sends it.
      #
      # @param seconds [Numeric] from now
      # @return [void]
      def wake(seconds = 0)
        job = job_class or return
        AfterCommit.call do
          job.enqueue(seconds, Endpoints.settings.queue&.to_s)
        rescue StandardError => e
          Log.report(e, "the job queue of endpoints")
        end
      end

      private

      # What one pass does: when it claimed its deliveries, in how many seconds those that wait are due, when it ends.
      Run = Struct.new(:claimed_at, :waits, :ends_at)
      private_constant :Run

      def job_class
        case Endpoints.settings.jobs
        when nil then default_job
        when :sidekiq then SidekiqRelay
        when :active_job then ActiveJobRelay
        end
      end

      def default_job
        return SidekiqRelay if defined?(::Sidekiq::Job)

        ActiveJobRelay if defined?(::ActiveJob::Base)
      end

      # One job for all that wait: it enqueues the next.
      def finish(state)
        first = state.waits.min
        wake(first) if first
      end

      def send_all(deliveries, entries, &done)
        state = Run.new(Clock.now, [])
        pairs = deliveries.map { |delivery| [delivery, entries[delivery.event.application_id]] }
        perform(state, done:) { pairs }
        state
      end

      def perform(state, done: nil)
        batch = Batch.new(CONCURRENCY) { |(delivery, entry)| deliver(delivery, entry, batch, state) }
        batch.run(yield(batch)) { |attempt, (delivery, _)| done&.call(attempt, delivery) }
      end

      # Pairs of what is due and its application, claimed when there is room for it.
      def due(batch, state, stop = nil)
        Enumerator.new do |pairs|
          until stop&.call
            # The next job goes on.
            break state.waits << 0 if state.ends_at && Clock.now >= state.ends_at

            deliveries = @store.claim(CONCURRENCY, SecureRandom.hex(16), LEASE)
            state.claimed_at = Clock.now
            break if deliveries.empty? && stop.nil?

            offer(deliveries, pairs, stop)
            idle(batch, stop) if deliveries.empty?
          end
        end
      end

      def offer(deliveries, pairs, stop)
        entries = @directory.find_all(deliveries.map { |delivery| delivery.event.application_id }.uniq)
        entries.each_value { |entry| Log.report(entry, "the relay of endpoints") if entry.is_a?(Error) }
        deliveries.each do |delivery|
          # Another process need not wait until the lease is over.
          next @store.release(delivery, seconds: 0) if stop&.call

          pairs << [delivery, entries[delivery.event.application_id]]
        end
      end

      # What is under way goes on meanwhile.
      def idle(batch, stop)
        clean_in_time
        ends = Clock.now + [@store.due_in || IDLE, IDLE].min.clamp(LOOK, IDLE)
        batch.progress(ends - Clock.now) while Clock.now < ends && !stop.call
      end

      def clean_in_time
        return if @cleaned_at && Clock.now - @cleaned_at < CLEAN_EVERY

        @cleaned_at = Clock.now
        @store.clean(Endpoints.settings.retain)
      end

      # @return [Outbound::DeliveryAttempt]
      def deliver(delivery, entry, batch, state)
        # Until somebody corrects the application.
        return later(delivery, attempt(nil, delivery), own_fault_wait, state) if entry.is_a?(Error)

        endpoint = entry&.by_id&.[](delivery.endpoint_id)
        attempt = attempt(entry, delivery)
        return ended(delivery, attempt, "canceled") unless endpoint
        return ended(delivery, attempt, "kept") if entry.disabled[endpoint.uid]
        return ended(delivery, attempt, "canceled") unless endpoint.active?

        wait = waits?(delivery, entry, endpoint)
        return later(delivery, attempt, wait, state, waiting: true) if wait.positive?
        return attempt unless still_mine?(delivery, state)

        attempt, result = courier(delivery.scheme.to_sym).exchange(attempt, delivery.event.to_event, endpoint, batch,
                                                                   replay: delivery.replay)
        settle(delivery, entry, scrubbed(attempt, endpoint), result, state)
      end

      # Without the endpoint's secrets, which it may show in an error page. The transport has removed its sensitive
      # headers.
      def scrubbed(attempt, endpoint)
        secrets = [*endpoint.secret].map(&:b)
        hide = lambda do |text|
          next text unless text && secrets.any? { |secret| text.b.include?(secret) }

          secrets.inject(text.b) { |bytes, secret| bytes.gsub(secret, "[redacted]") }.force_encoding(Encoding::UTF_8)
        end
        attempt.with(response: hide[attempt.response], error: hide[attempt.error],
                     response_headers: attempt.response_headers.transform_values(&hide))
      end

      def attempt(entry, delivery)
        endpoint = entry&.by_id&.[](delivery.endpoint_id)
        Outbound::DeliveryAttempt.new(
          id: "at_#{SecureRandom.hex(12)}", event_uid: delivery.event.uid, endpoint_uid: endpoint&.uid.to_s,
          endpoint_url: endpoint&.url, status: STATUSES.fetch(delivery.state), retry_count: delivery.retry_count,
          trigger_type: delivery.replay ? :manual : :automatic, started_at: Endpoints.time(delivery.started_at),
          scheduled_at: Endpoints.time(delivery.scheduled_at || delivery.next_attempt_at)
        )
      end

      STATUSES = { "pending" => :pending, "kept" => :pending, "succeeded" => :success, "failed" => :failure,
                   "canceled" => :canceled }.freeze
      private_constant :STATUSES

      def ended(delivery, attempt, state)
        @store.release(delivery, state:)
        attempt.with(status: STATUSES.fetch(state))
      end

      def later(delivery, attempt, seconds, state, **changes)
        @store.release(delivery, seconds:, **changes)
        state.waits << seconds
        attempt.pending? ? attempt.with(scheduled_at: Time.now + seconds) : attempt
      end

      # The seconds until the endpoint takes another event.
      def waits?(delivery, entry, endpoint)
        held = @store.held_for(delivery.endpoint_id)
        # Not all at the same time.
        return held * (1 + (rand / 10)) if held.positive?

        limit = entry.application.rate_limit_of(endpoint) or return 0.0
        take(delivery, "#{entry.application.uid}/#{endpoint.uid}", limit)
      end

      def take(delivery, key, limit)
        shared_take(key, limit, delivery.waiting) || @store.take(delivery.endpoint_id, limit, waited: delivery.waiting)
      end

      def shared_take(key, limit, waited)
        Endpoints.settings.limiter&.take(key, limit, waited:)
      rescue StandardError => e
        # Such as a Redis that is away.
        Log.report(e, "config.endpoints.limiter")
      end

      def still_mine?(delivery, state)
        return true if Clock.now - state.claimed_at < LEASE / 3

        @store.renew(delivery, LEASE)
      end

      # Records what happened. What concerns others happens after that.
      def settle(delivery, entry, attempt, result, state)
        done = nil
        @store.transaction do
          done = []
          @store.keep(delivery, attempt)
          started = { started_at: delivery.started_at || micros(attempt.started_at), waiting: false }
          if attempt.success?
            @health.succeeded(delivery.endpoint_id)
            @store.release(delivery, state: "succeeded", **started)
          elsif Health.own_fault?(result)
            later(delivery, attempt, own_fault_wait, state, **started)
          else
            failed(delivery, entry, attempt, result, state, started, done)
          end
        end
        done.each(&:call)
        attempt
      end

      def own_fault_wait = OWN_FAULT * (0.75 + (rand / 2))

      def failed(delivery, entry, attempt, result, state, changes, done)
        changes = { **changes, retry_count: delivery.retry_count + 1 }
        if disabled?(delivery, entry, result, done)
          @store.release(delivery, state: "kept", **changes)
        elsif (time = courier(delivery.scheme.to_sym).next_time(attempt, entry.application))
          wait = [time - attempt.attempted_at, hold_back(delivery, result)].max
          later(delivery, attempt, wait, state, **changes)
        elsif @store.release(delivery, state: "failed", **changes)
          done << -> { exhausted(attempt) }
        end
      end

      def disabled?(delivery, entry, result, done)
        return @health.disable(entry, delivery.endpoint_id, "gone", done) if result.status_code == 410

        @health.failed(entry, delivery.endpoint_id, done)
      end

      def micros(time) = (time.to_r * 1_000_000).to_i

      # The seconds that the endpoint asks for, for all its events.
      def hold_back(delivery, result)
        return 0 unless [429, 503].include?(result.status_code)

        asked = [result.retry_after || 0, LONGEST_WAIT].min
        @store.hold_back(delivery.endpoint_id, asked) if asked.positive?
        asked
      end

      def exhausted(attempt)
        Endpoints.settings.on_exhausted&.call(attempt)
      rescue StandardError, ScriptError => e
        Log.report(e, "config.endpoints.on_exhausted")
      end

      # Sends with a scheme.
      def courier(scheme)
        options = { scheme:, jobs: false, **Endpoints.settings.connection }
        @lock.synchronize do
          @couriers[scheme] ||= Outbound::Dispatcher.new(Outbound::Application.new(name: "stored"), **options)
        end
      end
    end
    private_constant :Relay
  end
end
