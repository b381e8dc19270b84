# frozen_string_literal: true

require_relative "../internal/autoload"
require_relative "../internal/keeps_secrets"

module SimpleConnect
  module Webhooks
    # A {ReplayGuard} that stores its keys in a cache such as `Rails.cache`, for all processes that share the cache.
    # {App} creates one if you pass a cache as `replay_guard:`. While the cache is down, all requests get a 409, so that
    # none is handled without protection.
    class CacheReplayGuard
      include KeepsSecrets

      UNDER_WAY = "under way"
      # These store nothing, or are not atomic between processes.
      UNFIT = /::(NullStore|FileStore)\z/
      private_constant :UNDER_WAY, :UNFIT

      # @api private
      # @param guard [Object]
      # @return [Boolean] whether it is a cache
      def self.cache?(guard) = %i[write read delete fetch].all? { |name| guard.respond_to?(name) }

      # @param cache [ActiveSupport::Cache::Store] must write `unless_exist:` atomically: Redis, Memcached, or, for a
      #   single process, memory
      # @param window [Numeric] how long to keep keys, in seconds: twice the tolerance plus one
      # @param prefix [String] the prefix of the keys in the cache
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

      # Claims a key, unless another request has it, in any process; see {ReplayGuard#begin}.
      #
      # @param key [String]
      # @param lease [Numeric] seconds
      # @return [:new, :under_way, :handled]
      # @example
      #   guard.begin("evt_1") # => :new
      def begin(key, lease: ReplayGuard::LEASE)
        return :new if take(key, lease)

        found = @cache.read(@prefix + key)
        # In a MemoryStore an expired key exists until it is read.
        return :new if found.nil? && take(key, lease)

        [UNDER_WAY, nil].include?(found) ? :under_way : :handled
      end

      # Marks a key as handled.
      #
      # @param key [String]
      # @return [void]
      # @example
      #   guard.finish("evt_1")
      def finish(key)
        @cache.write(@prefix + key, "handled", expires_in: @window)
        nil
      end

      # Returns whether a key is new within the window, and marks it as handled.
      #
      # @param key [String]
      # @return [Boolean]
      # @example
      #   guard.first_time?("evt_1") # => true
      def first_time?(key)
        @cache.write(@prefix + key, "handled", unless_exist: true, expires_in: @window) ? true : false
      end

      # Forgets a key, so that a failed request can be repeated.
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
