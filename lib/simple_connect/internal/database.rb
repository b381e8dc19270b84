# frozen_string_literal: true

require_relative "../errors"

module SimpleConnect
  # The SQL that differs between databases, on one connection, for the outbox and for stored endpoints. Statements have
  # their values in them, so that they also work through PgBouncer in transaction mode.
  # @api private
  class Database
    NAME = "SimpleConnect Outbox"
    # How often statements are tried that lose against another transaction. They succeed later.
    RETRIES = 8
    private_constant :NAME, :RETRIES

    # Uses the database that is written to, and the default shard, whatever the current role and shard are.
    # @param base [Class] of ActiveRecord
    # @yieldparam connection [ActiveRecord::ConnectionAdapters::AbstractAdapter] of this thread, or fiber
    # @return [Object] the block's value
    def self.connected(base, &)
      role = (::ActiveRecord.respond_to?(:writing_role) ? ::ActiveRecord : ::ActiveRecord::Base).writing_role
      shard = base.default_shard
      return base.connection_pool.with_connection(&) if base.current_role == role && base.current_shard == shard

      ::ActiveRecord::Base.connected_to(role:, shard:) { base.connection_pool.with_connection(&) }
    end

    # @param connection [ActiveRecord::ConnectionAdapters::AbstractAdapter]
    # @return [Database, nil] nil for any other engine
    def self.of(connection) = class_of(connection)&.new(connection)

    # @param connection [ActiveRecord::ConnectionAdapters::AbstractAdapter]
    # @return [Class] for this engine
    # @raise [ConfigurationError] if the outbox does not support the engine, its version or its settings
    def self.engine(connection)
      engine = class_of(connection)
      unless engine
        raise ConfigurationError, "the outbox needs PostgreSQL, MySQL, MariaDB or SQLite, not " \
                                  "#{connection.adapter_name}: set config.outbox.base to a class of such a database"
      end

      engine.tap { engine.new(connection).check }
    end

    def self.class_of(connection)
      case connection.adapter_name
      when /\A(postgresql|postgis)\z/i then PostgreSQL
      when /\A(mysql2|trilogy)\z/i then MySQL
      when /\Asqlite\z/i then SQLite
      end
    end
    private_class_method :class_of

    # @return [Array<Class>] what a database that is away, or another transaction, can raise
    def self.errors
      drivers = %w[PG::Error Mysql2::Error Trilogy::BaseError SQLite3::Exception].filter_map do |name|
        Object.const_get(name) if Object.const_defined?(name)
      end
      [::ActiveRecord::ActiveRecordError, *drivers]
    end

    # @param connection [ActiveRecord::ConnectionAdapters::AbstractAdapter]
    def initialize(connection)
      @connection = connection
    end

    # @param sql [String] with `:name` for each value
    # @return [Array<Array>]
    def rows(sql, **values)
      result = @connection.exec_query(fill(sql, values), NAME)
      rows = result.cast_values
      result.columns.one? ? rows.zip : rows
    end

    # @param sql [String]
    # @return [Object, nil] the first column of the first row
    def value(sql, **values) = rows(sql, **values).first&.first

    # @param sql [String]
    # @return [Integer] the number of rows that it found
    def change(sql, **values) = @connection.update(fill(sql, values), NAME)

    # At READ COMMITTED, unless it stands in a transaction, such as that of test fixtures.
    # @return [Object] the block's value
    def transaction(&)
      return @connection.transaction(requires_new: true, &) if within_transaction?

      @connection.transaction(isolation: self.class::ISOLATION, &)
    end

    # Repeats the block where it loses against another transaction.
    # @return [Object] the block's value
    def retrying
      return yield if within_transaction?

      attempts = 0
      begin
        yield
      rescue ::ActiveRecord::ActiveRecordError => e
        raise unless conflict?(e) && (attempts += 1) < RETRIES

        sleep(rand * 0.02 * attempts)
        replace_connection
        retry
      end
    end

    # @param value [Object]
    # @return [String] its literal
    def literal(value)
      case value
      when nil then "NULL"
      when Integer then value.to_s
      when Array then value.map { |each| literal(each) }.join(", ")
      # MySQL's binary columns are read in that encoding, which cannot be joined with UTF-8.
      else @connection.quote(value.encoding == Encoding::BINARY ? value.dup.force_encoding(Encoding::UTF_8) : value)
      end
    end

    # @param bytes [String]
    # @return [String] the literal of a binary
    def binary(bytes) = "x'#{bytes.unpack1("H*")}'"

    # Inserts rows, except those that are there.
    # @param columns [String]
    # @param rows [Hash{String => String}] by the literals of its key, those of the row, in parentheses
    # @param _key [Array<String>] the columns that tell whether a row is there
    # @return [Integer] the number of new rows
    def insert_new(table, columns, rows, _key)
      change("INSERT INTO #{table} (#{columns}) VALUES #{rows.values.join(", ")} ON CONFLICT DO NOTHING")
    end

    # Locks rows of a table that are found by primary key or a unique key.
    # @return [Array<Array>]
    def lock(columns, table, where, **values)
      rows("SELECT #{columns} FROM #{table} WHERE #{where} FOR UPDATE", **values)
    end

    # @return [Boolean] false if another transaction has locked the row
    def try_lock(table, where, **values)
      !rows("SELECT id FROM #{table} WHERE #{where} FOR UPDATE SKIP LOCKED", **values).empty?
    end

    # @param selects [Array<String>] with a LIMIT each
    # @return [String] the rows of all; without temporary tables, which MariaDB writes to disk for bodies
    def union(selects) = selects.map { |select| "(#{select})" }.join(" UNION ALL ")

    # Keeps settings of the relay's for the block.
    # @return [Object] the block's value
    def session = yield

    # Sets them again, after the connection was lost.
    # @return [void]
    def prepare = nil

    private

    # Rails 6.1 and 7.0 close the connection of a transaction that lost. Statements without a transaction would go on,
    # on the pool's next one.
    def replace_connection
      return if leased?

      pool = @connection.pool
      @connection = pool.respond_to?(:lease_connection) ? pool.lease_connection : pool.connection
    end

    # Whether it is still this thread's, and the pool's: Rails removes what it has closed.
    def leased? = @connection.pool.active_connection?.equal?(@connection)

    def within_transaction? = @connection.open_transactions.positive?

    def conflict?(error) = error.is_a?(::ActiveRecord::TransactionRollbackError)

    def fill(sql, values)
      return sql if values.empty?

      sql.gsub(/(?<!:):([a-z_]+)/) { literal(values.fetch(::Regexp.last_match(1).to_sym)) }
    end

    def refuse(found, needed)
      raise ConfigurationError, "the outbox needs #{needed}, not #{found}"
    end

    # PostgreSQL.
    # @api private
    class PostgreSQL < Database
      ISOLATION = :read_committed
      # Not clock_timestamp(): it is volatile, so no index could be searched by it.
      NOW = "(EXTRACT(EPOCH FROM statement_timestamp()) * 1000000)::bigint"

      # See {Database.engine}.
      def check
        version = value("SHOW server_version_num").to_i
        refuse("PostgreSQL #{version / 10_000}", "PostgreSQL 12 or later") if version < 120_000
      end

      # See {Database#binary}.
      def binary(bytes) = "'\\x#{bytes.unpack1("H*")}'::bytea"

      # See {Database#insert_new}. At REPEATABLE READ, ON CONFLICT fails if the relay has changed the row since the
      # transaction began, so rows that are there are left out before. Not at SERIALIZABLE: what is read there can
      # make other writers fail.
      def insert_new(table, columns, rows, key)
        found = "SELECT 1 FROM #{table} t WHERE #{key.map { |name| "t.#{name} = v.#{name}" }.join(" AND ")}"
        change(<<~SQL)
          INSERT INTO #{table} (#{columns})
          SELECT #{columns.sub("expires_at", "expires_at::bigint")} FROM (VALUES #{rows.values.join(", ")}) v (#{columns})
          WHERE CASE WHEN current_setting('transaction_isolation') = 'repeatable read' THEN NOT EXISTS (#{found})
            ELSE TRUE END
          ON CONFLICT DO NOTHING
        SQL
      end

      # @return [String] what makes an INSERT change the row that is there
      def or_update(key, set, only_if) = "ON CONFLICT (#{key}) DO UPDATE SET #{set} WHERE #{only_if}"

      # @return [Array<Array>] the columns of at most `limit` rows that no other transaction has locked, changed
      def claim(table, _index, set, where, order, limit, columns, **values)
        # A CTE, because the plan of `id IN (SELECT … LIMIT)` can run the subquery several times.
        rows(<<~SQL, **values)
          WITH free AS MATERIALIZED (
            SELECT id AS free_id FROM #{table} WHERE #{where} ORDER BY #{order} LIMIT #{limit} FOR UPDATE SKIP LOCKED
          ) UPDATE #{table} SET #{set} FROM free WHERE id = free_id RETURNING #{columns}
        SQL
      end
    end

    # MySQL and MariaDB. The relay's transactions run at READ COMMITTED: at REPEATABLE READ, InnoDB's gap locks hold
    # up those who write events.
    # @api private
    class MySQL < Database
      ISOLATION = :read_committed
      NOW = "TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6))"
      # Seconds that the relay waits for a row; the default is 50.
      LOCK_WAIT = 2
      # The number of the error "Record has changed since last read".
      CHANGED = 1020
      private_constant :LOCK_WAIT, :CHANGED

      # See {Database.engine}.
      def check
        least = @connection.mariadb? ? "10.6.0" : "8.0.1"
        if @connection.database_version < least
          refuse("#{@connection.mariadb? ? "MariaDB" : "MySQL"} #{@connection.database_version}",
                 "MySQL 8.0.1, MariaDB 10.6 or later")
        end
        found = rows("SHOW VARIABLES WHERE Variable_name IN ('log_bin', 'binlog_format')").to_h
        found = found.transform_keys(&:downcase)
        return unless found["log_bin"] == "ON" && found["binlog_format"] == "STATEMENT"

        refuse("STATEMENT", "binlog_format MIXED or ROW")
      end

      # See {Database#insert_new}. INSERT IGNORE locks rows that are there until the transaction ends, so they are left
      # out if a SELECT finds them. It would also cut what is too long, so the length is checked before. A no-op
      # ON DUPLICATE KEY UPDATE does not tell how many rows are new.
      def insert_new(table, columns, rows, key)
        keys = rows.keys.map { |literals| "(#{literals})" }
        key = key.join(", ")
        found = self.rows("SELECT #{key} FROM #{table} WHERE #{unlocked} AND (#{key}) IN (#{keys.join(", ")})")
        rows = rows.except(*found.map { |values| literal(values) })
        return 0 if rows.empty?

        change("INSERT IGNORE INTO #{table} (#{columns}) VALUES #{rows.values.join(", ")}")
      end

      # See {PostgreSQL#or_update}.
      def or_update(_key, set, only_if)
        column, value = set.split(" = ", 2)
        "ON DUPLICATE KEY UPDATE #{column} = CASE WHEN #{only_if} THEN #{value} ELSE #{column} END"
      end

      # See {PostgreSQL#claim}. The index is named because a plan that sorts locks all rows that it reads.
      def claim(table, index, set, where, order, limit, columns, **values)
        transaction do
          ids = rows(<<~SQL, **values).flatten
            SELECT id FROM #{table} FORCE INDEX (#{index}) WHERE #{where} ORDER BY #{order} LIMIT #{limit}
            FOR UPDATE SKIP LOCKED
          SQL
          next [] if ids.empty?

          change("UPDATE #{table} SET #{set} WHERE id IN (:ids)", ids:, **values)
          rows("SELECT #{columns} FROM #{table} WHERE id IN (:ids)", ids:)
        end
      end

      # See {Database#session}.
      def session
        before = value("SELECT @@innodb_lock_wait_timeout")
        prepare
        yield
      ensure
        restore(before) if before
      end

      # See {Database#prepare}.
      def prepare = lock_wait(LOCK_WAIT)

      private

      # False at SERIALIZABLE, where a SELECT locks rows, and where there are none keeps others from inserting them.
      def unlocked
        transaction = @connection.current_transaction
        return "FALSE" if transaction.open? && transaction.isolation_level == :serializable

        "@@#{@connection.mariadb? ? "tx" : "transaction"}_isolation <> 'SERIALIZABLE'"
      end

      def lock_wait(seconds)
        @connection.execute("SET innodb_lock_wait_timeout = #{seconds}", NAME) if leased?
      end

      def conflict?(error) = super || changed_meanwhile?(error.cause)

      # MariaDB from 11.6 on, where a row changes after the statement has begun, at READ COMMITTED as well.
      def changed_meanwhile?(error)
        code = %i[error_number error_code].find { |name| error.respond_to?(name) }
        !code.nil? && error.public_send(code) == CHANGED
      end

      # A connection that is away has lost the setting anyway.
      def restore(before)
        lock_wait(before)
      rescue *Database.errors
        nil
      end
    end

    # SQLite, which has one writer at a time. A transaction must write first: one that reads first fails at once if
    # another has written meanwhile.
    # @api private
    class SQLite < Database
      ISOLATION = nil
      NOW = "CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER)"

      # See {Database.engine}.
      def check
        version = value("SELECT sqlite_version()")
        refuse("SQLite #{version}", "SQLite 3.35 or later") if Gem::Version.new(version) < Gem::Version.new("3.35")
      end

      # See {PostgreSQL#or_update}.
      def or_update(key, set, only_if) = "ON CONFLICT (#{key}) DO UPDATE SET #{set} WHERE #{only_if}"

      # See {PostgreSQL#claim}.
      def claim(table, _index, set, where, order, limit, columns, **values)
        rows(<<~SQL, **values)
          UPDATE #{table} SET #{set} WHERE id IN (SELECT id FROM #{table} WHERE #{where} ORDER BY #{order} LIMIT #{limit})
          RETURNING #{columns}
        SQL
      end

      # See {Database#union}.
      def union(selects) = selects.map { |select| "SELECT * FROM (#{select})" }.join(" UNION ALL ")

      # See {Database#lock}.
      def lock(columns, table, where, **values)
        change("UPDATE #{table} SET id = id WHERE #{where}", **values)
        rows("SELECT #{columns} FROM #{table} WHERE #{where}", **values)
      end

      # See {Database#try_lock}.
      def try_lock(table, where, **values) = change("UPDATE #{table} SET id = id WHERE #{where}", **values).positive?

      private

      def conflict?(error) = super || error.cause.is_a?(::SQLite3::BusyException)
    end
  end
  private_constant :Database
end
