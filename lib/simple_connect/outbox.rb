# frozen_string_literal: true

require_relative "internal/autoload"
require_relative "errors"
require_relative "internal/clock"
require_relative "internal/log"
require_relative "internal/stop_signals"

module SimpleConnect
  # Delivers events that are written in the same database transaction as what they report: what was committed arrives.
  # See docs/outbox.md.
  module Outbox
    # The maximum length of an `event_id` and of a client's name, in bytes.
    EVENT_ID_BYTES = 255
    CLIENT_BYTES = 100
    # How many seconds a relay's job claims events, and after how many the next may do so in any case.
    JOB_SECONDS = 20
    JOB_LEASE = 30
    # Seconds until the next job if this one could claim nothing of what is due.
    JOB_IDLE = 1
    # How many seconds until old parked events are deleted again.
    CLEAN_EVERY = 3600
    # After this many seconds, the service may have forgotten an `event_id`.
    OLD = 3 * 24 * 3600
    private_constant :EVENT_ID_BYTES, :CLIENT_BYTES, :JOB_SECONDS, :JOB_LEASE, :JOB_IDLE, :CLEAN_EVERY, :OLD

    autoload :Bodies, File.expand_path("outbox/bodies.rb", __dir__)
    autoload :LaneKeys, File.expand_path("outbox/lane_keys.rb", __dir__)
    autoload :LaterQueue, File.expand_path("outbox/later_queue.rb", __dir__)
    autoload :Outcome, File.expand_path("outbox/outcome.rb", __dir__)
    autoload :ParkedEvent, File.expand_path("outbox/parked_event.rb", __dir__)
    autoload :Relay, File.expand_path("outbox/relay.rb", __dir__)
    autoload :RelayJob, File.expand_path("active_job/relay_job.rb", __dir__)
    autoload :Sender, File.expand_path("outbox/sender.rb", __dir__)
    autoload :Settings, File.expand_path("outbox/settings.rb", __dir__)
    autoload :Store, File.expand_path("outbox/store.rb", __dir__)
    autoload :Testing, File.expand_path("outbox/testing.rb", __dir__)
    autoload :Wake, File.expand_path("outbox/wake.rb", __dir__)
    autoload :Writer, File.expand_path("outbox/writer.rb", __dir__)
    private_constant :Bodies, :LaneKeys, :Outcome, :Relay, :Sender, :Store

    @lock = Mutex.new

    class << self
      # Returns what is in the outbox: the numbers of `new`, `pending` and `parked` events; the `lag`, for how many
      # seconds the oldest event has been waiting, and the seconds since the `last_pass` of a relay (nil if there is
      # none); and the `clients` that are held back or paused, each with its `name`, the `paused_reason`, and the
      # seconds until the next attempt, `probe_in`. It counts all rows: call it once a minute, not in each request.
      #
      # @return [Hash{Symbol => Object}]
      # @example
      #   SimpleConnect::Outbox.stats[:lag] # => 1.7
      def stats
        stats = store.stats
        stopped = stats[:clients].select(&:stopped?)
        { **stats, clients: stopped.map do |client|
          { name: client.name, paused_reason: client.paused_reason,
            probe_in: [(client.probe_at - client.now) / 1e6, 0.0].max }
        end }
      end

      # @api private
      # @return [Array<String>] the lines of `rails simple_connect:outbox`
      def summary
        stats = self.stats
        ages = { lag: "", last_pass: " ago" }
        lines = { **stats.slice(:new, :pending, :parked), **ages.to_h { |key, ago| [key, seconds(stats[key], ago)] } }
        clients = stats[:clients].map do |client|
          state = client[:paused_reason] ? "paused: #{client[:paused_reason]}" : "held back"
          ["client #{client[:name]}", "#{state}, tried again in #{seconds(client[:probe_in])}"]
        end
        [*lines, *clients].map { |name, value| "#{name.to_s.tr("_", " ").ljust(16)}#{value}" }
      end

      # Returns the events that were parked: the service rejected them, or they were over.
      #
      # @param client [Symbol, String, nil] the client's name; nil for all
      # @return [Enumerator<ParkedEvent>] without bodies, by id; reads 1,000 at a time
      # @example
      #   SimpleConnect::Outbox.parked.each { |event| puts "#{event.event_id}: #{event.status} #{event.error}" }
      def parked(client: nil)
        events = store.parked(client: client&.to_s)
        Enumerator.new { |list| events.each { |event| list << ParkedEvent.of(event) } }
      end

      # Lets parked events be sent again, each as the oldest of its lane.
      #
      # The service takes an `event_id` once, but nobody knows for how long it remembers it. So an event that is older
      # than three days and was sent before raises, unless `old:` is true: look it up first, by `client.events.detail`.
      #
      # @param events [Enumerable<ParkedEvent, Integer>, ParkedEvent] these, or their ids
      # @param old [Boolean] whether old ones are sent as well
      # @return [Integer] the number of events
      # @raise [ArgumentError] if one is old, with its `event_id`
      # @example
      #   SimpleConnect::Outbox.retry_parked(SimpleConnect::Outbox.parked.select { |event| event.status == 422 })
      def retry_parked(events, old: false)
        ids = ids(events)
        refuse_old(ids) unless old
        store.retry_parked(ids).tap { Wake.now }
      end

      # Deletes parked events.
      #
      # @param events [Enumerable<ParkedEvent, Integer>, ParkedEvent] these, or their ids
      # @return [Integer] the number of events
      # @example
      #   SimpleConnect::Outbox.purge_parked(SimpleConnect::Outbox.parked(client: :billing))
      def purge_parked(events) = store.purge_parked(ids(events))

      # Ends the pause of a client, whose events are sent at once instead of after the next probe. Call it after you
      # corrected its settings.
      #
      # @param client [Symbol, String] its name
      # @return [Boolean] whether it was held back or paused
      # @raise [ConfigurationError] if neither the configuration nor the outbox knows a client of this name
      # @example
      #   SimpleConnect::Outbox.resume(:billing) # => true
      def resume(client = :default)
        name = client.to_s
        resumed = store.resume(name)
        resumed ? Wake.now : refuse_unknown(name)
        resumed
      end

      # Deletes all events of a recipient, parked or not, of all clients. It does not delete those in the flat layout or
      # with a `lane:`, whose recipient the outbox does not know: pass that lane. What is being sent at this moment, or
      # was read for it in the second before, may still arrive.
      #
      # @param mobile_no [String, nil] the recipient's number
      # @param lane [String, Symbol, Integer, nil] the `lane:` of the events
      # @return [Integer] the number of events
      # @raise [ArgumentError] unless exactly one of the two is passed
      # @raise [ConfigurationError] if there is no key for the lanes
      # @example
      #   SimpleConnect::Outbox.erase(mobile_no: "+919812345678")
      def erase(mobile_no: nil, lane: nil)
        unless [mobile_no, lane].one? { |value| !value.to_s.strip.empty? }
          raise ArgumentError, "erase takes either mobile_no:, such as \"+919812345678\", or lane:"
        end

        store.erase(settings.lane_keys.prefixes(mobile_no: mobile_no&.to_s, lane: lane&.to_s))
      end

      # Deletes events that were parked longer ago than `config.outbox.keep_parked`, and what the relay needs no longer.
      # The relay does this once an hour.
      #
      # @return [Integer] the number of events
      # @example
      #   SimpleConnect::Outbox.clean
      def clean
        keep = settings.keep_parked
        store.clean(parked_before: keep && (store.now - (keep * 1_000_000).to_i))
      end

      # Delivers what is in the outbox, in this thread. Any number of processes and threads may do so at the same time.
      #
      # @param seconds [Numeric, nil] for how long at most; nil until the process gets TERM or INT
      # @return [Boolean] whether there is more to deliver at once
      # @example
      #   SimpleConnect::Outbox.relay(seconds: 20)
      def relay(seconds: nil)
        seconds ? relay_for(seconds) : relay_until_stopped
      end

      # @api private
      # Delivers until the process gets TERM or INT, while the block, if there is one, does something else in a thread.
      # If one of the two ends, such as by an error, so does the other.
      # @yieldparam stopped [Proc] returns whether to end
      # @return [void]
      def relay_until_stopped(&beside)
        relay = new_relay
        stopped = false
        stop = lambda do
          stopped = true
          relay.stop
        end
        StopSignals.call(stop) { run_until(stop, relay, beside && -> { beside.call(-> { stopped }) }) }
      end

      # @api private
      # Delivers in a job, and enqueues the next one if something is due. Jobs take turns: while one of them claims
      # events, others end at once, so the one whose turn it was looks once more after it.
      # @param job [Class]
      # @return [void]
      def relay_in_job(job)
        relay = new_relay
        turn = store.take_turn(owner: relay.owner, lease: JOB_LEASE) or return
        return unless relay_for(JOB_SECONDS, relay) { end_turn(turn) }
        return job.enqueue_relay(0) if relay.counters.any?

        # Another transaction has locked it. One job looks again, and those that are enqueued before end at once.
        again = !job.at_once? && store.take_turn(owner: relay.owner, lease: JOB_IDLE * 0.9)
        job.enqueue_relay(JOB_IDLE) if again
      ensure
        end_turn(turn) if turn
      end

      # @api private
      # @raise [ConfigurationError] if the outbox does not work with this database
      def check_engine(connection) = Database.engine(connection)

      # @api private
      # @return [Store]
      def store
        base = self.base
        cipher = settings.bodies
        @lock.synchronize do
          # Rails reloads classes, and a configuration that is reset has other keys.
          @store = nil unless @store&.first(2) == [base, cipher]
          (@store ||= [base, cipher, Store.new(base, cipher:)]).last
        end
      end

      # @api private
      # @return [Class] the ActiveRecord class whose database has the tables
      # @raise [ConfigurationError] if it cannot be loaded
      def base
        name = settings.base
        base = Object.const_get(name)
        return base if base.respond_to?(:connection)

        raise ConfigurationError, "config.outbox.base is #{name.inspect}, which must be an ActiveRecord class"
      rescue NameError => e
        raise ConfigurationError, "config.outbox.base is #{name.inspect}, which cannot be loaded: " \
                                  "#{e.message.lines.first&.chomp}"
      end

      # @api private
      # @return [Boolean] whether a transaction of the outbox's database is open. That around a test is not joinable,
      #   and does not count: production would not have it. Nor does one of the reading role, where no event is written
      def transaction?
        Database.connected(base) do |connection|
          transaction = connection.current_transaction
          transaction.open? && transaction.joinable?
        end
      end

      private

      def settings = SimpleConnect.configuration.outbox_settings

      def seconds(number, ago = "") = number ? "#{number.round(1)} s#{ago}" : "none"

      def refuse_unknown(name)
        configuration = SimpleConnect.configuration
        return if configuration.client_name?(name.to_sym)

        known = configuration.client_names.map(&:to_s) | store.clients.map(&:name)
        return if known.include?(name)

        raise ConfigurationError, "no client is called #{name.inspect}: the configuration and the outbox know only " \
                                  "these: #{known.join(", ")}"
      end

      def ids(events)
        events = [events] if events.is_a?(ParkedEvent)
        unless events.respond_to?(:map)
          raise ArgumentError, "events must be a list of parked events, such as SimpleConnect::Outbox.parked, or of " \
                               "their ids, not #{events.class}"
        end

        events.map { |event| event.is_a?(ParkedEvent) ? event.id : Integer(event) }
      end

      def refuse_old(ids)
        wanted = ids.to_h { |id| [id, true] }
        old = parked.select { |event| wanted[event.id] && event.attempts.positive? && event.age > OLD }
        return if old.empty?

        shown = [*old.first(10).map(&:event_id), *("others" if old.size > 10)].join(", ")
        raise ArgumentError, "more than three days old: #{shown}; the service may take what it has already for new, " \
                             "so look them up by client.events.detail, then pass old: true"
      end

      def new_relay = Relay.new(store:, concurrency: settings.concurrency, park_after: settings.park_after)

      def relay_for(seconds, relay = new_relay, &)
        more = relay.run(seconds:, &)
        clean_in_time
        more
      end

      # If that fails, another job has its turn when the lease is over.
      def end_turn(turn)
        store.end_turn(turn)
      rescue *Database.errors
        nil
      end

      def run_until(stop, relay, beside)
        cleaner = Thread.new { loop { clean_in_time.then { sleep(CLEAN_EVERY) } } }
        other = beside && Thread.new do
          # It is raised below.
          Thread.current.report_on_exception = false
          beside.call
        ensure
          stop.call
        end
        relay.run
      ensure
        stop.call
        cleaner&.kill&.join
        other&.join
      end

      def clean_in_time
        now = Clock.now
        due = @lock.synchronize { @cleaned.nil? || now - @cleaned > CLEAN_EVERY }
        return unless due

        @lock.synchronize { @cleaned = now }
        clean
      rescue StandardError => e
        # The next time, such as when the database is there again.
        Log.report(e, "cleaning the outbox")
      end
    end
  end
end
