# frozen_string_literal: true

require_relative "../internal/autoload"

module SimpleConnect
  module Webhooks
    # The handlers by event and version. You can register handlers at any time, from any thread.
    class Registry
      HANDLER = "a handler is required: a block, or anything with a call, that takes the payload and the context: " \
                "{ |payload, context| … }"
      private_constant :HANDLER

      # A handler, with its event and version.
      Registration = Struct.new(:event, :version, :handler)

      # @example
      #   SimpleConnect::Webhooks::Registry.new
      def initialize
        @lock = Mutex.new
        # Replaced as a whole, so that look-ups need no lock.
        @registrations = {}.freeze
      end

      # Registers a handler. The last registration for an event and a version counts.
      #
      # @param event [String, Symbol] such as `"order.paid"`
      # @param version [String, Symbol, Integer] such as `"v1"`
      # @param handler [#call] called with the payload and the {Context}
      # @return [Registration]
      # @raise [ArgumentError] if event or version is blank, or the handler does not take two arguments
      # @example
      #   registry.register("order.paid", "v1", ->(payload, context) { { ok: true } })
      def register(event, version, handler)
        event = required(event, "event", "order.paid")
        version = required(version, "version:", "v1")
        registration = Registration.new(event, version, callable(handler)).freeze
        @lock.synchronize do
          @registrations = @registrations.merge([event, version] => registration,
                                                [event, bare(version), :any_spelling] => registration).freeze
        end
        registration
      end

      # Finds the handler for exactly this version; if there is none, for its other spelling, as `v1` and `1` are the
      # same.
      #
      # @param event [String]
      # @param version [String]
      # @return [Registration, nil]
      # @example
      #   registry.find("order.paid", "1").version # => "v1"
      def find(event, version)
        registrations = @registrations
        registrations[[event, version]] || registrations[[event, bare(version), :any_spelling]]
      end

      # @return [String]
      def inspect
        registered = @registrations.values.uniq.map { |one| "#{one.event} #{one.version}" }
        "#<#{self.class.name} #{registered.join(", ")}>"
      end

      private

      def bare(version) = version.sub(/\Av(?=\d)/, "")

      def required(value, name, example)
        text = value.to_s
        return text unless text.strip.empty?

        raise ArgumentError, "#{name} is required, such as #{example.inspect}"
      end

      def callable(handler)
        raise ArgumentError, HANDLER unless handler.respond_to?(:call)
        return handler if handler.is_a?(Proc) && !handler.lambda?

        arity = handler.respond_to?(:arity) ? handler.arity : handler.method(:call).arity
        return handler if arity == 2 || arity.between?(-3, -1)

        takes = "#{"at least " if arity.negative?}#{arity.negative? ? ~arity : arity}"
        raise ArgumentError, "the handler takes #{takes} argument#{"s" unless arity == 1}, and must take 2: " \
                             "the payload and the context"
      end
    end
  end
end
