# frozen_string_literal: true

require "securerandom"
require_relative "../errors"
require_relative "../internal/extension"
require_relative "../outbox"

module SimpleConnect
  module Outbox
    # The statements on the outbox's tables. Times are microseconds by the database's clock, so that the clocks of the
    # machines do not matter.
    #
    # An event is written as new, gets its lane by {#intake}, and is deleted once the service has it. A relay claims
    # lanes for some time (a lease); what it does to a lane and its events asks for the token of that lease.
    # @api private
    class Store
      EVENTS = "simple_connect_outbox_events"
      LANES = "simple_connect_outbox_lanes"
      CLIENTS = "simple_connect_outbox_clients"
      NEW = 0
      PENDING = 1
      PARKED = 2
      # The name of the row that intake locks, and that has the time of the last pass. No client's name is empty.
      LOCK = ""
      # The key of the lane that jobs lease. It belongs to no client and has no events.
      JOBS = "jobs"
      # Of one INSERT: rows, and bytes of their bodies. MariaDB refuses statements of more than 16 MiB, and a body takes
      # twice its size in one.
      SLICE = 500
      SLICE_BYTES = 4_000_000
      # In bytes. An encrypted body is longer.
      LIMITS = { client: 100, event_id: 255, event_key: 255, lane_key: 150, traceparent: 55 }.freeze
      # For rows that are read or deleted without need for speed.
      PAGE = 1_000
      private_constant :EVENTS, :LANES, :CLIENTS, :NEW, :PENDING, :PARKED, :LOCK, :JOBS, :SLICE, :SLICE_BYTES, :LIMITS,
                       :PAGE

      # A claimed lane. It has `probe` if its client is stopped, and one event may find out whether it works again: when
      # another one may do so.
      Lane = Struct.new(:id, :key, :client, :token, :first_failure_at, :probe)
      Event = Struct.new(:id, :lane_id, :client, :event_id, :event_key, :body, :attempts, :first_attempt_at,
                         :expires_at, :created_at, :traceparent, :last_error)
      # A client is stopped if it has `probe_at`: paused if it has a reason, else held back. `due` is whether it has
      # free lanes to send, `probe_due` whether it is time for a probe.
      Client = Struct.new(:id, :name, :probe_at, :paused_reason, :failures, :stopped_since, :stopped_for,
                          :last_success_at, :due, :probe_due, :now) do
        # Whether it is held back or paused.
        def stopped? = !probe_at.nil?

        # Whether its lanes, or one of them as a probe, may be claimed.
        def claimable? = due && (!stopped? || probe_due)
      end
      Parked = Struct.new(:id, :client, :event_id, :event_key, :attempts, :last_status, :last_error, :created_at)
      # Seconds since the event's first attempt; and for which it has failed while other lanes succeeded, nil if none
      # has succeeded since it last failed.
      Trial = Struct.new(:age, :failing)

      # @param base [Class, Proc] an ActiveRecord class, or what returns it
      # @param cipher [Bodies, #encrypt, #decrypt, nil] for bodies
      def initialize(base, cipher: nil)
        @base = base
        @cipher = cipher
      end

      # @return [Class]
      def base = @base.is_a?(Proc) ? @base.call : @base

      # Writes events, in the transaction that is open. It only inserts: no lane, and no row that the relay locks.
      #
      # @param rows [Array<Hash>] `client:`, `event_id:`, `event_key:`, `body:`, `lane_key:`, `expires_at:` and
      #   `traceparent:`. Events with the same lane key are sent one after another
      # @return [Integer] the number of new ones; the others were there, with the same body
      # @raise [EventConflictError] if an event is there with another body
      def insert(rows)
        with do |db|
          slices(rows).sum do |slice|
            written = write(db, slice)
            compare(db, slice) if written < slice.size
            written
          end
        end
      end

      # Gives new events their lanes, in the order of ids. One relay at a time does it; others do not wait. Events are
      # found by their state, never by a greater id: a transaction that commits late has lower ones.
      #
      # @param limit [Integer]
      # @return [Integer] the number of events
      def intake(limit)
        with do |db|
          next 0 unless any_new?(db)

          lock_row(db)
          db.transaction { db.try_lock(CLIENTS, "name = :name", name: LOCK) ? attach(db, new_events(db, limit)) : 0 }
        end
      end

      # @return [Array<Client>]
      def clients
        with do |db|
          rows = db.rows(<<~SQL, name: LOCK)
            SELECT id, name, probe_at, paused_reason, failures, stopped_since, stopped_for, last_success_at,
              CASE WHEN probe_at <= #{db.class::NOW} THEN 1 ELSE 0 END, #{db.class::NOW}
            FROM #{CLIENTS} WHERE name <> :name ORDER BY id
          SQL
          due = rows.map(&:first).each_slice(100).flat_map { |ids| with_due_lanes(db, ids) }
          rows.map { |row| utf8(Client.new(*row[..7], due.include?(row.first), row[8] == 1, row.last)) }
        end
      end

      # Leases lanes that are due, of clients that are not stopped, and one lane of each stopped client whose probe is
      # due. Clients take turns.
      #
      # @param limit [Integer]
      # @param owner [String] who claims, for people who read the table
      # @param lease [Numeric] seconds
      # @param clients [Array<Client>] see {#clients}
      # @return [Array<Lane>]
      def claim(limit, owner:, lease:, clients: self.clients)
        due = clients.select(&:claimable?).shuffle
        lanes = []
        until due.empty? || lanes.size >= limit
          share = ((limit - lanes.size) / due.size.to_f).ceil
          client = due.shift
          found = client.stopped? ? probe(client, owner, lease) : claim_of(client, share, owner, lease)
          lanes.concat(found)
          due << client if found.size == share && !client.stopped?
        end
        lanes
      end

      # @param lanes [Array<Lane>]
      # @param limit [Integer] of events of each lane
      # @return [Hash{Integer => Array<Event>}] by the lane's id, the oldest first
      def heads(lanes, limit)
        return {} if lanes.empty?

        columns = "id, lane_id, client, event_id, event_key, body, attempts, first_attempt_at, expires_at, " \
                  "created_at, traceparent, last_error"
        each = lanes.map do |lane|
          "SELECT #{columns} FROM #{EVENTS} WHERE lane_id = #{Integer(lane.id)} AND state = #{PENDING} ORDER BY id " \
            "LIMIT #{Integer(limit)}"
        end
        events = with { |db| db.rows(db.union(each)) }.map { |row| utf8(Event.new(*row)) }
        events.sort_by!(&:id)
        events.group_by(&:lane_id)
      end

      # @return [Event, nil] the oldest
      def head(lane) = heads([lane], 1)[lane.id]&.first

      # @param event [Event]
      # @return [String] the bytes to send
      def body(event) = @cipher ? @cipher.decrypt(event.body) : event.body

      # @return [Boolean] false if the lease was lost
      def renew(lane, lease:)
        change_lane(lane, ->(db) { "lease_until = #{db.class::NOW} + #{micros(lease)}" })
      end

      # The service has the event.
      # @return [Boolean] false if the lease was lost, or the event is gone
      def done(lane, event)
        finish(lane) { |db, leased| db.change("DELETE FROM #{EVENTS} WHERE id = :id AND #{leased}", id: event.id) }
      end

      # Keeps the event for people, and lets its lane go on.
      # @param attempts [Integer] how many are to be added
      # @param status [Integer, nil] of HTTP
      # @param error [String] a code
      # @return [Boolean] see {#done}
      def park(lane, event, attempts:, status:, error:)
        finish(lane) do |db, leased|
          db.change(<<~SQL, id: event.id, attempts:, status:, error:)
            UPDATE #{EVENTS} SET state = #{PARKED}, lane_id = 0, attempts = attempts + :attempts,
              first_attempt_at = #{db.class::NOW}, last_status = :status, last_error = :error
            WHERE id = :id AND #{leased}
          SQL
        end
      end

      # Ends the lease; the lane waits.
      # @param attempts [Integer] see {#park}
      # @return [Boolean] false if the lease was lost
      def postpone(lane, event, seconds:, status:, error:, attempts: 1)
        with do |db|
          db.transaction do
            now = db.class::NOW
            next false if db.change(<<~SQL, id: lane.id, token: lane.token).zero?

              UPDATE #{LANES} SET
                first_failure_at = CASE WHEN last_failure_at < (#{success_of_lane}) THEN first_failure_at
                  ELSE #{client_clock(db, "#{LANES}.client_id")} END,
                last_failure_at = #{now}, next_attempt_at = #{now} + #{micros(seconds)},
                lease_owner = NULL, lease_token = NULL, lease_until = NULL
              WHERE id = :id AND lease_token = :token
            SQL

            db.change(<<~SQL, id: event.id, attempts:, status:, error:, lane: lane.id)
              UPDATE #{EVENTS} SET attempts = attempts + :attempts, last_status = :status, last_error = :error,
                first_attempt_at = COALESCE(first_attempt_at, #{client_clock(db, lane_client)})
              WHERE id = :id
            SQL
            true
          end
        end
      end

      # Notes that the lane's first event failed, which may not be its fault.
      # @return [Boolean] false if the lease was lost
      def failed(lane) = change_lane(lane, ->(db) { failed_now(db) })

      # @return [Trial] of an event that failed
      def trial(lane, event)
        with do |db|
          first, failing = db.rows(<<~SQL, id: lane.id, first: event.first_attempt_at).first
            SELECT #{client_clock(db, "#{LANES}.client_id")} - :first,
              CASE WHEN last_failure_at < (#{success_of_lane})
                THEN #{client_clock(db, "#{LANES}.client_id")} - first_failure_at END
            FROM #{LANES} WHERE id = :id
          SQL
          Trial.new(first.to_i / 1e6, failing && (failing / 1e6))
        end
      end

      # Lets a lane go: it is due again if it has events, else idle. Three statements: an event can be attached until
      # the lane is locked, and only a statement that starts after that sees it.
      #
      # @return [Boolean] false if the lease was lost
      def release(lane)
        with do |db|
          db.transaction do
            found = db.lock("id", LANES, "id = :id AND lease_token = :token", id: lane.id, token: lane.token)
            next false if found.empty?

            pending = "SELECT 1 FROM #{EVENTS} WHERE lane_id = :id AND state = #{PENDING} LIMIT 1"
            due = db.value(pending, id: lane.id) ? db.class::NOW : "NULL"
            db.change(<<~SQL, id: lane.id)
              UPDATE #{LANES} SET next_attempt_at = #{due}, lease_owner = NULL,
                lease_token = NULL, lease_until = NULL
              WHERE id = :id
            SQL
            true
          end
        end
      end

      # Lets another lane be the client's probe at once, because this one has sent nothing.
      # @return [void]
      def return_probe(lane)
        return unless lane.probe

        probe_again(lane.client, lane.probe)
        lane.probe = nil
      end

      # Stops a client: one event is sent in `seconds`, to find out whether it works again. What other events in flight
      # report of a client that is stopped already changes nothing.
      #
      # @param client [String] its name
      # @param seconds [Numeric]
      # @param probe [Boolean, Integer, nil] whether the client's probe reports it
      # @return [Boolean] whether this stopped it
      def hold_back(client, seconds:, probe: false) = stop(client, nil, seconds, probe)

      # Stops a client because the integration, the URL or a proxy is wrong; see {#hold_back}.
      # @param reason [String] a code
      # @param probe_in [Numeric] seconds
      # @return [Boolean] whether this stopped it
      def pause(client, reason:, probe_in:, probe: false) = stop(client, reason, probe_in, probe)

      # @param client [String] its name
      # @return [Boolean] false if it was not stopped
      def resume(client)
        with do |db|
          # MySQL assigns in this order.
          db.change(<<~SQL, client: client.to_s).positive?
            UPDATE #{CLIENTS} SET
              stopped_for = stopped_for + #{db.class::NOW} - COALESCE(stopped_since, #{db.class::NOW}), stopped_since = NULL, probe_at = NULL, paused_reason = NULL, failures = 0
            WHERE name = :client AND probe_at IS NOT NULL
          SQL
        end
      end

      # Notes that the service takes events of this client.
      # @param client [String] its name
      # @return [void]
      def succeeded(client) = touch(client)

      # Notes that a relay works, for {#stats}.
      # @return [void]
      def passed
        with { |db| lock_row(db) }
        touch(LOCK)
      end

      # Jobs take turns: only one of them claims lanes.
      # @param owner [String] see {#claim}
      # @param lease [Numeric] seconds after which another job has its turn anyway
      # @return [Integer, nil] the token of the lease; nil if it is the turn of another job
      def take_turn(owner:, lease:)
        token = SecureRandom.random_number(2**62)
        with do |db|
          ends = "#{db.class::NOW} + #{micros(lease)}"
          taken = db.change(<<~SQL, owner:, token:, key: JOBS).positive?
            UPDATE #{LANES} SET lease_owner = :owner, lease_token = :token, lease_until = #{ends}
            WHERE lane_key = :key AND (lease_until IS NULL OR lease_until <= #{db.class::NOW})
          SQL
          next token if taken
          next if db.value("SELECT 1 FROM #{LANES} WHERE lane_key = :key", key: JOBS)

          first = "(#{db.literal([JOBS, 0, owner, token])}, #{ends})"
          columns = "lane_key, client_id, lease_owner, lease_token, lease_until"
          token if db.insert_new(LANES, columns, { db.literal(JOBS) => first }, %w[lane_key]).positive?
        end
      end

      # @param token [Integer] see {#take_turn}
      # @return [void]
      def end_turn(token)
        with do |db|
          db.change(<<~SQL, token:, key: JOBS)
            UPDATE #{LANES} SET lease_owner = NULL, lease_token = NULL, lease_until = NULL
            WHERE lane_key = :key AND lease_token = :token
          SQL
        end
        nil
      end

      # @return [Integer] the database's clock
      def now = with { |db| db.value("SELECT #{db.class::NOW}") }

      # @return [Boolean] whether a relay could send something now
      def due? = with { |db| any_new?(db) } || clients.any?(&:claimable?)

      # Counts all rows: not for the relay.
      # @return [Hash{Symbol => Object}] `new`, `pending` and `parked` events; `lag`, the seconds for which the oldest
      #   that is not parked waits, or nil; `last_pass`, seconds since a relay worked, or nil; `clients`
      def stats
        with do |db|
          counts = db.rows("SELECT state, COUNT(*), MIN(created_at) FROM #{EVENTS} GROUP BY state")
          by_state = counts.to_h { |state, count, _| [state, count] }
          now = db.value("SELECT #{db.class::NOW}")
          oldest = counts.filter_map { |state, _, created_at| created_at unless state == PARKED }.min
          pass = db.value("SELECT last_success_at FROM #{CLIENTS} WHERE name = :name", name: LOCK)
          { new: by_state.fetch(NEW, 0), pending: by_state.fetch(PENDING, 0), parked: by_state.fetch(PARKED, 0),
            lag: oldest && ((now - oldest) / 1e6), last_pass: pass && ((now - pass) / 1e6), clients: }
        end
      end

      # @param client [String, nil] its name; nil for all
      # @return [Enumerator<Parked>] the oldest first; read in pages
      def parked(client: nil)
        Enumerator.new do |events|
          after = 0
          loop do
            page = parked_page(client, after)
            page.each { |event| events << event }
            break if page.size < PAGE

            after = page.last.id
          end
        end
      end

      # Sends parked events again, without their `expires_at`.
      # @param ids [Array<Integer>]
      # @return [Integer] how many
      def retry_parked(ids)
        in_slices(ids) do |db, slice|
          db.change(<<~SQL, ids: slice)
            UPDATE #{EVENTS} SET #{again}, expires_at = NULL WHERE id IN (:ids) AND state = #{PARKED}
          SQL
        end
      end

      # @param ids [Array<Integer>]
      # @return [Integer] how many were deleted
      def purge_parked(ids)
        in_slices(ids) do |db, slice|
          db.change("DELETE FROM #{EVENTS} WHERE id IN (:ids) AND state = #{PARKED}", ids: slice)
        end
      end

      # Deletes the events of recipients, whatever their state. Reads the whole table, in pages.
      # @param prefixes [Array<String>] how the recipients' lane keys begin
      # @return [Integer] how many were deleted
      def erase(prefixes)
        after = 0
        erased = 0
        loop do
          page = with do |db|
            db.rows("SELECT id, lane_key FROM #{EVENTS} WHERE id > :after ORDER BY id LIMIT #{PAGE}", after:)
          end
          ids = page.filter_map { |id, key| id if key.start_with?(*prefixes) }
          erased += in_slices(ids) { |db, slice| db.change("DELETE FROM #{EVENTS} WHERE id IN (:ids)", ids: slice) }
          return erased if page.size < PAGE

          after = page.last.first
        end
      end

      # Deletes old parked events, and lanes that have nothing to send, in batches.
      # @param parked_before [Integer, nil] deletes those that were parked before this time
      # @param pause [Numeric] seconds between batches
      # @return [Integer] the number of deleted events
      def clean(parked_before: nil, pause: 0.05)
        deleted = after = 0
        while parked_before
          ids = old_parked(parked_before, after)
          deleted += purge_parked(ids)
          break if ids.size < PAGE

          after = ids.last
          sleep(pause)
        end
        sleep(pause) while sweep >= PAGE
        deleted
      end

      # Deletes some lanes that have nothing to send. Under the lock of {#intake}, which gives lanes their events.
      # @return [Integer] how many
      def sweep
        with do |db|
          ids = db.rows(<<~SQL).flatten
            SELECT id FROM #{LANES} WHERE client_id IN (SELECT id FROM #{CLIENTS}) AND next_attempt_at IS NULL
            LIMIT #{PAGE}
          SQL
          next 0 if ids.empty?

          db.transaction do
            next 0 unless db.try_lock(CLIENTS, "name = :name", name: LOCK)

            db.change("DELETE FROM #{LANES} WHERE id IN (:ids) AND next_attempt_at IS NULL", ids: ids.sort)
          end
        end
      end

      # Keeps a connection for the block.
      # @yieldparam db [Database] for {#reconnect}
      # @return [Object] the block's value
      def session = connected { |db| db.session { yield db } }

      # After an error of the database.
      # @param db [Database] of the session
      # @return [void]
      # @raise [StandardError] one of {Database.errors} if it is still away
      def reconnect(db)
        Database.connected(base, &:verify!)
        db.prepare
      end

      private

      def with
        connected { |db| db.retrying { yield db } }
      end

      def connected
        Database.connected(base) do |connection|
          @engine ||= Database.engine(connection)
          yield @engine.new(connection)
        end
      end

      # What loads a schema makes no rows, and tests delete them.
      def lock_row(db)
        return if db.value("SELECT 1 FROM #{CLIENTS} WHERE name = :name", name: LOCK)

        db.insert_new(CLIENTS, "name", { "''" => "('')" }, %w[name])
      end

      def slices(rows)
        count = bytes = 0
        rows.slice_before do |row|
          count += 1
          bytes += row.fetch(:body).bytesize
          next if count <= SLICE && bytes <= SLICE_BYTES

          count = 1
          bytes = row.fetch(:body).bytesize
        end
      end

      def micros(seconds) = (seconds * 1_000_000).to_i

      # Some adapters return binary columns in another encoding.
      def utf8(struct)
        struct.each { |value| value.force_encoding(Encoding::UTF_8) if value.is_a?(String) && !value.frozen? }
        struct
      end

      # One search for each: MariaDB would read all lanes of a client to find one that is due in a subquery.
      def with_due_lanes(db, ids)
        db.rows(db.union(ids.map do |id|
          "SELECT #{Integer(id)} FROM #{LANES} WHERE client_id = #{Integer(id)} AND next_attempt_at <= " \
            "#{db.class::NOW} AND (lease_until IS NULL OR lease_until <= #{db.class::NOW}) LIMIT 1"
        end)).flatten
      end

      # The database's clock, but it stands still while the client is stopped.
      def client_clock(db, id)
        "(SELECT COALESCE(c.stopped_since, #{db.class::NOW}) - c.stopped_for FROM #{CLIENTS} c WHERE c.id = #{id})"
      end

      # MySQL assigns in this order.
      def failed_now(db)
        <<~SQL.chomp
          first_failure_at = CASE WHEN last_failure_at < (#{success_of_lane}) THEN first_failure_at
            ELSE #{client_clock(db, "#{LANES}.client_id")} END,
          last_failure_at = #{db.class::NOW}
        SQL
      end

      def success_of_lane = "SELECT c.last_success_at FROM #{CLIENTS} c WHERE c.id = #{LANES}.client_id"

      def lane_client = "(SELECT l.client_id FROM #{LANES} l WHERE l.id = :lane)"

      def write(db, rows)
        rows = rows.to_h do |row|
          body = @cipher ? @cipher.encrypt(row.fetch(:body)) : row.fetch(:body)
          texts = row.fetch_values(:client, :event_id, :event_key, :lane_key).map { |text| text&.to_s }
          refuse_long(row)
          [db.literal(texts.first(2)),
           "(#{db.literal([*texts, row[:traceparent], row[:expires_at]])}, #{db.binary(body)}, #{db.class::NOW})"]
        end
        columns = "client, event_id, event_key, lane_key, traceparent, expires_at, body, created_at"
        db.insert_new(EVENTS, columns, rows, %w[client event_id])
      end

      # MySQL would cut it.
      def refuse_long(row)
        LIMITS.each do |name, limit|
          next unless row[name].to_s.bytesize > limit

          raise ArgumentError, "#{name} must have at most #{limit} bytes in the outbox, not #{row[name].to_s.bytesize}"
        end
      end

      def new_events(db, limit)
        db.rows(<<~SQL)
          SELECT id, lane_key, client FROM #{EVENTS} WHERE lane_id = 0 AND state = #{NEW} ORDER BY id
          LIMIT #{Integer(limit)}
        SQL
      end

      def attach(db, rows)
        return 0 if rows.empty?

        ids = client_ids(db, rows.map(&:last).uniq)
        lanes = rows.to_h { |_, key, client| [key, ids.fetch(client)] }.sort
        values = lanes.map { |key, client| "(#{db.literal([key, client])}, #{db.class::NOW})" }
        db.change(<<~SQL)
          INSERT INTO #{LANES} (lane_key, client_id, next_attempt_at) VALUES #{values.join(", ")}
          #{db.or_update("lane_key", "next_attempt_at = #{db.class::NOW}", "#{LANES}.next_attempt_at IS NULL")}
        SQL
        db.change(<<~SQL, ids: rows.map(&:first))
          UPDATE #{EVENTS} SET state = #{PENDING},
            lane_id = (SELECT l.id FROM #{LANES} l WHERE l.lane_key = #{EVENTS}.lane_key)
          WHERE id IN (:ids) AND state = #{NEW}
        SQL
      end

      def client_ids(db, names)
        find = -> { db.rows("SELECT name, id FROM #{CLIENTS} WHERE name IN (:names)", names:).to_h }
        ids = find.call
        missing = names - ids.keys
        return ids if missing.empty?

        rows = missing.to_h { |name| db.literal(name).then { |literal| [literal, "(#{literal})"] } }
        db.insert_new(CLIENTS, "name", rows, %w[name])
        find.call
      end

      def any_new?(db) = db.value("SELECT 1 FROM #{EVENTS} WHERE lane_id = 0 AND state = #{NEW} LIMIT 1")

      def claim_of(client, limit, owner, lease, probe = nil)
        with do |db|
          token = SecureRandom.random_number(2**62)
          rows = db.claim(
            LANES, "index_simple_connect_outbox_lanes_on_due",
            "lease_owner = :owner, lease_token = :token, lease_until = #{db.class::NOW} + #{micros(lease)}",
            "client_id = :client AND next_attempt_at <= #{db.class::NOW} AND " \
            "(lease_until IS NULL OR lease_until <= #{db.class::NOW})",
            "next_attempt_at, id", Integer(limit), "id, lane_key, first_failure_at",
            owner:, token:, client: client.id
          )
          rows.map { |id, key, failure| Lane.new(id, key, client.name, token, failure, probe) }
        end
      end

      # One relay gets to send it; the next may try once the lease is over.
      def probe(client, owner, lease)
        probe = client.now + micros(lease)
        won = with do |db|
          db.change("UPDATE #{CLIENTS} SET probe_at = :probe WHERE id = :id AND probe_at <= #{db.class::NOW}",
                    probe:, id: client.id)
        end
        return [] if won.zero?

        lanes = claim_of(client, 1, owner, lease, probe)
        probe_again(client.name, probe) if lanes.empty?
        lanes
      end

      # If nobody has sent or got a probe since.
      def probe_again(client, probe)
        with do |db|
          db.change("UPDATE #{CLIENTS} SET probe_at = #{db.class::NOW} WHERE name = :client AND probe_at = :probe",
                    client:, probe:)
        end
      end

      def stop(client, reason, seconds, probe)
        with do |db|
          db.change(<<~SQL, client:, reason:).positive?
            UPDATE #{CLIENTS} SET failures = failures + 1, probe_at = #{db.class::NOW} + #{micros(seconds)},
              paused_reason = :reason, stopped_since = COALESCE(stopped_since, #{db.class::NOW})
            WHERE name = :client #{"AND probe_at IS NULL" unless probe}
          SQL
        end
      end

      def touch(client)
        with do |db|
          db.change("UPDATE #{CLIENTS} SET last_success_at = #{db.class::NOW} WHERE name = :client", client:)
        end
        nil
      end

      def change_lane(lane, set)
        with do |db|
          db.change("UPDATE #{LANES} SET #{set.call(db)} WHERE id = :id AND lease_token = :token",
                    id: lane.id, token: lane.token).positive?
        end
      end

      # Ends an event. The next one of the lane starts without its failures.
      def finish(lane)
        leased = "EXISTS (SELECT 1 FROM #{LANES} l WHERE l.id = #{Integer(lane.id)} AND " \
                 "l.lease_token = #{Integer(lane.token)})"
        found = with { |db| yield(db, leased) }.positive?
        if found && lane.first_failure_at
          change_lane(lane, ->(_) { "first_failure_at = NULL, last_failure_at = NULL" })
          lane.first_failure_at = nil
        end
        found
      end

      # Of two writes of an event, only `occurred_at` may differ: it has the time of the call if nothing else is passed.
      def compare(db, rows)
        rows.group_by { |row| row.fetch(:client).to_s }.each do |client, group|
          there = db.rows(<<~SQL, client:, ids: group.map { |row| row.fetch(:event_id) })
            SELECT event_id, body, id, state FROM #{EVENTS} WHERE client = :client AND event_id IN (:ids)
          SQL
          there = there.to_h { |event_id, *rest| [event_id.b, rest] }
          group.each do |row|
            body, id, state = there[row.fetch(:event_id).b]
            next unless body

            body = @cipher.decrypt(body) if @cipher
            if significant(body) == significant(row.fetch(:body))
              send_again(db, id, row[:expires_at]) if state == PARKED
              next
            end

            event_id = row.fetch(:event_id)
            raise EventConflictError.new("the event_id #{event_id.inspect} is in the outbox with another body: " \
                                         "derive it from what happened, so that two events differ", client:, event_id:)
          end
        end
      end

      # Not if the service may have forgotten it.
      def send_again(db, id, expires_at)
        db.change(<<~SQL, id:, expires_at:)
          UPDATE #{EVENTS} SET #{again}, expires_at = :expires_at
          WHERE id = :id AND state = #{PARKED} AND (attempts = 0 OR created_at > #{db.class::NOW} - #{micros(OLD)})
        SQL
      end

      # Of its attempts, a parked event keeps whether there was one.
      def again = "state = #{NEW}, attempts = CASE WHEN attempts > 0 THEN 1 ELSE 0 END, first_attempt_at = NULL"

      def significant(body)
        json = Codec.parse(body.dup.force_encoding(Encoding::UTF_8))
        return body.b unless json.is_a?(Hash)

        event = json["event"]
        event.is_a?(Hash) ? { **json, "event" => event.except("occurred_at") } : json.except("occurred_at")
      end

      def parked_page(client, after)
        with do |db|
          rows = db.rows(<<~SQL, after:, client:)
            SELECT id, client, event_id, event_key, attempts, last_status, last_error, created_at FROM #{EVENTS}
            WHERE lane_id = 0 AND state = #{PARKED} AND id > :after #{"AND client = :client" if client}
            ORDER BY id LIMIT #{PAGE}
          SQL
          rows.map { |row| utf8(Parked.new(*row)) }
        end
      end

      # A parked event's first_attempt_at is when it was parked.
      def old_parked(before, after)
        with do |db|
          db.rows(<<~SQL, before:, after:).flatten
            SELECT id FROM #{EVENTS} WHERE lane_id = 0 AND state = #{PARKED} AND id > :after
              AND first_attempt_at < :before ORDER BY id LIMIT #{PAGE}
          SQL
        end
      end

      def in_slices(ids)
        ids.each_slice(SLICE).sum { |slice| with { |db| yield db, slice } }
      end
    end
  end
end
