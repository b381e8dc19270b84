# frozen_string_literal: true

require_relative "../internal/autoload"
require_relative "checks"

module SimpleConnect
  class Doctor
    # Checks stored webhook endpoints, if the application has some: the key, endpoints that fail, and what is late.
    # @api private
    class StoredEndpoints
      include Checks

      # Seconds after which a delivery that is due is late.
      LATE = 300
      # The number of endpoints to name.
      NAMED = 3
      private_constant :LATE, :NAMED

      # @param configuration [Configuration, nil]
      def initialize(configuration) = @configuration = configuration

      # @return [Array<Finding>] none without the tables
      def findings
        return [] unless @configuration && defined?(::ActiveRecord::Base) && stored?

        slow = "check whether the database works"
        [check("endpoints key", slow:) { key }, check("endpoints", slow:) { failing },
         check("endpoints relay", slow:) { late }]
      end

      # @return [String]
      def inspect = "#<#{self.class.name}>"

      private

      def stored?
        Endpoints.stored?
      rescue StandardError
        # The application may have no database.
        false
      end

      def connected(&) = Endpoints.store.connected(&)

      def key
        connected { Endpoints::Endpoint.first&.to_endpoint }
        green("endpoints key", "it decrypts")
      rescue Error => e
        red("endpoints key", e.message, "set config.endpoints.encryption_key")
      end

      def failing
        disabled, failing = connected do
          bad = Endpoints::Endpoint.where(active: true).where("disabled_at IS NOT NULL OR warned > 0")
          bad.order(:id).limit(100).partition(&:disabled?)
        end
        return green("endpoints", "none fails for long") if disabled.empty? && failing.empty?

        seen = { "disabled" => disabled, "failing" => failing }.reject { |_, some| some.empty? }
        seen = seen.map { |word, some| "#{some.size} #{word}: #{some.first(NAMED).map(&:uid).join(", ")}" }
        yellow("endpoints", seen.join("; "), "tell their owners; endpoint.enable!(replay: true) sends what they missed")
      end

      def late
        due = connected do
          limit = Endpoints.store.now - (LATE * 1_000_000)
          Endpoints::Delivery.where(state: "pending").where(next_attempt_at: ..limit).limit(1000).count
        end
        return green("endpoints relay", "nothing is late") if due.zero?

        red("endpoints relay", "#{due} deliveries are late by more than #{LATE / 60} minutes",
            "run rails simple_connect:relay, or let a schedule call SimpleConnect::Endpoints.deliver_due once a minute")
      end
    end
    private_constant :StoredEndpoints
  end
end
