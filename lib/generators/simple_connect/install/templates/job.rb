# frozen_string_literal: true

# Delivers an event once for each payment: the service ignores an event_id that it already has.
class CustomerPaymentJob < ApplicationJob
  # Keeps phone numbers out of the log.
  self.log_arguments = false

  # Retries if a retry may help, after the time that the service asks for; otherwise raises the error of deliver!.
  include SimpleConnect::ActiveJob::Retries

  # CustomerPaymentJob.perform_later(42, "Lakshmi Nair", "+919812345678", "450.00")
  def perform(payment_id, name, mobile_no, amount)
    SimpleConnect.client.with(max_attempts: 1).events.deliver!(
      "customer_payment_received",
      recipient: { name:, mobile_no: },
      event: { event_id: "payment_#{payment_id}", payment_amount: amount }
    )
  end
end
