# frozen_string_literal: true

require "active_support/log_subscriber"

module SimpleConnect
  # Writes to Rails' log what the clients do not log: received webhooks, attempts to send webhooks, and deliveries that
  # the previous secret signed.
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

    private

    def line(name, payload, fields)
      shown = payload.slice(*fields).compact.map { |field, value| "#{field}=#{value}" }
      info("[SimpleConnect] #{name} #{shown.join(" ")} ms=#{(payload[:elapsed] * 1000).round(1)}")
    end
  end
end
