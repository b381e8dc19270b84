# frozen_string_literal: true

module SimpleConnect
  # The monotonic clock.
  # @api private
  module Clock
    # Not `Process.clock_gettime`: tests stub that, and a wait by a clock that stands still never ends.
    extend Process

    # @return [Float] seconds
    def self.now = clock_gettime(Process::CLOCK_MONOTONIC)
  end
  private_constant :Clock
end
