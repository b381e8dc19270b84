# frozen_string_literal: true

require "securerandom"
require_relative "../internal/autoload"
require_relative "../internal/batch"
require_relative "../internal/keeps_secrets"
require_relative "../internal/log"
require_relative "../internal/observation"
require_relative "../internal/transport"
require_relative "../signature"

module SimpleConnect
  module Outbound
    # A job queue did not take the jobs that were to follow attempts up. Every endpoint got the event nevertheless. The
    # cause is what the queue raised first.
    class QueueError < Error
      # @return [Array<DeliveryAttempt>] all of the event's, as {Dispatcher#publish} returns them
      attr_reader :attempts
      # @return [Array<DeliveryAttempt>] those that no job follows up: {Dispatcher#next_attempt} says when they are due
      attr_reader :unqueued

      # @param attempts [Array<DeliveryAttempt>]
      # @param unqueued [Array<DeliveryAttempt>]
      # @param error [Exception] what the queue raised
      def initialize(attempts, unqueued, error)
        super("the job queue did not take #{unqueued.size} of #{attempts.size} attempts to be followed up: " \
              "#{error.class}: #{error.message}")
        @attempts = attempts
        @unqueued = unqueued
      end
    end

    # Sends an application's events on to its endpoints. Build one for the whole process; threads may share it, and it
    # works on in processes that are forked from this one.
    #
    # Each request has the event's payload for its body; the endpoint's own headers; the event's uid, type and version
    # in `X-Simplyq-Event-Uid`, `-Event-Type` and `-Event-Version`; and a signature in `X-Simplyq-Signature` and
    # `X-Simplyq-Timestamp` (with another `scheme:`, its names and its signature). An endpoint may get an event twice,
    # and knows it by its uid.
    #
    # Several endpoints get an event at a time, on one thread: one that is slow, or waits for its rate limit, holds up
    # none of the others.
    #
    # What fails is tried again by the application's {RetrySchedule}. Sidekiq, or else ActiveJob, waits for that where
    # it is loaded, and so it does for a rate limit that is busy for more than {LONGEST_WAIT} seconds. The application
    # then needs a `uid:`, and its endpoints a `uid:` and a `secret:`; each process that works on jobs builds the same
    # dispatcher as it starts. Without a job queue, {#next_attempt} says when, and {#retry} is what to call then.
    #
    # @example
    #   DISPATCHER = SimpleConnect::Outbound::Dispatcher.new(application)
    #   DISPATCHER.publish(SimpleConnect::Outbound::Event.new(event_type: "parcel.sent", payload: { user: 7 }))
    class Dispatcher
      include KeepsSecrets

      # How many seconds a rate limit is waited for on the spot.
      LONGEST_WAIT = 10.0
      # How many endpoints get an event at a time.
      CONCURRENCY = 16
      # The seconds for connecting and for each silence, and for all together.
      TIMEOUT = 10
      TOTAL_TIMEOUT = 30
      # Of how many endpoints the idle connections are kept, and how many of each.
      KEPT = 100
      POOL_SIZE = 2
      EVENT = "dispatch.simple_connect"
      EVENTS = [EVENT].freeze
      # What can wait for attempts that are due later, and whether it is loaded. This must not load ActiveJob::Base:
      # later initializers of a Rails application could no longer configure it.
      JOBS = { sidekiq: -> { defined?(::Sidekiq::Job) }, active_job: -> { defined?(::ActiveJob::Base) } }.freeze
      private_constant :EVENT, :EVENTS, :CONCURRENCY, :TIMEOUT, :TOTAL_TIMEOUT, :KEPT, :POOL_SIZE, :JOBS

      # By the uid of their applications, those that jobs may ask for.
      @dispatchers = {}
      @lock = Mutex.new

      class << self
        # What a job does.
        # @api private
        # @param delivery [Hash{String => Object}]
        # @return [void]
        # @raise [Error] where this process has no dispatcher for the application
        def perform(delivery)
          uid = delivery.fetch("application_uid")
          dispatcher = @lock.synchronize { @dispatchers[uid] }
          unless dispatcher
            raise Error, "this process has no Dispatcher for the application #{uid}: build it in an initializer, and " \
                         "give the Application its uid:"
          end

          dispatcher.__send__(:resume, delivery)
          nil
        end

        # @api private
        def register(dispatcher)
          @lock.synchronize { @dispatchers[dispatcher.application.uid] = dispatcher }
        end

        # @api private
        def forget(dispatcher)
          @lock.synchronize { @dispatchers.delete_if { |_, each| each.equal?(dispatcher) } }
        end
      end

      # @return [Application]
      attr_reader :application

      # @param application [Application]
      # @param scheme [:simplyq, :simple_connect, :kiket] how to sign, see {Signature}
      # @param jobs [:sidekiq, :active_job, false, nil] what waits for attempts that are due later; nil for Sidekiq, or
      #   else ActiveJob, where it is loaded; false for nothing
      # @param queue [String, Symbol, nil] the queue that these jobs go to; nil for the default one
      # @param on_attempt [#call, nil] gets each {DeliveryAttempt}, also those that jobs make; what it raises goes to
      #   standard error
      # @param connection [Hash] `timeout:` (10 s), `total_timeout:` (30 s), `proxy:`, `ca_file:`, `ip_version:`,
      #   `idle_timeout:`, `max_response_bytes:` and `user_agent:`, as for {Client#initialize}
      # @raise [ConfigurationError] where an option cannot be used; the message says what to write
      # @raise [ArgumentError] for an unknown option
      # @example That keeps records
      #   keep = ->(attempt) { Attempt.create!(attempt.to_h) }
      #   SimpleConnect::Outbound::Dispatcher.new(application, on_attempt: keep)
      def initialize(application, scheme: :simplyq, jobs: nil, queue: nil, on_attempt: nil, **connection)
        unless application.is_a?(Application)
          raise ConfigurationError, "application must be a SimpleConnect::Outbound::Application, " \
                                    "not #{application.class}"
        end
        unless on_attempt.nil? || on_attempt.respond_to?(:call)
          raise ConfigurationError, "on_attempt: must have a call, such as ->(attempt) { … }, not #{on_attempt.class}"
        end

        @application = application
        @scheme = scheme
        @jobs = checked_jobs(jobs)
        @queue = checked_queue(queue)
        @on_attempt = on_attempt
        @connection = { timeout: TIMEOUT, total_timeout: TOTAL_TIMEOUT, pool_size: POOL_SIZE, user_agent: nil,
                        **connection }
        # Any would do: what is wrong with the options is told now.
        @keys = SigningKeys.of("any", scheme)
        connect("https://endpoint.example", "any", nil)
        @router = Router.new(application.endpoints)
        @limiters = limiters
        @transports = {}
        @lock = Mutex.new
        Dispatcher.register(self) if @jobs
      end

      # Delivers an event to every endpoint that it goes to: one attempt each.
      #
      # @param event [Event]
      # @return [Array<DeliveryAttempt>] one for each endpoint, in their order. Pending is one whose rate limit is busy
      #   for more than {LONGEST_WAIT} seconds
      # @raise [ArgumentError] where `event` is none
      # @raise [QueueError] where the job queue did not take a job. All endpoints got the event, `on_attempt:` got all
      #   attempts, and the error has them
      # @example
      #   dispatcher.publish(event).map(&:status) # => [:success, :failure]
      def publish(event)
        now = Time.now
        pending = @router.route(event).map do |endpoint|
          attempt(event, endpoint, endpoint.uid, retry_count: 0, scheduled_at: now, trigger_type: :automatic)
        end
        unqueued = []
        first = nil
        attempts = perform_all(pending, event) do |attempt|
          settle(attempt, event)
        rescue StandardError, ScriptError => e
          # The other endpoints are to get theirs.
          first ||= e
          unqueued << attempt
        end
        raise QueueError.new(attempts, unqueued, first), cause: first if first

        attempts
      end

      # When an attempt is to be followed by another.
      #
      # @param attempt [DeliveryAttempt]
      # @return [Time, nil] nil where it succeeded, was canceled, or was the last
      # @raise [ArgumentError] where it failed and has no `attempted_at`
      # @example
      #   dispatcher.next_attempt(attempt) - attempt.attempted_at # => 30.0
      def next_attempt(attempt)
        return attempt.scheduled_at if attempt.pending?
        return unless attempt.failure?

        attempted_at = attempt.attempted_at or
          raise ArgumentError, "attempted_at: is missing in the attempt: nothing says what comes next"
        schedule = application.retry_schedule
        number = attempt.retry_count + 1
        planned = schedule.next_at(attempt.started_at || attempted_at, number) or return
        # A queue that was down for hours makes up for it, but not all at once.
        [planned, attempted_at + [schedule.delay(1), schedule.delay(number)].min].max
      end

      # Makes another attempt, now. Jobs do so by themselves; this one they do not follow up.
      #
      # @param attempt [DeliveryAttempt] the one before, or a pending one
      # @param event [Event] its event
      # @return [DeliveryAttempt]
      # @raise [ArgumentError] where it is the attempt of another event
      # @example
      #   attempt = dispatcher.retry(attempt, event) if attempt.failure?
      def retry(attempt, event)
        unless event.is_a?(Event) && attempt.event_uid == event.uid
          raise ArgumentError, "event must be the Event of the attempt, which has the uid #{attempt.event_uid}"
        end

        again = following(attempt, event, scheduled_at: Time.now, trigger_type: :manual)
        record(perform(again, event))
      end

      # Closes the idle connections. Jobs of this process no longer find the dispatcher. It can still be used: it opens
      # new connections, and jobs find it again once it has enqueued one.
      #
      # @return [void]
      def close
        Dispatcher.forget(self)
        @lock.synchronize { @transports.each_value(&:close) }
        nil
      end

      # @return [String] without secrets
      def inspect = "#<#{self.class.name} #{application.inspect}>"

      private

      def checked_jobs(jobs)
        return if jobs == false
        return JOBS.keys.find { |name| JOBS[name].call }&.tap { refuse_generated } if jobs.nil?

        found = JOBS.fetch(jobs) do
          raise ConfigurationError, "jobs: must be :sidekiq, :active_job, nil or false, not #{jobs.inspect}"
        end
        found.call or raise ConfigurationError, "jobs: #{jobs.inspect} is not loaded: require it first"
        refuse_generated
        jobs
      end

      def checked_queue(queue)
        return queue&.to_s if queue.nil? || queue.is_a?(Symbol) || (queue.is_a?(String) && !queue.strip.empty?)

        raise ConfigurationError, "queue: must be the name of a job queue, such as \"webhooks\", or nil for the " \
                                  "default one, not #{queue.inspect}"
      end

      # Another process generates others: its jobs would find no endpoint, and sign with another secret.
      def refuse_generated
        missing = application.generated? ? ["uid: of the application #{application.name}"] : []
        application.endpoints.each do |endpoint|
          options = endpoint.generated.join(" and ")
          missing << "#{options} of the endpoint #{endpoint.uid}" unless options.empty?
        end
        return if missing.empty?

        raise ConfigurationError, "a job queue needs what is the same in each process, but these were generated: " \
                                  "#{missing.first(3).join(", ")}; pass them, or jobs: false"
      end

      def limiters
        application.endpoints.each_with_object({}) do |endpoint, limiters|
          limit = application.rate_limit_of(endpoint)
          limiters[endpoint.uid] = RateLimiter.new(limit) if limit
        end.freeze
      end

      def connect(url, secret, headers)
        Transport.open({ url:, url_option: "url", headers: }, { secret:, scheme: @scheme }, **@connection)
      end

      # Those used last are kept, so that the descriptors of idle connections stay within bounds.
      def transport(endpoint)
        @lock.synchronize do
          transport = @transports.delete(endpoint.uid) || connect(endpoint.url, endpoint.secret, endpoint.header_lines)
          @transports[endpoint.uid] = transport
          @transports.shift.last.close if @transports.size > KEPT
          transport
        end
      end

      def attempt(event, endpoint, endpoint_uid, id: nil, started_at: nil, **members)
        DeliveryAttempt.new(id: id || "at_#{SecureRandom.hex(12)}", event_uid: event.uid, endpoint_uid:,
                            endpoint_url: endpoint&.url, status: :pending, started_at:, **members)
      end

      def following(attempt, event, **members)
        endpoint = application.endpoint(attempt.endpoint_uid)
        again = { retry_count: attempt.retry_count, id: attempt.id } if attempt.pending?
        again ||= { retry_count: attempt.retry_count + 1 }
        attempt(event, endpoint, attempt.endpoint_uid, started_at: attempt.started_at, **again, **members)
      end

      def perform_all(pending, event, &done)
        return pending.map { |attempt| perform(attempt, event).tap(&done) } if pending.size < 2

        attempts = []
        batch = Batch.new(CONCURRENCY) { |attempt| perform(attempt, event, batch) }
        batch.run(pending) { |attempt, _, index| attempts[index] = attempt.tap(&done) }
        attempts
      end

      # Makes an attempt, unless its endpoint is gone, or its rate limit is busy for long.
      def perform(attempt, event, batch = nil)
        endpoint = application.endpoint(attempt.endpoint_uid)
        return attempt.with(status: :canceled) unless endpoint&.active?

        limiter = @limiters[endpoint.uid]
        return post(attempt, event, endpoint, batch) if limiter.nil? || permitted?(limiter, batch)

        attempt.with(scheduled_at: Time.now + limiter.delay)
      end

      def permitted?(limiter, batch)
        batch ? limiter.acquire_in(batch, LONGEST_WAIT) : limiter.acquire(timeout: LONGEST_WAIT)
      end

      def post(attempt, event, endpoint, batch)
        attempted_at = Time.now
        transport = transport(endpoint)
        result = transport.request("POST", transport.target, headers: event_headers(event), body: event.body, batch:,
                                                             observation: observation(transport))
        status = result.success? ? :success : :failure
        attempt = attempt.with(status:, attempted_at:, started_at: attempt.started_at || attempted_at)
        report(attempt, event, result)
        return attempt.with(error: result.error) if result.network_error

        # The transport has taken the sensitive headers out of it.
        attempt.with(response: result.response_body && Webhooks.utf8(result.response_body),
                     response_status_code: result.status_code, response_headers: result.headers.freeze)
      end

      # A hook's path may be its secret.
      def observation(transport)
        return unless Observation.wanted?(nil)

        Observation.new(nil, origin: transport.origin, log: nil, client: nil, parent: Tracing.context, path: false)
      end

      def report(attempt, event, result)
        return unless Instrumentation.listening?(EVENTS)

        Instrumentation.publish(
          EVENT,
          { application_uid: application.uid, endpoint_uid: attempt.endpoint_uid, event_uid: event.uid,
            event_type: event.event_type, attempt_id: attempt.id, retry_count: attempt.retry_count,
            status: attempt.status, status_code: result.status_code, network_error: result.network_error,
            elapsed: result.elapsed }
        )
      end

      def event_headers(event)
        { "Event-Uid" => event.uid, "Event-Type" => event.event_type, "Event-Version" => event.version }
          .compact.transform_keys { |name| @keys.header(name) }
      end

      # Keeps a record of an attempt, and has what follows it wait. The record comes first: a job queue can be down.
      def settle(attempt, event)
        record(attempt)
        time = @jobs && next_attempt(attempt) or return attempt

        Dispatcher.register(self)
        job = @jobs == :sidekiq ? SidekiqDelivery : ActiveJobDelivery
        job.enqueue(time, @queue, delivery(attempt, event)) or
          raise Error, "#{job} was not enqueued: a middleware, a callback or an adapter refused it"
        attempt
      end

      def record(attempt)
        @on_attempt&.call(attempt)
        attempt
      rescue StandardError, ScriptError => e
        # The hook is the user's, and can fail in any way whatever. The attempt was made: to end here would cost the
        # other endpoints theirs, and have a job make this one again.
        Log.stderr { "on_attempt failed: #{e.class}: #{e.message}" }
        attempt
      end

      # What a job is given: no secret, no header, no URL.
      def delivery(attempt, event)
        { "application_uid" => application.uid, "endpoint_uid" => attempt.endpoint_uid,
          "pending" => attempt.pending? ? attempt.id : nil, "retry_count" => attempt.retry_count,
          "started_at" => attempt.started_at&.to_f, "scheduled_at" => next_attempt(attempt).to_f,
          "event" => event.to_h.transform_keys(&:name) }
      end

      def resume(delivery)
        event = Event.new(**delivery["event"].transform_keys(&:to_sym))
        before = DeliveryAttempt.new(
          id: delivery["pending"], status: delivery["pending"] ? :pending : :failure, event_uid: event.uid,
          endpoint_uid: delivery["endpoint_uid"], retry_count: delivery["retry_count"],
          started_at: delivery["started_at"] && Time.at(delivery["started_at"])
        )
        again = following(before, event, scheduled_at: Time.at(delivery["scheduled_at"]), trigger_type: :automatic)
        settle(perform(again, event), event)
      end
    end
  end
end
