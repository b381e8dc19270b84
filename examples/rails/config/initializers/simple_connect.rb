# frozen_string_literal: true

# SimpleConnect.client reads SIMPLECONNECT_ENDPOINT_URL, SIMPLECONNECT_KEY_ID and SIMPLECONNECT_SECRET, or the
# credentials, when it is first used: `rails assets:precompile` works without them.
SimpleConnect.configure do |config|
  # Refuses a misspelt event key before anything is sent.
  config.event_keys = %w[customer_payment_received customer_invoice_ready]
end
