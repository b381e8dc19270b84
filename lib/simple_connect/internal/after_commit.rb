# frozen_string_literal: true

module SimpleConnect
  # Runs a block after the ActiveRecord transactions that are open in this thread have committed: at once if there are
  # none, never if one is rolled back. Transactions that are not joinable, such as those of test fixtures, do not count.
  # @api private
  module AfterCommit
    class << self
      # @yield at once, or after the last of the transactions commits
      # @return [void]
      def call(&block)
        return yield unless base?
        return ::ActiveRecord.after_all_transactions_commit(&block) if all_transactions?

        connections = open_connections
        return yield if connections.empty?

        # The counter belongs to this thread, as its connections do.
        left = connections.size
        connections.each do |connection|
          connection.add_transaction_record(Record.new(connection) { yield if (left -= 1).zero? })
        end
        nil
      end

      private

      # ActiveRecord::Base is autoloaded; before that, no transaction can be open.
      def base? = defined?(::ActiveRecord::Base) && !::ActiveRecord.autoload?(:Base)

      # Rails 7.2 and later.
      def all_transactions? = ::ActiveRecord.respond_to?(:after_all_transactions_commit)

      def open_connections
        connections = pools.filter_map { |pool| pool.active_connection? || nil }
        connections.uniq.select do |connection|
          transaction = connection.current_transaction
          transaction.open? && transaction.joinable?
        end
      end

      def pools
        base = ::ActiveRecord::Base
        # Rails 7.1 deprecates the earlier name.
        return base.connection_handler.connection_pool_list(:all) if ::ActiveRecord.version >= Gem::Version.new("7.1")

        handlers(base).flat_map(&:all_connection_pools)
      end

      # Before Rails 7.1 there can be one for each role.
      def handlers(base)
        [base.connection_handler, *base.connection_handlers.values].compact.uniq
      rescue NotImplementedError
        [base.connection_handler]
      end
    end

    # Acts as a record of a transaction, which calls it after the commit. A savepoint passes it to the outer
    # transaction.
    # @api private
    class Record
      def initialize(connection, &block)
        @connection = connection
        @block = block
      end

      def trigger_transactional_callbacks? = true
      def has_transactional_callbacks? = true # rubocop:disable Naming/PredicateName -- ActiveRecord's name
      def before_committed!(*) = nil

      # `should_run_callbacks:` is false if another record's callback raised. The transaction has committed anyway.
      def committed!(*, **)
        block = @block
        @block = nil
        block&.call
      end

      def rolledback!(*, **)
        @block = nil
      end

      def add_to_transaction(*) = @connection.add_transaction_record(self)
    end
    private_constant :Record
  end
  private_constant :AfterCommit
end
