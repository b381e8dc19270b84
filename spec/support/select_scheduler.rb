# frozen_string_literal: true

# The least that a Fiber scheduler must be: it waits in IO.select for all fibers of its thread together.
#
# `process_wait`, `address_resolve` and the like it leaves out, as schedulers may.
class SelectScheduler
  # What a suspended fiber waits for; nil where it does not.
  Waiter = Struct.new(:fiber, :io, :events, :deadline) do
    def for?(event) = io && events.anybits?(event)

    def late?(now) = deadline && deadline <= now
  end

  # Runs the block in a fiber of this thread, until it and all fibers that it has scheduled have ended.
  #
  # @return [Object] the value of the block
  def self.run
    Fiber.set_scheduler(new)
    value = nil
    Fiber.schedule { value = yield }
    Fiber.scheduler.run
    value
  ensure
    Fiber.set_scheduler(nil)
  end

  def initialize
    @waiters = []
    @unblocked = Queue.new
    @wake, @waker = IO.pipe
  end

  # Runs all fibers to their end.
  def run
    run_once until @waiters.empty?
  end

  def close
    run
  ensure
    [@wake, @waker].each { |io| io.close unless io.closed? }
  end

  def fiber(&block) = Fiber.new(blocking: false, &block).tap(&:resume)

  def io_wait(io, events, timeout) = suspend(io:, events:, timeout:)

  def kernel_sleep(duration = nil)
    suspend(timeout: duration)
    true
  end

  def block(_blocker, timeout = nil) = suspend(timeout:)

  # Any thread may call this.
  def unblock(_blocker, fiber)
    @unblocked << fiber
    @waker.write_nonblock(".", exception: false)
  end

  def timeout_after(duration, error, message)
    fiber = Fiber.current
    done = false
    self.fiber { sleep(duration) && (done || fiber.raise(error, message)) }
    yield duration
  ensure
    done = true
  end

  private

  def suspend(io: nil, events: 0, timeout: nil)
    waiter = Waiter.new(Fiber.current, io, events, timeout && (now + timeout))
    @waiters << waiter
    Fiber.yield
  ensure
    @waiters.delete_if { |other| other.equal?(waiter) }
  end

  def run_once
    readable, writable = [IO::READABLE, IO::WRITABLE].map do |event|
      @waiters.filter_map { |waiter| waiter.io if waiter.for?(event) }
    end
    patience = @waiters.filter_map(&:deadline).min&.then { |deadline| [deadline - now, 0].max }
    ready_to_read, ready_to_write = IO.select([@wake, *readable], writable, nil, @unblocked.empty? ? patience : 0)
    @wake.read_nonblock(100, exception: false) if ready_to_read&.include?(@wake)
    resume(ready_to_read || [], ready_to_write || [])
  end

  def resume(ready_to_read, ready_to_write)
    @unblocked.size.times { resume_if_waiting(@unblocked.pop, true) }
    @waiters.dup.each do |waiter|
      events = (ready_to_read.include?(waiter.io) ? IO::READABLE : 0) |
               (ready_to_write.include?(waiter.io) ? IO::WRITABLE : 0)
      resume_if_waiting(waiter.fiber, events) if events.positive?
      resume_if_waiting(waiter.fiber, false) if events.zero? && waiter.late?(now)
    end
  end

  def resume_if_waiting(fiber, value)
    fiber.resume(value) if @waiters.any? { |waiter| waiter.fiber.equal?(fiber) }
  end

  def now = Process.clock_gettime(Process::CLOCK_MONOTONIC)
end
