# frozen_string_literal: true

require_relative "../internal/sender"
require_relative "../internal/autoload"

module SimpleConnect
  class Sandbox
    # Posts the status of messages to one URL, signed, in the background and in order.
    # @api private
    class Callbacks
      # @param url [String]
      # @param secret [String] the signing secret
      # @raise [ConfigurationError] if the URL is invalid
      def initialize(url, secret)
        @sender = Sender.new(url, "status_callback_url")
        @url = url
        @secret = secret
        @queue = Queue.new
      end

      # @return [String] the receiver
      attr_reader :url

      # @return [String] the body of a webhook
      def self.body(event, data) = JSON.generate({ "event" => event, "data" => data })

      # Posts a webhook, and waits for the response.
      #
      # @param event [String] `message.status` or `message.incoming`; a receiver that has the event's name in its path
      #   gets it at the path for this event
      # @param data [Hash{String => Object}]
      # @return [Result]
      def post_now(event, data)
        url = @url.sub(%r{(?<=/)message\.status(?=[/?]|\z)}, event)
        sender = url == @url ? @sender : Sender.new(url, "status_callback_url")
        body = Callbacks.body(event, data)
        sender.post(body, Signature.sign(body, secret: @secret))
      end

      # @param message [Hash{String => Object}]
      def push(message)
        # The thread does not survive a fork.
        @thread = Thread.new { work } unless @thread&.alive?
        @queue << [message, Sender.session]
      end

      # Waits until all are posted, then raises the first error, such as WebMock's, once.
      def stop
        return unless @thread

        @queue << nil
        @thread.join
        @thread = nil
        raised = @raised
        @raised = nil
        raise raised if raised
      end

      private

      def work
        while (callback = @queue.pop)
          post(*callback)
        end
      end

      def post(message, session)
        body = Callbacks.body("message.status", message)
        result = @sender.post(body, Signature.sign(body, secret: @secret), session:)
        Log.stderr { "a status callback failed: #{result.error}" } if result.failed?
      rescue Exception => e # rubocop:disable Lint/RescueException -- raised by `stop`, when the others are posted
        Log.stderr { "a status callback failed: #{e.class}" }
        @raised ||= e
      end
    end
    private_constant :Callbacks
  end
end
