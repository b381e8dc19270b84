# frozen_string_literal: true

require "socket"

# A block that runs in a process of its own, forked from this one.
#
# The block gets one end of a socket pair, `io` is the other; what the block returns is the `value` here. It leaves by
# `exit!`, so that nothing of the specs' own runs twice.
class Subprocess
  # How many seconds it may take before it counts as hung.
  PATIENCE = Integer(ENV.fetch("PATIENCE", 60))

  # @return [Object] what the block returned
  def self.run(&) = new(&).value

  # Ends those whose value nobody has waited for.
  def self.kill_all = running.dup.each(&:kill)

  # @api private
  def self.running = @running ||= []

  # @return [Integer]
  attr_reader :pid
  # @return [UNIXSocket]
  attr_reader :io

  # @yieldparam io [UNIXSocket]
  def initialize
    @io, theirs = UNIXSocket.pair
    @reader, writer = IO.pipe
    @pid = fork do
      Process.setpgrp
      [@io, @reader].each(&:close)
      # RSpec has handlers of its own for these.
      %w[INT TERM].each { |signal| trap(signal, "DEFAULT") }
      writer.write(outcome { yield(theirs) })
      writer.close
      exit!(0)
    end
    # So does the child: whichever comes first, the group is there before it can be killed.
    Process.setpgid(pid, 0)
    [theirs, writer].each(&:close)
    self.class.running << self
  end

  # Waits for the block to return.
  #
  # @return [Object] what it returned
  # @raise [RuntimeError] what it raised, or that it hung or died
  def value
    raise "the process hangs" unless @reader.wait_readable(PATIENCE)

    outcome = Marshal.load(@reader) # rubocop:disable Security/MarshalLoad -- it comes from ourselves
    raise outcome[:error] if outcome[:error]

    outcome[:value]
  rescue EOFError
    raise "the process died"
  ensure
    kill
  end

  # Waits for the block to write a line. Returns it, or nil where it ended instead.
  def gets
    raise "the process hangs" unless @io.wait_readable(PATIENCE)

    @io.gets&.chomp
  end

  def puts(...) = @io.puts(...)

  # Kills it, and those that it has forked: one that hangs would keep our pipes open.
  def kill
    return unless self.class.running.delete(self)

    Process.kill("KILL", -pid)
    Process.wait(pid)
    [@io, @reader].each(&:close)
  end

  private

  def outcome
    Marshal.dump({ value: yield })
  rescue Exception => e # rubocop:disable Lint/RescueException -- whatever it is, it is to be seen
    Marshal.dump({ error: "#{e.full_message(highlight: false)} (in another process)" })
  end
end

RSpec.configure { |config| config.after { Subprocess.kill_all } } if defined?(RSpec)
