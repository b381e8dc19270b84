# frozen_string_literal: true

module SimpleConnect
  # The monotonic clock.
  # @api private
  module Clock
    # Not `Process.clock_gettime`: tests replace that, and whoever waits by a clock that stands still waits for ever.
    extend Process

    # @return [Float] seconds
    def self.now = clock_gettime(Process::CLOCK_MONOTONIC)
  end
  private_constant :Clock
end
