# frozen_string_literal: true

require "open3"
require "socket"
require "tempfile"

# A tinyproxy of its own.
class Tinyproxy
  # @return [Queue] gets the first line of each request
  attr_reader :asked
  # @return [Integer]
  attr_reader :port

  # @yieldparam proxy [Tinyproxy]
  def self.open(**options)
    proxy = new(**options)
    yield proxy
  ensure
    proxy&.stop
  end

  # @param user [String, nil] whom alone it serves, with this `password`
  # @param password [String, nil]
  # @param forbidden [String, nil] a host that it connects nobody to
  def initialize(user: nil, password: nil, forbidden: nil)
    @port = TCPServer.open("127.0.0.1", 0) { |server| server.addr[1] }
    lines = ["Port #{port}", "Listen 127.0.0.1", "Timeout 30", "LogLevel Info"]
    lines << "BasicAuth #{user} #{password}" if user
    lines << "Filter \"#{file(forbidden).path}\"" if forbidden
    @input, @output, @process = Open3.popen2e("tinyproxy", "-d", "-c", file(lines.join("\n")).path)
    started = @output.each_line.find { |line| line.include?("Accepting connections") }
    raise "tinyproxy does not start" unless started

    @asked = Queue.new
    @reader = Thread.new do
      @output.each_line { |line| line.match(/Request \(.*?\): (.*) HTTP/) { |request| asked << request[1] } }
    end
  end

  # @return [String]
  def url(credentials = nil) = "http://#{"#{credentials}@" if credentials}127.0.0.1:#{port}"

  def stop
    Process.kill(:TERM, @process.pid)
    @process.join
    @reader.join
    [@input, @output].each(&:close)
  end

  private

  def file(text)
    @files ||= []
    @files << Tempfile.new
    @files.last.tap { |file| file.write("#{text}\n") }.tap(&:close)
  end
end
