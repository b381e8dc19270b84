# frozen_string_literal: true

require "json"
require_relative "../internal/wire"
require_relative "../internal/autoload"

module SimpleConnect
  module Testing
    # One call of a client in test mode. The transport calls it for each attempt instead of sending.
    # @api private
    class Exchange
      # Headers whose values are secret: the API keys of the service and of Kiket.
      SECRET = /(authorization|api-key)\z/
      private_constant :SECRET

      # @param lines [String] header lines
      # @return [Hash{String => String}] as recorded
      def self.fields(lines)
        Wire.fields(lines).to_h do |name, value|
          name = name.downcase
          [name, name.match?(SECRET) ? "[redacted]" : value]
        end
      end

      # @param session [Session]
      # @param target [String] path and query
      # @param response_class [Class] the class of {Result#data} on success; it identifies the call
      def initialize(session, target, response_class)
        @session = session
        @target = target
        @response_class = response_class
      end

      # See {Transport}.
      def intercept(_verb, url, headers, body)
        return answer(*look_up) unless body

        @sent ||= sent(body)
        answer = @session.answer_to(@sent)
        @sent.requests << (request = Request.new(url, Exchange.fields(headers), answer.kind))
        return answer.network_error if answer.fault?

        status, json = answer.taken? ? take(answer) : [answer.kind, { "error" => answer.message.to_s }]
        request.answer = status
        answer(status, answer.body || json, answer.headers)
      end

      private

      def sent(body)
        kind = @response_class == Responses::DeliverResponse ? Delivery : Message
        kind.new(body).tap { |sent| @session.record(sent) }
      end

      def take(answer)
        json = JSON.parse(@sent.body, freeze: true)
        status, json = @session.ask do |service|
          next deliver_event(service, json, answer.kind) if @sent.is_a?(Delivery)
          next service.deliver_messages(json) unless %i[duplicate skipped].include?(answer.kind)

          raise ArgumentError, "a message is never #{answer.kind}: only events are"
        end
        [answer.kind.is_a?(Integer) && status < 300 ? answer.kind : status, json]
      end

      def deliver_event(service, json, kind)
        return service.deliver_event(json) unless %i[duplicate skipped].include?(kind)

        skipped = kind == :skipped
        status, answer = service.deliver_event(json, status: skipped ? "skipped_no_template" : "dispatched")
        return [status, { **answer, **service.show_event(@sent.event_id).last.slice("event_log") }] if skipped

        # The event exists now, so that delivering it again is a duplicate.
        service.deliver_event(json)
      end

      def look_up
        id = Wire.unescape(@target[%r{([^/?]*)(\?|\z)}, 1])
        @session.ask do |service|
          next service.show_event(id) if @response_class == Responses::EventResponse
          next service.show_message(id) if @response_class == Responses::MessageDetailResponse

          service.show_status(@target[%r{/integrations/([^/?]+)}, 1] || "test")
        end
      end

      def answer(status, body, headers = {})
        fields = { "Content-Type" => "application/json", **headers.transform_keys(&:to_s) }
        Wire.answer(status, "", fields, body.is_a?(String) ? body : JSON.generate(body, max_nesting: 0))
      end
    end
    private_constant :Exchange
  end
end
