# frozen_string_literal: true

require "uri"
require_relative "../api/messages"
require_relative "../internal/autoload"

module SimpleConnect
  module Testing
    # What {Testing.vcr_filters} adds to VCR.
    # @api private
    module VcrFilters
      # The placeholders that VCR writes instead of credentials, by header.
      SIGNED = {
        "X-SimpleConnect-Key-Id" => "<SIMPLECONNECT_KEY_ID>",
        "X-SimpleConnect-Signature" => "<SIMPLECONNECT_SIGNATURE>",
        "X-Simplyq-Signature" => "<SIMPLYQ_SIGNATURE>",
        "webhook-signature" => "<WEBHOOK_SIGNATURE>",
        "X-Kiket-API-Key" => "<KIKET_API_KEY>"
      }.freeze
      BEARER = { "Authorization" => "Bearer <SIMPLECONNECT_API_KEY>" }.freeze
      # Kiket's workspace token, or a sensitive header of an endpoint.
      AUTHORIZATION = { "Authorization" => "<AUTHORIZATION>" }.freeze
      private_constant :SIGNED, :BEARER, :AUTHORIZATION

      class << self
        # @param config [VCR::Configuration]
        # @return [void]
        def add(config)
          config.before_record do |interaction|
            request = interaction.request
            { **SIGNED, **authorization(request) }.each do |name, placeholder|
              request.headers.each_key { |key| request.headers[key] = [placeholder] if key.casecmp?(name) }
            end
          end
          nil
        end

        private

        def authorization(request)
          return BEARER if URI(request.uri).path.start_with?(Api::Messages::MESSAGES_PATH)

          _, agents = request.headers.find { |name, _| name.casecmp?("User-Agent") }
          Array(agents).first.to_s.start_with?("simple_connect-client/") ? AUTHORIZATION : {}
        end
      end
    end
    private_constant :VcrFilters
  end
end
