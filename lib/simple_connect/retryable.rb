# frozen_string_literal: true

require_relative "internal/checks"
require_relative "internal/clock"

module SimpleConnect
  # How often to try, and how long to wait in between. By default three times, waiting one second and then two.
  #
  # What is worth another attempt is not its business: a network error or a 5xx is, anything else is settled.
  #
  # {.exponential} makes another policy, which also tries again after a 429 and waits as long as the server asks for.
  #
  # @example Another delay
  #   SimpleConnect::Retryable.new(max_attempts: 5, delay: ->(failed) { 2 * failed })
  # @example Exponential, with jitter
  #   SimpleConnect::Retryable.exponential(max_attempts: 5, base: 0.5, max: 30)
  # @example A policy of your own: anything with this `call`
  #   class Once
  #     def call(retriable_if:) = yield(1)
  #   end
  class Retryable
    # How many attempts are made where nothing else is said.
    DEFAULT_MAX_ATTEMPTS = 3

    # A policy whose waits double from attempt to attempt, and that heeds `Retry-After`.
    #
    # It tries again where no answer came (unless the answer was too large), and where the answer's status is among
    # `statuses`. It waits no less than the answer's `Retry-After` says; where that is more than `max`, or `max_elapsed`
    # or the client's `total_timeout:` leave no time for it, it gives up at once: {Result#retry_after} then tells a job
    # queue when to come back.
    #
    # @param max_attempts [Integer] at least 1
    # @param base [Numeric] the longest wait after the first attempt, in seconds; it doubles with each further one
    # @param max [Numeric] the longest wait of all, in seconds
    # @param jitter [:full, nil] whether to wait a random part of that, so that many clients do not come back at once;
    #   nil for all of it
    # @param statuses [Array<Integer, Range>] the HTTP statuses worth another attempt
    # @param max_elapsed [Numeric, nil] within how many seconds of the first attempt the last one must begin
    # @param random [#rand] gives numbers from 0 to below 1
    # @param sleep [#call] waits that many seconds
    # @return [Retryable]
    # @raise [ArgumentError] for anything else; the message says what to write instead
    # @example
    #   SimpleConnect::Client.new(
    #     endpoint_url: url, key_id: key_id, secret: secret,
    #     retryable: SimpleConnect::Retryable.exponential(max_attempts: 6, base: 0.5, max: 20, max_elapsed: 60)
    #   )
    def self.exponential(max_attempts: 5, base: 0.5, max: 30, jitter: :full, statuses: [429, 500..599],
                         max_elapsed: nil, random: Random, sleep: Kernel.method(:sleep))
      Exponential.new(max_attempts:, base:, max:, jitter:, statuses:, max_elapsed:, random:, sleep:)
    end

    # @return [Integer] how many attempts are made at the most
    attr_reader :max_attempts

    # @param max_attempts [Integer] at least 1
    # @param delay [#call] given the number of the failed attempt (from 1), how many seconds to wait
    # @param sleep [#call] waits that many seconds
    # @raise [ArgumentError] where `max_attempts` is no number, or below 1
    def initialize(max_attempts: DEFAULT_MAX_ATTEMPTS, delay: ->(n) { n.to_f }, sleep: Kernel.method(:sleep))
      self.max_attempts = max_attempts
      { delay:, sleep: }.each do |option, value|
        next if value.respond_to?(:call)

        raise ArgumentError, "#{option}: must have a call, such as ->(n) { n }, not #{value.inspect}"
      end

      @delay = delay
      @sleep = sleep
    end

    # Yields until the result is settled or the attempts are spent.
    #
    # @param retriable_if [#call] given a failed result, whether another attempt is worth it
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
    # @param max_attempts [Integer] at least 1
    # @return [Retryable] the same, for as many attempts
    # @raise [ArgumentError] where it is no number, or below 1
    def with(max_attempts:) = dup.tap { |policy| policy.max_attempts = max_attempts }

    # Waits after an attempt that failed.
    # @api private
    # @param failed [Integer] the number of that attempt
    # @param seconds_left [Float, nil] how long the whole delivery may still take
    # @param batch [Batch, nil] whose other deliveries go on meanwhile, unless this policy has a sleep of its own
    # @return [Boolean] false, at once, where the wait would outlast that
    def pause(failed, seconds_left = nil, batch = nil) = rest(@delay.call(failed), seconds_left, batch)

    # @api private
    # @return [Integer] `max_attempts` as a machine counts
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

    # Whether waiting is somebody else's business: also where a test has put something in the place of Kernel.sleep.
    def own_sleep? = @sleep != Kernel.method(:sleep) || !@sleep.source_location.nil?

    # Thread#wakeup ends a sleep early; that is no reason to send early.
    def sleep_to_the_end(seconds)
      ends = Clock.now + seconds.to_f
      @sleep.call(seconds)
      while (left = ends - Clock.now).positive?
        @sleep.call(left)
      end
    end

    # What {Retryable.exponential} makes.
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

      # @param retriable_if [#call] given a result without answer, whether another attempt is worth it
      # @param deadline [Float, nil] when the whole delivery must be over, by the monotonic clock
      # @param batch [Batch, nil] whose other deliveries go on meanwhile
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

      # Nil where the server asks for more than there is to give.
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
