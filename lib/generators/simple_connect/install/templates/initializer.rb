# frozen_string_literal: true

# Nothing here is read before the first delivery, so a boot without secrets works, such as `rails assets:precompile`.
#
# What is not set here is taken from the environment (SIMPLECONNECT_ENDPOINT_URL, SIMPLECONNECT_KEY_ID,
# SIMPLECONNECT_SECRET), and then from the credentials (`simple_connect`, also below the name of the Rails environment).
SimpleConnect.configure do |config|
  # The integration's URL, and the key that signs. The key id and the secret must come from the same place.
  # config.endpoint_url = "https://app.simplewaconnect.com/api/v1/integrations/<provider>/events"
  # config.key_id = "wa_sec_…"
  # config.secret = -> { Rails.application.credentials.dig(:somewhere, :else) }

  # Refuse event keys that are not set up: a typo raises instead of failing later.
  # config.event_keys = %w[customer_payment_received customer_invoice_ready]

  # Seconds for connecting and for each silence (10), and for a whole call, retries included (no limit).
  # config.timeout = 5
  # config.total_timeout = 15

  # How often to try. In a job, which retries by itself, use `SimpleConnect.client.with(max_attempts: 1)`.
  # config.max_attempts = 3
  # config.retryable = -> { SimpleConnect::Retryable.exponential(max_attempts: 5) }

  # Two lines for each attempt go to Rails.logger; false turns them off.
  # config.logger = false

  # A proxy, certificates to trust in addition to the system's, and header fields of your own.
  # config.proxy = "http://proxy.example:3128"
  # config.ca_file = "/etc/ssl/certs/internal.pem"
  # config.headers = { "X-Tenant" => "acme" }

  # Template messages, by SimpleConnect.messages (or SIMPLECONNECT_BASE_URL and SIMPLECONNECT_API_KEY).
  # config.base_url = "https://app.simplewaconnect.com"
  # config.api_key = "…"

  # Another integration, as SimpleConnect.client(:billing).
  # config.client(:billing) do |billing|
  #   billing.endpoint_url = "https://app.simplewaconnect.com/api/v1/integrations/billing/events"
  #   billing.key_id = "wa_sec_…"
  #   billing.secret = -> { ENV.fetch("BILLING_SECRET") }
  # end
end
