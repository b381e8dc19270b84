# frozen_string_literal: true

# Receives webhooks. Start it with
#
#   export SIMPLECONNECT_WEBHOOK_SECRET=s3cret
#   puma --port 8080 examples/config.ru
#
# and send it an event from another terminal, with the same secret:
#
#   simple_connect webhooks send order.paid order:=7

require "simple_connect"

app = SimpleConnect::Webhooks::App.new(secret: ENV.fetch("SIMPLECONNECT_WEBHOOK_SECRET"))

app.register("order.paid", version: "v1") do |payload, context|
  warn "#{context.event}: order #{payload["order"]}"
  { order: payload["order"] }
end

# What became of a message; see `simple_connect sandbox --callback-url`.
app.register("message.status", version: "v1") do |payload, _context|
  warn "message #{payload["data"]["message_id"]}: #{payload["data"]["status"]}"
end

run app
