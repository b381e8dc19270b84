# frozen_string_literal: true

ENV["SIMPLECONNECT_ENDPOINT_URL"] ||= "https://app.simplewaconnect.com/api/v1/integrations/milkways/events"
ENV["SIMPLECONNECT_KEY_ID"] ||= "wa_sec_dairy"
ENV["SIMPLECONNECT_SECRET"] ||= "milk-and-honey"
ENV["SIMPLECONNECT_API_KEY"] ||= "sk_test_dairy"
ENV["SIMPLECONNECT_PAUSE"] = "0"

$LOAD_PATH.unshift(File.expand_path("../lib", __dir__))
require "dairy"
require "webmock/rspec"
require "vcr"

VCR.configure do |config|
  config.cassette_library_dir = File.expand_path("cassettes", __dir__)
  config.hook_into :webmock
  config.configure_rspec_metadata!
  config.default_cassette_options = { record: :none, match_requests_on: %i[method uri body] }
  config.filter_sensitive_data("<KEY_ID>") { ENV.fetch("SIMPLECONNECT_KEY_ID") }
  config.filter_sensitive_data("<SIGNATURE>") do |interaction|
    interaction.request.headers["X-Simpleconnect-Signature"]&.first
  end
end

module Fixtures
  ENDPOINT = ENV.fetch("SIMPLECONNECT_ENDPOINT_URL")

  def asha = Dairy::Customer.new(name: "Asha Patil", mobile_no: "+919812345678")

  def payment(id = 42)
    Dairy::Payment.new(id:, customer: asha, amount: "450.00", mode: "UPI",
                       paid_at: Time.new(2026, 4, 16, 9, 30, 0, "+05:30"))
  end

  def json(status, body) = { status:, body: body.to_json, headers: { "Content-Type" => "application/json" } }
end

RSpec.configure do |config|
  config.include Fixtures
  # Stubs where there are no cassettes.
  config.around(:each) do |example|
    example.metadata[:vcr] ? example.run : VCR.turned_off { example.run }
  end
end
