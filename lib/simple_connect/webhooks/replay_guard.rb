# frozen_string_literal: true

require_relative "../internal/autoload"
require_relative "../internal/checks"
require_relative "../internal/clock"
require_relative "../internal/extension"

module SimpleConnect
  module Webhooks
    # Remembers requests for a while, so that each is handled once; {App} creates one. Implemented in Rust, with bounded
    # memory. Threads may share it.
    #
    # A forked process starts with the keys known so far; from then on each process has its own. If several processes
    # receive webhooks, such as Puma's workers, use a shared store: {CacheReplayGuard}, {RedisReplayGuard}, or your own
    # object with `begin`, `finish` and `forget`.
    class ReplayGuard
      # The default lease, in seconds: how long a key stays claimed without {#finish} or {#forget}.
      LEASE = 60

      # @param window [Numeric] how long to keep keys, in seconds. The default is as long as a request can be valid with
      #   the default tolerance: twice the tolerance plus one
      # @param capacity [Integer] the maximum number of keys; the oldest are dropped. An app needs two keys for each
      #   request within the window
      # @raise [ConfigurationError] if one of them is not positive
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
        # Keys that are in progress, with the end of their lease.
        @under_way = {}
      end

      # Claims a key, unless another request has it. Call {#finish} or {#forget} afterwards. If neither is called, such
      # as after the process was killed, the key is new again when its lease ends.
      #
      # @param key [String] identifies the request
      # @param lease [Numeric] seconds
      # @return [:new, :under_way, :handled] `:new` if the caller has it now
      # @raise [ArgumentError] if the key is not a String
      # @example
      #   guard.begin("evt_1") # => :new
      #   guard.begin("evt_1") # => :under_way
      def begin(key, lease: LEASE)
        checked(key)
        @lock.synchronize do
          ends = @under_way[key]
          next :under_way if ends && Clock.now < ends
          # A key with an expired lease is still in the store.
          next :handled unless @seen.first_time?(key) || ends

          @under_way[key] = Clock.now + lease
          :new
        end
      end

      # Marks a key as handled.
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

      # Returns whether a key is new within the window, and marks it as handled.
      #
      # @param key [String] identifies the request
      # @return [Boolean]
      # @raise [ArgumentError] if the key is not a String
      # @example
      #   guard.first_time?("evt_1") # => true
      #   guard.first_time?("evt_1") # => false
      def first_time?(key) = @seen.first_time?(checked(key))

      # Forgets a key, so that a failed request can be repeated.
      #
      # @param key [String]
      # @return [void]
      # @raise [ArgumentError] if the key is not a String
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

      # @return [Integer] the number of keys
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
