# frozen_string_literal: true

require "socket"
require "tmpdir"

# A redis-server of its own, that keeps nothing.
class RedisServer
  # @return [String, nil] why there can be none here
  def self.missing
    "takes redis-server" unless ENV["PATH"].split(":").any? { |path| File.executable?("#{path}/redis-server") }
  end

  # @yieldparam server [RedisServer]
  def self.open
    server = new
    yield server
  ensure
    server&.stop
  end

  def initialize
    @port = TCPServer.open("127.0.0.1", 0) { |server| server.addr[1] }
    @process = Process.spawn("redis-server", "--bind", "127.0.0.1", "--port", @port.to_s, "--save", "",
                             "--dir", Dir.tmpdir, out: File::NULL, err: File::NULL)
    Thread.pass until listening?
  end

  def url = "redis://127.0.0.1:#{@port}/0"

  def stop
    Process.kill(:TERM, @process)
    Process.wait(@process)
  end

  private

  def listening?
    TCPSocket.open("127.0.0.1", @port).close
    true
  rescue Errno::ECONNREFUSED
    false
  end
end
