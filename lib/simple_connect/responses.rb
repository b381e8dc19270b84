# frozen_string_literal: true

module SimpleConnect
  # The server's responses as objects: {Result#data} is one of these.
  #
  # Each wraps one parsed JSON value. A value that is not an object counts as an empty one, so readers return nil
  # instead of raising. Fields without a reader are in `to_h`.
  module Responses
    # The methods that all responses share.
    class Response
      # @param json [Object] a parsed JSON value
      def initialize(json)
        @json = json.is_a?(Hash) ? json : {}
      end

      # @return [Hash{String => Object}] a copy of the parsed JSON, including fields without a reader
      # @example
      #   result.data.to_h["a_field_of_next_year"]
      def to_h
        @json.dup
      end

      # @return [String]
      def inspect
        "#<#{self.class.name} #{@json.inspect}>"
      end

      private

      def hash_at(key)
        value = @json[key]
        value.is_a?(Hash) ? value : {}
      end

      # The service sends ISO 8601; other formats that Ruby can parse also work.
      def time_at(key, json = @json)
        text = json[key]
        return if text.nil?

        require "time"
        Time.parse(text.to_s)
      rescue ArgumentError, RangeError
        nil
      end
    end
    private_constant :Response

    # The response to {Api::Events#deliver}.
    class DeliverResponse < Response
      # @return [String, nil] such as `"accepted"`
      def status = @json["status"]

      # @return [Integer, nil] the id of the event in the server's log
      def log_id = @json["log_id"]

      # @return [String, nil] the event's idempotency key
      def event_id = @json["event_id"]

      # @return [Boolean] whether the server already had this event and ignored the request
      def duplicate? = @json["duplicate"] == true

      # @return [Boolean] whether the request was signed with the previous secret
      def used_previous_secret? = @json["used_previous_secret"] == true

      # @return [EventResponse, nil] the event in the server's log, if the response includes it
      def event
        EventResponse.new(@json) if @json["event_log"].is_a?(Hash)
      end
    end

    # The response to {Api::Events#detail}: an event in the server's log.
    class EventResponse < Response
      # @return [String, nil] the event's idempotency key
      def event_id = row["event_id"]

      # @return [String, nil] such as `"customer_payment_received"`
      def event_key = row["event_key"]

      # @return [String, nil] such as `"dispatched"`, `"failed"`, `"skipped_no_template"`
      def status = row["status"]

      # @return [Time, nil] when the event happened, as the sender reported
      def occurred_at = time_at("occurred_at", row)

      # @return [Time, nil] when the server received it
      def created_at = time_at("created_at", row)

      # @return [Time, nil] when the server last updated it
      def updated_at = time_at("updated_at", row)

      # @return [String, nil] why it failed
      def error_text = row["error_text"]

      # @return [Hash] the event's fields, without the envelope
      def payload
        row["payload"].is_a?(Hash) ? row["payload"] : {}
      end

      # @return [MessageResponse, nil] the message that the service sent for it
      def message
        MessageResponse.new(@json["message"]) if @json["message"]
      end

      # @return [Boolean]
      def message? = !message.nil?

      # @return [Boolean] whether the service sent a message for it
      def dispatched? = status == "dispatched"

      # @return [Boolean]
      def failed? = status == "failed"

      # @return [Boolean] whether the service decided not to send a message
      def skipped? = status.to_s.start_with?("skipped")

      # @return [Boolean] whether the request was signed with the previous secret
      def used_previous_secret? = row["used_previous_secret"] == true

      private

      def row = hash_at("event_log")
    end

    # A WhatsApp message: the status of one that was sent, or an incoming one.
    class MessageResponse < Response
      # The `event` of a status update for a sent message.
      EVENT_STATUS = "message.status"
      # The `event` of a message from a user.
      EVENT_INCOMING = "message.incoming"

      # @return [String, nil] {EVENT_STATUS} or {EVENT_INCOMING}
      def event = @json["event"]

      # @return [Hash] the fields that the other readers read
      def data = hash_at("data")

      # @return [String, nil] WhatsApp's id, such as `"wamid.HBgL..."`
      def message_id = data["message_id"]

      # @return [String, nil] such as `"delivered"`, `"read"`
      def status = data["status"]

      # @return [Time, nil]
      def timestamp = time_at("timestamp", data)

      # @return [Hash, nil] the recipient
      def recipient = data["recipient"]

      # @return [Boolean]
      def status_callback? = event == EVENT_STATUS

      # @return [Boolean]
      def incoming? = event == EVENT_INCOMING
    end

    # The response to {Api::Integrations#verify}: the state of the integration.
    class VerifyResponse < Response
      # The setup of one event.
      class EventFlow < Response
        # The WhatsApp template linked to an event.
        class Template < Response
          # @return [String, nil]
          def name = @json["name"]

          # @return [String, nil] such as `"en"`
          def language = @json["language"]

          # @return [String, nil] such as `"approved"`
          def status = @json["status"]

          # @return [Boolean] whether WhatsApp has approved it
          def approved? = status == "approved"
        end

        # @return [String, nil] such as `"customer_payment_received"`
        def event_key = @json["event_key"]

        # @return [String, nil] such as `"enabled"`, `"not_configured"`, `"needs_attention"`
        def state = @json["state"]

        # @return [Template, nil] the template linked to it
        def template
          Template.new(@json["template"]) if @json["template"]
        end

        # @return [Boolean]
        def enabled? = @json["enabled"] == true

        # @return [Boolean]
        def needs_attention? = @json["needs_attention"] == true

        # @return [Boolean] whether a template is linked to it
        def configured? = !template.nil?
      end

      # @return [String, nil] such as `"milkways"`
      def provider = hash_at("integration")["provider"]

      # @return [String, nil] such as `"connected"`
      def status = hash_at("integration")["status"]

      # @return [Array<EventFlow>]
      def event_flows
        Array(@json["event_flows"]).map { |flow| EventFlow.new(flow) }
      end

      # @return [Boolean]
      def connected? = status == "connected"

      # @param event_key [String, Symbol]
      # @return [EventFlow, nil]
      # @example
      #   client.integrations.verify.data.event_flow("customer_payment_received")&.enabled?
      def event_flow(event_key)
        event_flows.find { |flow| flow.event_key == event_key.to_s }
      end
    end

    # The response of a 4xx or 5xx.
    class ErrorResponse < Response
      # @return [String] the JSON's `error`; empty if there is none
      def message = @json["error"].to_s
    end

    # The response to {Api::Messages#deliver}.
    class MessageDeliverResponse < Response
      # @return [Array<Hash>] the queued messages, with `"message_id"`, `"recipient"` and `"status"`
      def queued_messages = Array(@json["queued_messages"])

      # @return [Array<Hash>] the rejected messages, with the reasons
      def errors = Array(@json["errors"])

      # @return [Boolean]
      def any_queued? = !queued_messages.empty?
    end

    # The response to {Api::Messages#detail}.
    class MessageDetailResponse < Response
      # @return [String, nil]
      def message_id = @json["message_id"]

      # @return [String, nil] such as `"delivered"`
      def status = @json["status"]

      # @return [Hash, nil]
      def recipient = @json["recipient"]

      # @return [String, nil]
      def message_group = @json["message_group"]

      # @return [Object, nil] why it failed
      def error = @json["error"]

      # @return [Boolean]
      def failed? = status == "failed"
    end
  end
end
