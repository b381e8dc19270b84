# frozen_string_literal: true

require_relative "../internal/autoload"
require_relative "../internal/keeps_secrets"

module SimpleConnect
  module Webhooks
    # A {ReplayGuard} in Redis, for several processes or machines. Also an example for your own: {App} accepts any
    # object with `begin`, `finish` and `forget` as `replay_guard:`.
    #
    # Not loaded by default: `require "simple_connect/webhooks/redis_replay_guard"`. Needs the `redis` gem.
    class RedisReplayGuard
      include KeepsSecrets

      UNDER_WAY = "under way"
      private_constant :UNDER_WAY

      # @param redis [Redis] or any object with its `set`, `get` and `del`
      # @param window [Integer] how long to keep keys, in seconds: twice the tolerance plus one, because a timestamp can
      #   be in the future or in the past
      # @param prefix [String] the prefix of the keys in Redis
      # @example
      #   SimpleConnect::Webhooks::RedisReplayGuard.new(Redis.new(url: ENV.fetch("REDIS_URL")))
      def initialize(redis, window: 601, prefix: "simple_connect:webhook:")
        @redis = redis
        @window = window
        @prefix = prefix
      end

      # Claims a key, unless another request has it, in any process; see {ReplayGuard#begin}.
      #
      # @param key [String]
      # @param lease [Numeric] seconds
      # @return [:new, :under_way, :handled]
      # @raise [StandardError] any error of the Redis client; {App} then responds with a 500
      # @example
      #   guard.begin("evt_1") # => :new
      def begin(key, lease: ReplayGuard::LEASE)
        return :new if @redis.set(@prefix + key, UNDER_WAY, nx: true, px: (lease * 1000).ceil)

        # If the key has just expired, the request may not have been handled.
        [UNDER_WAY, nil].include?(@redis.get(@prefix + key)) ? :under_way : :handled
      end

      # Marks a key as handled.
      #
      # @param key [String]
      # @return [void]
      # @raise [StandardError] any error of the Redis client
      # @example
      #   guard.finish("evt_1")
      def finish(key)
        @redis.set(@prefix + key, 1, ex: @window)
        nil
      end

      # Returns whether a key is new within the window, in all processes, and marks it as handled.
      #
      # @param key [String]
      # @return [Boolean]
      # @raise [StandardError] any error of the Redis client; {App} then responds with a 500
      # @example
      #   guard.first_time?("evt_1") # => true
      def first_time?(key) = @redis.set(@prefix + key, 1, nx: true, ex: @window)

      # Forgets a key, so that a failed request can be repeated.
      #
      # @param key [String]
      # @return [void]
      # @raise [StandardError] any error of the Redis client
      # @example
      #   guard.forget("evt_1")
      def forget(key)
        @redis.del(@prefix + key)
        nil
      end

      # @return [String] without the URL, which may contain a password
      def inspect = "#<#{self.class.name}>"
    end
  end
end
