# frozen_string_literal: true

require_relative "../responses"

module SimpleConnect
  # The parts of the clients.
  module Api
    # Returns the state of the integration: {Client#integrations}.
    class Integrations
      # The end of an endpoint's path, replaced by {STATUS_PATH_SUFFIX}.
      EVENTS_PATH_SUFFIX = "/events"
      # The end of the path for {#verify}.
      STATUS_PATH_SUFFIX = "/status"

      # @api private
      def initialize(request:)
        @request = request
      end

      # Requests the state of the integration and of each of its events.
      #
      # @return [Result] with a {Responses::VerifyResponse} as `data`
      # @raise [MalformedResponseError] if the response is not JSON
      # @example
      #   client.integrations.verify.data.connected?
      def verify
        @request.get(@request.transport.status_target, Responses::VerifyResponse)
      end

      # Like {#verify}, but raises if the request fails.
      #
      # @return [Result] a success, with a {Responses::VerifyResponse} as `data`; check `data.connected?`
      # @raise [DeliveryError] if it failed; an {AuthenticationError} if the credentials are invalid
      # @raise [MalformedResponseError] if the response is not JSON
      # @example
      #   client.integrations.verify!.data.connected?
      def verify! = verify.or_raise

      # @return [String]
      def inspect = "#<#{self.class.name}>"
    end
  end
end
