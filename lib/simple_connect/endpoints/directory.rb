# frozen_string_literal: true

require_relative "records"

module SimpleConnect
  module Endpoints
    # The stored applications, as this process has read them. Each look-up reads the application's version, so that
    # changes are seen at once and nothing else is read twice.
    # @api private
    class Directory
      # The number of applications that are kept.
      KEPT = 1000
      private_constant :KEPT

      # An application. `by_id` has its endpoints by the ids of their rows, `ids` these by uid. `disabled` has the uids
      # of endpoints that were disabled because they failed; the router finds them as well.
      Entry = Struct.new(:id, :version, :ends_at, :application, :scheme, :router, :by_id, :ids, :disabled)

      def initialize
        @entries = {}
        @lock = Mutex.new
      end

      # @param uid [String]
      # @return [Entry, nil]
      def find(uid)
        connected do
          id, version = Application.where(uid:).pick(:id, :version)
          entry(id, version) if id
        end
      end

      # An invalid application must not keep the events of others.
      #
      # @param ids [Array<Integer>] of applications
      # @return [Hash{Integer => Entry, Error}] an error if the application is invalid; without those that do not exist
      def find_all(ids)
        connected do
          rows = Application.where(id: ids).pluck(:id, :version, :uid)
          rows.to_h { |id, version, uid| [id, entry_or_error(id, version, uid)] }.compact
        end
      end

      private

      def entry_or_error(id, version, uid)
        entry(id, version)
      rescue Error => e
        e.exception("the application #{uid}: #{e.message}")
      end

      # Reads what others have written, and keeps no connection.
      def connected(&) = Database.connected(Application) { Application.uncached(&) }

      def entry(id, version)
        known = @lock.synchronize { @entries[id] }
        return known if known && known.version == version && (known.ends_at.nil? || known.ends_at > Time.now.to_f)

        entry = load(id, version) or return
        @lock.synchronize do
          @entries.delete(id)
          @entries[id] = entry
          @entries.shift if @entries.size > KEPT
        end
        entry
      end

      def load(id, version)
        stored = Application.find_by(id:) or return
        application = stored.to_application
        rows = stored.endpoints.to_a
        by_id = rows.to_h { |row| [row.id, application.endpoint(row.uid)] }
        disabled = rows.select { |row| row.disabled? && row.active? }
        # An event for a disabled endpoint is kept for it, so the router must find it.
        routed = rows.map { |row| row.disabled? ? row.to_endpoint(active: row.active?) : by_id[row.id] }
        Entry.new(id, version, rows.filter_map(&:secret_ends_at).min, application, stored.scheme.to_sym,
                  Outbound::Router.new(routed), by_id, by_id.to_h { |row_id, endpoint| [endpoint.uid, row_id] },
                  disabled.to_h { |row| [row.uid, true] })
      end
    end
    private_constant :Directory
  end
end
