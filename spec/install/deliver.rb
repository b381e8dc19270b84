# frozen_string_literal: true

# Delivers one event with the installed gem to a server of its own.

# As Bundler does. The compiled extension may have the same name, and must not be loaded instead.
gem "simple_connect-client"
require "simple_connect-client"
require "socket"

server = TCPServer.new("127.0.0.1", 0)
requests = Queue.new
Thread.new do
  client = server.accept
  head = client.gets("\r\n\r\n")
  requests << client.read(head[/content-length: (\d+)/i, 1].to_i)
  client.write("HTTP/1.1 202 Accepted\r\nContent-Length: 21\r\n\r\n{\"status\":\"accepted\"}")
end

client = SimpleConnect::Client.new(
  endpoint_url: "http://127.0.0.1:#{server.addr[1]}/events", key_id: "k", secret: "s", max_attempts: 1
)
result = client.events.deliver("order_paid", recipient: { mobile_no: "+919812345678" }, event: { amount: "450.00" })

abort "not delivered: #{result.error}" unless result.success? && result.data.status == "accepted"
abort "not received: #{requests.pop}" unless requests.pop.include?('"amount":"450.00"')
