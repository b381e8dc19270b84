# frozen_string_literal: true

require_relative "../internal/autoload"
require_relative "../internal/keeps_secrets"

module SimpleConnect
  module Webhooks
    # A {ReplayGuard} for several processes, or machines: it remembers in Redis. It is an example, too: whatever has
    # `begin`, `finish` and `forget` can be an {App}'s `replay_guard:`.
    #
    # It must be asked for, with `require "simple_connect/webhooks/redis_replay_guard"`, and needs the gem `redis`.
    class RedisReplayGuard
      include KeepsSecrets

      UNDER_WAY = "under way"
      private_constant :UNDER_WAY

      # @param redis [Redis] anything with its `set`, `get` and `del`
      # @param window [Integer] for how many seconds to remember: twice the tolerance, and one, as a timestamp may be
      #   as far in the future as in the past
      # @param prefix [String] what the keys in Redis begin with
      # @example
      #   SimpleConnect::Webhooks::RedisReplayGuard.new(Redis.new(url: ENV.fetch("REDIS_URL")))
      def initialize(redis, window: 601, prefix: "simple_connect:webhook:")
        @redis = redis
        @window = window
        @prefix = prefix
      end

      # Begins with a key, unless somebody else has, in any process; see {ReplayGuard#begin}.
      #
      # @param key [String]
      # @param lease [Numeric] seconds
      # @return [:new, :under_way, :handled]
      # @raise [StandardError] whatever the Redis client raises; an {App} then answers with a 500
      # @example
      #   guard.begin("evt_1") # => :new
      def begin(key, lease: ReplayGuard::LEASE)
        return :new if @redis.set(@prefix + key, UNDER_WAY, nx: true, px: (lease * 1000).ceil)

        # Where it has just ended it is not said that it was handled.
        [UNDER_WAY, nil].include?(@redis.get(@prefix + key)) ? :under_way : :handled
      end

      # From now on a key is handled.
      #
      # @param key [String]
      # @return [void]
      # @raise [StandardError] whatever the Redis client raises
      # @example
      #   guard.finish("evt_1")
      def finish(key)
        @redis.set(@prefix + key, 1, ex: @window)
        nil
      end

      # Whether a key has not come within the window, to any process. From now on it has.
      #
      # @param key [String]
      # @return [Boolean]
      # @raise [StandardError] whatever the Redis client raises; an {App} then answers with a 500
      # @example
      #   guard.first_time?("evt_1") # => true
      def first_time?(key) = @redis.set(@prefix + key, 1, nx: true, ex: @window)

      # Forgets a key, so that what failed can be repeated.
      #
      # @param key [String]
      # @return [void]
      # @raise [StandardError] whatever the Redis client raises
      # @example
      #   guard.forget("evt_1")
      def forget(key)
        @redis.del(@prefix + key)
        nil
      end

      # @return [String] without the URL, which may have a password in it
      def inspect = "#<#{self.class.name}>"
    end
  end
end
