# frozen_string_literal: true

module Dairy
  # What the status page says of SimpleConnect.
  class Health
    def report
      result = Dairy.simple_connect.integrations.verify
      return "unreachable (#{result.error})" unless result.success?
      return "disconnected" unless result.data.connected?

      missing = EVENT_KEYS.reject { |key| result.data.event_flow(key)&.enabled? }
      missing.empty? ? "fine" : "not enabled: #{missing.join(", ")}"
    end
  end
end
