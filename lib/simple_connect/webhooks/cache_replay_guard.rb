# frozen_string_literal: true

require_relative "../internal/autoload"
require_relative "../internal/keeps_secrets"

module SimpleConnect
  module Webhooks
    # A {ReplayGuard} that remembers in a cache such as `Rails.cache`, for all processes that share that. An {App} makes
    # one of a cache that it is given as `replay_guard:`. While the cache is away, copies and new requests alike get a
    # 409: nothing is handled unguarded.
    class CacheReplayGuard
      include KeepsSecrets

      UNDER_WAY = "under way"
      # They remember nothing, or two processes can both be the first.
      UNFIT = /::(NullStore|FileStore)\z/
      private_constant :UNDER_WAY, :UNFIT

      # @api private
      # @param guard [Object]
      # @return [Boolean] whether it is a cache
      def self.cache?(guard) = %i[write read delete fetch].all? { |name| guard.respond_to?(name) }

      # @param cache [ActiveSupport::Cache::Store] one that writes `unless_exist:` atomically: Redis, Memcached, or
      #   memory for a single process
      # @param window [Numeric] for how many seconds to remember: twice the tolerance, and one
      # @param prefix [String] what the keys in the cache begin with
      # @raise [ConfigurationError] for a NullStore or a FileStore
      # @example
      #   SimpleConnect::Webhooks::CacheReplayGuard.new(Rails.cache)
      def initialize(cache, window: 601, prefix: "simple_connect:webhook:")
        if cache.class.name.to_s.match?(UNFIT)
          raise ConfigurationError, "replay_guard: a #{cache.class} cannot tell which request came first: use a " \
                                    "cache in Redis or Memcached, or a SimpleConnect::Webhooks::ReplayGuard"
        end

        @cache = cache
        @window = window
        @prefix = prefix
      end

      # Begins with a key, unless somebody else has, in any process; see {ReplayGuard#begin}.
      #
      # @param key [String]
      # @param lease [Numeric] seconds
      # @return [:new, :under_way, :handled]
      # @example
      #   guard.begin("evt_1") # => :new
      def begin(key, lease: ReplayGuard::LEASE)
        return :new if take(key, lease)

        found = @cache.read(@prefix + key)
        # To a MemoryStore a key whose time has passed exists until it is read.
        return :new if found.nil? && take(key, lease)

        [UNDER_WAY, nil].include?(found) ? :under_way : :handled
      end

      # From now on a key is handled.
      #
      # @param key [String]
      # @return [void]
      # @example
      #   guard.finish("evt_1")
      def finish(key)
        @cache.write(@prefix + key, "handled", expires_in: @window)
        nil
      end

      # Whether a key has not come within the window. From now on it has.
      #
      # @param key [String]
      # @return [Boolean]
      # @example
      #   guard.first_time?("evt_1") # => true
      def first_time?(key)
        @cache.write(@prefix + key, "handled", unless_exist: true, expires_in: @window) ? true : false
      end

      # Forgets a key, so that what failed can be repeated.
      #
      # @param key [String]
      # @return [void]
      # @example
      #   guard.forget("evt_1")
      def forget(key)
        @cache.delete(@prefix + key)
        nil
      end

      # @return [String]
      def inspect = "#<#{self.class.name} #{@cache.class.name}>"

      private

      def take(key, lease) = @cache.write(@prefix + key, UNDER_WAY, unless_exist: true, expires_in: lease)
    end
  end
end
