# frozen_string_literal: true

require "digest"
require_relative "../internal/autoload"
require_relative "../internal/keeps_secrets"

module SimpleConnect
  module Outbound
    # Counts the rate limits of all processes in Redis, by Redis' clock. Needs Redis 5 or later.
    #
    # With 10 a second, of 15 events at once 10 are sent now and 5 in the next second, whichever process sends them.
    # What has to wait is told when to come back, each at another time, and those that have waited go first.
    #
    # @example
    #   LIMITER = SimpleConnect::Outbound::RedisLimiter.new(Redis.new(url: ENV.fetch("REDIS_URL")))
    #   SimpleConnect::Outbound::Dispatcher.new(application, limiter: LIMITER)
    class RedisLimiter
      include KeepsSecrets

      INTERVAL = 1_000_000
      SCRIPT = <<~LUA.freeze
        local time = redis.call("TIME")
        local now = time[1] * 1000000 + time[2]
        local limit, interval, waited = tonumber(ARGV[1]), #{INTERVAL}, ARGV[2] == "1"
        local state = redis.call("HMGET", KEYS[1], "started_at", "taken", "queue")
        local started, taken, queue = tonumber(state[1] or 0), tonumber(state[2] or 0), tonumber(state[3] or 0)
        local wait = 0
        if now >= started + interval then started, taken = now, 0 end
        if taken < limit and (waited or queue <= now) then
          taken = taken + 1
        else
          local place = math.max(queue, taken < limit and now or started + interval)
          queue = place + math.max(math.floor(interval / limit), 1)
          wait = place - now
        end
        redis.call("HSET", KEYS[1], "started_at", string.format("%.0f", started), "taken", taken,
                   "queue", string.format("%.0f", queue))
        redis.call("PEXPIRE", KEYS[1], math.ceil((math.max(queue, started + interval) - now + interval) / 1000))
        return string.format("%.0f", wait)
      LUA
      SHA = Digest::SHA1.hexdigest(SCRIPT).freeze
      private_constant :INTERVAL, :SCRIPT, :SHA

      # The script's decision, for a limiter in another place.
      # @api private
      # @return [Array(Hash{Symbol => Integer}, Integer)] what to store, and how long to wait; in microseconds
      def self.step(started_at, taken, queue, now, limit, waited)
        started_at, taken = now, 0 if now >= started_at + INTERVAL # rubocop:disable Style/ParallelAssignment
        wait = 0
        if taken < limit && (waited || queue <= now)
          taken += 1
        else
          place = [queue, taken < limit ? now : started_at + INTERVAL].max
          queue = place + [INTERVAL / limit, 1].max
          wait = place - now
        end
        [{ started_at:, taken:, queue: }, wait]
      end

      # @param redis [Redis, RedisClient, ConnectionPool] anything with `call`, or a pool with `with`
      # @param prefix [String] the prefix of the keys in Redis
      # @raise [ConfigurationError] if it has neither
      # @example
      #   SimpleConnect::Outbound::RedisLimiter.new(ConnectionPool.new { RedisClient.new })
      def initialize(redis, prefix: "simple_connect:rate:")
        unless redis.respond_to?(:call) || redis.respond_to?(:with)
          raise ConfigurationError, "redis must be a Redis, a RedisClient or a ConnectionPool of them, " \
                                    "not #{redis.class}"
        end

        @redis = redis
        @prefix = prefix
      end

      # Takes a permit, or a place in the queue.
      #
      # @param key [String] what is limited
      # @param limit [Integer] permits per second
      # @param waited [Boolean] whether it comes back from the queue
      # @return [Float] 0.0 for a permit; otherwise the seconds until it may come back
      # @raise [StandardError] any error of the Redis client
      # @example
      #   limiter.take("shop/acme", 10) # => 0.0
      def take(key, limit, waited: false)
        arguments = [1, "#{@prefix}{#{key}}", limit, waited ? 1 : 0]
        wait = with do |redis|
          redis.call("EVALSHA", SHA, *arguments)
        rescue StandardError => e
          raise unless e.message.start_with?("NOSCRIPT")

          redis.call("EVAL", SCRIPT, *arguments)
        end
        wait.to_f / INTERVAL
      end

      # @return [String] without the URL, which may contain a password
      def inspect = "#<#{self.class.name}>"

      private

      def with(&block) = @redis.respond_to?(:with) ? @redis.with(&block) : yield(@redis)
    end
  end
end
