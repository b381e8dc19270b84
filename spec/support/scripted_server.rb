# frozen_string_literal: true

require "openssl"
require "socket"
require "stringio"
require "zlib"

# A real HTTP server that does to each request what its script says: the next step, the last one for ever.
#
# A step is a Hash in the notation of spec/conformance/README.md, or a Proc that gets the connection and the request,
# writes what it likes, and says whether to keep the connection open. Instead of a script there may be one Proc, which
# gets each connection before anything was read from it.
class ScriptedServer
  # A request as it came. `connection` counts the connections from 0; `headers` has lower-case names.
  Request = Struct.new(:verb, :target, :headers, :body, :at, :connection)

  # @return [Array<Request>] in the order in which they came
  attr_reader :requests
  # @return [Queue] gets the number of each connection that the client has closed
  attr_reader :closed
  # @return [Integer]
  attr_reader :port, :connections

  # @yieldparam server [ScriptedServer]
  def self.open(...)
    server = new(...)
    yield server
  ensure
    server&.stop
  end

  # @return [Proc] a step that is held up until the gate gives something, or is closed
  def self.held(gate)
    lambda do |connection, _|
      gate.pop
      connection.io.write("HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")
      true
    end
  end

  # @param script [Array<Hash, Proc>, Proc]
  # @param tls [OpenSSL::SSL::SSLContext, nil]
  # @param host [String] the address to listen on
  # @param port [Integer] any that is free, where it is 0
  def initialize(script = nil, tls: nil, host: "127.0.0.1", port: 0)
    @script = script.is_a?(Proc) || script&.any? ? script : [{}]
    @tls = tls
    @requests = []
    @arrived = Queue.new
    @closed = Queue.new
    @connections = 0
    @sockets = []
    @lock = Mutex.new
    @listener = TCPServer.new(host, port)
    @host = host.include?(":") ? "[#{host}]" : host
    @port = @listener.addr[1]
    @acceptor = Thread.new { accept }
  end

  def url = "#{@tls ? "https" : "http"}://#{@host}:#{port}"

  def endpoint = "#{url}/api/v1/integrations/demo/events"

  # Waits until `count` requests have come.
  def wait_for(count)
    count.times { @arrived.pop }
    requests
  end

  # @return [Request, nil] the next on this connection; nil where the client has closed it
  def read(connection)
    io = connection.io
    line = io.gets("\n", 8192) or return
    raise IOError, "not HTTP" unless line.match?(%r{\A[A-Z]+ \S+ HTTP/1\.[01]\r\n\z})

    headers = {}
    while (field = io.gets&.chomp) && !field.empty?
      name, value = field.split(/:\s*/, 2)
      headers[name.downcase] = value
    end
    body = io.read(headers["content-length"].to_i)
    verb, target = line.split
    Request.new(verb, target, headers, body, Process.clock_gettime(Process::CLOCK_MONOTONIC), connection.number)
  end

  def stop
    @acceptor.kill.join
    @listener.close
    threads = @lock.synchronize { @sockets.each(&:close_quietly).map(&:thread) }
    threads.each { |thread| thread&.kill&.join }
  end

  # One connection and the thread that serves it.
  class Connection
    attr_accessor :thread
    attr_reader :number, :io

    def initialize(socket, number, tls)
      @socket = socket
      @socket.setsockopt(Socket::IPPROTO_TCP, Socket::TCP_NODELAY, 1)
      @number = number
      @tls = tls
      @io = socket
    end

    def greet
      return unless @tls

      @io = OpenSSL::SSL::SSLSocket.new(@socket, @tls)
      @io.sync_close = true
      @io.accept
    end

    # Closes so that the client gets a reset and not an end.
    def reset
      @socket.setsockopt(Socket::SOL_SOCKET, Socket::SO_LINGER, [1, 0].pack("ii"))
      @socket.close
    end

    # Returns when the client has closed its side, however it did.
    def wait_for_client_to_close
      loop { @io.readpartial(4096) }
    rescue IOError, SystemCallError, OpenSSL::SSL::SSLError
      nil
    end

    def close_quietly
      @socket.close
      self
    rescue IOError, SystemCallError
      self
    end
  end

  private

  def accept
    loop do
      socket = @listener.accept
      @lock.synchronize do
        connection = Connection.new(socket, @connections, @tls)
        @connections += 1
        @sockets << connection
        connection.thread = Thread.new { serve(connection) }
        connection.thread.report_on_exception = false
      end
    end
  end

  def serve(connection)
    connection.greet
    return @script.call(connection) if @script.is_a?(Proc)

    while (request = read(connection))
      step = @lock.synchronize do
        @requests << request
        @script.size > 1 ? @script.shift : @script.first
      end
      @arrived << request
      keep_open = step.is_a?(Proc) ? step.call(connection, request) : perform(step, connection, request)
      break unless keep_open
    end
  rescue IOError, SystemCallError, OpenSSL::SSL::SSLError
    # The client went away, or never spoke TLS.
  ensure
    connection.close_quietly
    @closed << connection.number
  end

  # Says whether to keep the connection open.
  def perform(step, connection, request)
    step = step.transform_keys(&:to_s)
    sleep(step["delay"]) if step["delay"]
    return fail_as(step, connection) if step["fault"]

    answer(step, connection.io, request)
    step["then"] != "close" && step["framing"] != "until_close" && request.headers["connection"] != "close"
  end

  def fail_as(step, connection)
    io = connection.io
    case step["fault"]
    when "close" then nil
    when "reset" then connection.reset
    when "silence" then connection.wait_for_client_to_close
    when "raw" then io.write(step["bytes"])
    when "cut"
      io.write(head(step, "Content-Length" => step["body"].bytesize.to_s))
      io.write(step["body"].byteslice(0, step["after"]))
    else raise ArgumentError, "no such fault: #{step["fault"]}"
    end
    false
  end

  def answer(step, io, request)
    body = step["body"].to_s.b
    headers = {}
    if step["gzip_if_accepted"] && request.headers["accept-encoding"].to_s.include?("gzip")
      body = Zlib.gzip(body)
      headers["Content-Encoding"] = "gzip"
    end
    return chunked(step, io, headers, body) if step["framing"] == "chunked"

    headers["Content-Length"] = body.bytesize.to_s unless step["framing"] == "until_close"
    return drip(step, io, headers, body) if step["drip"]

    io.write(head(step, headers) + body)
  end

  def chunked(step, io, headers, body)
    half = (body.bytesize / 2.0).ceil
    chunks = [body.byteslice(0, half), body.byteslice(half..)].reject(&:empty?)
    io.write(head(step, headers.merge("Transfer-Encoding" => "chunked")))
    chunks.each { |chunk| io.write("#{chunk.bytesize.to_s(16)}\r\n#{chunk}\r\n") }
    io.write("0\r\n\r\n")
  end

  def drip(step, io, headers, body)
    io.write(head(step, headers))
    size = [(body.bytesize / step["drip"]["pieces"].to_f).ceil, 1].max
    body.bytes.each_slice(size).with_index do |piece, index|
      sleep(step["drip"]["gap"]) if index.positive?
      io.write(piece.pack("C*"))
    end
  end

  def head(step, headers)
    status = step["status"] || 200
    lines = ["HTTP/1.1 #{status} #{step["reason"] || "OK"}"]
    own = step["headers"].to_a.reject { |name, _| headers.key?(name) }
    lines.concat([*own, *headers].map { |name, value| "#{name}: #{value}" })
    "#{lines.join("\r\n")}\r\n\r\n".b
  end
end
