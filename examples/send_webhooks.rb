# frozen_string_literal: true

# Sends an event of your own to an endpoint. Start the receiver of examples/config.ru in another terminal, and run
#
#   export SIMPLECONNECT_WEBHOOK_SECRET=s3cret
#   ruby examples/send_webhooks.rb

require "simple_connect"

# Customers must not reach this machine. Leave this out in production.
SimpleConnect.configure { |config| config.allow_private = true }

# An endpoint as a customer enters it. It takes one type of event, at most 10 a second.
shop = SimpleConnect::Outbound::Endpoint.new(
  uid: "shop",
  url: ENV.fetch("SHOP_URL", "http://127.0.0.1:8080/v/v1/webhooks/order.paid"),
  secret: ENV.fetch("SIMPLECONNECT_WEBHOOK_SECRET"),
  filter_types: ["order.paid"],
  rate_limit: 10
)
abort shop.errors.join("\n") unless shop.valid?

application = SimpleConnect::Outbound::Application.new(name: "Orders", uid: "orders", endpoints: [shop])
# Sidekiq or ActiveJob would run the retries; this script runs none.
dispatcher = SimpleConnect::Outbound::Dispatcher.new(application, scheme: :simple_connect, jobs: false)

event = SimpleConnect::Outbound::Event.new(event_type: "order.paid", payload: { order: 7 })

dispatcher.publish(event).each do |attempt|
  puts "#{attempt.endpoint_uid}: #{attempt.status} #{attempt.response_status_code || attempt.error}"
  due = dispatcher.next_attempt(attempt)
  puts "next attempt at #{due}" if due
end
