# frozen_string_literal: true

require "socket"
require_relative "../internal/batch"
require_relative "../internal/clock"
require_relative "../internal/instrumentation"
require_relative "../internal/log"
require_relative "../outbox"

module SimpleConnect
  module Outbox
    # Sends what is in a {Store}. Any number of relays may run at once, in processes and threads.
    #
    # One thread does all: statements run in its main fiber, and requests in the fibers of a {Batch}, outside of any
    # transaction. What is claimed is held as a {Work} until its lane is let go.
    # @api private
    class Relay
      # Seconds without work after which it looks again, and with work.
      IDLE = 0.25
      BUSY = 0.01
      # New events that get their lanes at once.
      INTAKE = 500
      # Events of one lane that are sent before other lanes have their turn.
      TURN = 5
      # Seconds after which events that were read ahead are read again, because they may have been erased.
      FRESH = 1.0
      # Seconds: the first wait, which doubles, and the longest; of a lane, of a held back client, of the database.
      LANE = [5.0, 3600.0].freeze
      CLIENT = [2.0, 60.0].freeze
      DATABASE = [0.25, 15.0].freeze
      # The maximum of Retry-After.
      LONGEST = 86_400.0
      # The maximum jitter, as a fraction of the wait. It only adds: a service must not be asked too early.
      JITTER = 0.25
      # Seconds between notes that a client's events succeed, and that the relay works.
      NOTE = 10.0
      # Seconds between deletions of idle lanes, and if there are as many of them as one deletes.
      SWEEP = 60.0
      SWEEP_MANY = 0.5
      MANY = 1_000
      # Seconds for which it tries to record the last results once it has stopped.
      LAST = 5.0
      # The maximum of lanes of a paused client that it tries one after another while it can read none.
      TRIES = 500
      private_constant :IDLE, :BUSY, :INTAKE, :TURN, :FRESH, :LANE, :CLIENT, :DATABASE, :LONGEST, :JITTER, :NOTE,
                       :SWEEP, :SWEEP_MANY, :MANY, :LAST, :TRIES

      # A claimed lane and its next events. `renewed` is when its lease began, at the latest, and `read` when its events
      # were read; `outcome` what happened to the first event, until the database has it.
      Work = Struct.new(:lane, :events, :renewed, :read, :outcome) do
        # The event to send, or that was sent.
        def event = events.first

        # @return [Object] the event, which the database has recorded
        def finished
          self.outcome = nil
          events.shift
        end
      end
      private_constant :Work

      # @return [Hash{Symbol => Integer}] how often each outcome happened
      attr_reader :counters
      # @return [String]
      attr_reader :owner

      # @param store [Store]
      # @param sender [Sender, #call, #timeout]
      # @param concurrency [Integer] the number of lanes at a time
      # @param park_after [Numeric, nil] seconds after which an event is parked that fails while others succeed
      # @param give_up_after [Numeric] seconds after its first attempt when an event is parked as expired
      # @param probe_every [Numeric] seconds between probes of a paused client
      # @param owner [String] a name of this relay, for people
      def initialize(store:, sender: Sender.new, concurrency: 16, park_after: 3600, give_up_after: 259_200,
                     probe_every: 180, owner: "#{Socket.gethostname} #{Process.pid}"[0, 100])
        @store = store
        @sender = sender
        @concurrency = concurrency
        @park_after = park_after
        @give_up_after = give_up_after
        @probe_every = probe_every
        @owner = owner
        @counters = Hash.new(0)
        # At least twice the time that an attempt takes is left when it starts.
        @lease = sender.timeout * 4
      end

      # Ends {#run}: nothing more is claimed, and what is under way is finished. Safe in a signal handler.
      # @return [void]
      def stop
        @stopped = true
        nil
      end

      # Sends until {#stop} is called.
      #
      # @param seconds [Numeric, nil] sends for that long at most, and only while something is due
      # @yield once it claims nothing more; requests may be under way
      # @return [Boolean] whether something is due
      def run(seconds: nil)
        reset(seconds)
        works = Enumerator.new do |list|
          feed(list)
          yield if block_given?
        end
        @store.session do |db|
          @db = db
          @batch.run(works) { |outcome, work| settle(work, outcome) }
          finish_up
        ensure
          let_all_go
        end
        !seconds.nil? && @store.due?
      end

      private

      def reset(seconds)
        @ends = seconds && (Clock.now + seconds)
        @batch = Batch.new(@concurrency) { |work| attempt(work) }
        # What is claimed; of that, what waits for its events, to be sent, and for the database to record it.
        @held = {}.compare_by_identity
        @empty = []
        @ready = []
        @unsettled = {}.compare_by_identity
        # By name: how often in a row they failed.
        @stopped_clients = {}
        @noted = {}
        @successes = {}
        # By client: whether it could read an event, and the ids of lanes that it cannot read.
        @readable = {}
        @unreadable = Hash.new { |clients, name| clients[name] = {} }
        @failures = 0
        @next_look = @resumes = @next_sweep = Clock.now
        # Whether the last look found something; nil if it is time for another one.
        @found = @passed = @trouble = nil
      end

      def over? = @stopped || (!@ends.nil? && Clock.now >= @ends)

      # Gives the batch lanes as it has fibers for them.
      def feed(works)
        until over?
          within_database { work_ahead } if Clock.now >= @resumes
          if (work = next_work)
            works << work
          elsif @ends && @found == false && @held.empty? && @trouble.nil?
            break
          else
            @batch.progress([wait, 0].max)
          end
        end
      end

      def wait
        return [@resumes - Clock.now, IDLE].min if @trouble

        @held.size < @concurrency ? [@next_look - Clock.now, IDLE].min : IDLE
      end

      # Errors in the block end nothing: the database may be away, or another transaction may hold a row.
      def within_database
        @store.reconnect(@db) if @trouble
        yield
        @passed = true
        @trouble = nil
        @failures = 0
      rescue *Database.errors => e
        # What is wrong from the beginning, such as missing tables, does not get better.
        raise unless @passed

        trouble(e)
      end

      def trouble(error)
        Log.warn(logger, "the outbox's database failed: #{error.class}: #{error.message}") unless @trouble
        @trouble = error
        @failures += 1
        @resumes = Clock.now + backoff(DATABASE, @failures)
      end

      def work_ahead
        record_rest
        load_rest
        return if Clock.now < @next_look || @held.size >= @concurrency || @ready.any?

        look
        load_rest
        @next_look = Clock.now + (@found ? BUSY : IDLE)
      end

      def look
        note(:relay) { @store.passed }
        taken = @store.intake(INTAKE)
        started = Clock.now
        clients = @store.clients
        @stopped_clients = clients.select(&:stopped?).to_h { |client| [client.name, client.failures] }
        @clock = [clients.first&.now.to_i, started]
        lanes = @store.claim(@concurrency - @held.size, owner: @owner, lease: @lease, clients:)
        @empty.concat(lanes.map { |lane| Work.new(lane, [], started) })
        @empty.each { |work| @held[work] = true }
        @found = taken.positive? || lanes.any?
        sweep
      end

      def load_rest
        started = Clock.now
        heads = @store.heads(@empty.map(&:lane), TURN)
        while (work = @empty.shift)
          work.events = heads.fetch(work.lane.id, [])
          work.read = started
          work.event ? @ready << work : let_go(work)
        end
      end

      # Without those that were erased meanwhile. Others still have their turn.
      def read_again(work)
        started = Clock.now
        work.events = @store.heads([work.lane], work.events.size).fetch(work.lane.id, [])
        work.read = started
      end

      def sweep
        return if Clock.now < @next_sweep

        swept = @store.sweep
        @next_sweep = Clock.now + (swept < MANY ? SWEEP : SWEEP_MANY)
      end

      # The next one to send.
      def next_work
        while @trouble.nil? && (work = @ready.shift)
          ready = false
          within_database { ready = prepare(work) }
          return work if ready

          @ready.unshift(work) if @trouble && !@unsettled.key?(work)
        end
      end

      # @return [Boolean] whether to send it; its lease then lasts at least twice the time that this takes
      def prepare(work)
        return let_go(work) if stopped?(work.lane)

        read_again(work) if Clock.now - work.read > FRESH
        return let_go(work) unless work.event
        return expire(work) if expired?(work.event)
        return true if Clock.now - work.renewed < @lease / 2

        started = Clock.now
        return lost(work) unless @store.renew(work.lane, lease: @lease)

        work.renewed = started
        true
      end

      def stopped?(lane) = !lane.probe && @stopped_clients.key?(lane.client)

      def expired?(event) = event.expires_at && event.expires_at <= database_time

      # Microseconds, by the database's clock.
      def database_time = @clock.first + ((Clock.now - @clock.last) * 1_000_000).to_i

      # In a fiber of the batch.
      # @return [Outcome]
      def attempt(work)
        body = @store.body(work.event)
        @readable[work.lane.client] = true
        @sender.call(work.event, body, @batch)
      rescue StandardError, ScriptError => e
        # No key opens the body; or a custom policy failed.
        body ? Outcome.new(:postpone, nil, e.class.to_s[0, 100]) : Outcome.unreadable
      end

      def settle(work, outcome)
        work.outcome = outcome
        @unsettled[work] = true
        record_rest unless @trouble
      rescue *Database.errors => e
        trouble(e)
      end

      def record_rest
        while (work = @unsettled.first&.first)
          record(work)
          @unsettled.delete(work)
        end
      end

      # Can be repeated after an error.
      def record(work)
        case work.outcome&.todo
        when :done then done(work)
        when :park then park(work, work.outcome)
        when :postpone then postpone(work)
        when :hold_back, :pause then own_fault?(work) ? postpone(work) : stop_client(work)
        end
        go_on(work) if @held.key?(work)
      end

      def done(work)
        lane = work.lane
        works_again(lane)
        return lost(work) unless @store.done(lane, work.event) || @store.renew(lane, lease: @lease)

        @successes[lane.client] = true
        report(work.event, work.outcome, :done)
        work.finished
        note(lane.client) { succeeded(lane.client) }
      end

      def park(work, outcome)
        lane = work.lane
        works_again(lane)
        parked = @store.park(lane, work.event, attempts: work.outcome.attempts, status: outcome.status,
                                               error: outcome.error)
        return lost(work) unless parked || @store.renew(lane, lease: @lease)

        report(work.event, outcome, :parked)
        publish("park.simple_connect", **facts(work.event), status: outcome.status, error: outcome.error)
        work.finished
      end

      # Nothing was sent.
      def expire(work)
        parked = @store.park(work.lane, work.event, attempts: 0, status: nil, error: "expired")
        return lost(work) unless parked || @store.renew(work.lane, lease: @lease)

        @counters[:parked] += 1
        publish("park.simple_connect", **facts(work.event), status: nil, error: "expired")
        work.finished
        go_on(work)
        false
      end

      def postpone(work)
        lane = work.lane
        event = work.event
        outcome = work.outcome
        outcome.unreadable? ? @store.return_probe(lane) : works_again(lane)
        succeeded(lane.client) if @successes[lane.client]
        trial = @store.trial(lane, event)
        return park(work, Outcome.new(:park, outcome.status, "expired")) if trial.age >= @give_up_after
        return park(work, outcome) if hopeless?(trial, work)

        # A key can be there again at any time.
        seconds = outcome.unreadable? ? @probe_every : backoff(LANE, event.attempts + 1, outcome.retry_after)
        postponed = @store.postpone(lane, event, seconds:, status: outcome.status, error: outcome.error,
                                                 attempts: outcome.attempts)
        return lost(work) unless postponed

        report(event, outcome, :postponed)
        forget(work)
      end

      # A service that is busy gets more time.
      def hopeless?(trial, work)
        failing = known_unreadable?(work) ? trial.age : trial.failing
        @park_after && failing && failing >= @park_after && work.outcome.todo != :hold_back
      end

      # Whether others of its client could be read when it was postponed.
      def known_unreadable?(work) = work.outcome.unreadable? && work.event.last_error == work.outcome.error

      # Whether the answer is about the event after all, such as from a firewall that dislikes its text: others have
      # succeeded since it last got one. Or no key opens it, but those of others.
      def own_fault?(work)
        lane = work.lane
        return known_unreadable?(work) || @readable.key?(lane.client) if work.outcome.unreadable?
        return false if work.outcome.status.nil? || lane.probe

        succeeded(lane.client) if @successes[lane.client]
        !@store.trial(lane, work.event).failing.nil?
      end

      # Nothing is used up: neither the event's attempts nor its time.
      def stop_client(work)
        return try_others(work) if others?(work)

        lane = work.lane
        @store.failed(lane)
        outcome = work.outcome
        paused = outcome.todo == :pause
        failures = @stopped_clients[lane.client].to_i
        seconds = paused ? @probe_every : backoff(CLIENT, failures + 1, outcome.retry_after)
        stopped = if paused
                    @store.pause(lane.client, reason: outcome.error, probe_in: seconds, probe: lane.probe)
                  else
                    @store.hold_back(lane.client, seconds:, probe: lane.probe)
                  end
        @stopped_clients[lane.client] = failures + 1
        @unreadable.delete(lane.client)
        lane.probe = nil
        work.outcome = nil
        report(work.event, outcome, paused ? :paused : :held_back)
        return unless stopped

        publish("pause.simple_connect", client: lane.client, paused:, reason: outcome.error, status: outcome.status,
                                        seconds:)
      end

      # Whether there may be lanes of its client that it can read.
      def others?(work)
        tried = @unreadable[work.lane.client]
        work.outcome.unreadable? && tried.size < TRIES && !tried.key?(work.lane.id)
      end

      # Looks for one, which costs no request.
      def try_others(work)
        lane = work.lane
        outcome = work.outcome
        lane.probe ? @store.return_probe(lane) : @store.pause(lane.client, reason: outcome.error, probe_in: 0)
        @unreadable[lane.client][lane.id] = true
        @stopped_clients[lane.client] ||= 1
        work.outcome = nil
        report(work.event, outcome, :paused)
      end

      # After any answer that is about the event, not the client.
      def works_again(lane)
        return unless lane.probe

        @store.resume(lane.client)
        @store.succeeded(lane.client)
        @stopped_clients.delete(lane.client)
        @unreadable.delete(lane.client)
        lane.probe = nil
      end

      def succeeded(client)
        @store.succeeded(client)
        @successes.delete(client)
      end

      # The lane's next event, or another lane's turn.
      def go_on(work)
        return @ready << work if work.event && !over? && !stopped?(work.lane)

        let_go(work)
      end

      def let_go(work)
        @unsettled[work] = true
        @store.return_probe(work.lane)
        return lost(work) unless @store.release(work.lane)

        forget(work)
        # It may be due again.
        @found = nil
        @next_look = [@next_look, Clock.now + BUSY].min
        false
      end

      def lost(work)
        @store.return_probe(work.lane)
        forget(work)
        @counters[:lease_lost] += 1
        publish("lease_lost.simple_connect", client: work.lane.client, **(work.event ? facts(work.event) : {}))
        false
      end

      def forget(work)
        @held.delete(work)
        @unsettled.delete(work)
      end

      # Calls the block at most each NOTE seconds.
      def note(what)
        return if @noted[what] && Clock.now - @noted[what] < NOTE

        yield
        @noted[what] = Clock.now
      end

      def finish_up
        ends = Clock.now + LAST
        while @unsettled.any? && Clock.now < ends
          sleep((@resumes - Clock.now).clamp(0, LAST))
          within_database { record_rest }
        end
        raise @trouble if @trouble && !@stopped
      end

      # Those that wait, or whose result is unknown. If it fails, their leases end by themselves.
      def let_all_go
        @held.each_key do |work|
          @store.return_probe(work.lane)
          @store.release(work.lane)
        end
        @held.clear
      rescue *Database.errors
        nil
      end

      def backoff((first, longest), failures, asked = nil)
        seconds = [first * (2.0**(failures - 1)), longest].min
        [seconds, [asked.to_f, LONGEST].min].max * (1 + (rand * JITTER))
      end

      def report(event, outcome, name)
        @counters[name] += 1
        publish("relay.simple_connect", **facts(event), outcome: name, status: outcome.status, error: outcome.error,
                                                        attempts: event.attempts + outcome.attempts,
                                                        lag: (database_time - event.created_at) / 1_000_000.0)
      end

      def facts(event) = { client: event.client, event_id: event.event_id, event_key: event.event_key }

      def publish(name, **payload) = Instrumentation.publish(name, payload)

      def logger = SimpleConnect.configuration.find(:logger)&.last
    end
  end
end
