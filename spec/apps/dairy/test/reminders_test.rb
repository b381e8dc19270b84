# frozen_string_literal: true

require "minitest/autorun"
require "webmock/minitest"

ENV["SIMPLECONNECT_ENDPOINT_URL"] ||= "https://app.simplewaconnect.com/api/v1/integrations/milkways/events"
ENV["SIMPLECONNECT_KEY_ID"] ||= "wa_sec_dairy"
ENV["SIMPLECONNECT_SECRET"] ||= "milk-and-honey"
ENV["SIMPLECONNECT_PAUSE"] = "0"

require "dairy"

class RemindersTest < Minitest::Test
  ENDPOINT = ENV.fetch("SIMPLECONNECT_ENDPOINT_URL")

  def customer(name) = Dairy::Customer.new(name:, mobile_no: "+919812345678")

  def test_all_are_reminded
    stub_request(:post, ENDPOINT).to_return(status: 202, body: '{"status":"accepted"}')

    assert_equal [2, {}], Dairy::Reminders.new.deliver(customer("Asha") => "90.00", customer("Ravi") => "45.00")
    assert_requested :post, ENDPOINT, times: 2
    assert_requested(:post, ENDPOINT) { |request| JSON.parse(request.body).dig("event", "due_amount") == "45.00" }
  end

  def test_errors_are_told
    stub_request(:post, ENDPOINT).to_return(status: 202, body: '{"status":"accepted"}')
    stub_request(:post, ENDPOINT).with(body: /Ravi/).to_timeout

    reached, errors = Dairy::Reminders.new.deliver(customer("Asha") => "90.00", customer("Ravi") => "45.00")
    assert_equal 1, reached
    assert_equal ["Ravi"], errors.keys
    assert_match(/\ANet::OpenTimeout/, errors["Ravi"])
    assert_requested :post, ENDPOINT, body: /Ravi/, times: 3
  end

  def test_nothing_goes_out
    assert_raises(WebMock::NetConnectNotAllowedError) { Dairy::Reminders.new.deliver(customer("Asha") => "90.00") }
    refute_requested :get, ENDPOINT
  end
end
