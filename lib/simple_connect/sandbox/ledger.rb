# frozen_string_literal: true

require "time"
require_relative "../internal/autoload"
require_relative "../internal/envelope"

module SimpleConnect
  class Sandbox
    # A request that the service rejects.
    # @api private
    class Refusal < StandardError
      # @return [Integer]
      attr_reader :status
      # @return [Hash{String => Object}] the response body
      attr_reader :json

      def initialize(status, message, json = {})
        super(message)
        @status = status
        @json = { "error" => message, **json }
      end
    end

    # The events and messages that the service has accepted. Each method returns status and JSON of a response. Not
    # thread-safe.
    # @api private
    class Ledger
      # The members of all messages that one request becomes, at most: each has a copy, so a small request could fill
      # the memory.
      MAX_MEMBERS = 100_000
      private_constant :MAX_MEMBERS

      # @return [String] the id of the message that became of a row
      def self.message_id(row) = row.fetch("message_id") { "wamid.sandbox.#{row["log_id"]}" }

      # @param event_keys [Array<String>, nil] the known event keys; nil for any
      def initialize(event_keys)
        @event_keys = event_keys
        @events = {}
        @messages = {}
        @statuses = {}
        @log_id = 0
        @message_number = 0
      end

      # Sets the status of a message.
      def mark(message_id, status) = @statuses[message_id] = status

      # @return [Hash, nil] the row of an event
      def event(event_id) = @events[event_id]

      # Takes over a row that another process, or an earlier one, has made.
      # @param row [Hash{String => Object}]
      def restore(row)
        # A template message may have any members, also an event's.
        if row.key?("message_id")
          @messages[row["message_id"]] = row
          @message_number = [@message_number, row["message_id"][/\d+\z/].to_i].max
        else
          @events[row["event_id"]] = row
          @log_id = [@log_id, row["log_id"]].max
        end
      end

      # @param row [Hash{String => Object}]
      def forget(row)
        @statuses.delete(Ledger.message_id(row))
        row.key?("message_id") ? @messages.delete(row["message_id"]) : @events.delete(row["event_id"])
      end

      def events = @events.values

      def messages = @messages.values

      # @param status [String] the status of the event
      # @param forced [:duplicate, :skipped, nil] what the event must become
      def deliver_event(json, previous_secret: false, status: "dispatched", forced: nil)
        event = read(json, forced == :skipped ? "skipped" : status)
        event_id = event["event_id"]
        duplicate = @events.key?(event_id) || forced == :duplicate
        unless duplicate
          @events[event_id] = { "log_id" => @log_id += 1, **event, "used_previous_secret" => previous_secret }.freeze
        end
        log_id = @events.key?(event_id) ? @events[event_id]["log_id"] : @log_id
        answer = { "status" => "accepted", "log_id" => log_id, "event_id" => event_id }
        answer["duplicate"] = true if duplicate
        answer["used_previous_secret"] = true if previous_secret
        [duplicate ? 200 : 202, answer]
      end

      def show_event(event_id)
        row = @events[event_id] or raise Refusal.new(404, "not found")
        return [200, { "event_log" => row, "message" => nil }] unless row["status"] == "dispatched"

        message_id = Ledger.message_id(row)
        message = {
          "message_id" => message_id, "status" => @statuses.fetch(message_id, "delivered"),
          "timestamp" => row["updated_at"], "recipient" => row["recipient"]
        }
        [200, { "event_log" => row, "message" => { "event" => "message.status", "data" => message } }]
      end

      # If all event keys are accepted, it lists those received so far.
      def show_status(provider)
        flows = (@event_keys || events.map { |row| row["event_key"] }.uniq).map do |event_key|
          { "event_key" => event_key, "state" => "enabled", "enabled" => true, "needs_attention" => false,
            "template" => { "name" => event_key, "language" => "en", "status" => "approved" } }
        end
        [200, { "integration" => { "provider" => provider, "status" => "connected" }, "event_flows" => flows }]
      end

      def deliver_messages(json)
        pairs = list(json, "messages").flat_map { |message| list(message, "recipients").map { |to| [message, to] } }
        if pairs.sum { |message,| message.size } > MAX_MEMBERS
          raise Refusal.new(413, "too many recipients for messages of this size: use several requests")
        end

        queued = []
        errors = []
        pairs.each do |message, recipient|
          queued << queue(message, recipient)
          yield @messages[queued.last["message_id"]] if block_given?
        rescue Refusal => e
          yield e if block_given?
          errors << { "recipient" => recipient, "message" => e.message }
        end
        answer = { "queued_messages" => queued, "errors" => errors }
        raise Refusal.new(422, "nothing queued", { "success" => false, **answer }) if queued.empty?

        [200, { "success" => true, **answer }]
      end

      def show_message(message_id)
        message = @messages[message_id] or raise Refusal.new(404, "Message not found")
        answer = message.slice("message_id", "status", "message_group", "recipient")
        [200, { **answer, **@statuses.slice(message_id).transform_keys { "status" } }]
      end

      private

      def read(json, status)
        envelope = Envelope.new(json)
        event = envelope.event
        event_key = required(event, envelope.key, envelope.nested? ? "event.name" : "event")
        now = Time.now.utc.iso8601(6)
        {
          "event_id" => required(event, "event_id"), "event_key" => known(event_key), "status" => status,
          "recipient" => recipient(envelope), "language" => event["language"], "payload" => envelope.fields,
          "occurred_at" => event["occurred_at"], "created_at" => now, "updated_at" => now, "error_text" => nil
        }
      end

      def known(event_key)
        return event_key if @event_keys.nil? || @event_keys.include?(event_key)

        raise Refusal.new(422, "Unknown event_key '#{event_key}'. Must be one of: #{@event_keys.join(", ")}")
      end

      def recipient(envelope)
        recipient = envelope.recipient
        required(recipient, "mobile_no", "recipient.mobile_no") if envelope.nested?
        recipient
      end

      def queue(message, recipient)
        required(message, "template_name")
        mobile_no = required(recipient, "mobile_no")
        message_id = "message-#{@message_number += 1}"
        own = { "message_id" => message_id, "status" => "delivered", "recipient" => recipient }
        @messages[message_id] = { **own, **message.except("recipients", *own.keys) }.freeze
        { "message_id" => message_id, "recipient" => mobile_no, "status" => "queued" }
      end

      # A String that is not blank, or a number.
      def required(json, name, called = name)
        value = json[name] if json.is_a?(Hash)
        text = value.to_s if value.is_a?(String) || value.is_a?(Integer)
        raise Refusal.new(422, "#{called} is required") if text.nil? || text.strip.empty?

        text
      end

      def list(json, name)
        value = json[name] if json.is_a?(Hash)
        return value if value.is_a?(Array) && !value.empty?

        raise Refusal.new(422, "#{name} must be a non-empty array")
      end
    end
  end
end
