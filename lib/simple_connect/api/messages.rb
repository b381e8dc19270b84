# frozen_string_literal: true

require_relative "../internal/checks"
require_relative "../internal/extension"
require_relative "../responses"
require_relative "deliver_all"

module SimpleConnect
  module Api
    # Sends template messages and looks them up: {MessagesClient#messages}.
    class Messages
      include DeliverAll

      # @!method deliver_all(deliveries, concurrency: 8)
      #   Sends many messages at a time, as {Events#deliver_all} delivers events.
      #
      #   @param deliveries [Enumerable<Hash>] the keywords of {#deliver} for each
      #   @param concurrency [Integer] the number of deliveries at a time
      #   @yieldparam result [Result] called as soon as each result is known
      #   @yieldparam item [Hash] the item
      #   @yieldparam index [Integer] the item's index, from 0
      #   @return [Array<Result>, Integer] the results in the order of the items; with a block, the number of items
      #   @raise [ArgumentError] if `deliveries` has no `each`, or `concurrency` is not an Integer of 1 or more
      #   @example
      #     client.messages.deliver_all([{ template_name: "order_paid", recipients: [{ mobile_no: "+919812345678" }] }])

      # The path for messages.
      MESSAGES_PATH = "/api/v1/whatsapp_messages"
      # The only type of message.
      MESSAGE_TYPE_TEMPLATE = "template"

      # @api private
      def initialize(request:)
        @request = request
      end

      # Sends a template message to one or more recipients.
      #
      # The server does not detect repetitions: a message that is retried after its response was lost is sent twice. If
      # that is worse than a lost message, build the client with `max_attempts: 1`.
      #
      # @param template_name [String, Symbol, Integer] an approved template; an Integer is sent as a number
      # @param recipients [Array<Hash, #to_h>] each with `mobile_no:` and the other fields that the template needs
      # @param language_code [String, nil]
      # @param sender_phone_number [String, nil] if the account has several
      # @param header [Hash, nil] the template's header
      # @param body [Hash, nil] the template's body
      # @param buttons [Array, nil] the template's buttons
      # @param message_group [String, nil] your own label
      # @return [Result] with a {Responses::MessageDeliverResponse} as `data`
      # @raise [ArgumentError] for a blank template, no recipients, or one without number
      # @raise [JSON::GeneratorError] for values that cannot be JSON
      # @raise [MalformedResponseError] if the server accepts the message, but its response is not JSON
      # @example
      #   client.messages.deliver(template_name: "order_update", recipients: [{ mobile_no: "+919812345678" }])
      def deliver(template_name:, recipients:, language_code: nil, sender_phone_number: nil, header: nil, body: nil,
                  buttons: nil, message_group: nil)
        message = {
          message_type: MESSAGE_TYPE_TEMPLATE, template_name: named(template_name),
          recipients: checked(recipients), language_code:, sender_phone_number:,
          header:, body:, buttons:, message_group:
        }.compact
        @request.post(@request.transport.target, Codec.generate({ messages: [message] }),
                      Responses::MessageDeliverResponse)
      end

      # Like {#deliver}, but raises if the delivery fails.
      #
      # @param message [Hash] as for {#deliver}
      # @return [Result] a success, with a {Responses::MessageDeliverResponse} as `data`; check its `errors` for
      #   rejected recipients
      # @raise [DeliveryError] if it failed: a {TransientError} or a {PermanentError}
      # @raise [ArgumentError] see {#deliver}
      # @raise [JSON::GeneratorError] see {#deliver}
      # @raise [MalformedResponseError] see {#deliver}
      # @example
      #   client.messages.deliver!(template_name: "order_update", recipients: [{ mobile_no: "+919812345678" }])
      def deliver!(**message) = deliver(**message).or_raise

      # Looks up a sent message.
      #
      # @param message_id [String]
      # @return [Result] with a {Responses::MessageDetailResponse} as `data`
      # @raise [ArgumentError] if `message_id` is blank, `.`, `..`, not UTF-8, or contains a line break or a NUL
      # @example
      #   client.messages.detail("m1").data.status # => "delivered"
      def detail(message_id)
        message_id = required(message_id, "message_id")
        @request.get(@request.transport.member_target("message_id", message_id), Responses::MessageDetailResponse)
      end

      # Like {#detail}, but raises if the request fails.
      #
      # @param message_id [String]
      # @return [Result] a success, with a {Responses::MessageDetailResponse} as `data`
      # @raise [DeliveryError] if it failed; a {NotFoundError} if there is no such message
      # @raise [ArgumentError] see {#detail}
      # @raise [MalformedResponseError] if the response is not JSON
      # @example
      #   client.messages.detail!("m1").data.status # => "delivered"
      def detail!(message_id) = detail(message_id).or_raise

      # @return [String]
      def inspect = "#<#{self.class.name}>"

      private

      # See {DeliverAll#deliver_all}.
      def deliver_arguments(item)
        message = Checks.hash(item) unless item.is_a?(Array)
        unless message
          raise ArgumentError, "a delivery must be { template_name: …, recipients: [{ mobile_no: … }] }, " \
                               "not #{item.class}"
        end

        deliver(**message.transform_keys(&:to_sym))
      end

      def named(template_name)
        text = required(template_name, "template_name")
        template_name.is_a?(Integer) ? template_name : text
      end

      def required(value, name)
        value = value.to_s
        raise ArgumentError, "#{name} is required" if value.scrub.strip.empty?

        value
      end

      def checked(recipients)
        raise ArgumentError, "recipients must be a non-empty array" unless recipients.is_a?(Array) && recipients.any?

        recipients.map do |recipient|
          members = Checks.hash(recipient) or
            raise ArgumentError, "each recipient must be a Hash, such as { mobile_no: \"+919812345678\" }, " \
                                 "not #{recipient.class}"
          recipient = members.transform_keys(&:to_s)
          raise ArgumentError, "mobile_no is required for each recipient" if recipient["mobile_no"].to_s.strip.empty?

          recipient
        end
      end
    end
  end
end
