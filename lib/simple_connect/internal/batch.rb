# frozen_string_literal: true

require_relative "clock"

module SimpleConnect
  # Works on several items at a time in one thread: each item has a Fiber, which yields while it waits.
  # @api private
  class Batch
    # Ends the remaining fibers of a batch. It is not a StandardError, so that a `rescue` in the work does not stop it.
    class Abandoned < Exception; end # rubocop:disable Lint/InheritException
    Done = Struct.new(:outcome, :item, :index)
    # The fiber-local that a batch's fibers have.
    LOCAL = :simple_connect_batch
    private_constant :Abandoned, :Done, :LOCAL

    # Runs a block in the fiber that runs the batch; at once, outside of the batch's fibers. It is for code of others,
    # such as subscribers: what it calls may hold locks of that fiber, such as ActiveRecord's in a transaction.
    #
    # @return [Object] the block's value
    def self.outside(&block) = Thread.current[LOCAL] ? Fiber.yield(block) : yield

    # @param concurrency [Integer] how many items to work on at a time
    # @yieldparam item [Object]
    # @yieldreturn [Object] the outcome
    # @raise [ArgumentError] if `concurrency` is not an Integer of 1 or more
    def initialize(concurrency, &work)
      unless concurrency.is_a?(Integer) && concurrency.positive?
        raise ArgumentError, "concurrency: must be an Integer of 1 or more, such as 8, not #{concurrency.inspect}"
      end

      @concurrency = concurrency
      @work = work
      @started = 0
      @idle = []
      # Waiting fibers, each with its descriptor, the events and the deadline.
      @waiting = {}.compare_by_identity
    end

    # Takes an item only when a fiber is free for it. An error ends all fibers.
    #
    # @param items [#each]
    # @yieldparam outcome [Object] as soon as it is known; yielded in the caller's fiber, so that its locals and `break`
    #   work
    # @yieldparam item [Object]
    # @yieldparam index [Integer]
    # @return [Integer] the number of items
    def run(items, &done)
      @done = done
      count = 0
      items.each do |item|
        advance while full?
        resume(@idle.pop || start, [item, count])
        count += 1
      end
      advance until @waiting.empty?
      count
    ensure
      @waiting.each_key { |fiber| abandon(fiber) }
    end

    # @return [Boolean] whether the next item has to wait for a fiber
    def full? = @idle.empty? && @started == @concurrency

    # Lets the items in progress go on, for an `each` that has no item yet. Returns once one of them has gone on, or
    # after `seconds`.
    def progress(seconds)
      @waiting.empty? ? Kernel.sleep(seconds) : advance([nil, 0, Clock.now + seconds])
    end

    # Waits for a descriptor, at most `seconds`. Call it within {#run}'s work.
    def wait(descriptor, events, seconds) = Fiber.yield([descriptor, events, Clock.now + seconds])

    # Waits. Call it within {#run}'s work.
    def sleep(seconds) = wait(nil, 0, seconds)

    private

    def start
      @started += 1
      # Blocking, so that a Fiber scheduler treats the batch as one fiber.
      Fiber.new(blocking: true) do |job|
        Thread.current[LOCAL] = true
        loop { job = Fiber.yield(Done.new(@work.call(job.first), *job)) }
      end
    end

    def resume(fiber, job = nil)
      step = fiber.resume(job)
      step = fiber.resume(run_for(fiber, step)) while step.is_a?(Proc)
      return @waiting[fiber] = step unless step.is_a?(Done)

      @idle << fiber
      @done.call(step.outcome, step.item, step.index)
    end

    def run_for(fiber, block)
      done = false
      # A batch can run within another.
      value = Batch.outside(&block)
      done = true
      value
    ensure
      # Such as after an interrupt.
      abandon(fiber) unless done
    end

    def advance(*limit)
      fibers = @waiting.keys
      poll(@waiting.values + limit).each do |position|
        fiber = fibers[position] or next
        @waiting.delete(fiber)
        resume(fiber)
      end
    end

    def poll(waits)
      return Transport.poll(waits, Clock.now) unless Fiber.current_scheduler

      # A Fiber scheduler can wait for a thread, but not for many sockets.
      ready = []
      thread = Thread.new { ready = Transport.poll(waits, Clock.now) }
      # Not Thread#value: if a signal handler forks, the child does not have the thread, and Ruby 3.1 raises `fatal`.
      thread.join
      ready
    rescue ThreadError
      # The system allows no more threads: let other fibers run, then poll without waiting.
      Kernel.sleep(0.01)
      Transport.poll([*waits, [nil, 0, Clock.now]], Clock.now) - [waits.size]
    ensure
      thread&.kill&.join
    end

    def abandon(fiber)
      step = fiber.raise(Abandoned)
      step = fiber.resume(step.call) while step.is_a?(Proc)
    rescue Abandoned
      nil
    end
  end
  private_constant :Batch
end
