# frozen_string_literal: true

require "socket"
require_relative "certificates"
require_relative "scripted_server"

# Clients and calls as the specs of the transport make them.
module Delivering
  SECRET = "hush-hush"
  ACCEPTED = { "status" => 202, "body" => '{"status":"accepted","log_id":7,"event_id":"payment_42"}' }.freeze

  # @return [Hash{String => Array(Hash, Hash)}] what the promises hold on, plain HTTP and TLS: the options of a
  #   ScriptedServer, and those of a client that trusts it
  def self.wires
    # Its file lasts as long as it does.
    @identity ||= Certificates.self_signed("127.0.0.1")
    { "HTTP" => [{}, {}], "HTTPS" => [{ tls: @identity.context }, { ca_file: @identity.file }] }
  end

  # Has these examples run over plain HTTP and over TLS: their `serve`, `client_of` and `messages_client_of` know how.
  #
  # @param group [Class] the group of examples that they belong to
  # @param what [String] what they describe
  def self.over_each_wire(group, what, &examples)
    wires.each do |wire, (serving, trusting)|
      group.describe("#{what}, over #{wire}") do
        define_method(:serve) { |*script, **options, &block| super(*script, **serving, **options, &block) }
        define_method(:client_of) { |server, **options| super(server, **trusting, **options) }
        define_method(:messages_client_of) { |server, **options| super(server, **trusting, **options) }
        class_exec(&examples)
      end
    end
  end

  # @param script [Array<Hash, Proc>] see ScriptedServer
  # @yieldparam server [ScriptedServer]
  def serve(*script, **options, &block) = ScriptedServer.open(script, **options, &block)

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
