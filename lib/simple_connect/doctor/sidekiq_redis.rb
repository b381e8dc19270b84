# frozen_string_literal: true

require "logger"
require_relative "checks"

module SimpleConnect
  class Doctor
    # Checks Sidekiq's Redis, if Sidekiq is loaded.
    # @api private
    class SidekiqRedis
      include Checks

      # The minimum Redis version by Sidekiq's major version.
      LEAST = { 6 => "4.0.0", 7 => "6.2.0", 8 => "7.0.0" }.freeze
      # The version that Sidekiq assumes if Redis hides its own.
      HIDDEN = "9.9.9"
      private_constant :LEAST, :HIDDEN

      # @return [Array<Finding>] none without Sidekiq
      def findings
        return [] unless defined?(::Sidekiq::VERSION) && ::Sidekiq.respond_to?(:redis)

        [check("redis", slow: "check whether Redis works") { redis }]
      end

      # @return [String]
      def inspect = "#<#{self.class.name}>"

      private

      def redis
        version = quietly { info["redis_version"] }.to_s
        major = ::Sidekiq::VERSION.to_i
        least = LEAST.fetch(major) { LEAST.values.last }
        seen = "version #{version}; Sidekiq #{::Sidekiq::VERSION} takes #{least} or later"
        return yellow("redis", "its version is hidden", "make sure that it is #{least} or later") if version == HIDDEN
        return green("redis", seen) if Gem::Version.new(version) >= Gem::Version.new(least)

        red("redis", seen, "use a newer Redis")
      rescue StandardError => e
        # The message may contain a password.
        red("redis", "Sidekiq's Redis did not answer: #{e.class}", "see REDIS_URL and Sidekiq's config.redis")
      end

      # Sidekiq 7 logs the connection to standard output, among the JSON.
      def quietly
        logger = ::Sidekiq.logger
        level = logger.level
        logger.level = ::Logger::ERROR
        yield
      ensure
        logger.level = level
      end

      # Sidekiq 7 moved it.
      def info = (::Sidekiq.respond_to?(:redis_info) ? ::Sidekiq : ::Sidekiq.default_configuration).redis_info
    end
    private_constant :SidekiqRedis
  end
end
