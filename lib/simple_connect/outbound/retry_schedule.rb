# frozen_string_literal: true

require_relative "../internal/autoload"
require_relative "../internal/checks"

module SimpleConnect
  module Outbound
    # The times of retries after failed deliveries. Immutable.
    #
    # | strategy | waits |
    # |---|---|
    # | `:exponential_backoff` | 30 s, 3, 10 and 30 min, 2 and 8 h; with `wait:`, that time, doubled for each retry |
    # | `:fixed_wait` | `wait:` each time |
    # | `:exponential_backoff_with_deadline`, `:fixed_wait_with_deadline` | the same, until `deadline:` |
    #
    # Retries are numbered: 1 is the first retry, after attempt 0.
    #
    # @example
    #   schedule = SimpleConnect::Outbound::RetrySchedule.new
    #   (1..7).map { |retry_number| schedule.delay(retry_number) } # => [30, 180, 600, 1800, 7200, 28800, nil]
    # @example Every minute for an hour
    #   SimpleConnect::Outbound::RetrySchedule.new(:fixed_wait_with_deadline, wait: 60, deadline: 3600)
    # @example In a client
    #   delay = SimpleConnect::Outbound::RetrySchedule.new(:exponential_backoff, wait: 0.5)
    #   policy = SimpleConnect::Retryable.new(delay: delay, max_attempts: 4)
    #   SimpleConnect::Client.new(retryable: policy, **credentials)
    class RetrySchedule
      # The waits of `:exponential_backoff` in seconds; the last one repeats.
      TABLE = [30, 180, 600, 1800, 7200, 28_800].freeze
      # The available strategies.
      STRATEGIES = %i[
        exponential_backoff fixed_wait exponential_backoff_with_deadline fixed_wait_with_deadline
      ].freeze
      # After this many doublings, any wait is practically endless.
      MAX_DOUBLINGS = 64
      private_constant :MAX_DOUBLINGS

      # @return [Symbol]
      attr_reader :strategy
      # @return [Integer, nil] the maximum number of retries; nil if only the deadline limits them
      attr_reader :max_retries
      # @return [Numeric, nil] the latest time of a retry, in seconds after attempt 0
      attr_reader :deadline

      # @param strategy [Symbol] one of {STRATEGIES}
      # @param wait [Numeric, nil] the seconds before the first retry; `:fixed_wait` needs it
      # @param max_retries [Integer, nil] the maximum number of retries; nil for 6, or for no limit other than the
      #   deadline
      # @param deadline [Numeric, nil] the latest time of a retry, in seconds after attempt 0. Required by the
      #   strategies with a deadline. If `max_retries` is reached first, that counts
      # @raise [ConfigurationError] if one of them is invalid; the message says what to write
      # @example
      #   SimpleConnect::Outbound::RetrySchedule.new(:exponential_backoff, wait: 10, max_retries: 3)
      def initialize(strategy = :exponential_backoff, wait: nil, max_retries: nil, deadline: nil)
        unless STRATEGIES.include?(strategy)
          raise ConfigurationError, "strategy must be one of #{STRATEGIES.map(&:inspect).join(", ")}, " \
                                    "not #{strategy.inspect}"
        end
        bounded = strategy.end_with?("_with_deadline")
        fixed = strategy.start_with?("fixed_wait")
        check_deadline(deadline, bounded)
        check_seconds("wait", wait) if wait || fixed
        check_retries(max_retries) if max_retries

        @strategy = strategy
        @fixed = fixed
        @wait = wait
        @deadline = deadline
        @max_retries = max_retries || (TABLE.size unless bounded)
        freeze
      end

      # How long to wait before a retry.
      #
      # @param number [Integer] the retry's, from 1
      # @return [Numeric, nil] seconds; nil if there is no such retry any more
      # @raise [ArgumentError] if `number` is below 1
      # @example
      #   schedule.delay(1) # => 30
      def delay(number)
        check_number(number, 1)
        seconds(number) if allowed?(number)
      end

      # The same for a {Retryable}, which counts its attempts itself.
      #
      # @param number [Integer] of the attempt that failed, from 1
      # @return [Numeric] seconds
      # @raise [ArgumentError] if `number` is below 1
      # @example
      #   SimpleConnect::Retryable.new(max_attempts: 4, delay: schedule)
      def call(number)
        check_number(number, 1)
        seconds(number)
      end

      # When a retry is due.
      #
      # @param started_at [Time] when attempt 0 was made
      # @param number [Integer] the retry's; 0 is attempt 0 itself
      # @return [Time, nil] nil if there is no such retry any more
      # @raise [ArgumentError] if `number` is below 0
      # @example
      #   schedule.next_at(started_at, 2) - started_at # => 210.0
      def next_at(started_at, number)
        check_number(number, 0)
        started_at + total(number) if allowed?(number)
      end

      # @return [Hash{Symbol => Object}] what {#initialize} takes: `strategy`, `wait`, `max_retries` and `deadline`
      # @example
      #   schedule.to_h # => {:strategy=>:fixed_wait, :wait=>60, :max_retries=>6, :deadline=>nil}
      def to_h = { strategy:, wait: @wait, max_retries:, deadline: }

      # @return [String]
      def inspect = "#<#{self.class.name} #{strategy}>"

      private

      def allowed?(number)
        return false if max_retries && number > max_retries

        deadline.nil? || total(number) <= deadline
      end

      def seconds(number)
        return @wait if @fixed
        return TABLE[[number, TABLE.size].min - 1] unless @wait

        @wait * (2**[number - 1, MAX_DOUBLINGS].min)
      end

      # The seconds from attempt 0 to a retry.
      def total(number)
        return @wait * number if @fixed
        return TABLE.first(number).sum + ([number - TABLE.size, 0].max * TABLE.last) unless @wait

        @wait * ((2**[number, MAX_DOUBLINGS].min) - 1)
      end

      def check_deadline(deadline, bounded)
        return check_seconds("deadline", deadline) if bounded
        return if deadline.nil?

        raise ConfigurationError, "deadline: is for :exponential_backoff_with_deadline and :fixed_wait_with_deadline"
      end

      def check_seconds(option, value) = Checks.seconds("#{option}:", value, 60, finite: true)

      def check_retries(value)
        return if value.is_a?(Integer) && !value.negative?

        raise ConfigurationError, "max_retries: must be an Integer of 0 or more, not #{value.inspect}"
      end

      def check_number(number, least)
        return if number.is_a?(Integer) && number >= least

        raise ArgumentError, "the number of a retry must be an Integer of #{least} or more, not #{number.inspect}"
      end
    end
  end
end
