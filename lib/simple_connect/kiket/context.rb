# frozen_string_literal: true

require_relative "../internal/autoload"

module SimpleConnect
  class Kiket < Webhooks::App
    # Passed to an extension's handlers with the payload.
    #
    # @example
    #   context[:endpoints].log_event("watering.planned", bed: "tomatoes")
    class Context < Webhooks::Context
      NAMES = %i[event event_version headers settings extension_id extension_version secrets client endpoints
                 rate_limit].freeze
      private_constant :NAMES

      # @return [Settings] the extension's settings
      attr_reader :settings
      # @return [String, nil] the extension's id
      attr_reader :extension_id
      # @return [String, nil] the extension's version
      attr_reader :extension_version
      # @return [Client] sends any request to Kiket's API
      attr_reader :client
      # @return [Endpoints] Kiket's API
      attr_reader :endpoints

      # @api private
      # @param event [String]
      # @param event_version [String]
      # @param headers [Hash{String => String}] with names in lower case
      # @param settings [Settings]
      # @param extension_id [String, nil]
      # @param extension_version [String, nil]
      # @param client [Client]
      def initialize(event, event_version, headers, settings:, extension_id:, extension_version:, client:)
        @settings = settings
        @extension_id = extension_id
        @extension_version = extension_version
        @client = client.for_version(event_version)
        @endpoints = Endpoints.new(@client, extension_id, event_version)
        super(event, event_version, headers)
      end

      # See {Webhooks::Context#keys}.
      def keys = NAMES

      # @return [Secrets] the extension's secrets
      # @raise [ConfigurationError] if the extension has no id
      def secrets = endpoints.secrets

      # Requests the rate limit from Kiket on each call.
      #
      # @return [Hash{String => Object}] see {Endpoints#rate_limit}
      # @raise [Error] see {Endpoints#rate_limit}
      def rate_limit = endpoints.rate_limit

      # @return [Hash{Symbol => Object}] all entries that need no request: without `rate_limit`, and with `secrets` only
      #   if the extension has an id
      def to_h = slice(*keys - [:rate_limit, *(:secrets unless extension_id)])
      alias to_hash to_h
    end
  end
end
