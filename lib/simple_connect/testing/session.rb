# frozen_string_literal: true

require_relative "../internal/autoload"

module SimpleConnect
  module Testing
    # The deliveries and responses of test mode: for the whole process, one example, or a block of
    # {SimpleConnect.test!}. Threads may share it.
    class Session
      # @api private
      def initialize
        # Guards everything that {#reset} sets.
        @lock = Mutex.new
        reset
      end

      # @return [Array<Delivery>] the delivered events, in order, whatever the response
      # @example
      #   session.deliveries.map(&:event_key) # => ["customer_payment_received"]
      def deliveries = @lock.synchronize { @deliveries.dup }

      # @return [Array<Message>] what {MessagesClient} sent, in order, whatever the response
      def messages = @lock.synchronize { @messages.dup }

      # @return [Array<OtherRequest>] all other requests, in order: those of {Outbound::Dispatcher}, {Kiket::Client},
      #   telemetry, and the sandbox's status callbacks. Each gets a 200 without body, whatever {#respond_with} sets
      # @example
      #   session.requests.map(&:url) # => ["https://acme.example/hooks"]
      def requests = @lock.synchronize { @requests.dup }

      # Sets the response to each attempt from now on, for all deliveries or for one event. If you set several for an
      # event, the last call counts. The default is `:accepted`, or `:duplicate` if the `event_id` was accepted before.
      #
      # @param answers [Array<Symbol, Integer>] in order; the last one repeats: `:accepted`, `:duplicate`, `:skipped`
      #   (accepted, but the service sends no message) or an HTTP status
      # @param event_key [String, Symbol, nil] the event; nil for all events and for messages
      # @param message [String, nil] the message of the {Responses::ErrorResponse}
      # @param headers [Hash] additional response headers
      # @param body [String, Hash, nil] the body to use instead of the service's; a Hash becomes JSON
      # @yieldparam delivery [Delivery, Message] called for each attempt, after `answers` or instead of them
      # @yieldreturn [Symbol, Integer] an answer as above, or a failure as for {#fail_with}
      # @return [Script] call {Script#then} on it to add answers
      # @raise [ArgumentError] for an unknown answer
      # @example
      #   session.respond_with(422, message: "no such template", event_key: "order_paid")
      #   session.respond_with { |delivery| delivery.recipient["mobile_no"].start_with?("+91") ? :accepted : 422 }
      def respond_with(*answers, event_key: nil, message: nil, headers: {}, body: nil, &block)
        fault = answers.find { |answer| Answer::FAULTS.key?(answer) }
        raise ArgumentError, "#{fault.inspect} is not a response: write fail_with(#{fault.inspect})" if fault

        add(event_key, Script.answers(answers, { message:, headers:, body: }, block))
      end

      # Makes each attempt fail from now on, for all deliveries or for one event.
      #
      # @param faults [Array<Symbol, Integer>] in order; the last one repeats: `:timeout`, `:refused`,
      #   `:unreachable`, `:reset`, `:dns`, `:tls`, `:eof`, or an HTTP status from 400 on
      # @param event_key [String, Symbol, nil] the event; nil for all events and for messages
      # @param options [Hash] `message:`, `headers:` and `body:`, as for {#respond_with}
      # @return [Script] call {Script#then} on it to add answers
      # @raise [ArgumentError] for an unknown failure
      # @example
      #   session.fail_with(:timeout).then(:accepted)
      #   session.fail_with(429, headers: { "Retry-After" => 7 })
      def fail_with(*faults, event_key: nil, **options)
        none = faults.find { |fault| Answer::TAKEN.include?(fault) || (fault.is_a?(Integer) && fault < 400) }
        raise ArgumentError, "#{none.inspect} is not a failure: write respond_with(#{none.inspect})" if none

        add(event_key, Script.answers(faults, options, nil))
      end

      # Forgets all deliveries and all responses that were set.
      #
      # @return [void]
      def reset
        @lock.synchronize do
          @service = Sandbox::Ledger.new(nil)
          @deliveries = []
          @messages = []
          @requests = []
          @scripts = []
          @outbox = false
        end
        nil
      end

      # @return [String]
      def inspect = "#<#{self.class.name} #{deliveries.size} deliveries, #{messages.size} messages>"

      # @api private
      # @return [Array<Delivery>] the deliveries made while the block ran, those of its events in the outbox included
      def deliveries_during
        before = deliveries_with_outbox.size
        yield
        deliveries_with_outbox.drop(before)
      end

      # @api private
      # @return [Array<Delivery>]
      def deliveries_with_outbox
        if @outbox
          @outbox = false
          Outbox::Testing.drain
        end
        deliveries
      end

      # @api private
      # @return [void]
      def outbox_written
        @outbox = true
        nil
      end

      # @api private
      def exchange(target, response_class) = Exchange.new(self, target, response_class)

      # Records and answers a request that is not a delivery: see {Transport}.
      #
      # @api private
      def intercept(verb, url, headers, body)
        request = OtherRequest.new(verb, url, Exchange.fields(headers), body&.dup)
        @lock.synchronize { @requests << request }
        Wire.answer(200, "OK", {}, "")
      end

      # @api private
      def record(delivery)
        @lock.synchronize { (delivery.is_a?(Message) ? @messages : @deliveries) << delivery }
      end

      # @api private
      # @return [Answer] the answer to one attempt
      def answer_to(delivery)
        answer = @lock.synchronize { @scripts.find { |script| script.for?(delivery) }&.next }
        # Without the lock, because a block may read the deliveries.
        answer = answer.call(delivery) if answer.is_a?(Proc)
        answer || Answer.new(:accepted)
      end

      # Calls the simulated service.
      #
      # @api private
      # @yieldparam service [Sandbox::Ledger]
      # @return [Array(Integer, Hash)] status and JSON
      def ask
        @lock.synchronize { yield @service }
      rescue Sandbox::Refusal => e
        [e.status, e.json]
      end

      private

      def add(event_key, answers)
        script = Script.new(@lock, event_key, answers)
        @lock.synchronize { @scripts.unshift(script) }
        script
      end
    end
  end
end
