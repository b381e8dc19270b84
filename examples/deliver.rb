# frozen_string_literal: true

# Delivers an event and shows what became of it. Start a sandbox of the service in another terminal,
#
#   simple_connect sandbox
#
# paste the lines that it prints into this one, and run
#
#   ruby examples/deliver.rb

require "simple_connect"

client = SimpleConnect::Client.from_env

result = client.events.deliver(
  "customer_payment_received",
  recipient: { name: "Lakshmi Nair", mobile_no: "+919812345678" },
  event: { event_id: "payment_42", payment_amount: "450.00", payment_mode: "UPI" }
)
abort "not delivered: #{result.error}" if result.failed?

puts "#{result.data.duplicate? ? "delivered before" : "delivered"}: event_id #{result.data.event_id}"

event = client.events.detail!("payment_42").data
puts "dispatched: #{event.dispatched?}, message: #{event.message&.status || "none yet"}"
