# frozen_string_literal: true

module SimpleConnect
  # Runs something once the transactions of ActiveRecord have committed that are open on this thread: at once where
  # there are none, and never where one is rolled back. Transactions that are not joinable, such as those of fixtures,
  # do not count.
  # @api private
  module AfterCommit
    class << self
      # @yield at the latest when this returns, or when the last of the transactions commits
      # @return [void]
      def call(&block)
        return yield unless base?
        return ::ActiveRecord.after_all_transactions_commit(&block) if all_transactions?

        connections = open_connections
        return yield if connections.empty?

        # The counter is this thread's alone, as its connections are.
        left = connections.size
        connections.each do |connection|
          connection.add_transaction_record(Record.new(connection) { yield if (left -= 1).zero? })
        end
        nil
      end

      private

      # ActiveRecord::Base loads by itself; before it has, nothing can be open.
      def base? = defined?(::ActiveRecord::Base) && !::ActiveRecord.autoload?(:Base)

      # From Rails 7.2 on.
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
        # Rails 7.1 warns of the name that it had before.
        return base.connection_handler.connection_pool_list(:all) if ::ActiveRecord.version >= Gem::Version.new("7.1")

        handlers(base).flat_map(&:all_connection_pools)
      end

      # Before Rails 7.1 there may be one for each role.
      def handlers(base)
        [base.connection_handler, *base.connection_handlers.values].compact.uniq
      rescue NotImplementedError
        [base.connection_handler]
      end
    end

    # What a transaction takes for a record, and tells that it has committed. Of a savepoint, the transaction around it
    # gets it.
    # @api private
    class Record
      def initialize(connection, &block)
        @connection = connection
        @block = block
      end

      def trigger_transactional_callbacks? = true
      def has_transactional_callbacks? = true # rubocop:disable Naming/PredicateName -- ActiveRecord's name
      def before_committed!(*) = nil

      # `should_run_callbacks:` is false where the callback of another record raised. The transaction has committed.
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
