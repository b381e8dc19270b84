# frozen_string_literal: true

require_relative "internal/autoload"
require_relative "internal/checks"
require_relative "internal/extension"

module SimpleConnect
  # Limits how often something happens: it grants a number of permits in each interval, in the order of the requests.
  # With 10 a second, of 15 requests at once 10 proceed now and 5 in the next second. An interval starts with the first
  # permit after the previous one has ended.
  #
  # Threads and fibers may share a limiter. Waiting blocks no other thread (or fiber, under a Fiber scheduler) and can
  # be interrupted; then the next in line moves up. A forked process has its own count. Implemented in Rust, by the
  # monotonic clock.
  #
  # @example
  #   limiter = SimpleConnect::RateLimiter.new(10)
  #   events.each do |event|
  #     limiter.acquire
  #     deliver(event)
  #   end
  class RateLimiter
    # The maximum wait of a ConditionVariable, in seconds.
    DAY = 86_400
    private_constant :DAY

    # @return [Integer] the number of permits per interval
    attr_reader :limit
    # @return [Float] the length of an interval, in seconds
    attr_reader :interval

    # @param limit [Integer] the number of permits per interval
    # @param interval [Numeric] the length of an interval, in seconds
    # @raise [ConfigurationError] if one of them is not positive
    # @example 100 a minute
    #   SimpleConnect::RateLimiter.new(100, interval: 60)
    def initialize(limit, interval: 1.0)
      unless limit.is_a?(Integer) && limit.between?(1, 2**32)
        raise ConfigurationError, "limit must be an Integer from 1 to 2^32, such as 10, not #{limit.inspect}"
      end

      @limit = limit
      @interval = Checks.seconds("interval:", interval, 1.0).to_f
      @permits = Permits.new(limit, @interval)
      @lock = Mutex.new
      @moved = ConditionVariable.new
    end

    # Takes a permit if one is free and nobody waits for it. Does not wait.
    #
    # @return [Boolean] whether it took one
    # @example
    #   limiter.try_acquire or return head(:too_many_requests)
    def try_acquire = @permits.try_acquire

    # Waits for a permit, in the order of the calls.
    #
    # @param timeout [Numeric, nil] the maximum wait, in seconds; nil for no limit
    # @return [Boolean] whether it got one; false at once if none will be free in time
    # @raise [ArgumentError] if `timeout` is not a number of seconds
    # @example
    #   limiter.acquire(timeout: 5) or raise "too many events"
    def acquire(timeout: nil)
      wait_for_turn(seconds(timeout)) do |ticket, deadline|
        @lock.synchronize do
          until_granted(ticket, deadline) { |pause| @moved.wait(@lock, [pause, DAY].min) }
        end
      end
    end

    # Like {#acquire}; the other items of a batch continue meanwhile.
    # @api private
    # @param batch [Batch]
    # @param timeout [Float]
    # @return [Boolean]
    def acquire_in(batch, timeout)
      wait_for_turn(timeout) { |ticket, deadline| until_granted(ticket, deadline) { |pause| batch.sleep(pause) } }
    end

    # Reserves the next permit without waiting for it. You cannot return it.
    #
    # @return [Float] the seconds until you may use it; 0.0 for now
    # @example
    #   DeliverJob.set(wait: limiter.reserve).perform_later(event)
    def reserve = @permits.reserve

    # Returns how long a new caller would wait.
    #
    # @return [Float] seconds
    # @example
    #   limiter.delay # => 0.0
    def delay = @permits.delay

    # @return [String]
    def inspect = "#<#{self.class.name} #{limit} in #{interval} s>"

    private

    def wait_for_turn(timeout)
      ticket = @permits.join(timeout) or return false
      granted = yield(ticket, timeout && (Clock.now + timeout))
    ensure
      leave(ticket) if ticket && !granted
    end

    # Returns true when the permit is granted, false at the deadline.
    def until_granted(ticket, deadline)
      while (pause = @permits.wait(ticket))
        left = deadline ? deadline - Clock.now : pause
        return false unless left.positive?

        yield([pause, left].min)
      end
      true
    end

    # Those behind may have a shorter wait now.
    def leave(ticket)
      @permits.leave(ticket)
      @lock.synchronize { @moved.broadcast }
    end

    def seconds(timeout)
      Checks.seconds("timeout:", timeout, 2.5, ArgumentError, zero: true).to_f unless timeout.nil?
    end
  end
end
