# frozen_string_literal: true

require_relative "clock"

module SimpleConnect
  # Works on many items at a time, on one thread: each in a Fiber, which gives way whenever it waits.
  # @api private
  class Batch
    # Ends the fibers of a batch that has ended before them. No StandardError: nobody's rescue is to keep it.
    class Abandoned < Exception; end # rubocop:disable Lint/InheritException
    Done = Struct.new(:outcome, :item, :index)
    private_constant :Abandoned, :Done

    # @param concurrency [Integer] how many items to work on at a time
    # @yieldparam item [Object]
    # @yieldreturn [Object] its outcome
    # @raise [ArgumentError] where `concurrency` is no Integer of 1 or more
    def initialize(concurrency, &work)
      unless concurrency.is_a?(Integer) && concurrency.positive?
        raise ArgumentError, "concurrency: must be an Integer of 1 or more, such as 8, not #{concurrency.inspect}"
      end

      @concurrency = concurrency
      @work = work
      @started = 0
      @idle = []
      # Each fiber that waits: for which descriptor, for which events, until when.
      @waiting = {}.compare_by_identity
    end

    # Takes an item only when there is a fiber free for it. Whatever is raised ends all that is under way.
    #
    # @param items [#each]
    # @yieldparam outcome [Object] as soon as it is there; on the caller's own fiber, whose locals and `break` it needs
    # @yieldparam item [Object]
    # @yieldparam index [Integer]
    # @return [Integer] how many items there were
    def run(items, &done)
      count = 0
      items.each do |item|
        advance(done) while @idle.empty? && @started == @concurrency
        resume(@idle.pop || start, done, [item, count])
        count += 1
      end
      advance(done) until @waiting.empty?
      count
    ensure
      @waiting.each_key { |fiber| abandon(fiber) }
    end

    # Waits for a descriptor, for some seconds at the most; called within {#run}'s work.
    def wait(descriptor, events, seconds) = Fiber.yield([descriptor, events, Clock.now + seconds])

    # Waits for some seconds; called within {#run}'s work.
    def sleep(seconds) = wait(nil, 0, seconds)

    private

    def start
      @started += 1
      # Blocking: a Fiber scheduler is to see the batch as one.
      Fiber.new(blocking: true) do |job|
        loop { job = Fiber.yield(Done.new(@work.call(job.first), *job)) }
      end
    end

    def resume(fiber, done, job = nil)
      step = fiber.resume(job)
      return @waiting[fiber] = step unless step.is_a?(Done)

      @idle << fiber
      done.call(step.outcome, step.item, step.index)
    end

    def advance(done)
      fibers = @waiting.keys
      poll(@waiting.values).each do |position|
        fiber = fibers[position]
        @waiting.delete(fiber)
        resume(fiber, done)
      end
    end

    def poll(waits)
      return Transport.poll(waits, Clock.now) unless Fiber.current_scheduler

      # The scheduler knows how to wait for a thread, but not for many sockets.
      ready = []
      thread = Thread.new { ready = Transport.poll(waits, Clock.now) }
      # Not Thread#value: where a signal's handler forks, the thread is not in the child, and Ruby 3.1 raises a `fatal`.
      thread.join
      ready
    rescue ThreadError
      # The system has no thread to give. Other fibers have their turn, and then we look.
      Kernel.sleep(0.01)
      Transport.poll([*waits, [nil, 0, Clock.now]], Clock.now) - [waits.size]
    ensure
      thread&.kill&.join
    end

    def abandon(fiber)
      fiber.raise(Abandoned)
    rescue Abandoned
      nil
    end
  end
  private_constant :Batch
end
