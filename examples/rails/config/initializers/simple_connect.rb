# frozen_string_literal: true

# One client for the whole application. It reads SIMPLECONNECT_ENDPOINT_URL, SIMPLECONNECT_KEY_ID and
# SIMPLECONNECT_SECRET when it is first used: `rails assets:precompile` works without them.
SIMPLECONNECT = SimpleConnect::Client.from_env(
  logger: Rails.logger,
  # Refuses a misspelt event key before anything is sent.
  event_keys: %w[customer_payment_received customer_invoice_ready]
)
