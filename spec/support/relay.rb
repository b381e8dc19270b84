# frozen_string_literal: true

require "socket"

# Stands between a client and a server, and does to the bytes on the wire what neither of them would do.
class Relay
  # @return [Integer]
  attr_reader :port
  # @return [Integer, nil] how many more bytes reach a client before its connection is closed
  attr_accessor :limit

  # @yieldparam relay [Relay]
  def self.open(...)
    relay = new(...)
    yield relay
  ensure
    relay&.stop
  end

  # @param port [Integer] the server's
  # @param piece [Integer] how many bytes reach the client at once
  # @param gap [Float] the seconds between these pieces
  def initialize(port, piece: 16_384, gap: 0)
    @listener = TCPServer.new("127.0.0.1", 0)
    @port = @listener.addr[1]
    @threads = Queue.new
    @sockets = [@listener]
    run { loop { connect(@listener.accept, TCPSocket.new("127.0.0.1", port), piece, gap) } }
  end

  def stop
    @threads.pop.kill.join until @threads.empty?
    @sockets.each(&:close)
  end

  private

  def run
    @threads << Thread.new do
      yield
    rescue IOError, SystemCallError
      # One of the two has closed.
    end
  end

  def connect(client, server, piece, gap)
    @sockets.push(client, server)
    client.setsockopt(Socket::IPPROTO_TCP, Socket::TCP_NODELAY, 1)
    run { IO.copy_stream(client, server) }
    run do
      while (bytes = server.readpartial(piece))
        # It may be set as soon as the client has these bytes: then it counts for the next.
        left = limit
        bytes = bytes[0, left] if left
        client.write(bytes)
        break if left && (self.limit = left - bytes.size).zero?

        sleep(gap)
      end
    ensure
      [client, server].each(&:shutdown)
    end
  end
end
