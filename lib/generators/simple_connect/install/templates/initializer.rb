# frozen_string_literal: true

# Nothing here is read before the first delivery, so the application boots without secrets, as for
# `rails assets:precompile`.
#
# Settings that are missing here come from the environment (SIMPLECONNECT_ENDPOINT_URL, SIMPLECONNECT_KEY_ID,
# SIMPLECONNECT_SECRET), then from the credentials (`simple_connect`, also below the name of the Rails environment).
SimpleConnect.configure do |config|
  # The integration's URL, and the key that signs. The key id and the secret must come from the same place.
  # config.endpoint_url = "https://app.simplewaconnect.com/api/v1/integrations/<provider>/events"
  # config.key_id = "wa_sec_…"
  # config.secret = -> { Rails.application.credentials.dig(:somewhere, :else) }

  # The allowed event keys: a typo raises an error instead of failing at the service.
  # config.event_keys = %w[customer_payment_received customer_invoice_ready]

  # Seconds for connecting and for each pause (10), and for a whole call including retries (no limit).
  # config.timeout = 5
  # config.total_timeout = 15

  # The number of attempts. In a job that is retried anyway, use `SimpleConnect.client.with(max_attempts: 1)`.
  # config.max_attempts = 3
  # config.retryable = -> { SimpleConnect::Retryable.exponential(max_attempts: 5) }

  # Each attempt writes two lines to Rails.logger; false turns this off.
  # config.logger = false

  # A proxy, certificates to trust in addition to the system's, and headers to send with each request.
  # config.proxy = "http://proxy.example:3128"
  # config.ca_file = "/etc/ssl/certs/internal.pem"
  # config.headers = { "X-Tenant" => "acme" }

  # The jobs of deliver_later: docs/jobs.md of the gem explains these. By default ActiveJob's, in its own queue; after a
  # failure that may pass they are retried for three days. The hooks are called when a job ends without a delivery.
  # config.job = :sidekiq
  # config.queue = "low"
  # config.give_up_after = 86_400
  # config.on_rejected = ->(result, event) { Rails.logger.error("#{event[:event_id]}: HTTP #{result.status_code}") }
  # config.on_unauthorized = ->(result, event) { Rails.logger.error("#{event[:client]}: HTTP #{result.status_code}") }
  # config.on_exhausted = ->(_result, event) { Rails.logger.error("#{event[:event_id]}: gave up") }

  # For template messages, SimpleConnect.messages (or set SIMPLECONNECT_BASE_URL and SIMPLECONNECT_API_KEY).
  # config.base_url = "https://app.simplewaconnect.com"
  # config.api_key = "…"

  # Another integration: SimpleConnect.client(:billing).
  # config.client(:billing) do |billing|
  #   billing.endpoint_url = "https://app.simplewaconnect.com/api/v1/integrations/billing/events"
  #   billing.key_id = "wa_sec_…"
  #   billing.secret = -> { ENV.fetch("BILLING_SECRET") }
  # end
end
