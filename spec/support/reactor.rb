# frozen_string_literal: true

require_relative "select_scheduler"

# Fiber schedulers, each behind the same few methods: `run` runs a block in a fiber until it and all that it has started
# have ended, and returns its value; `start`, within that block, starts another fiber, which can be asked to `wait` for
# its value, whether it is `finished?`, and to `stop`.
module Reactor
  # The gem Async, if Ruby can load it.
  module WithAsync
    # @return [String, nil] why it is not there
    def self.unavailable
      require "async"
      nil
    rescue LoadError => e
      # Debian has its parts for one Ruby only.
      "cannot be loaded by this Ruby: #{e.message.lines.first}"
    end

    # @return [String, nil] why Timeout.timeout does not concern its fibers alone
    def self.timeless = ("Async 1 does not know of Timeout.timeout" unless unavailable || Async::VERSION > "2")

    def self.label = "Async#{" #{Async::VERSION}" unless unavailable}"
    def self.run(&block) = Async { block.call }.wait
    def self.start(&block) = Async::Task.current.async { block.call }
  end

  # Ours.
  module WithSelect
    # Ends a fiber that is told to stop.
    class Stop < Exception; end # rubocop:disable Lint/InheritException -- nobody is to rescue it

    # A fiber and what came of it.
    class Task
      def initialize
        @fiber = Fiber.schedule do
          @value = yield
        rescue Stop
          nil
        rescue StandardError => e
          @error = e
        ensure
          @finished = true
        end
      end

      def finished? = @finished

      def wait
        sleep(0.001) until finished?
        raise @error if @error

        @value
      end

      def stop = @fiber.raise(Stop)
    end

    def self.unavailable = nil
    def self.timeless = nil
    def self.label = "a scheduler that selects"
    def self.run(&) = SelectScheduler.run(&)
    def self.start(&) = Task.new(&)
  end

  ALL = [WithSelect, WithAsync].freeze
end
