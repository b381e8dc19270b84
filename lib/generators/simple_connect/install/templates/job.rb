# frozen_string_literal: true

# Delivers an event, once for each payment: the service takes an event only once for each event_id.
class CustomerPaymentJob < ApplicationJob
  # Phone numbers do not belong in a log.
  self.log_arguments = false

  # A result that may be better later raises a TransientError; what is refused for good raises a PermanentError.
  retry_on SimpleConnect::TransientError, wait: 30.seconds, attempts: 10

  # CustomerPaymentJob.perform_later(42, "Lakshmi Nair", "+919812345678", "450.00")
  def perform(payment_id, name, mobile_no, amount)
    SimpleConnect.client.with(max_attempts: 1).events.deliver!(
      "customer_payment_received",
      recipient: { name:, mobile_no: },
      event: { event_id: "payment_#{payment_id}", payment_amount: amount }
    )
  end
end
