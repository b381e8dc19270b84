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
    # The job queue did not accept the jobs for later attempts. Every endpoint got the event nevertheless. `cause` is
    # the queue's first error.
    class QueueError < Error
      # @return [Array<DeliveryAttempt>] all attempts of the event, as {Dispatcher#publish} returns them
      attr_reader :attempts
      # @return [Array<DeliveryAttempt>] the attempts without a job: {Dispatcher#next_attempt} says when the next is due
      attr_reader :unqueued

      # @param attempts [Array<DeliveryAttempt>]
      # @param unqueued [Array<DeliveryAttempt>]
      # @param error [Exception] the queue's error
      def initialize(attempts, unqueued, error)
        super("the job queue did not take #{unqueued.size} of #{attempts.size} attempts to be followed up: " \
              "#{error.class}: #{error.message}")
        @attempts = attempts
        @unqueued = unqueued
      end
    end

    # Sends an application's events to its endpoints. Build one for the whole process. Threads may share it, and it
    # works in forked processes.
    #
    # The request body is the event's payload. The headers are those of the endpoint; the event's uid, type and version
    # in `X-Simplyq-Event-Uid`, `-Event-Type` and `-Event-Version`; and a signature in `X-Simplyq-Signature` and
    # `X-Simplyq-Timestamp` (with another `scheme:`, that scheme's names and signature; with `:standard_webhooks`, the
    # uid is the `webhook-id`). An endpoint can get an event twice, and must recognize it by its uid.
    #
    # Several endpoints get an event at the same time, in one thread: a slow endpoint, or one that waits for its rate
    # limit, does not delay the others.
    #
    # Failed attempts are retried by the application's {RetrySchedule}. Sidekiq, or else ActiveJob, schedules the
    # retries if it is loaded, and also attempts whose rate limit is busy for more than {LONGEST_WAIT} seconds. The
    # application then needs a `uid:`, and its endpoints a `uid:` and a `secret:`; each process that runs jobs must
    # build the same dispatcher at boot. Without a job queue, call {#next_attempt} for the time of the next attempt, and
    # {#retry} to make it.
    #
    # @example
    #   DISPATCHER = SimpleConnect::Outbound::Dispatcher.new(application)
    #   DISPATCHER.publish(SimpleConnect::Outbound::Event.new(event_type: "parcel.sent", payload: { user: 7 }))
    class Dispatcher
      include KeepsSecrets

      # The maximum wait for a rate limit, in seconds.
      LONGEST_WAIT = 10.0
      # The maximum number of endpoints that get an event at the same time.
      CONCURRENCY = 16
      # Seconds for connecting and for each pause, and for a whole attempt.
      TIMEOUT = 10
      TOTAL_TIMEOUT = 30
      # The number of endpoints whose idle connections are kept, and of connections for each.
      KEPT = 100
      POOL_SIZE = 2
      EVENT = "dispatch.simple_connect"
      EVENTS = [EVENT].freeze
      # The job queues, and whether each is loaded. This must not load ActiveJob::Base: later initializers of a Rails
      # application could no longer configure it.
      JOBS = { sidekiq: -> { defined?(::Sidekiq::Job) }, active_job: -> { defined?(::ActiveJob::Base) } }.freeze
      private_constant :EVENT, :EVENTS, :CONCURRENCY, :TIMEOUT, :TOTAL_TIMEOUT, :KEPT, :POOL_SIZE, :JOBS

      # The dispatchers that jobs can use, by the uid of the application.
      @dispatchers = {}
      @lock = Mutex.new

      class << self
        # Runs a job.
        # @api private
        # @param delivery [Hash{String => Object}]
        # @return [void]
        # @raise [Error] if this process has no dispatcher for the application
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
          @lock.synchronize { @dispatchers[dispatcher.application_uid] = dispatcher }
        end

        # @api private
        def forget(dispatcher)
          @lock.synchronize { @dispatchers.delete_if { |_, each| each.equal?(dispatcher) } }
        end
      end

      # @param application [Application, String] its uid if `store:` has it
      # @param store [#find_application, nil] finds the application by its uid, at each call, so that changes apply at
      #   once; connections and rate limits of unchanged endpoints live on. Such as {Endpoints}
      # @param scheme [:simplyq, :simple_connect, :kiket, :standard_webhooks] the signature scheme, see {Signature}
      # @param jobs [:sidekiq, :active_job, false, nil] the job queue for later attempts; nil for Sidekiq, or else
      #   ActiveJob, if loaded; false for none
      # @param queue [String, Symbol, nil] the queue of these jobs; nil for the default
      # @param on_attempt [#call, nil] called with each {DeliveryAttempt}, including those made by jobs; its errors are
      #   written to standard error
      # @param on_exhausted [#call, nil] called likewise with the last attempt of a delivery that is given up
      # @param limiter [RedisLimiter, #take, nil] counts the rate limits of all processes; nil counts in this process
      # @param guard [Boolean] whether to refuse endpoints that are not public, and http (true); see docs/outbound.md. A
      #   proxy is then used only if you pass `proxy:`
      # @param allow_private [Boolean, Array<String>, nil] what the guard allows nevertheless: networks such as
      #   `["10.0.0.0/8"]`, or true for this machine and all private networks; nil for `config.allow_private`
      # @param allow_http [Boolean, nil] whether the guard allows http; nil for `config.allow_http`
      # @param connection [Hash] `timeout:` (10 s), `total_timeout:` (30 s), `proxy:`, `ca_file:`, `ip_version:`,
      #   `idle_timeout:`, `max_response_bytes:` and `user_agent:`, as for {Client#initialize}
      # @raise [ConfigurationError] if an option is invalid; the message says what to write
      # @raise [ArgumentError] for an unknown option
      # @example Storing each attempt
      #   keep = ->(attempt) { Attempt.create!(attempt.to_h) }
      #   SimpleConnect::Outbound::Dispatcher.new(application, on_attempt: keep)
      def initialize(application, store: nil, scheme: :simplyq, jobs: nil, queue: nil, on_attempt: nil,
                     on_exhausted: nil, limiter: nil, guard: true, allow_private: nil, allow_http: nil, **connection)
        check_application(application, store)
        @uid = store ? application : application.uid
        @find = store ? store.method(:find_application) : ->(_) { application }
        @scheme = scheme
        @jobs = checked_jobs(jobs)
        @queue = checked_queue(queue)
        @on_attempt = checked_hook(:on_attempt, on_attempt)
        @on_exhausted = checked_hook(:on_exhausted, on_exhausted)
        @shared_limiter = checked_limiter(limiter)
        @connection = { timeout: TIMEOUT, total_timeout: TOTAL_TIMEOUT, pool_size: POOL_SIZE, user_agent: nil,
                        **connection, **guarded(guard, allow_private, allow_http) }
        # Opens a transport with any URL, to report invalid options now.
        @keys = SigningKeys.of(SigningKeys::ANY, scheme)
        connect("https://endpoint.example", SigningKeys::ANY, nil)
        @transports = {}
        @limiters = {}
        @lock = Mutex.new
        current
        Dispatcher.register(self) if @jobs
      end

      # @return [Application] as it is now, if a store has it
      # @raise [Error] if the store does not have it
      def application = current.application

      # @api private
      # @return [String]
      def application_uid = @uid

      # Delivers an event to every endpoint that matches it, with one attempt each.
      #
      # @param event [Event]
      # @return [Array<DeliveryAttempt>] one for each endpoint, in their order. An attempt is pending if its rate limit
      #   is busy for more than {LONGEST_WAIT} seconds, or at all if `limiter:` counts it
      # @raise [ArgumentError] if `event` is not an Event, or its uid cannot be the `webhook-id` of Standard Webhooks
      # @raise [QueueError] if the job queue did not accept a job. All endpoints got the event, `on_attempt:` was called
      #   for all attempts, and the error has them
      # @example
      #   dispatcher.publish(event).map(&:status) # => [:success, :failure]
      def publish(event)
        known = current
        following_up(event, known.application) do |done|
          perform_all(attempts(event, known), event, known.application, &done)
        end
      end

      # Leaves all attempts to jobs.
      #
      # @param event [Event]
      # @return [Array<DeliveryAttempt>] pending, one for each endpoint, in their order
      # @raise [ArgumentError] if `event` is not an Event
      # @raise [ConfigurationError] without a job queue
      # @raise [QueueError] if the job queue did not accept a job; the error has the attempts
      # @example
      #   dispatcher.publish_later(event)
      def publish_later(event)
        raise ConfigurationError, "publish_later needs Sidekiq or ActiveJob, and jobs: other than false" unless @jobs

        known = current
        following_up(event, known.application) { |done| attempts(event, known).each(&done) }
      end

      # Returns when the next attempt is due.
      #
      # @param attempt [DeliveryAttempt]
      # @return [Time, nil] nil if the attempt succeeded, was canceled, was the last, or was refused by the guard
      # @raise [ArgumentError] if it failed and has no `attempted_at`
      # @example
      #   dispatcher.next_attempt(attempt) - attempt.attempted_at # => 30.0
      def next_attempt(attempt) = next_time(attempt, application)

      # Makes another attempt now. Jobs make theirs automatically; this one schedules no job.
      #
      # @param attempt [DeliveryAttempt] the previous attempt, or a pending one
      # @param event [Event] its event
      # @return [DeliveryAttempt]
      # @raise [ArgumentError] if the attempt belongs to another event
      # @example
      #   attempt = dispatcher.retry(attempt, event) if attempt.failure?
      def retry(attempt, event)
        unless event.is_a?(Event) && attempt.event_uid == event.uid
          raise ArgumentError, "event must be the Event of the attempt, which has the uid #{attempt.event_uid}"
        end

        application = self.application
        again = following(attempt, event, application, scheduled_at: Time.now, trigger_type: :manual)
        record(perform(again, event, application, waited: attempt.pending?), application)
      end

      # Closes the idle connections. Jobs of this process no longer find the dispatcher. You can still use it: it opens
      # new connections, and jobs find it again after it has enqueued one.
      #
      # @return [void]
      def close
        Dispatcher.forget(self)
        @lock.synchronize { @transports.each_value { |_, transport| transport.close } }
        nil
      end

      # Makes one attempt at an endpoint of any application, whatever its rate limit.
      # @api private
      # @return [Array(DeliveryAttempt, Result)]
      def exchange(attempt, event, endpoint, batch, replay: false)
        result = nil
        headers = replay ? { @keys.header("Event-Replay") => "true" } : {}
        attempt = post(attempt, event, endpoint, batch, headers) { |each| result = each }
        [attempt, result]
      end

      # @api private
      # @raise [ArgumentError] if its uid cannot be sent
      def check_uid(event)
        @keys.checked_id(event.uid) if @keys.id?
      rescue ArgumentError => e
        raise ArgumentError, "the event's uid is its webhook-id: #{e.message}"
      end

      # See {#next_attempt}.
      # @api private
      def next_time(attempt, application)
        return attempt.scheduled_at if attempt.pending?
        # The guard would refuse it again.
        return if !attempt.failure? || attempt.network_error == :guarded

        attempted_at = attempt.attempted_at or
          raise ArgumentError, "attempted_at: is missing in the attempt, so the next attempt is unknown"
        schedule = application.retry_schedule
        number = attempt.retry_count + 1
        planned = schedule.next_at(attempt.started_at || attempted_at, number) or return
        # After a long outage of the queue, the retries catch up, but not all at once.
        [planned, attempted_at + [schedule.delay(1), schedule.delay(number)].min].max
      end

      # @return [String] without secrets
      def inspect = "#<#{self.class.name} #{@current.application.inspect}>"

      private

      # What an application is, with its router.
      Current = Struct.new(:application, :router)
      private_constant :Current

      # The application is looked up once per call.
      def current
        application = @find.call(@uid)
        known = @current
        return known if application && known&.application.equal?(application)

        check_found(application)
        @lock.synchronize { @limiters.keep_if { |uid, _| application.endpoint(uid) } }
        @current = Current.new(application, Router.new(application.endpoints)).freeze
      end

      def check_application(application, store)
        if store.nil?
          return if application.is_a?(Application)

          raise ConfigurationError, "application must be a SimpleConnect::Outbound::Application, " \
                                    "not #{application.class}"
        end
        unless application.is_a?(String)
          raise ConfigurationError, "application must be the uid of one in the store, not #{application.class}"
        end
        return if store.respond_to?(:find_application)

        raise ConfigurationError, "store: must respond to find_application(uid), not #{store.class}"
      end

      def check_found(application)
        unless application.is_a?(Application)
          found = application.nil? ? "it found none" : "not #{application.class}"
          raise ConfigurationError, "store: must find the SimpleConnect::Outbound::Application #{@uid}; #{found}"
        end

        check_secrets(application)
        refuse_generated(application) if @jobs
      end

      def checked_limiter(limiter)
        return limiter if limiter.nil? || limiter.respond_to?(:take)

        raise ConfigurationError, "limiter: must be a SimpleConnect::Outbound::RedisLimiter, not #{limiter.class}"
      end

      def checked_jobs(jobs)
        return if jobs == false
        return JOBS.keys.find { |name| JOBS[name].call } if jobs.nil?

        found = JOBS.fetch(jobs) do
          raise ConfigurationError, "jobs: must be :sidekiq, :active_job, nil or false, not #{jobs.inspect}"
        end
        found.call or raise ConfigurationError, "jobs: #{jobs.inspect} is not loaded: require it first"
        jobs
      end

      def checked_queue(queue)
        return queue&.to_s if queue.nil? || queue.is_a?(Symbol) || (queue.is_a?(String) && !queue.strip.empty?)

        raise ConfigurationError, "queue: must be the name of a job queue, such as \"webhooks\", or nil for the " \
                                  "default one, not #{queue.inspect}"
      end

      def guarded(guard, allow_private, allow_http)
        return { guard:, allow_private:, allow_http: } unless guard == true

        { guard:, **SimpleConnect.configuration.allowances(allow_private, allow_http) }
      end

      def checked_hook(option, hook)
        return hook if hook.nil? || hook.respond_to?(:call)

        raise ConfigurationError, "#{option}: must respond to call, as ->(attempt) { … }, not #{hook.class}"
      end

      # A receiver that knows only one of two secrets would refuse half of the rotation.
      def check_secrets(application)
        application.endpoints.each do |endpoint|
          if Array(endpoint.secret).size > 1 && !@keys.list?
            raise ConfigurationError, "several secrets, but only one can sign with the scheme #{@scheme.inspect}: " \
                                      "pass the one that the receiver accepts"
          end

          SigningKeys.of(endpoint.secret, @scheme)
        rescue ConfigurationError => e
          raise ConfigurationError, "the endpoint #{endpoint.uid} cannot be used: #{e.message}"
        end
      end

      # Other processes generate other values: their jobs would find no endpoint, and sign with another secret.
      def refuse_generated(application)
        missing = application.generated? ? ["uid: of the application #{application.name}"] : []
        application.endpoints.each do |endpoint|
          options = endpoint.generated.join(" and ")
          missing << "#{options} of the endpoint #{endpoint.uid}" unless options.empty?
        end
        return if missing.empty?

        raise ConfigurationError, "a job queue needs the same values in each process, but these were generated: " \
                                  "#{missing.first(3).join(", ")}; pass them, or jobs: false"
      end

      # It lives on while its limit does not change.
      def limiter(uid, limit)
        @lock.synchronize do
          known = @limiters[uid]
          known&.limit == limit ? known : @limiters[uid] = RateLimiter.new(limit)
        end
      end

      def connect(url, secret, headers)
        Transport.open({ url:, url_option: "url", headers: }, { secret:, scheme: @scheme }, **@connection)
      end

      # Keeps the most recently used, so that the number of open connections stays bounded.
      def transport(endpoint)
        name = [endpoint.application.uid, endpoint.uid]
        @lock.synchronize do
          connection, transport = @transports.delete(name)
          unless connection == endpoint.connection
            transport&.close
            transport = connect(endpoint.url, endpoint.secret, endpoint.header_lines)
          end
          @transports[name] = [endpoint.connection, transport]
          @transports.shift.last.last.close if @transports.size > KEPT
          transport
        end
      end

      def attempts(event, known)
        now = Time.now
        endpoints = known.router.route(event)
        check_uid(event)
        endpoints.map do |endpoint|
          attempt(event, endpoint, endpoint.uid, retry_count: 0, scheduled_at: now, trigger_type: :automatic)
        end
      end

      # Settles all attempts, also if the queue refuses the jobs of some.
      def following_up(event, application)
        unqueued = []
        first = nil
        attempts = yield(lambda do |attempt|
          settle(attempt, event, application)
        rescue StandardError, ScriptError => e
          # The other endpoints must still get the event.
          first ||= e
          unqueued << attempt
        end)
        raise QueueError.new(attempts, unqueued, first), cause: first if first

        attempts
      end

      def attempt(event, endpoint, endpoint_uid, id: nil, started_at: nil, **members)
        DeliveryAttempt.new(id: id || "at_#{SecureRandom.hex(12)}", event_uid: event.uid, endpoint_uid:,
                            endpoint_url: endpoint&.url, status: :pending, started_at:, **members)
      end

      def following(attempt, event, application, **members)
        endpoint = application.endpoint(attempt.endpoint_uid)
        again = { retry_count: attempt.retry_count, id: attempt.id } if attempt.pending?
        again ||= { retry_count: attempt.retry_count + 1 }
        attempt(event, endpoint, attempt.endpoint_uid, started_at: attempt.started_at, **again, **members)
      end

      def perform_all(pending, event, application, &done)
        return pending.map { |attempt| perform(attempt, event, application).tap(&done) } if pending.size < 2

        attempts = []
        batch = Batch.new(CONCURRENCY) { |attempt| perform(attempt, event, application, batch) }
        batch.run(pending) { |attempt, _, index| attempts[index] = attempt.tap(&done) }
        attempts
      end

      # Makes an attempt, unless its endpoint was removed, or its rate limit is busy for long.
      def perform(attempt, event, application, batch = nil, waited: false)
        endpoint = application.endpoint(attempt.endpoint_uid)
        return attempt.with(status: :canceled) unless endpoint&.active?

        limit = application.rate_limit_of(endpoint)
        wait = limit ? wait_for(endpoint, limit, batch, waited) : 0
        wait.zero? ? post(attempt, event, endpoint, batch) : attempt.with(scheduled_at: Time.now + wait)
      end

      # Seconds; 0 for a permit.
      def wait_for(endpoint, limit, batch, waited)
        shared_wait(endpoint, limit, waited) || limiter(endpoint.uid, limit).then do |limiter|
          if batch ? limiter.acquire_in(batch, LONGEST_WAIT) : limiter.acquire(timeout: LONGEST_WAIT)
            0
          else
            limiter.delay
          end
        end
      end

      def shared_wait(endpoint, limit, waited)
        @shared_limiter&.take("#{@uid}/#{endpoint.uid}", limit, waited:)
      rescue StandardError, ScriptError => e
        # Such as a Redis that is away: then this process counts alone.
        Log.report(e, "limiter:")
      end

      def post(attempt, event, endpoint, batch, headers = {})
        attempted_at = Time.now
        transport = transport(endpoint)
        result = transport.request("POST", transport.target, headers: { **event_headers(event), **headers },
                                                             body: event.body, batch:,
                                                             observation: observation(transport))
        status = result.success? ? :success : :failure
        attempt = attempt.with(status:, attempted_at:, started_at: attempt.started_at || attempted_at)
        report(attempt, event, endpoint, result)
        yield result if block_given?
        return attempt.with(error: result.error, network_error: result.network_error) if result.network_error

        # The transport has removed the sensitive headers.
        attempt.with(response: result.response_body && Webhooks.utf8(result.response_body),
                     response_status_code: result.status_code, response_headers: result.headers.freeze)
      end

      # Without the path, which may be secret in a webhook's URL.
      def observation(transport)
        return unless Observation.wanted?(nil)

        Observation.new(nil, origin: transport.origin, log: nil, client: nil, parent: Tracing.context, path: false)
      end

      def report(attempt, event, endpoint, result)
        return unless Instrumentation.listening?(EVENTS)

        Instrumentation.publish(
          EVENT,
          { application_uid: endpoint.application.uid, endpoint_uid: attempt.endpoint_uid, event_uid: event.uid,
            event_type: event.event_type, attempt_id: attempt.id, retry_count: attempt.retry_count,
            status: attempt.status, status_code: result.status_code, network_error: result.network_error,
            elapsed: result.elapsed }
        )
      end

      def event_headers(event)
        { @keys.id? ? "Id" : "Event-Uid" => event.uid, "Event-Type" => event.event_type,
          "Event-Version" => event.version }.compact.transform_keys { |name| @keys.header(name) }
      end

      # Records an attempt and enqueues the next. The record comes first, because a job queue can be down.
      def settle(attempt, event, application)
        record(attempt, application)
        time = @jobs && next_time(attempt, application) or return attempt

        Dispatcher.register(self)
        job = @jobs == :sidekiq ? SidekiqDelivery : ActiveJobDelivery
        job.enqueue(time, @queue, delivery(attempt, event, time)) or
          raise Error, "#{job} was not enqueued: a middleware, a callback or an adapter rejected it"
        attempt
      end

      def record(attempt, application)
        call(:on_attempt, @on_attempt, attempt)
        if @on_exhausted && attempt.failure? && next_time(attempt, application).nil?
          call(:on_exhausted, @on_exhausted, attempt)
        end
        attempt
      end

      def call(name, hook, attempt)
        hook&.call(attempt)
      rescue StandardError, ScriptError => e
        # The hook is user code and can raise anything. The attempt was made: raising here would skip the other
        # endpoints, and a job would repeat it.
        Log.stderr { "#{name} failed: #{e.class}: #{e.message}" }
      end

      # The job's arguments: no secret, no header, no URL.
      def delivery(attempt, event, time = next_attempt(attempt))
        { "application_uid" => @uid, "endpoint_uid" => attempt.endpoint_uid,
          "pending" => attempt.pending? ? attempt.id : nil, "retry_count" => attempt.retry_count,
          "started_at" => attempt.started_at&.to_f, "scheduled_at" => time.to_f,
          "event" => event.to_h.transform_keys(&:name) }
      end

      def resume(delivery)
        event = Event.new(**delivery["event"].transform_keys(&:to_sym))
        before = DeliveryAttempt.new(
          id: delivery["pending"], status: delivery["pending"] ? :pending : :failure, event_uid: event.uid,
          endpoint_uid: delivery["endpoint_uid"], retry_count: delivery["retry_count"],
          started_at: delivery["started_at"] && Time.at(delivery["started_at"])
        )
        application = self.application
        scheduled_at = Time.at(delivery["scheduled_at"])
        again = following(before, event, application, scheduled_at:, trigger_type: :automatic)
        settle(perform(again, event, application, waited: before.pending?), event, application)
      end
    end
  end
end
