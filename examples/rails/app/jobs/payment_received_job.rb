# frozen_string_literal: true

# Tells a customer that their payment has arrived. Enqueue it after the payment is saved:
#
#   PaymentReceivedJob.perform_later(payment.id)
class PaymentReceivedJob < ApplicationJob
  # The network or the service failed. Anything else, such as an unknown template, fails the job at once.
  retry_on SimpleConnect::TransientError, wait: 30.seconds, attempts: 10

  def perform(payment_id)
    payment = Payment.find(payment_id)

    # One attempt, as the queue retries. The same event_id each time, so that the customer gets one message.
    SIMPLECONNECT.with(max_attempts: 1).events.deliver!(
      "customer_payment_received",
      recipient: { name: payment.customer_name, mobile_no: payment.mobile_no },
      event: { event_id: "payment_#{payment.id}", payment_amount: payment.amount }
    )
  end
end
