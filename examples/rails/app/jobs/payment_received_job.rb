# frozen_string_literal: true

# Tells a customer that their payment has arrived. Enqueue it after the payment is saved:
#
#   PaymentReceivedJob.perform_later(payment.id)
class PaymentReceivedJob < ApplicationJob
  # The network or the service failed: again after the time that the service asks for. Anything else, such as an unknown
  # template, fails the job at once.
  include SimpleConnect::ActiveJob::Retries

  def perform(payment_id)
    payment = Payment.find(payment_id)

    # One attempt, as the queue retries. The same event_id each time, so that the customer gets one message.
    SimpleConnect.client.with(max_attempts: 1).events.deliver!(
      "customer_payment_received",
      recipient: { name: payment.customer_name, mobile_no: payment.mobile_no },
      event: { event_id: "payment_#{payment.id}", payment_amount: payment.amount }
    )
  end
end
