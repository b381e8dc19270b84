# frozen_string_literal: true

require_relative "batch"
require_relative "log"

module SimpleConnect
  # Publishes events to the hooks of {SimpleConnect.on_event} and to ActiveSupport::Notifications, if that is loaded.
  # An error in a subscriber never fails a delivery.
  module Instrumentation
    # Pairs of a name (nil for all events) and a hook. Replaced as a whole, so that threads can read it without a lock.
    @hooks = [].freeze
    @lock = Mutex.new

    class << self
      # @return [#call] the hook, for {#unsubscribe}
      def subscribe(name, hook)
        @lock.synchronize { @hooks = [*@hooks, [name, hook].freeze].freeze }
        hook
      end

      # @param hook [#call]
      # @return [void]
      def unsubscribe(hook)
        @lock.synchronize { @hooks = @hooks.reject { |_, each| each.equal?(hook) }.freeze }
        nil
      end

      # Whether one of these events has a subscriber. If not, no payload is built.
      # @param names [Array<String>] not a splat, which would allocate an Array for each delivery
      def listening?(names)
        return true unless @hooks.empty?
        return false unless defined?(::ActiveSupport::Notifications)

        notifier = ::ActiveSupport::Notifications.notifier
        # A block would double what this costs each delivery.
        index = names.size
        while (index -= 1) >= 0
          return true if notifier.listening?(names[index])
        end
        false
      end

      # @param name [String] such as `"deliver.simple_connect"`
      # @param payload [Hash{Symbol => Object}]
      # @return [void]
      def publish(name, payload)
        payload.freeze
        Batch.outside { call_all(name, payload) }
        nil
      end

      private

      def call_all(name, payload)
        @hooks.each { |wanted, hook| call(name) { hook.call(name, payload) } if wanted.nil? || wanted == name }
        return unless defined?(::ActiveSupport::Notifications)

        # A copy, because ActiveSupport's subscribers may change it.
        call(name) { ::ActiveSupport::Notifications.instrument(name, payload.dup) }
      end

      # User code can raise anything; it must not fail or repeat a delivery.
      def call(name)
        yield
      rescue StandardError, ScriptError => e
        Log.report(e, "a subscriber of #{name}")
      end
    end
  end
  private_constant :Instrumentation
end
