# frozen_string_literal: true

require_relative "../responses"

module SimpleConnect
  # What a client offers, by subject.
  module Api
    # Asks how the integration is doing: {Client#integrations}.
    class Integrations
      # The end of an endpoint's path that {STATUS_PATH_SUFFIX} takes the place of.
      EVENTS_PATH_SUFFIX = "/events"
      # The end of the path that {#verify} asks.
      STATUS_PATH_SUFFIX = "/status"

      # @api private
      def initialize(request:)
        @request = request
      end

      # Asks for the state of the integration and of each of its events.
      #
      # @return [Result] its `data` a {Responses::VerifyResponse}
      # @raise [MalformedResponseError] where the answer is not JSON
      # @example
      #   client.integrations.verify.data.connected?
      def verify
        @request.get(@request.transport.status_target, Responses::VerifyResponse)
      end

      # The same as {#verify}, for callers that would rather rescue than ask.
      #
      # @return [Result] a success, its `data` a {Responses::VerifyResponse}; it may say that nothing is connected
      # @raise [DeliveryError] where it failed; an {AuthenticationError} where the credentials are not accepted
      # @raise [MalformedResponseError] where the answer is not JSON
      # @example
      #   client.integrations.verify!.data.connected?
      def verify! = verify.or_raise

      # @return [String]
      def inspect = "#<#{self.class.name}>"
    end
  end
end
