# frozen_string_literal: true

module SimpleConnect
  # How often to try, and how long to wait in between. By default three times, waiting one second and then two.
  #
  # What is worth another attempt is not its business: a network error or a 5xx is, anything else is settled.
  #
  # @example Exponential, with jitter
  #   SimpleConnect::Retryable.new(max_attempts: 5, delay: ->(n) { (2**n) + rand })
  # @example A policy of your own: anything with this `call`
  #   class Once
  #     def call(retriable_if:) = yield(1)
  #   end
  class Retryable
    # How many attempts are made where nothing else is said.
    DEFAULT_MAX_ATTEMPTS = 3

    # @return [Integer] how many attempts are made at the most
    attr_reader :max_attempts

    # @param max_attempts [Integer] at least 1
    # @param delay [#call] given the number of the failed attempt (from 1), how many seconds to wait
    # @param sleep [#call] waits that many seconds
    # @raise [ArgumentError] where `max_attempts` is no number, or below 1
    def initialize(max_attempts: DEFAULT_MAX_ATTEMPTS, delay: ->(n) { n.to_f }, sleep: Kernel.method(:sleep))
      unless max_attempts.is_a?(Numeric)
        raise ArgumentError, "max_attempts must be an Integer, such as 3, not #{max_attempts.inspect}"
      end
      raise ArgumentError, "max_attempts must be >= 1" if max_attempts < 1

      @max_attempts = max_attempts
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

    # Waits after an attempt that failed.
    # @api private
    # @param failed [Integer] the number of that attempt
    # @param seconds_left [Float, nil] how long the whole delivery may still take
    # @param batch [Batch, nil] whose other deliveries go on meanwhile, unless this policy has a sleep of its own
    # @return [Boolean] false, at once, where the wait would outlast that
    def pause(failed, seconds_left = nil, batch = nil)
      delay = @delay.call(failed)
      return false if seconds_left && delay.to_f >= seconds_left

      batch && @sleep == Kernel.method(:sleep) ? batch.sleep(delay) : @sleep.call(delay)
      true
    end

    # @api private
    # @return [Integer] `max_attempts` as a machine counts
    def attempt_limit = [max_attempts, (2**32) - 1].min.ceil
  end
end
