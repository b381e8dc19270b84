# frozen_string_literal: true

require "open3"
require "rbconfig"
require "timeout"

# The command `simple_connect`, in a process of its own.
module Command
  ROOT = File.expand_path("../..", __dir__)
  LINE = [RbConfig.ruby, "-I", "#{ROOT}/lib", "#{ROOT}/exe/simple_connect"].freeze

  # Runs one that serves, and yields its streams and its process id: ending it is the block's business. Gives what else
  # it printed to both streams, and its exit code.
  def self.serve(env, *arguments)
    Open3.popen3(env, *LINE, *arguments) do |_, out, err, process|
      Timeout.timeout(20) do
        yield out, err, process.pid
        [out.read, err.read, process.value.exitstatus]
      end
    ensure
      Process.kill("KILL", process.pid) if process.alive?
    end
  end
end
