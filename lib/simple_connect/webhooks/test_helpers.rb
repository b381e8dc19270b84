# frozen_string_literal: true

require_relative "../internal/autoload"
require_relative "../internal/extension"
require_relative "../internal/transport"

module SimpleConnect
  module Webhooks
    # Signs requests in your specs. With rack-test, include it next to `Rack::Test::Methods` to get {#post_webhook}.
    #
    # @example
    #   RSpec.describe "webhooks" do
    #     include Rack::Test::Methods
    #     include SimpleConnect::Webhooks::TestHelpers
    #
    #     it "takes order.paid" do
    #       post_webhook("order.paid", { order: 7 }, version: "v1", secret: "s3cret")
    #       expect(last_response.status).to eq(200)
    #     end
    #   end
    module TestHelpers
      # Returns the headers of a signed request with this body.
      #
      # @param body [String]
      # @param secret [String, Array<String>]
      # @param scheme [:simple_connect, :kiket, :simplyq, :standard_webhooks]
      # @param timestamp [Time, Integer] the time of sending
      # @param id [String, nil] the message's id, as for {Signature.sign}
      # @return [Hash{String => String}] the headers of {Signature.sign}, and a Content-Type
      # @raise [ConfigurationError] see {Signature.sign}
      # @raise [ArgumentError] see {Signature.sign}
      # @example In a request spec of Rails
      #   body = { order: 7 }.to_json
      #   headers = SimpleConnect::Webhooks::TestHelpers.signed_headers(body, secret: "s3cret")
      #   post "/webhooks", params: body, headers: headers
      def self.signed_headers(body, secret:, scheme: :simple_connect, timestamp: Time.now, id: nil)
        { "Content-Type" => "application/json", **Signature.sign(body, secret:, scheme:, timestamp:, id:) }
      end

      # Returns the same headers as entries of a Rack env.
      #
      # @param body [String]
      # @param options [Hash] as for {.signed_headers}
      # @return [Hash{String => String}]
      # @raise [ConfigurationError] see {Signature.sign}
      # @raise [ArgumentError] see {Signature.sign}
      # @example With rack-test
      #   post "/v/1/webhooks/order.paid", body, SimpleConnect::Webhooks::TestHelpers.signed_env(body, secret: "s3cret")
      def self.signed_env(body, **options)
        signed_headers(body, **options).transform_keys do |name|
          name = name.upcase.tr("-", "_")
          name == "CONTENT_TYPE" ? name : "HTTP_#{name}"
        end
      end

      # Posts a signed event with rack-test.
      #
      # @param event [String]
      # @param payload [Hash, String] a String is sent unchanged
      # @param version [String, Integer]
      # @param options [Hash] as for {.signed_headers}
      # @return [Rack::MockResponse] rack-test's `last_response`
      # @raise [ConfigurationError] see {Signature.sign}
      # @raise [ArgumentError] see {Signature.sign}
      # @example
      #   post_webhook("order.paid", { order: 7 }, version: "v1", secret: "s3cret")
      def post_webhook(event, payload, version:, **options)
        body = payload.is_a?(String) ? payload : Codec.generate(payload)
        event, version = { event:, version: }.map { |name, text| Transport.segment(name.to_s, text.to_s) }
        post("/v/#{version}/webhooks/#{event}", body, TestHelpers.signed_env(body, **options))
      end
    end
  end
end
