# frozen_string_literal: true

require_relative "records"

module SimpleConnect
  module Endpoints
    # The statements on events, deliveries and attempts. Times are microseconds since 1970, by the database's clock.
    # @api private
    class Store
      SECOND = 1_000_000
      # Rows that one statement inserts or deletes.
      SLICE = 1000
      # Seconds between two of these.
      PAUSE = 0.01
      # What is kept of a response, in bytes.
      EXCERPT = 4096
      UID_LENGTH = 255
      private_constant :SECOND, :SLICE, :PAUSE, :EXCERPT, :UID_LENGTH

      # @return [Integer]
      def now = connected { |connection| Integer(connection.select_value("SELECT #{clock(connection)}")) }

      # @yieldparam connection [ActiveRecord::ConnectionAdapters::AbstractAdapter] see {Database.connected}
      def connected(&) = Database.connected(Delivery, &)

      # @return [Boolean] whether the caller's transaction is open
      def in_transaction?
        connected { |connection| connection.current_transaction.then { |each| each.open? && each.joinable? } }
      end

      # Records an event once.
      #
      # @param entry [Directory::Entry]
      # @param event [Outbound::Event]
      # @param endpoints [Array<Outbound::Endpoint>]
      # @param lease [Array(String, Numeric), nil] the token and the seconds; nil if another process sends it
      # @return [Array<Delivery>]
      # @raise [ArgumentError] if the uid was used for another body, or is too long
      def record(entry, event, endpoints, lease)
        if event.uid.length > UID_LENGTH
          raise ArgumentError, "uid: must have at most #{UID_LENGTH} characters, not #{event.uid.length}"
        end

        transaction do
          time = now
          token, seconds = lease
          due = time + ((seconds || 0) * SECOND).to_i
          stored = event_row(entry, event, time)
          rows = endpoints.map do |endpoint|
            { event_id: stored.id, endpoint_id: entry.ids.fetch(endpoint.uid), scheme: entry.scheme.name,
              state: "pending", next_attempt_at: due, created_at: time, lease_token: token }
          end
          rows.each_slice(SLICE) { |slice| Delivery.insert_all(slice) }
          Delivery.where(event_id: stored.id).to_a.each { |delivery| delivery.event = stored }
        end
      end

      # Claims deliveries that are due: any number of processes at once, none of which waits for another.
      #
      # @param limit [Integer]
      # @param token [String] identifies the claim
      # @param lease [Numeric] seconds
      # @return [Array<Delivery>]
      def claim(limit, token, lease)
        transaction do
          Delivery.uncached do
            time = now
            due = Delivery.where(state: "pending").where(next_attempt_at: ..time)
            # Without locks. Claims at the same time would find the same rows, so each takes some of them.
            found = due.order(:next_attempt_at, :id).limit(limit * 4).pluck(:id, :next_attempt_at).to_h
            ids = found.size > limit ? found.keys.sample(limit) : found.keys
            next [] if ids.empty?

            due.where(id: ids).update_all(lease_token: token, next_attempt_at: time + (lease * SECOND).to_i)
            Delivery.includes(:event).where(id: ids, lease_token: token).to_a.each do |delivery|
              delivery.scheduled_at = found[delivery.id]
            end
          end
        end
      end

      # @return [Float, nil] the seconds until the next delivery is due
      def due_in
        connected do
          first = Delivery.uncached { Delivery.where(state: "pending").minimum(:next_attempt_at) }
          first && [(first - now).fdiv(SECOND), 0.0].max
        end
      end

      # Ends a claim.
      #
      # @param seconds [Numeric, nil] when it is due again
      # @return [Boolean] false if another process has claimed it meanwhile
      def release(delivery, seconds: nil, **changes)
        transaction do
          time = now
          changes[:next_attempt_at] = time + (seconds * SECOND).ceil if seconds
          changes[:finished_at] = time if changes.key?(:state)
          ended = Delivery.where(id: delivery.id, lease_token: delivery.lease_token)
                          .update_all(lease_token: nil, **changes) == 1
          due_if_enabled(delivery, time) if ended && changes[:state] == "kept"
          ended
        end
      end

      # At READ COMMITTED: at REPEATABLE READ, MySQL locks gaps, which would hold up those who publish.
      # @yield in a transaction, again if it lost against another one
      def transaction(&)
        connected do |connection|
          next Delivery.transaction(&) if connection.open_transactions.positive?

          database = database(connection)
          database.retrying { database.transaction(&) }
        end
      end

      # Extends a claim.
      #
      # @return [Boolean] false if another process has claimed it meanwhile
      def renew(delivery, lease)
        connected do
          Delivery.where(id: delivery.id, lease_token: delivery.lease_token)
                  .update_all(next_attempt_at: now + (lease * SECOND).to_i) == 1
        end
      end

      # @return [Float] for how many seconds the endpoint takes no event
      def held_for(endpoint_id)
        connected do |connection|
          until_, time = Endpoint.uncached do
            Endpoint.where(id: endpoint_id).pick(:not_before, Arel.sql(clock(connection)))
          end
          until_ ? [(until_ - Integer(time)).fdiv(SECOND), 0.0].max : 0.0
        end
      end

      # @return [void]
      def hold_back(endpoint_id, seconds)
        connected { Endpoint.where(id: endpoint_id).update_all(not_before: now + (seconds * SECOND).to_i) }
      end

      # @return [void]
      def keep(delivery, attempt)
        connected do
          Attempt.create!(
            uid: attempt.id, delivery_id: delivery.id, endpoint_id: delivery.endpoint_id,
            endpoint_url: attempt.endpoint_url, status: attempt.status.name, retry_count: attempt.retry_count,
            response_status_code: attempt.response_status_code, response: excerpt(attempt.response),
            response_headers: small(attempt.response_headers), error: excerpt(attempt.error),
            network_error: attempt.network_error&.name,
            scheduled_at: micros(attempt.scheduled_at), attempted_at: micros(attempt.attempted_at)
          )
        end
      end

      # Counts permits in the database; see {Outbound::RedisLimiter#take}.
      #
      # @param endpoint_id [Integer]
      # @return [Float] the seconds to wait; 0.0 for a permit
      def take(endpoint_id, limit, waited:)
        connected do
          20.times do
            started, taken, queue, time = window(endpoint_id)
            changes, wait = Outbound::RedisLimiter.step(started, taken, queue, time, limit, waited)
            row = Endpoint.where(id: endpoint_id, window_started_at: started, window_taken: taken, window_queue: queue)
            return wait.fdiv(SECOND) if row.update_all(changes.transform_keys { |name| :"window_#{name}" }) == 1
          end
          # Others were faster each time.
          rand + 0.1
        end
      end

      # @param retain [Numeric] seconds
      # @return [Integer] how many events were deleted
      def clean(retain)
        connected do
          limit = now - (retain * SECOND).to_i
          old(Attempt, :attempted_at, limit) { |ids| Attempt.where(id: ids).delete_all }
          old(Event, :created_at, limit) do |ids|
            ids -= Delivery.where(event_id: ids, state: "pending").distinct.pluck(:event_id)
            deliveries = Delivery.where(event_id: ids).pluck(:id)
            Attempt.where(delivery_id: deliveries).delete_all
            Delivery.where(id: deliveries).delete_all
            Event.where(id: ids).delete_all
          end
        end
      end

      private

      def clock(connection) = database(connection).class::NOW

      def database(connection)
        Database.of(connection) or
          raise ConfigurationError, "endpoints can be stored in PostgreSQL, MySQL, MariaDB and SQLite, not in " \
                                    "#{connection.adapter_name}"
      end

      def event_row(entry, event, time)
        row = { application_id: entry.id, uid: event.uid, event_type: event.event_type, version: event.version,
                topics: event.topics, body: event.body, created_at: time }
        Event.insert_all([row])
        wanted = Event.where(application_id: entry.id, uid: event.uid)
        # On MySQL, a locking read also finds what others have committed since this transaction began.
        stored = Event.uncached { wanted.take || wanted.lock.take! }
        return stored if stored.body.b == event.body.b

        raise ArgumentError, "uid: #{event.uid} was published before with another body: use another uid"
      end

      # Another process can have enabled the endpoint since this one has read it. Nothing sends what is kept after that.
      def due_if_enabled(delivery, time)
        return if Endpoint.lock.where(id: delivery.endpoint_id).where.not(disabled_at: nil).exists?

        Delivery.where(id: delivery.id).update_all(state: "pending", finished_at: nil, next_attempt_at: time)
        Endpoints.wake
      end

      def window(endpoint_id)
        Endpoint.uncached do
          row = Endpoint.where(id: endpoint_id).pick(:window_started_at, :window_taken, :window_queue)
          [*(row || [0, 0, 0]), now]
        end
      end

      # Yields the ids of rows from before `limit`. Ids are in the order of time, nearly.
      def old(model, column, limit)
        count = last = 0
        loop do
          rows = model.where("id > ?", last).order(:id).limit(SLICE).pluck(:id, column)
          ids = rows.select { |_, time| time < limit }.map(&:first)
          return count if ids.empty?

          count += yield(ids)
          return count if ids.size < SLICE

          last = ids.last
          sleep(PAUSE)
        end
      end

      def excerpt(text)
        return if text.nil?

        # PostgreSQL stores no NUL.
        text.byteslice(0, EXCERPT).scrub("").delete("\0")
      end

      def small(headers)
        size = 0
        headers.take_while { |name, value| (size += name.bytesize + value.bytesize) <= EXCERPT }.to_h
      end

      def micros(time) = (time.to_r * SECOND).to_i
    end
    private_constant :Store
  end
end
