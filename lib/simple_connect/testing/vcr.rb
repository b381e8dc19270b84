# frozen_string_literal: true

require "uri"

module SimpleConnect
  # See `testing.rb`.
  module Testing
    # What VCR writes in the place of credentials, by the header fields that have them.
    SIGNED = {
      "X-SimpleConnect-Key-Id" => "<SIMPLECONNECT_KEY_ID>",
      "X-SimpleConnect-Signature" => "<SIMPLECONNECT_SIGNATURE>",
      "X-Simplyq-Signature" => "<SIMPLYQ_SIGNATURE>",
      "X-Kiket-API-Key" => "<KIKET_API_KEY>"
    }.freeze
    BEARER = { "Authorization" => "Bearer <SIMPLECONNECT_API_KEY>" }.freeze
    # Kiket's workspace token, or a sensitive header of an endpoint.
    AUTHORIZATION = { "Authorization" => "<AUTHORIZATION>" }.freeze
    private_constant :SIGNED, :BEARER, :AUTHORIZATION

    # Keeps the key id, the signature and the API key of this gem's requests out of VCR's cassettes, also Kiket's keys
    # and what an endpoint is sent as `Authorization`. The requests of others are left alone, and so are an endpoint's
    # other sensitive headers, which only you know: `config.filter_sensitive_data` hides them.
    #
    # @param config [VCR::Configuration]
    # @return [void]
    # @example
    #   VCR.configure do |config|
    #     config.cassette_library_dir = "spec/cassettes"
    #     config.hook_into :webmock
    #     SimpleConnect::Testing.vcr_filters(config)
    #   end
    def self.vcr_filters(config)
      config.before_record do |interaction|
        request = interaction.request
        { **SIGNED, **authorization(request) }.each do |name, placeholder|
          request.headers.each_key { |key| request.headers[key] = [placeholder] if key.casecmp?(name) }
        end
      end
      nil
    end

    def self.authorization(request)
      return BEARER if URI(request.uri).path.start_with?(Api::Messages::MESSAGES_PATH)

      _, agents = request.headers.find { |name, _| name.casecmp?("User-Agent") }
      Array(agents).first.to_s.start_with?("simple_connect-client/") ? AUTHORIZATION : {}
    end
    private_class_method :authorization
  end
end
