# frozen_string_literal: true

require_relative "certificates"
require_relative "name_server"
require_relative "scripted_server"

# A server where the first request gets stuck on its way: while its client looks up the name (`:dns`), connects, shakes
# hands (`:tls`), writes, or reads; or fails, so that its client waits before the next attempt (`:wait`). Then it is to
# be told whether to let the request go on, or that the client has been made to leave. Others are answered at once.
class StuckServer < ScriptedServer
  ACCEPTED = { "status" => 202, "body" => '{"status":"accepted","log_id":7,"event_id":"e"}' }.freeze
  UNAVAILABLE = { "status" => 503 }.freeze
  private_constant :ACCEPTED, :UNAVAILABLE

  # @param phase [:dns, :connect, :tls, :write, :read, :wait]
  def initialize(phase)
    @phase = phase
    @stuck = Queue.new
    @orders = Queue.new
    @names = NameServer.new(@stuck) if phase == :dns
    @identity = Certificates.self_signed("127.0.0.1") if phase == :tls
    first = { read: method(:hold_answer).to_proc, wait: UNAVAILABLE }.fetch(phase, ACCEPTED)
    super([first, ACCEPTED], tls: @identity&.context)
    @host = NameServer::HOST if phase == :dns
    crowd if phase == :connect
    # So that no request of some megabytes can hide in buffers.
    @listener.setsockopt(Socket::SOL_SOCKET, Socket::SO_RCVBUF, 4096) if phase == :write
  end

  # @return [Hash] what a client must be told in order to trust this server
  def trust = @identity ? { ca_file: @identity.file } : {}

  # Returns when the first request is stuck. One that waits for its next attempt can only tell so itself.
  def wait_until_stuck
    return @stuck.pop unless @phase == :connect

    # A server is not told of those who cannot connect to it; the system knows.
    Thread.pass until connecting?
  end

  # Lets the first request go on.
  def let_through
    @orders << :go_on
    @names&.let_through
  end

  # Returns when the client of the first request has closed its connection, and lets all others through.
  def wait_until_left
    Thread.pass while @phase == :connect && connecting?
    @orders << :leave
    @names&.let_through
    @closed.pop unless %i[dns connect wait].include?(@phase)
  end

  def stop
    @names&.stop
    @crowd&.each(&:close)
    super
  end

  private

  # Whether somebody waits to be connected.
  def connecting?
    syn_sent = "02"
    File.foreach("/proc/net/tcp").any? do |line|
      _, _, remote, state = line.split
      state == syn_sent && remote.end_with?(format(":%04X", port))
    end
  end

  # Fills the queue of those who are connected but not yet accepted; it holds one at least.
  def crowd
    @listener.listen(0)
    @crowd = [TCPSocket.new("127.0.0.1", port)]
  end

  def accept
    @orders.pop if @phase == :connect
    super
  end

  def serve(connection)
    hold(connection) if connection.number.zero? && %i[tls write].include?(@phase)
    super
  end

  # Leaves what has come unread, and with TLS unanswered.
  def hold(connection)
    connection.io.recv(1, Socket::MSG_PEEK)
    @stuck << true
    connection.wait_for_client_to_close if @orders.pop == :leave
  end

  def hold_answer(connection, request)
    @stuck << true
    case @orders.pop
    when :go_on then perform(ACCEPTED, connection, request)
    when :leave then connection.wait_for_client_to_close
    end
  end
end
