# frozen_string_literal: true

RSpec.describe Dairy::Health do
  let(:url) { Fixtures::ENDPOINT.sub(/events\z/, "status") }

  def flow(key, enabled) = { event_key: key, state: enabled ? "enabled" : "not_configured", enabled: }

  it "tells which events are not enabled" do
    flows = [flow("customer_payment_received", true), flow("customer_invoice_payment_reminder", false)]
    stub_request(:get, url).to_return(
      json(200, integration: { provider: "milkways", status: "connected" }, event_flows: flows)
    )
    expect(subject.report).to eq("not enabled: customer_invoice_payment_reminder")
  end

  it "tells when nobody is there" do
    stub_request(:get, url).to_raise(Errno::EHOSTUNREACH)
    expect(subject.report).to start_with("unreachable (Errno::EHOSTUNREACH: No route to host")
  end

  it "tells when the secret has expired" do
    stub_request(:get, url).to_return(json(401, error: "unknown key"))
    expect(subject.report).to eq('unreachable (HTTP 401: {"error":"unknown key"})')
  end

  it "is fine with the server", vcr: { cassette_name: "health" } do
    expect(subject.report).to eq("fine")
  end
end
