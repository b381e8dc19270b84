# frozen_string_literal: true

require "uri"

module SimpleConnect
  # See `testing.rb`.
  module Testing
    # What VCR writes in the place of credentials, by the header fields that have them.
    SIGNED = {
      "X-SimpleConnect-Key-Id" => "<SIMPLECONNECT_KEY_ID>",
      "X-SimpleConnect-Signature" => "<SIMPLECONNECT_SIGNATURE>"
    }.freeze
    BEARER = { "Authorization" => "Bearer <SIMPLECONNECT_API_KEY>" }.freeze
    private_constant :SIGNED, :BEARER

    # Keeps the key id, the signature and the API key of this gem's requests out of VCR's cassettes. The requests of
    # others are left alone.
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
        placeholders = URI(request.uri).path.start_with?(Api::Messages::MESSAGES_PATH) ? BEARER.merge(SIGNED) : SIGNED
        placeholders.each do |name, placeholder|
          request.headers.each_key { |key| request.headers[key] = [placeholder] if key.casecmp?(name) }
        end
      end
      nil
    end
  end
end
