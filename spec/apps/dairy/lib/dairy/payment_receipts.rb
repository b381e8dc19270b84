# frozen_string_literal: true

module Dairy
  # Tells customers that their payment has come.
  class PaymentReceipts
    # The queue is to repeat the job.
    class TryAgain < StandardError; end

    # Somebody has to look at this.
    class Rejected < StandardError; end

    def deliver(payment)
      result = Dairy.simple_connect.events.deliver(
        "customer_payment_received",
        recipient: { name: payment.customer.name, mobile_no: payment.customer.mobile_no },
        event: {
          event_id: event_id(payment), occurred_at: payment.paid_at, payment_amount: payment.amount,
          payment_mode: payment.mode
        }
      )
      return result.data if result.success?
      raise TryAgain, result.error if result.status_code.zero? || result.status_code >= 500

      raise Rejected, result.data ? result.data.message : result.error
    end

    # Where the receipt is: `:unknown`, `:failed`, or what WhatsApp says of the message.
    def state(payment)
      result = Dairy.simple_connect.events.detail(event_id(payment))
      return :unknown if result.status_code == 404
      raise TryAgain, result.error unless result.success?

      event = result.data
      return :failed if event.failed?

      event.message? ? event.message.status.to_sym : :waiting
    end

    private

    def event_id(payment) = "payment_#{payment.id}"
  end
end
