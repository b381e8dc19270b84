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

      # Where messages go.
      MESSAGES_PATH = "/api/v1/whatsapp_messages"
      # The only kind there is.
      MESSAGE_TYPE_TEMPLATE = "template"

      # @api private
      def initialize(request:)
        @request = request
      end

      # Sends a template to one or more recipients.
      #
      # The server takes each request it gets: a message that is repeated after its answer was lost goes out twice.
      # Where that is worse than a lost message, build the client with `max_attempts: 1`.
      #
      # @param template_name [String, Symbol, Integer] an approved template; an Integer is sent as a number
      # @param recipients [Array<Hash, #to_h>] each with `mobile_no:` and whatever else the template needs
      # @param language_code [String, nil]
      # @param sender_phone_number [String, nil] where the account has several
      # @param header [Hash, nil] the template's header
      # @param body [Hash, nil] the template's body
      # @param buttons [Array, nil] the template's buttons
      # @param message_group [String, nil] a label of yours
      # @return [Result] its `data` a {Responses::MessageDeliverResponse}
      # @raise [ArgumentError] for a blank template, no recipients, or one without number
      # @raise [JSON::GeneratorError] for values that cannot be JSON
      # @raise [MalformedResponseError] where the server takes the message, but its answer is not JSON
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

      # The same as {#deliver}, for callers that would rather rescue than ask.
      #
      # @param message [Hash] as for {#deliver}
      # @return [Result] a success, its `data` a {Responses::MessageDeliverResponse}; some recipients may have been
      #   refused
      # @raise [DeliveryError] where it failed, one of its kinds: {TransientError} or {PermanentError}
      # @raise [ArgumentError] as {#deliver}
      # @raise [JSON::GeneratorError] as {#deliver}
      # @raise [MalformedResponseError] as {#deliver}
      # @example
      #   client.messages.deliver!(template_name: "order_update", recipients: [{ mobile_no: "+919812345678" }])
      def deliver!(**message) = deliver(**message).or_raise

      # Looks up a message that was sent.
      #
      # @param message_id [String]
      # @return [Result] its `data` a {Responses::MessageDetailResponse}
      # @raise [ArgumentError] where `message_id` is blank, `.`, `..`, not UTF-8, or holds a line break or a NUL
      # @example
      #   client.messages.detail("m1").data.status # => "delivered"
      def detail(message_id)
        message_id = required(message_id, "message_id")
        @request.get(@request.transport.member_target("message_id", message_id), Responses::MessageDetailResponse)
      end

      # The same as {#detail}, for callers that would rather rescue than ask.
      #
      # @param message_id [String]
      # @return [Result] a success, its `data` a {Responses::MessageDetailResponse}
      # @raise [DeliveryError] where it failed; a {NotFoundError} where there is no such message
      # @raise [ArgumentError] as {#detail}
      # @raise [MalformedResponseError] where the answer is not JSON
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
