# frozen_string_literal: true

require "json"
require_relative "../../internal/autoload"
require_relative "../../internal/log"

module SimpleConnect
  class Sandbox
    class Inbox
      # A database of SQLite that keeps an inbox over restarts. One process uses it at a time.
      # @api private
      class SqliteJournal
        # Marks the database as one of an inbox, in its header: "SCin".
        APPLICATION = 0x5343696e
        SCHEMA = <<~SQL.freeze
          CREATE TABLE messages (
            number INTEGER PRIMARY KEY, at TEXT, event_key TEXT, mobile_no TEXT, state TEXT, json TEXT NOT NULL
          );
          CREATE TABLE state (name TEXT PRIMARY KEY, json TEXT NOT NULL);
          PRAGMA application_id = #{APPLICATION};
        SQL
        private_constant :APPLICATION, :SCHEMA

        # @param path [String]
        # @raise [ConfigurationError] if the gem sqlite3 is missing, or the file cannot be used
        def initialize(path)
          @path = path
          load_library
          open
        end

        # See {Store::Memory}.
        def shared? = false

        # See {Store::Memory}.
        def exclusive = yield

        # Reads everything, once.
        def catch_up(store)
          return if @read

          @read = true
          state = @database.execute("SELECT name, json FROM state").to_h
                           .transform_values { |json| JSON.parse(json, freeze: true) }
          origin = { "seq" => 0, "generation" => 0, **state.slice("seq", "generation", "cleared") }
          stored("SELECT json FROM messages ORDER BY number").each { |message| store.apply("put", message) }
          state.except(*origin.keys).each do |name, value|
            store.apply("set", { "name" => name, "value" => value, "seq" => origin["seq"] })
          end
          store.apply("start", origin)
        end

        # See {Store::Memory}.
        def write(operations, store)
          @database.transaction do
            operations.each { |name, value| keep(name, value) }
            store.dropped.each { |id| @database.execute("DELETE FROM messages WHERE number = ?", [id[1..].to_i]) }
            origin = store.origin
            # It may be long.
            origin.delete("cleared") unless operations.any? { |name,| name == "clear" }
            origin.each { |name, value| set(name, value) }
          end
        rescue SQLite3::Exception => e
          Log.stderr { "the inbox cannot write #{@path}: #{e.message}" }
        end

        private

        # Not needed otherwise.
        def load_library
          require "sqlite3"
        rescue LoadError
          raise ConfigurationError, "store: needs the gem sqlite3: add gem \"sqlite3\" to your Gemfile, or run " \
                                    "gem install sqlite3"
        end

        def open
          # It has customers' numbers in it; SQLite itself would let everybody read it.
          File.open(@path, File::RDWR | File::CREAT, 0o600) { nil }
          @database = SQLite3::Database.new(@path.to_s)
          @database.execute("PRAGMA locking_mode = EXCLUSIVE")
          # A delivery need not wait for the disk.
          @database.execute("PRAGMA synchronous = OFF")
          @database.transaction(:exclusive) do
            known = @database.get_first_value("PRAGMA application_id") == APPLICATION
            empty = @database.get_first_value("SELECT count(*) FROM sqlite_master").zero?
            raise ConfigurationError, "store: #{@path} is another database, and none of an inbox" unless known || empty

            @database.execute_batch(SCHEMA) unless known
          end
        rescue SystemCallError => e
          raise ConfigurationError, "store: #{@path} cannot be used: #{SystemCallError.new(nil, e.errno).message}"
        rescue SQLite3::BusyException
          raise ConfigurationError, "store: #{@path} is in use by another process"
        rescue SQLite3::Exception => e
          raise ConfigurationError, "store: #{@path} cannot be used: #{e.message}"
        end

        def stored(sql, *binds)
          @database.execute(sql, binds).map { |json,| JSON.parse(json, max_nesting: 0, freeze: true) }
        end

        def keep(name, value)
          case name
          when "set" then set(value["name"], value["value"])
          when "put"
            @database.execute(
              "INSERT OR REPLACE INTO messages VALUES (?, ?, ?, ?, ?, ?)",
              [value["id"][1..].to_i, value["at"], value["event_key"] || value["template_name"],
               value["recipient"].to_h["mobile_no"], value["state"], JSON.generate(value, max_nesting: 0)]
            )
          end
        end

        def set(name, value)
          @database.execute("INSERT OR REPLACE INTO state VALUES (?, ?)", [name, JSON.generate(value)])
        end
      end
    end
  end
end
