# frozen_string_literal: true

require_relative "../internal/autoload"
require_relative "../internal/extension"
require_relative "../internal/keeps_secrets"

module SimpleConnect
  module Outbound
    # Finds the endpoints that an event matches. It uses an index written in Rust, so it is fast with thousands of
    # endpoints. Immutable; threads may share it.
    #
    # @example
    #   router = SimpleConnect::Outbound::Router.new(application.endpoints)
    #   router.route(event).map(&:uid) # => ["all"]
    class Router
      include KeepsSecrets

      # @api private
      # @return [Array<Endpoint>] a frozen copy of `endpoints`
      # @raise [ConfigurationError] if one of them is not an Endpoint, or is invalid
      def self.check(endpoints)
        unless endpoints.respond_to?(:each) && !endpoints.is_a?(Hash)
          raise ConfigurationError, "endpoints: must be a list of Endpoints, not #{endpoints.class}"
        end

        endpoints.to_a.dup.freeze.each do |endpoint|
          unless endpoint.is_a?(Endpoint)
            raise ConfigurationError, "endpoints: must be SimpleConnect::Outbound::Endpoints, not #{endpoint.class}"
          end
          next if endpoint.valid?

          raise ConfigurationError, "the endpoint #{endpoint.uid} cannot be used: #{endpoint.errors.join("; ")}"
        end
      end

      # @return [Array<Endpoint>]
      attr_reader :endpoints

      # @param endpoints [Array<Endpoint>]
      # @raise [ConfigurationError] if one of them is invalid
      # @example
      #   SimpleConnect::Outbound::Router.new([SimpleConnect::Outbound::Endpoint.new(url:
      #   "https://acme.example/hooks")])
      def initialize(endpoints)
        @endpoints = Router.check(endpoints)
        @index = EndpointIndex.new(@endpoints.map { |one| [one.active?, one.version, one.filter_types, one.topics] })
        freeze
      end

      # @param event [Event]
      # @return [Array<Endpoint>] the endpoints it matches (see {Endpoint#matches?}), in their order
      # @raise [ArgumentError] if `event` is not an Event
      # @example
      #   router.route(SimpleConnect::Outbound::Event.new(event_type: "parcel.sent", payload: { user: 7 }))
      def route(event)
        return @index.route(@endpoints, event.event_type, event.version, event.topics) if event.is_a?(Event)

        raise ArgumentError, "event must be a SimpleConnect::Outbound::Event, not #{event.class}"
      end

      # @return [String]
      def inspect = "#<#{self.class.name} endpoints=#{endpoints.size}>"
    end
  end
end
