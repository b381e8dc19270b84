# frozen_string_literal: true

require "simple_connect"

RSpec.describe SimpleConnect::Webhooks::TestHelpers do
  it "signs as a receiver expects it" do
    headers = described_class.signed_headers("{}", secret: "s", scheme: :kiket, timestamp: 7)
    expect(headers).to eq("Content-Type" => "application/json",
                          **SimpleConnect::Signature.sign("{}", secret: "s", scheme: :kiket, timestamp: 7))
    expect(described_class.signed_env("{}", secret: "s", timestamp: 7).keys)
      .to eq(%w[CONTENT_TYPE HTTP_X_SIMPLECONNECT_SIGNATURE HTTP_X_SIMPLECONNECT_TIMESTAMP])
  end

  describe "with rack-test" do
    require "rack/test"
    include Rack::Test::Methods
    include SimpleConnect::Webhooks::TestHelpers

    let(:app) do
      app = SimpleConnect::Webhooks::App.new(secret: "s3cret")
      app.register("a b", version: "v1") { |payload, _| payload }
      app
    end

    it "posts a signed event" do
      post_webhook("a b", { order: 7 }, version: 1, secret: "s3cret")
      expect([last_response.status, last_response.body]).to eq([200, '{"order":7}'])
      post_webhook("a b", "[", version: "v1", secret: "s3cret")
      expect(last_response.status).to eq(400)
    end
  end
end
