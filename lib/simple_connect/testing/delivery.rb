# frozen_string_literal: true

require "json"
require_relative "../internal/autoload"
require_relative "../internal/envelope"

module SimpleConnect
  module Testing
    # An attempt: its `url`, its `headers` (names in lower case, an API key redacted), and the `answer`: the status, or
    # the kind of network error.
    Request = Struct.new(:url, :headers, :answer)

    # Any other request: its `verb`, `url`, `headers` (names in lower case, API keys redacted) and `body`.
    OtherRequest = Struct.new(:verb, :url, :headers, :body)

    # What {Delivery} and {Message} share.
    class Sent
      # @return [String] the signed JSON, byte for byte
      attr_reader :body
      # @return [Array<Request>] one for each attempt
      attr_reader :requests

      # @param body [String]
      def initialize(body)
        @body = body
        @requests = []
        @json = JSON.parse(body, freeze: true)
      end

      # @return [Integer] the number of attempts
      def attempts = requests.size

      # @return [Boolean] whether the response to the last attempt was a 2xx
      def accepted?
        answer = requests.last&.answer
        answer.is_a?(Integer) && answer.between?(200, 299)
      end

      # @param keys [Array<Symbol>, nil] the keys that a pattern asks for
      # @return [Hash{Symbol => Object}]
      def deconstruct_keys(keys)
        (keys ? keys & members : members).to_h { |key| [key, public_send(key)] }
      end

      # @return [String]
      def inspect
        "#<#{self.class.name} #{deconstruct_keys(nil).map { |name, value| "#{name}=#{value.inspect}" }.join(" ")}>"
      end
    end
    private_constant :Sent

    # An event that was delivered in test mode.
    #
    # @example
    #   delivery = SimpleConnect::Testing.deliveries.last
    #   delivery.event_key              # => "customer_payment_received"
    #   delivery.recipient["mobile_no"] # => "+919812345678"
    class Delivery < Sent
      # @return [String] such as `"customer_payment_received"`
      attr_reader :event_key
      # @return [String] the idempotency key, given or generated
      attr_reader :event_id
      # @return [Hash{String => String}, nil] with `"mobile_no"` and `"name"`; nil if there is none. In the flat layout
      #   it has only the field whose name ends in `mobile_no`
      attr_reader :recipient
      # @return [Hash{String => Object}] the event's fields, as parsed from JSON
      attr_reader :fields
      # @return [String]
      attr_reader :language
      # @return [String] in ISO 8601
      attr_reader :occurred_at

      # @param body [String]
      def initialize(body)
        super
        envelope = Envelope.new(@json)
        @event_key, @event_id, @language, @occurred_at =
          envelope.event.values_at(envelope.key, "event_id", "language", "occurred_at")
        @fields = envelope.fields
        @recipient = envelope.recipient
      end

      private

      def members = %i[event_key event_id recipient fields language occurred_at attempts]
    end

    # A template message that {MessagesClient} sent in test mode.
    class Message < Sent
      # @return [String] such as `"order_update"`
      attr_reader :template_name
      # @return [Array<Hash{String => Object}>] each with `"mobile_no"`
      attr_reader :recipients
      # @return [String, nil]
      attr_reader :language_code
      # @return [Hash{String => Object}] all fields, as parsed from JSON
      attr_reader :fields

      # @param body [String]
      def initialize(body)
        super
        @fields = @json["messages"].first
        @template_name, @recipients, @language_code = @fields.values_at("template_name", "recipients", "language_code")
      end

      # @return [nil] a message has none, so responses set for an event key do not apply to it
      def event_key = nil

      private

      def members = %i[template_name recipients language_code fields attempts]
    end
  end
end
