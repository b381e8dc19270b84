# frozen_string_literal: true

module SimpleConnect
  # TERM and INT, which ask a process to stop.
  # @api private
  module StopSignals
    # Runs the block. Calls `handler` meanwhile for each of these signals, within Ruby's handler, where no Mutex can be
    # locked.
    #
    # @param handler [#call]
    # @return [Object] the block's value
    def self.call(handler)
      before = %w[TERM INT].to_h { |signal| [signal, trap(signal) { handler.call }] }
      yield
    ensure
      before&.each { |signal, command| trap(signal, command || "DEFAULT") }
    end
  end
  private_constant :StopSignals
end
