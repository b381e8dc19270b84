# frozen_string_literal: true

require_relative "../internal/autoload"
require_relative "../internal/checks"
require_relative "../internal/clock"
require_relative "../internal/extension"

module SimpleConnect
  module Webhooks
    # Remembers requests for a while, so that none is handled twice; an {App} has one. It is written in Rust, bounded,
    # and may be shared by threads.
    #
    # A process forked from this one starts with what was remembered so far; from then on each remembers its own. Where
    # several processes receive, as Puma's workers do, share one memory between them: {RedisReplayGuard}, or whatever
    # else has `begin`, `finish` and `forget`.
    class ReplayGuard
      # For how many seconds a key is under way, by default, where neither {#finish} nor {#forget} ends that.
      LEASE = 60

      # @param window [Numeric] for how many seconds to remember: by default, for as long as a request can be good with
      #   the default tolerance, which is twice the tolerance and one
      # @param capacity [Integer] how many keys to remember at the most: those that came last. An app needs two for
      #   each request that comes within the window
      # @raise [ConfigurationError] where one of them is not positive
      # @example
      #   SimpleConnect::Webhooks::ReplayGuard.new(window: 600, capacity: 1_000_000)
      def initialize(window: 601, capacity: 100_000)
        window = Checks.seconds("window:", window, 300).to_f
        unless capacity.is_a?(Integer) && capacity.between?(1, 2**32)
          raise ConfigurationError, "capacity: must be an Integer from 1 to 2^32, such as 100_000, " \
                                    "not #{capacity.inspect}"
        end

        @seen = SeenKeys.new(window, capacity)
        @lock = Mutex.new
        # Until when.
        @under_way = {}
      end

      # Begins with a key, unless somebody else has. {#finish} or {#forget} is to follow; where neither does, such as
      # where the process that had it was killed, the key is new again when its lease has ended.
      #
      # @param key [String] what makes a request that request
      # @param lease [Numeric] seconds
      # @return [:new, :under_way, :handled] `:new` where it is the caller's now
      # @raise [ArgumentError] where the key is no String
      # @example
      #   guard.begin("evt_1") # => :new
      #   guard.begin("evt_1") # => :under_way
      def begin(key, lease: LEASE)
        checked(key)
        @lock.synchronize do
          ends = @under_way[key]
          next :under_way if ends && Clock.now < ends
          # One whose lease has ended is still remembered.
          next :handled unless @seen.first_time?(key) || ends

          @under_way[key] = Clock.now + lease
          :new
        end
      end

      # From now on a key is handled.
      #
      # @param key [String]
      # @return [void]
      # @example
      #   guard.finish("evt_1")
      #   guard.begin("evt_1") # => :handled
      def finish(key)
        @lock.synchronize { @under_way.delete(key) }
        nil
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
      def forget(key)
        @lock.synchronize do
          @under_way.delete(key)
          @seen.forget(checked(key))
        end
        nil
      end

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
