# frozen_string_literal: true

require "socket"
require_relative "scripted_server"

# Clients and calls as the specs of the transport make them.
module Delivering
  SECRET = "hush-hush"
  ACCEPTED = { "status" => 202, "body" => '{"status":"accepted","log_id":7,"event_id":"payment_42"}' }.freeze

  # @param server [ScriptedServer, String] or an endpoint's URL
  # @return [SimpleConnect::Client] one that tries once, where nothing else is said
  def client_of(server, **options)
    options = { max_attempts: 1, **options } unless options.key?(:retryable)
    url = server.is_a?(String) ? server : server.endpoint
    SimpleConnect::Client.new(endpoint_url: url, key_id: "wa_sec_demo", secret: SECRET, **options)
  end

  # @return [SimpleConnect::MessagesClient] likewise
  def messages_client_of(server, **options)
    options = { max_attempts: 1, **options } unless options.key?(:retryable)
    SimpleConnect::MessagesClient.new(base_url: server.url, api_key: SECRET, **options)
  end

  def deliver(client, event_id: "payment_42", **fields)
    client.events.deliver("customer_payment_received", { payment_amount: "450.00", **fields }, event_id:)
  end

  def send_message(client)
    client.messages.deliver(template_name: "order_update", recipients: [{ mobile_no: "+919812345678" }])
  end

  # @param attempts [Integer]
  # @return [SimpleConnect::Retryable] one that hardly waits
  def quick(attempts = 3) = SimpleConnect::Retryable.new(max_attempts: attempts, delay: ->(_) { 0.01 })

  # @return [Float] the seconds that the block takes
  def time
    started = Process.clock_gettime(Process::CLOCK_MONOTONIC)
    yield
    Process.clock_gettime(Process::CLOCK_MONOTONIC) - started
  end

  # @return [Array<Socket>] the sockets of this process that are connected to `port`: a client's own, to be looked at
  #   from outside
  def sockets_to(port)
    Dir.children("/dev/fd").filter_map do |descriptor|
      socket = Socket.for_fd(Integer(descriptor))
      socket.autoclose = false
      socket if socket.remote_address.ip_port == port
    rescue SystemCallError, SocketError, ArgumentError
      nil
    end
  end

  # Returns when what the block makes `server` do has reached the one connection to it: bytes, an end or a reset.
  def await_news_from(server)
    socket = sockets_to(server.port).fetch(0)
    yield
    raise "nothing came" unless socket.wait_readable(10)
  end
end
