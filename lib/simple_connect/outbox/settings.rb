# frozen_string_literal: true

require_relative "../internal/autoload"
require_relative "../internal/checks"
require_relative "../internal/keeps_secrets"

module SimpleConnect
  module Outbox
    # The settings of the outbox: `config.outbox`.
    #
    # @example
    #   SimpleConnect.configure do |config|
    #     config.outbox.base = "OrdersRecord"
    #     config.outbox.encrypt = true
    #   end
    class Settings
      include KeepsSecrets

      # The shortest key in bytes: a shorter one can be guessed.
      SHORTEST = 32
      private_constant :SHORTEST

      # @return [String] the name of the ActiveRecord class whose database has the outbox's tables
      attr_reader :base
      # @return [Boolean] whether events may be written outside a transaction; the outbox then opens its own
      attr_reader :allow_no_transaction
      # @return [Boolean] whether bodies are encrypted in the database
      attr_reader :encrypt
      # @return [Numeric] how many seconds an event may fail, while other events succeed, before it is parked (an hour)
      attr_reader :park_after
      # @return [Numeric, nil] how many seconds parked events are kept after they were parked (30 days); nil for ever
      attr_reader :keep_parked
      # @return [Integer] how many events a relay sends at a time (8)
      attr_reader :concurrency
      # @return [:active_job, :sidekiq, String, false, nil] the job that is enqueued after a commit: the gem's own, or
      #   the name of a class that inherits from it; nil for ActiveJob's if loaded, otherwise Sidekiq's; false for none
      attr_reader :job
      # @return [String, Symbol, nil] the queue of this job; nil for the job's default
      attr_reader :queue

      # @api private
      def initialize
        @base = "ActiveRecord::Base"
        @allow_no_transaction = false
        @encrypt = false
        @park_after = 3600
        @keep_parked = 30 * 24 * 3600
        @concurrency = 8
        @previous_encryption_keys = []
      end

      # @param name [String] see {#base}; a String, as Rails reloads classes
      # @raise [ConfigurationError] if it is not the name of a class
      def base=(name)
        unless Checks.class_name?(name)
          raise ConfigurationError, "config.outbox.base must be the name of an ActiveRecord class, such as " \
                                    "\"ActiveRecord::Base\", not #{name.inspect}"
        end

        @base = name
      end

      # @param allow [Boolean] see {#allow_no_transaction}
      # @raise [ConfigurationError] if it is neither true nor false
      def allow_no_transaction=(allow)
        @allow_no_transaction = boolean(:allow_no_transaction, allow)
      end

      # @param encrypt [Boolean] see {#encrypt}. You can change it at any time: stored events keep their form
      # @raise [ConfigurationError] if it is neither true nor false
      def encrypt=(encrypt)
        @encrypt = boolean(:encrypt, encrypt)
      end

      # The key for lanes, and for bodies if {#encrypt} is true; by default derived from Rails' `secret_key_base`.
      # `bin/rails secret` prints a new one.
      #
      # @param key [String, Proc] at least 32 bytes
      # @raise [ConfigurationError] if it is shorter
      # @example
      #   config.outbox.encryption_key = -> { ENV.fetch("OUTBOX_KEY") }
      def encryption_key=(key)
        @encryption_key = key.is_a?(Proc) ? key : checked_key("encryption_key", key)
        reset
      end

      # The keys before {#encryption_key=}. They open bodies that they have encrypted, and {Outbox.erase} looks for
      # recipients under each.
      #
      # @param keys [Array<String, Proc>]
      # @raise [ConfigurationError] if one is shorter than 32 bytes
      # @example
      #   config.outbox.previous_encryption_keys = [ENV.fetch("OLD_OUTBOX_KEY")]
      def previous_encryption_keys=(keys)
        unless keys.is_a?(Array)
          raise ConfigurationError, "config.outbox.previous_encryption_keys must be an Array of keys, not #{keys.class}"
        end

        @previous_encryption_keys = keys.map do |key|
          key.is_a?(Proc) ? key : checked_key("previous_encryption_keys", key)
        end
        reset
      end

      # @param seconds [Numeric] see {#park_after}
      # @raise [ConfigurationError] if it is not a positive number
      def park_after=(seconds)
        @park_after = Checks.seconds("config.outbox.park_after", seconds, 3600, finite: true)
      end

      # @param seconds [Numeric, nil] see {#keep_parked}
      # @raise [ConfigurationError] if it is neither a positive number nor nil
      def keep_parked=(seconds)
        @keep_parked = seconds && Checks.seconds("config.outbox.keep_parked", seconds, 2_592_000, finite: true)
      end

      # @param number [Integer] see {#concurrency}
      # @raise [ConfigurationError] if it is not an Integer of 1 or more
      def concurrency=(number)
        unless number.is_a?(Integer) && number.positive?
          raise ConfigurationError, "config.outbox.concurrency must be an Integer of 1 or more, such as 8, " \
                                    "not #{number.inspect}"
        end

        @concurrency = number
      end

      # @param job [:active_job, :sidekiq, String, Symbol, false, nil] see {#job}; a String, as Rails reloads classes
      # @raise [ConfigurationError] for anything else
      def job=(job)
        job = job.to_sym if %w[active_job sidekiq].include?(job)
        unless [nil, false, :active_job, :sidekiq].include?(job) || Checks.class_name?(job)
          raise ConfigurationError, "config.outbox.job must be :active_job, :sidekiq, false, or the name of a class, " \
                                    "such as \"MyRelayJob\", not #{job.inspect}"
        end

        @job = job
      end

      # @param queue [String, Symbol, nil] see {#queue}
      # @raise [ConfigurationError] if it is not a name
      def queue=(queue)
        unless queue.nil? || Checks.line(queue)
          raise ConfigurationError, "config.outbox.queue must be a name, such as \"low\", not #{queue.inspect}"
        end

        @queue = queue
      end

      # @return [String] without the keys
      def inspect = "#<#{self.class.name} #{base}>"
      alias to_s inspect

      # Forgets what the keys were used for; Procs are called again.
      # @api private
      def reset
        @lane_keys = @bodies = nil
      end

      # @api private
      # @return [LaneKeys]
      # @raise [ConfigurationError] without a key
      def lane_keys = @lane_keys ||= LaneKeys.new(keys)

      # @api private
      # @return [Bodies]
      def bodies = @bodies ||= Bodies.new(self)

      # @api private
      # @return [Array<String>] the key, then those before it
      # @raise [ConfigurationError] without a key
      def keys
        [resolved("encryption_key", @encryption_key) || rails_key, *@previous_encryption_keys.map do |key|
          resolved("previous_encryption_keys", key)
        end]
      end

      private

      def boolean(name, value)
        return value if [true, false].include?(value)

        raise ConfigurationError, "config.outbox.#{name} must be true or false, not #{value.inspect}"
      end

      def resolved(name, key)
        key.is_a?(Proc) ? checked_key(name, key.call) : key
      end

      # The error does not show the key.
      def checked_key(name, key)
        return key.b.freeze if key.is_a?(String) && key.bytesize >= SHORTEST

        raise ConfigurationError, "config.outbox.#{name} must be a String of at least #{SHORTEST} bytes, such as one " \
                                  "that `bin/rails secret` prints"
      end

      def rails_key
        secret = Checks.rails_secret
        return secret if secret

        raise ConfigurationError, "config.outbox.encryption_key is not set, and there is no Rails application whose " \
                                  "secret_key_base it could come from: set it to a String of at least #{SHORTEST} bytes"
      end
    end
  end
end
