# frozen_string_literal: true

# A payment comes in, and its customer is told.
class PaymentsController < ActionController::API
  def create
    CustomerPaymentJob.perform_later(params.require(:id), "Lakshmi Nair", "+919812345678", "450.00")
    head :accepted
  end
end
