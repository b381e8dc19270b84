# frozen_string_literal: true

require_relative "../keeps_secrets"

module SimpleConnect
  module Webhooks
    # What a handler gets beside the payload. Each of these is a method, and can be read as `context[:event]`.
    class Context
      include KeepsSecrets

      # What can be read.
      NAMES = %i[event event_version headers settings extension_id extension_version secrets client endpoints
                 rate_limit].freeze

      # @return [String] the event's name
      attr_reader :event
      # @return [String] the version that the handler was registered for
      attr_reader :event_version
      # @return [Hash{String => String}] the request's header fields, their names in lower case
      attr_reader :headers

      # @api private
      # @param event [String]
      # @param event_version [String]
      # @param headers [Hash{String => String}]
      # @param parts [Hash{Symbol => Object}] the rest; a Proc is asked with the context, whenever its part is
      def initialize(event, event_version, headers, parts)
        @event = event
        @event_version = event_version
        @headers = headers
        @parts = parts
        freeze
      end

      # @return [Settings] the app's settings
      def settings = part(:settings)

      # @return [String, nil] the app's id
      def extension_id = part(:extension_id)

      # @return [String, nil] the app's version
      def extension_version = part(:extension_version)

      # @return [Secrets] the app's secrets
      def secrets = part(:secrets)

      # @return [Object, nil] what the app was given as `client:`
      def client = part(:client)

      # @return [Object, nil] what the app was given as `endpoints:`
      def endpoints = part(:endpoints)

      # @return [Object, nil] what the app was given as `rate_limit:`
      def rate_limit = part(:rate_limit)

      # @param name [Symbol, String] one of {NAMES}
      # @return [Object, nil]
      # @raise [KeyError] for any other name
      # @example
      #   context[:event_version] # => "v1"
      def [](name)
        return public_send(name) if NAMES.include?(name.is_a?(String) ? name.to_sym : name)

        raise KeyError.new("the context has no #{name.inspect}, only #{NAMES.join(", ")}", receiver: self, key: name)
      end

      # @return [String] without settings and secrets
      def inspect = "#<#{self.class.name} #{event} #{event_version}>"

      private

      def part(name)
        value = @parts[name]
        value.is_a?(Proc) ? value.call(self) : value
      end
    end
  end
end
