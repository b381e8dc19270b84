# frozen_string_literal: true

require_relative "../internal/autoload"
require_relative "../internal/keeps_secrets"

module SimpleConnect
  module Webhooks
    # Passed to a handler with the payload. Each of {#keys} is a method and can be read as in a Hash.
    #
    # @example
    #   context.event                  # => "order.paid"
    #   context[:event_version]        # => "v1"
    #   context => { event:, headers: }
    class Context
      include KeepsSecrets

      NAMES = %i[event event_version headers].freeze
      private_constant :NAMES

      # @return [String] the event's name
      attr_reader :event
      # @return [String] the version that the handler was registered for
      attr_reader :event_version
      # @return [Headers] the request's headers; names in any case
      attr_reader :headers

      # @api private
      # @param event [String]
      # @param event_version [String]
      # @param headers [Hash{String => String}] with names in lower case
      def initialize(event, event_version, headers)
        @event = event
        @event_version = event_version
        @headers = Headers.new.replace(headers).freeze
        freeze
      end

      # @return [Array<Symbol>] the names of the entries
      def keys = NAMES

      # @param name [Symbol, String]
      # @return [Boolean] whether there is such an entry
      # @example
      #   context.key?(:event) # => true
      def key?(name) = (name.is_a?(Symbol) || name.is_a?(String)) && keys.include?(name.to_sym)

      # @param name [Symbol, String] one of {#keys}
      # @return [Object, nil]
      # @raise [KeyError] for any other name
      # @example
      #   context[:event_version] # => "v1"
      def [](name)
        return public_send(name) if key?(name)

        raise KeyError.new("the context has no #{name.inspect}, only #{keys.join(", ")}", receiver: self, key: name)
      end

      # @param name [Symbol, String]
      # @param default [Object] returned for a name that is not in {#keys}; a block is called for it
      # @return [Object, nil]
      # @raise [KeyError] for such a name, if there is neither default nor block
      # @example
      #   context.fetch(:tenant, "none") # => "none"
      def fetch(name, *default, &block)
        return self[name] if key?(name) || (default.empty? && block.nil?)

        to_h.fetch(name, *default, &block)
      end

      # @param name [Symbol, String] one of {#keys}
      # @param path [Array<Object>] the path within its value
      # @return [Object, nil]
      # @raise [KeyError] for any other name
      # @example
      #   context.dig(:headers, "x-request-id")
      def dig(name, *path)
        value = self[name]
        path.empty? || value.nil? ? value : value.dig(*path)
      end

      # @param names [Array<Symbol, String>]
      # @return [Array<Object, nil>]
      # @raise [KeyError] for a name that is not in {#keys}
      # @example
      #   context.values_at(:event, :event_version) # => ["order.paid", "v1"]
      def values_at(*names) = names.map { |name| self[name] }

      # @param names [Array<Symbol>]
      # @return [Hash{Symbol => Object}] the entries with these names
      # @example
      #   context.slice(:event, :event_version) # => {:event=>"order.paid", :event_version=>"v1"}
      def slice(*names) = (names & keys).to_h { |name| [name, self[name]] }

      # @param others [Hash{Symbol => Object}]
      # @return [Hash{Symbol => Object}] {#to_h} with these entries added
      # @example
      #   context.merge(tenant: "acme")
      def merge(*others) = to_h.merge(*others)

      # @return [Hash{Symbol => Object}] all entries that need no request
      # @example
      #   audit(**context)
      def to_h = slice(*keys)
      alias to_hash to_h

      # @param names [Array<Symbol>, nil] the names in the pattern
      # @return [Hash{Symbol => Object}]
      def deconstruct_keys(names) = names ? slice(*names) : to_h

      # @return [String] without data that may be secret
      def inspect = "#<#{self.class.name} #{event} #{event_version}>"

      # A request's headers: a frozen Hash with names in lower case. You can read it by names in any case.
      #
      # @example
      #   context.headers["X-Request-Id"] # => "7f3a"
      class Headers < Hash
        # @param name [String]
        # @return [String, nil]
        def [](name) = super(name.to_s.downcase)

        # @param name [String]
        # @return [String, nil]
        # @raise [KeyError] if there is no such header, and neither default nor block
        def fetch(name, ...) = super(name.to_s.downcase, ...)

        # @param name [String]
        # @return [Boolean]
        def key?(name) = super(name.to_s.downcase)
        alias has_key? key?
        alias include? key?
        alias member? key?

        # @param name [String]
        # @return [String, nil]
        def dig(name, *path) = super(name.to_s.downcase, *path)

        # @param names [Array<String>]
        # @return [Array<String, nil>]
        def values_at(*names) = super(*names.map { |name| name.to_s.downcase })

        # @param names [Array<String>]
        # @return [Hash{String => String}]
        def slice(*names) = to_h.slice(*names.map { |name| name.to_s.downcase })
      end
    end
  end
end
