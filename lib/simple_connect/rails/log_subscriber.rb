# frozen_string_literal: true

require "active_support/log_subscriber"

module SimpleConnect
  # Writes to Rails' log what the clients do not log: received webhooks, attempts to send webhooks, deliveries that the
  # previous secret signed, and what the outbox's relay does.
  # @api private
  class LogSubscriber < ::ActiveSupport::LogSubscriber
    # @param event [ActiveSupport::Notifications::Event]
    def webhook(event)
      line("webhook", event.payload, %i[event version status duplicate])
    end

    # @param event [ActiveSupport::Notifications::Event]
    def dispatch(event)
      line("dispatch", event.payload,
           %i[event_type event_uid endpoint_uid status status_code network_error retry_count])
    end

    # @param event [ActiveSupport::Notifications::Event]
    def rotation(event)
      warn("[SimpleConnect] the previous secret signed event_id=#{event.payload[:event_id]}: " \
           "switch to the new one within 24 hours of the rotation")
    end

    # @param event [ActiveSupport::Notifications::Event]
    def failing(event)
      shown = event.payload.slice(:endpoint_uid, :application_uid, :percent, :reason, :failures)
      warn("[SimpleConnect] failing #{shown.map { |field, value| "#{field}=#{value}" }.join(" ")}")
    end

    # @param event [ActiveSupport::Notifications::Event]
    def relay(event)
      payload = event.payload
      info("#{shown("relay", payload, %i[client event_key event_id outcome status error attempts])} " \
           "lag=#{payload[:lag].round(1)}s")
    end

    # @param event [ActiveSupport::Notifications::Event]
    def park(event)
      warn(shown("park", event.payload, %i[client event_key event_id status error]))
    end

    # @param event [ActiveSupport::Notifications::Event]
    def pause(event)
      payload = event.payload
      warn("#{shown(payload[:paused] ? "pause" : "hold back", payload, %i[client reason status])} " \
           "for=#{payload[:seconds].round}s")
    end

    # @param event [ActiveSupport::Notifications::Event]
    def lease_lost(event)
      warn(shown("lease_lost", event.payload, %i[client event_key event_id]))
    end

    private

    def line(name, payload, fields)
      info("#{shown(name, payload, fields)} ms=#{(payload[:elapsed] * 1000).round(1)}")
    end

    def shown(name, payload, fields)
      pairs = payload.slice(*fields).compact.map { |field, value| "#{field}=#{value}" }
      "[SimpleConnect] #{name} #{pairs.join(" ")}"
    end
  end
end
