# frozen_string_literal: true

require "securerandom"
require_relative "records"
require_relative "../internal/after_commit"
require_relative "../internal/batch"
require_relative "../internal/clock"
require_relative "../internal/job_class"
require_relative "../internal/log"

module SimpleConnect
  module Endpoints
    # Records events and sends their deliveries, at once or when they are due.
    #
    # Requests run in the fibers of a {Batch}, all statements in the caller's fiber: in a callback after a commit, it
    # holds the connection's lock, which other fibers of its thread wait for without end on Ruby 3.1.
    # @api private
    class Relay
      # Deliveries that are sent at the same time.
      CONCURRENCY = 16
      # Seconds after which another process may send a delivery that this one has claimed, at least.
      LEASE = 90
      # Seconds to wait after a fault of our own side, at least and at most.
      OWN_FAULT = [60, 3600].freeze
      # Seconds for which such faults use up no attempt, at least: a retry schedule can be shorter than an outage.
      PATIENCE = 3600
      # The longest wait that an endpoint may ask for, in seconds.
      LONGEST_WAIT = 24 * 3600
      # The longest pause of a process that has nothing to send, in seconds.
      IDLE = 1.0
      # The shortest.
      LOOK = 0.02
      # Seconds between deletions of what is old.
      CLEAN_EVERY = 3600
      # See {JobClass.find}.
      JOBS = { sidekiq: "SimpleConnect::Endpoints::SidekiqRelay",
               active_job: "SimpleConnect::Endpoints::ActiveJobRelay" }.freeze
      private_constant :JOBS, :CONCURRENCY, :LEASE, :OWN_FAULT, :PATIENCE, :LONGEST_WAIT, :IDLE, :LOOK, :CLEAN_EVERY

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
        deliveries = @store.record(entry, event, endpoints, token && [token, lease])
        attempts = deliveries.to_h { |delivery| [delivery.endpoint_id, attempt(entry, delivery)] }
        if token
          mine = deliveries.select { |delivery| delivery.lease_token == token }
          send_all(mine, entry, attempts)
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
        state = Run.new(claimed_at: Clock.now, ends_at: Clock.now + seconds, handled: 0)
        perform(state) { |batch| due(batch, state) }
        finish(state)
        clean_in_time
        state.handled
      end

      # Sends what is due until the block returns true. Jobs send nothing of it.
      #
      # @yieldreturn [Boolean] whether to stop
      # @return [void]
      def serve(&stop)
        until yield
          begin
            state = Run.new(claimed_at: Clock.now, stop:, handled: 0)
            perform(state) { |batch| due(batch, state) }
          rescue StandardError, ScriptError => e
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
        AfterCommit.call do
          job_class&.enqueue(seconds, Endpoints.settings.queue&.to_s)
        rescue StandardError, ScriptError => e
          Log.report(e, "the job queue of endpoints")
        end
      end

      private

      # What one pass does: when it claimed its deliveries, when it ends, and what tells it to stop; how many deliveries
      # it has handled, in how many seconds the first of those that wait is due, and what gets each attempt.
      Run = Struct.new(:claimed_at, :ends_at, :stop, :handled, :wait, :done, keyword_init: true) do
        def stop? = stop&.call

        def waits(seconds) = self.wait = [wait, seconds].compact.min
      end
      # A delivery that is about to be sent.
      Work = Struct.new(:delivery, :entry, :endpoint, :attempt)
      private_constant :Run, :Work

      def job_class
        jobs = Endpoints.settings.jobs
        JobClass.find("config.endpoints.jobs", jobs, JOBS, :enqueue) unless jobs == false
      end

      # One job for all that wait: it enqueues the next.
      def finish(state)
        wake(state.wait) if state.wait
      end

      # @param attempts [Hash{Integer => Outbound::DeliveryAttempt}] by endpoint; gets those that are made
      def send_all(deliveries, entry, attempts)
        state = Run.new(claimed_at: Clock.now, handled: 0)
        state.done = ->(delivery, attempt) { attempts[delivery.endpoint_id] = attempt }
        perform(state) { deliveries.map { |delivery| [delivery, entry] } }
        finish(state)
      end

      # @yieldparam batch [Batch]
      # @yieldreturn [#each] pairs of a delivery and its application
      def perform(state)
        batch = Batch.new(CONCURRENCY) { |work| request(work, batch) }
        works = Enumerator.new do |ready|
          yield(batch).each do |delivery, entry|
            # What is prepared is sent at once.
            batch.progress(IDLE) while batch.full?
            # Another process need not wait until the lease is over.
            next @store.release(delivery, seconds: 0) if state.stop?

            state.handled += 1
            work = alone(delivery, entry, state) { prepare(delivery, entry, state) }
            ready << work if work.is_a?(Work)
          end
        end
        batch.run(works) do |outcome, work|
          alone(work.delivery, work.entry, state) { settle(work, outcome, state) }
        end
      end

      # An error of one delivery does not end the others: it waits, and no attempt is used up. If the database is away,
      # this raises again.
      #
      # @yieldreturn [Outbound::DeliveryAttempt, Work]
      # @return [Outbound::DeliveryAttempt, Work]
      def alone(delivery, entry, state)
        result = yield
        state.done&.call(delivery, result) unless result.is_a?(Work)
        result
      rescue StandardError, ScriptError => e
        attempt = attempt(entry, delivery)
        Log.report(e, "a delivery to the endpoint #{attempt.endpoint_uid} of #{entry&.application&.uid}")
        attempt = later(delivery, attempt, own_fault_wait, state)
        state.done&.call(delivery, attempt)
        attempt
      end

      # Pairs of what is due and its application, claimed when there is room for it.
      def due(batch, state)
        Enumerator.new do |pairs|
          until state.stop?
            # The next job goes on.
            break state.waits(0) if state.ends_at && Clock.now >= state.ends_at

            deliveries = @store.claim(CONCURRENCY, SecureRandom.hex(16), lease)
            state.claimed_at = Clock.now
            break if deliveries.empty? && state.stop.nil?

            offer(deliveries, pairs, state)
            idle(batch, state) if deliveries.empty?
          end
        end
      end

      def offer(deliveries, pairs, state)
        entries = @directory.find_all(deliveries.filter_map { |delivery| delivery.event&.application_id }.uniq)
        entries.each_value { |entry| Log.report(entry, "the relay of endpoints") if entry.is_a?(Error) }
        deliveries.each do |delivery|
          entry = entries[delivery.event.application_id] if delivery.event
          # Until somebody corrects the application.
          next postpone(delivery, state) if entry.is_a?(Error)

          pairs << [delivery, entry]
        end
      end

      def postpone(delivery, state)
        state.handled += 1
        seconds = own_fault_wait
        @store.release(delivery, seconds:)
        state.waits(seconds)
      end

      # What is under way goes on meanwhile.
      def idle(batch, state)
        clean_in_time
        ends = Clock.now + [@store.due_in || IDLE, IDLE].min.clamp(LOOK, IDLE)
        batch.progress(ends - Clock.now) while Clock.now < ends && !state.stop?
      end

      def clean_in_time
        return if @cleaned_at && Clock.now - @cleaned_at < CLEAN_EVERY

        @cleaned_at = Clock.now
        @store.clean(Endpoints.settings.retain)
      end

      # @return [Work, Outbound::DeliveryAttempt] an attempt if there is nothing to send now
      def prepare(delivery, entry, state)
        attempt = attempt(entry, delivery)
        endpoint = entry&.by_id&.[](delivery.endpoint_id)
        return ended(delivery, attempt, "canceled") unless endpoint && delivery.event
        return ended(delivery, attempt, "kept") if entry.disabled[endpoint.uid]
        return ended(delivery, attempt, "canceled") unless endpoint.active?

        wait = waits?(delivery, entry, endpoint)
        return later(delivery, attempt, wait, state, waiting: true) if wait.positive?
        return attempt unless still_mine?(delivery, state)

        Work.new(delivery, entry, endpoint, attempt)
      end

      # In a fiber of the batch.
      # @return [Array(Outbound::DeliveryAttempt, Result), Exception]
      def request(work, batch)
        delivery = work.delivery
        attempt, result = courier(delivery.scheme.to_sym).exchange(work.attempt, delivery.event.to_event, work.endpoint,
                                                                   batch, replay: delivery.replay)
        [scrubbed(attempt, work.endpoint), result]
      rescue StandardError, ScriptError => e
        # Raised again in the caller's fiber.
        e
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
          id: "at_#{SecureRandom.hex(12)}", event_uid: delivery.event&.uid.to_s, endpoint_uid: endpoint&.uid.to_s,
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
        state.waits(seconds)
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
      rescue StandardError, ScriptError => e
        # Such as a Redis that is away.
        Log.report(e, "config.endpoints.limiter")
      end

      # An attempt starts with two thirds of it left at least, which is twice what it can take.
      def lease = [LEASE, 3 * Endpoints.settings.connection.fetch(:total_timeout, 0)].max

      def still_mine?(delivery, state)
        return true if Clock.now - state.claimed_at < lease / 3

        @store.renew(delivery, lease)
      end

      # Records what happened. What concerns others happens after that.
      #
      # @return [Outbound::DeliveryAttempt]
      # @raise [Exception] the outcome, if it is one
      def settle(work, outcome, state)
        raise outcome if outcome.is_a?(Exception)

        attempt, result = outcome
        delivery = work.delivery
        done = nil
        @store.transaction do
          done = []
          @store.keep(delivery, attempt)
          started = { started_at: delivery.started_at || micros(attempt.started_at), waiting: false }
          if attempt.success?
            @health.succeeded(delivery.endpoint_id)
            @store.release(delivery, state: "succeeded", **started)
          elsif Health.own_fault?(result) && own_fault_passes?(attempt, work.entry)
            later(delivery, attempt, own_fault_wait(attempt.attempted_at - attempt.started_at), state, **started)
          else
            failed(delivery, work.entry, attempt, result, state, started, done)
          end
        end
        done.each(&:call)
        attempt
      end

      # @param age [Numeric] seconds since the first attempt
      def own_fault_wait(age = 0) = (age / 10).clamp(*OWN_FAULT) * (0.75 + (rand / 2))

      # Whether to wait for it to pass. A name server or a route can also be away because of the endpoint's owner, so
      # after the time of the schedule's last retry it is a failure like any other.
      def own_fault_passes?(attempt, entry)
        schedule = entry.application.retry_schedule
        started = attempt.started_at
        last = schedule.next_at(started, schedule.max_retries) if schedule.max_retries
        last ||= started + schedule.deadline
        attempt.attempted_at < [last, started + PATIENCE].max
      end

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
