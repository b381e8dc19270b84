# frozen_string_literal: true

module Dairy
  # Reminds customers of what they owe.
  class Reminders
    # The number of those reached, and the errors of the others by name.
    def deliver(debts)
      errors = {}
      debts.each do |customer, amount|
        result = Dairy.simple_connect.events.deliver(
          "customer_invoice_payment_reminder",
          recipient: { name: customer.name, mobile_no: customer.mobile_no }, event: { due_amount: amount }
        )
        errors[customer.name] = result.error if result.failed?
      end
      [debts.size - errors.size, errors]
    end
  end
end
