# frozen_string_literal: true

module SimpleConnect
  module Webhooks
    # Remembers requests for a while, so that none is handled twice; an {App} has one. It is written in Rust, bounded,
    # and may be shared by threads.
    #
    # A process forked from this one starts with what was remembered so far; from then on each remembers its own. Where
    # several processes receive, as Puma's workers do, share one memory between them: {RedisReplayGuard}, or whatever
    # else has a `first_time?`.
    class ReplayGuard
      # @param window [Numeric] for how many seconds to remember
      # @param capacity [Integer] how many to remember at the most: those that came last. Make it what comes within the
      #   window
      # @raise [ConfigurationError] where one of them is not positive
      # @example
      #   SimpleConnect::Webhooks::ReplayGuard.new(window: 600, capacity: 1_000_000)
      def initialize(window: 300, capacity: 100_000)
        window = Checks.seconds("window:", window, 300)
        unless capacity.is_a?(Integer) && capacity.between?(1, 2**32)
          raise ConfigurationError, "capacity: must be an Integer from 1 to 2^32, such as 100_000, " \
                                    "not #{capacity.inspect}"
        end

        @seen = SeenKeys.new(window, capacity)
      end

      # Whether a key has not come within the window. From now on it has.
      #
      # @param key [String] what makes a request that request
      # @return [Boolean]
      # @raise [ArgumentError] where the key is no String
      # @example
      #   guard.first_time?("evt_1") # => true
      #   guard.first_time?("evt_1") # => false
      def first_time?(key) = @seen.first_time?(checked(key))

      # Forgets a key, so that what failed can be repeated.
      #
      # @param key [String]
      # @return [void]
      # @raise [ArgumentError] where the key is no String
      # @example
      #   guard.forget("evt_1")
      #   guard.first_time?("evt_1") # => true
      def forget(key) = @seen.forget(checked(key))

      # @return [Integer] how many keys it remembers
      def size = @seen.size

      # @return [String]
      def inspect = "#<#{self.class.name} size=#{size}>"

      private

      def checked(key)
        return key if key.is_a?(String)

        raise ArgumentError, "key must be a String, not #{key.class}"
      end
    end
  end
end
