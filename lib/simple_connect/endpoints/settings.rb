# frozen_string_literal: true

require_relative "../internal/autoload"
require_relative "../internal/checks"
require_relative "../signature"

module SimpleConnect
  module Endpoints
    # The settings of {Endpoints}: `config.endpoints` in {SimpleConnect.configure}. All processes need the same ones.
    #
    # @example
    #   SimpleConnect.configure do |config|
    #     config.endpoints.retain = 14 * 24 * 3600
    #     config.endpoints.limiter = SimpleConnect::Outbound::RedisLimiter.new(Redis.new)
    #     config.endpoints.on_failing = ->(endpoint, percent) { OwnerMailer.failing(endpoint, percent).deliver_later }
    #   end
    class Settings
      DAY = 24 * 3600
      # What each process needs of a key.
      KEY_BYTES = 32
      # The options of {#connection}.
      CONNECTION = %i[guard allow_private allow_http timeout total_timeout open_timeout write_timeout read_timeout proxy
                      ca_file ip_version pool_size idle_timeout max_response_bytes user_agent].freeze
      # Where to set other options of a dispatcher instead.
      ELSEWHERE = {
        limiter: "set config.endpoints.limiter", jobs: "set config.endpoints.jobs",
        queue: "set config.endpoints.queue", on_exhausted: "set config.endpoints.on_exhausted",
        scheme: "update the application's scheme, or set config.endpoints.scheme for new ones",
        on_attempt: "attempts are stored as SimpleConnect::Endpoints::Attempt; " \
                    "SimpleConnect.on_event(\"dispatch.simple_connect\") is called for each"
      }.freeze
      # The maximum of `total_timeout:`, in seconds. A delivery of a killed process is sent again after three times as
      # long.
      LONGEST_ATTEMPT = 3600
      private_constant :DAY, :KEY_BYTES, :CONNECTION, :ELSEWHERE, :LONGEST_ATTEMPT

      # @return [String] the name of the ActiveRecord class whose database has the tables (`"ActiveRecord::Base"`)
      attr_reader :base
      # @return [Symbol] the signature scheme of new applications, see {Signature} (`:simplyq`)
      attr_reader :scheme
      # @return [Hash{Symbol => Object}] options of the connections, as for {Outbound::Dispatcher#initialize}: `guard:`,
      #   `allow_private:`, `allow_http:`, `timeout:` and so on (none)
      attr_reader :connection
      # @return [Outbound::RedisLimiter, #take, nil] counts the rate limits of all processes; nil counts in the database
      attr_reader :limiter
      # @return [Numeric] for how many seconds events, deliveries and attempts are kept (30 days)
      attr_reader :retain
      # @return [Integer] an endpoint is disabled after this many failures in a row (20) …
      attr_reader :disable_after_failures
      # @return [Numeric] … if the first of them is this many seconds ago (5 days)
      attr_reader :disable_after
      # @return [#call, nil] called with the {Endpoint} and 50, 75 or 100 as it nears the point where it is disabled; at
      #   100 it is
      attr_reader :on_failing
      # @return [#call, nil] called with the last {Outbound::DeliveryAttempt} of a delivery that is given up
      attr_reader :on_exhausted
      # @return [:sidekiq, :active_job, false, nil] the job queue that sends what is due; nil for Sidekiq, or else
      #   ActiveJob, if loaded; false for none, if `rails simple_connect:relay` runs
      attr_reader :jobs
      # @return [String, Symbol, nil] the queue of the jobs; nil for the default one
      attr_reader :queue

      # @api private
      def initialize
        @base = "ActiveRecord::Base"
        @scheme = :simplyq
        @connection = {}.freeze
        @retain = 30 * DAY
        @disable_after_failures = 20
        @disable_after = 5 * DAY
      end

      # @param name [String] see {#base}; a String, as Rails reloads classes
      # @raise [ConfigurationError] for anything else
      def base=(name)
        refuse("base", "the name of a class, such as \"ApplicationRecord\"", name) unless Checks.class_name?(name)
        @base = name
      end

      # @param key [String, Array<String>, #call] encrypts secrets and sensitive headers. Of several, the first encrypts
      #   and all decrypt. At least 32 bytes each. By default, a key derived from Rails' `secret_key_base`
      # @raise [ConfigurationError] for anything else
      # @example During a change of the key
      #   config.endpoints.encryption_key = [ENV.fetch("NEW_KEY"), ENV.fetch("OLD_KEY")]
      def encryption_key=(key)
        check_keys(key) unless key.nil? || key.respond_to?(:call)
        @encryption_key = key
      end

      # @param scheme [Symbol] see {#scheme}
      # @raise [ConfigurationError] if there is no such scheme
      def scheme=(scheme)
        SigningKeys.of(SigningKeys::ANY, scheme)
        @scheme = scheme
      end

      # @param options [Hash{Symbol => Object}] see {#connection}
      # @raise [ConfigurationError] if one of them is invalid or unknown, or `total_timeout:` is above 3600; the message
      #   says what to write
      # @example
      #   config.endpoints.connection = { total_timeout: 10, proxy: ENV.fetch("EGRESS_PROXY") }
      def connection=(options)
        refuse("connection", "a Hash, such as { total_timeout: 10 }", options) unless options.is_a?(Hash)
        unknown = options.keys.find { |name| !CONNECTION.include?(name) }
        refuse_option(unknown) if unknown
        Outbound::Dispatcher.new(Outbound::Application.new(name: "any"), scheme:, jobs: false, **options)
        check_total_timeout(options[:total_timeout]) if options.key?(:total_timeout)
        @connection = options.dup.freeze
        # Open connections have the options of before.
        Endpoints.reset
      end

      # @param limiter [#take, nil] see {#limiter}
      # @raise [ConfigurationError] if it has no `take`
      def limiter=(limiter)
        unless limiter.nil? || limiter.respond_to?(:take)
          refuse("limiter", "a SimpleConnect::Outbound::RedisLimiter, or nil", limiter)
        end

        @limiter = limiter
      end

      # @param seconds [Numeric] see {#retain}
      # @raise [ConfigurationError] if it is not a positive number
      def retain=(seconds)
        @retain = Checks.seconds("config.endpoints.retain", seconds.to_i, 30 * DAY)
      end

      # @param count [Integer] see {#disable_after_failures}
      # @raise [ConfigurationError] if it is not 1 or more
      def disable_after_failures=(count)
        unless count.is_a?(Integer) && count.positive?
          refuse("disable_after_failures", "an Integer of 1 or more, such as 20", count)
        end

        @disable_after_failures = count
      end

      # @param seconds [Numeric] see {#disable_after}
      # @raise [ConfigurationError] if it is negative or not a number
      def disable_after=(seconds)
        @disable_after = Checks.seconds("config.endpoints.disable_after", seconds.to_f, 5 * DAY, zero: true)
      end

      # @param hook [#call, nil] see {#on_failing}
      # @raise [ConfigurationError] if it has no `call`
      def on_failing=(hook)
        @on_failing = hook("on_failing", hook, "->(endpoint, percent) { … }")
      end

      # @param hook [#call, nil] see {#on_exhausted}
      # @raise [ConfigurationError] if it has no `call`
      def on_exhausted=(hook)
        @on_exhausted = hook("on_exhausted", hook, "->(attempt) { … }")
      end

      # @param jobs [:sidekiq, :active_job, false, nil] see {#jobs}
      # @raise [ConfigurationError] for anything else
      def jobs=(jobs)
        unless [:sidekiq, :active_job, false, nil].include?(jobs)
          refuse("jobs", ":sidekiq, :active_job, false or nil", jobs)
        end

        @jobs = jobs
      end

      # @param queue [String, Symbol, nil] see {#queue}
      # @raise [ConfigurationError] if it is not a name
      def queue=(queue)
        refuse("queue", "a name, such as \"webhooks\"", queue) unless queue.nil? || Checks.line(queue)
        @queue = queue
      end

      # @api private
      # @return [Array<String>] the first encrypts
      # @raise [ConfigurationError] if there is none
      def keys
        key = @encryption_key
        key = key.call if key.respond_to?(:call)
        return check_keys(key) if key

        secret = Checks.rails_secret
        return [secret] if secret

        raise ConfigurationError, "config.endpoints.encryption_key is required without Rails: a String of " \
                                  "#{KEY_BYTES} random bytes, such as from SecureRandom.bytes(#{KEY_BYTES})"
      end

      # @return [String] without the keys
      def inspect = "#<#{self.class.name} #{base} #{scheme}>"

      private

      def check_keys(keys)
        keys = [*keys]
        return keys if keys.any? && keys.all? { |key| key.is_a?(String) && key.bytesize >= KEY_BYTES }

        raise ConfigurationError, "config.endpoints.encryption_key must be a String of at least #{KEY_BYTES} bytes, " \
                                  "or several in an Array"
      end

      def check_total_timeout(seconds)
        return if seconds && seconds <= LONGEST_ATTEMPT

        raise ConfigurationError, "config.endpoints.connection takes a total_timeout: of #{LONGEST_ATTEMPT} seconds " \
                                  "at most, not #{seconds.inspect}"
      end

      def refuse_option(name)
        instead = ELSEWHERE[name]
        raise ConfigurationError, "config.endpoints.connection has no #{name}: #{instead}" if instead

        names = CONNECTION.map { |each| "#{each}:" }.join(", ")
        raise ConfigurationError, "config.endpoints.connection takes #{names}; not #{name.inspect}"
      end

      def hook(name, hook, example)
        refuse(name, "callable, such as #{example}", hook) unless hook.nil? || hook.respond_to?(:call)
        hook
      end

      def refuse(name, wanted, value)
        raise ConfigurationError, "config.endpoints.#{name} must be #{wanted}, not #{value.inspect}"
      end
    end
  end
end
