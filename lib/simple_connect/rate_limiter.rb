# frozen_string_literal: true

require_relative "internal/autoload"
require_relative "internal/checks"
require_relative "internal/extension"

module SimpleConnect
  # Grants so many permits in each window of time, first come, first served: of 15 asked for at once, with 10 a second,
  # 10 are there now and 5 in the next second. A window begins with the first permit after one that is over.
  #
  # Threads and fibers may share it. Whoever waits holds up no other thread, and under a Fiber scheduler no other fiber,
  # and can be interrupted; then those behind move up. A process forked from this one counts for itself. It is kept in
  # Rust, and goes by the monotonic clock.
  #
  # @example
  #   limiter = SimpleConnect::RateLimiter.new(10)
  #   events.each do |event|
  #     limiter.acquire
  #     deliver(event)
  #   end
  class RateLimiter
    # The most seconds that a condition variable is asked to wait at a time.
    DAY = 86_400
    private_constant :DAY

    # @return [Integer] how many permits a window has
    attr_reader :limit
    # @return [Float] how many seconds a window lasts
    attr_reader :interval

    # @param limit [Integer] how many permits a window has
    # @param interval [Numeric] how many seconds a window lasts
    # @raise [ConfigurationError] where one of them is not positive
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

    # Takes a permit, if there is one that nobody waits for.
    #
    # @return [Boolean] whether there was
    # @example
    #   limiter.try_acquire or return head(:too_many_requests)
    def try_acquire = @permits.try_acquire

    # Waits for a permit, behind all who wait already.
    #
    # @param timeout [Numeric, nil] for how many seconds to wait at the most; nil for as long as it takes
    # @return [Boolean] whether it got one; false at once, where its turn would not come in time
    # @raise [ArgumentError] where `timeout` is no number of seconds
    # @example
    #   limiter.acquire(timeout: 5) or raise "too many events"
    def acquire(timeout: nil)
      wait_for_turn(seconds(timeout)) do |ticket, deadline|
        @lock.synchronize do
          until_granted(ticket, deadline) { |pause| @moved.wait(@lock, [pause, DAY].min) }
        end
      end
    end

    # Waits as {#acquire} does, while the others of a batch go on.
    # @api private
    # @param batch [Batch]
    # @param timeout [Float]
    # @return [Boolean]
    def acquire_in(batch, timeout)
      wait_for_turn(timeout) { |ticket, deadline| until_granted(ticket, deadline) { |pause| batch.sleep(pause) } }
    end

    # Takes a permit, behind all who wait, without waiting for it. It cannot be given back.
    #
    # @return [Float] in how many seconds it may be used; 0.0 for now
    # @example
    #   DeliverJob.set(wait: limiter.reserve).perform_later(event)
    def reserve = @permits.reserve

    # How long whoever came now would have to wait.
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

    # Asks until the permit is there (true), or the deadline has come (false).
    def until_granted(ticket, deadline)
      while (pause = @permits.wait(ticket))
        left = deadline ? deadline - Clock.now : pause
        return false unless left.positive?

        yield([pause, left].min)
      end
      true
    end

    # Those behind may have less to wait now.
    def leave(ticket)
      @permits.leave(ticket)
      @lock.synchronize { @moved.broadcast }
    end

    def seconds(timeout)
      Checks.seconds("timeout:", timeout, 2.5, ArgumentError, zero: true).to_f unless timeout.nil?
    end
  end
end
