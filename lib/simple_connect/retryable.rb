# frozen_string_literal: true

require_relative "internal/checks"
require_relative "internal/clock"

module SimpleConnect
  # A retry policy: how many attempts to make, and how long to wait between them. The default is three attempts, with
  # waits of one and two seconds. The caller decides which results are retried: network errors and 5xx responses.
  #
  # {.exponential} builds a policy that also retries a 429 and respects `Retry-After`.
  #
  # @example Another delay
  #   SimpleConnect::Retryable.new(max_attempts: 5, delay: ->(failed) { 2 * failed })
  # @example Exponential, with jitter
  #   SimpleConnect::Retryable.exponential(max_attempts: 5, base: 0.5, max: 30)
  # @example A custom policy: any object with this `call`
  #   class Once
  #     def call(retriable_if:) = yield(1)
  #   end
  class Retryable
    # The default number of attempts.
    DEFAULT_MAX_ATTEMPTS = 3

    # Builds a policy with exponential backoff that respects `Retry-After`.
    #
    # It retries network errors (unless the response was too large) and the given statuses. It waits at least as long as
    # `Retry-After` asks. If that is longer than `max`, or if `max_elapsed` or the client's `total_timeout:` leaves no
    # time for it, it gives up at once; a job queue can then use {Result#retry_after}.
    #
    # @param max_attempts [Integer] 1 or more
    # @param base [Numeric] the maximum wait after the first attempt, in seconds; it doubles after each attempt
    # @param max [Numeric] the maximum of any wait, in seconds
    # @param jitter [:full, nil] `:full` waits a random part of that time, so that many clients do not retry at once;
    #   nil waits all of it
    # @param statuses [Array<Integer, Range>] the HTTP statuses to retry
    # @param max_elapsed [Numeric, nil] the last attempt starts at most this many seconds after the first
    # @param random [#rand] returns numbers from 0 to below 1
    # @param sleep [#call] called with the seconds to wait
    # @return [Retryable]
    # @raise [ArgumentError] for an invalid value; the message says what to write instead
    # @example
    #   SimpleConnect::Client.new(
    #     endpoint_url: url, key_id: key_id, secret: secret,
    #     retryable: SimpleConnect::Retryable.exponential(max_attempts: 6, base: 0.5, max: 20, max_elapsed: 60)
    #   )
    def self.exponential(max_attempts: 5, base: 0.5, max: 30, jitter: :full, statuses: [429, 500..599],
                         max_elapsed: nil, random: Random, sleep: Kernel.method(:sleep))
      Exponential.new(max_attempts:, base:, max:, jitter:, statuses:, max_elapsed:, random:, sleep:)
    end

    # @return [Integer] the maximum number of attempts
    attr_reader :max_attempts

    # @param max_attempts [Integer] 1 or more
    # @param delay [#call] called with the number of the failed attempt (from 1); returns the seconds to wait
    # @param sleep [#call] called with the seconds to wait
    # @raise [ArgumentError] if `max_attempts` is not a number or below 1, or `delay` or `sleep` has no `call`
    def initialize(max_attempts: DEFAULT_MAX_ATTEMPTS, delay: ->(n) { n.to_f }, sleep: Kernel.method(:sleep))
      self.max_attempts = max_attempts
      { delay:, sleep: }.each do |option, value|
        next if value.respond_to?(:call)

        raise ArgumentError, "#{option}: must respond to call, such as ->(n) { n }, not #{value.inspect}"
      end

      @delay = delay
      @sleep = sleep
    end

    # Yields for each attempt, until a result is final or no attempts are left.
    #
    # @param retriable_if [#call] called with a failed result; returns whether to retry it
    # @yieldparam attempt [Integer] the number of the attempt, from 1
    # @yieldreturn [#success?] its result
    # @return [#success?] the last result
    def call(retriable_if:)
      attempt = 1
      loop do
        result = yield(attempt)
        return result if result.success? || !retriable_if.call(result) || attempt >= max_attempts

        pause(attempt)
        attempt += 1
      end
    end

    # @api private
    # @param max_attempts [Integer] 1 or more
    # @return [Retryable] a copy with that number
    # @raise [ArgumentError] if it is not a number, or below 1
    def with(max_attempts:) = dup.tap { |policy| policy.max_attempts = max_attempts }

    # Waits after a failed attempt.
    # @api private
    # @param failed [Integer] the number of that attempt
    # @param seconds_left [Float, nil] the time left for the whole delivery
    # @param batch [Batch, nil] its other deliveries continue during the wait, unless this policy has its own sleep
    # @return [Boolean] false, without waiting, if the wait would take longer than that
    def pause(failed, seconds_left = nil, batch = nil) = rest(@delay.call(failed), seconds_left, batch)

    # @api private
    # @return [Integer] `max_attempts` as a 32-bit number
    def attempt_limit = [max_attempts, (2**32) - 1].min.ceil

    protected

    def max_attempts=(number)
      unless number.is_a?(Numeric) && number.real? && !(number.is_a?(Float) && number.nan?)
        raise ArgumentError, "max_attempts must be an Integer, such as 3, not #{number.inspect}"
      end
      raise ArgumentError, "max_attempts must be >= 1" if number < 1

      @max_attempts = number
    end

    private

    def rest(delay, seconds_left, batch)
      return false if seconds_left && delay.to_f >= seconds_left

      return @sleep.call(delay).then { true } if own_sleep?

      batch ? batch.sleep(delay) : sleep_to_the_end(delay)
      true
    end

    # Whether to wait by calling `@sleep`: a custom one, or a test's replacement of Kernel.sleep.
    def own_sleep? = @sleep != Kernel.method(:sleep) || !@sleep.source_location.nil?

    # Thread#wakeup can end a sleep early; the next attempt must not start early.
    def sleep_to_the_end(seconds)
      ends = Clock.now + seconds.to_f
      @sleep.call(seconds)
      while (left = ends - Clock.now).positive?
        @sleep.call(left)
      end
    end

    # The policy that {Retryable.exponential} returns.
    # @api private
    class Exponential < Retryable
      # @see Retryable.exponential
      def initialize(max_attempts:, base:, max:, jitter:, statuses:, max_elapsed:, random:, sleep:)
        super(max_attempts:, sleep:)
        unless [nil, :full].include?(jitter)
          raise ArgumentError, "jitter: must be :full, or nil for none, not #{jitter.inspect}"
        end

        @base = seconds("base:", base)
        @max = seconds("max:", max)
        @max_elapsed = max_elapsed && seconds("max_elapsed:", max_elapsed)
        @statuses = checked(statuses)
        @random = jitter && random
      end

      # @param retriable_if [#call] called with a result without response; returns whether to retry it
      # @param deadline [Float, nil] the end of the whole delivery, by the monotonic clock
      # @param batch [Batch, nil] its other deliveries continue during the wait
      # @yieldparam attempt [Integer] the number of the attempt, from 1
      # @yieldreturn [Result] its result
      # @return [Result] the last result
      def call(retriable_if:, deadline: nil, batch: nil)
        started = Clock.now
        attempt = 1
        loop do
          result = yield(attempt)
          return result if result.success? || attempt >= max_attempts || !retriable?(result, retriable_if)

          delay = delay_after(attempt, result.retry_after)
          return result unless delay && !late?(delay, started) && rest(delay, deadline && (deadline - Clock.now), batch)

          attempt += 1
        end
      end

      private

      def retriable?(result, retriable_if)
        return retriable_if.call(result) if result.status_code.zero?

        @statuses.any? { |status| status === result.status_code } # rubocop:disable Style/CaseEquality -- a Range or not
      end

      # Nil if the server asks for a longer wait than `max`.
      def delay_after(failed, retry_after)
        longest = [@base * (2.0**(failed - 1)), @max].min
        delay = @random ? @random.rand * longest : longest
        return delay unless retry_after

        [delay, retry_after].max if retry_after <= @max
      end

      def late?(delay, started) = @max_elapsed && Clock.now - started + delay > @max_elapsed

      def seconds(option, value) = Checks.seconds(option, value, 0.5, ArgumentError).to_f

      def checked(statuses)
        fine = statuses.is_a?(Array) && statuses.all? do |status|
          status.is_a?(Integer) || (status.is_a?(Range) && [status.begin, status.end].compact.all?(Integer))
        end
        return statuses.dup.freeze if fine

        raise ArgumentError, "statuses: must be a list of statuses and Ranges of them, such as [429, 500..599], " \
                             "not #{statuses.inspect}"
      end
    end
  end
end
