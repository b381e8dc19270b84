# frozen_string_literal: true

require_relative "../internal/autoload"

module SimpleConnect
  module Testing
    # What was delivered while test mode was on, and what is answered meanwhile: for the whole process, an example, or a
    # block of {SimpleConnect.test!}. Threads may share it.
    class Session
      # @api private
      def initialize
        # Guards all that {#reset} sets.
        @lock = Mutex.new
        reset
      end

      # @return [Array<Delivery>] the events that were delivered, in order, whatever was answered
      # @example
      #   session.deliveries.map(&:event_key) # => ["customer_payment_received"]
      def deliveries = @lock.synchronize { @deliveries.dup }

      # @return [Array<Message>] what was sent by {MessagesClient}, in order, whatever was answered
      def messages = @lock.synchronize { @messages.dup }

      # @return [Array<OtherRequest>] what else would have gone out, in order: the requests of a
      #   {Outbound::Dispatcher}, of {Kiket::Client}, of telemetry, and the sandbox's status callbacks. Each is answered
      #   with a 200 without body, whatever is set by {#respond_with}
      # @example
      #   session.requests.map(&:url) # => ["https://acme.example/hooks"]
      def requests = @lock.synchronize { @requests.dup }

      # Sets what is answered to each attempt from now on, of all deliveries or of an event's; where several are set for
      # an event, the last one counts. Where nothing is set, the answer is `:accepted`; or `:duplicate`, where the
      # `event_id` was accepted before.
      #
      # @param answers [Array<Symbol, Integer>] one after the other, the last for ever: `:accepted`, `:duplicate`,
      #   `:skipped` (accepted, but no message comes of it) or an HTTP status
      # @param event_key [String, Symbol, nil] for which event; nil for all, and for messages
      # @param message [String, nil] of the {Responses::ErrorResponse}
      # @param headers [Hash] more header fields of the answer
      # @param body [String, Hash, nil] the answer's body instead of the service's; a Hash goes out as JSON
      # @yieldparam delivery [Delivery, Message] instead of, or after, `answers`: what is to be answered
      # @yieldreturn [Symbol, Integer] also what {#fail_with} takes
      # @return [Script] to say what comes {Script#then then}
      # @raise [ArgumentError] for an answer that there is none
      # @example
      #   session.respond_with(422, message: "no such template", event_key: "order_paid")
      #   session.respond_with { |delivery| delivery.recipient["mobile_no"].start_with?("+91") ? :accepted : 422 }
      def respond_with(*answers, event_key: nil, message: nil, headers: {}, body: nil, &block)
        fault = answers.find { |answer| Answer::FAULTS.key?(answer) }
        raise ArgumentError, "#{fault.inspect} is no answer: write fail_with(#{fault.inspect})" if fault

        add(event_key, Script.answers(answers, { message:, headers:, body: }, block))
      end

      # The same for failures.
      #
      # @param faults [Array<Symbol, Integer>] one after the other, the last for ever: `:timeout`, `:refused`,
      #   `:unreachable`, `:reset`, `:dns`, `:tls`, `:eof`, or an HTTP status from 400 on
      # @param event_key [String, Symbol, nil] for which event; nil for all, and for messages
      # @param options [Hash] `message:`, `headers:` and `body:`, as for {#respond_with}
      # @return [Script] to say what comes {Script#then then}
      # @raise [ArgumentError] for a fault that there is none
      # @example
      #   session.fail_with(:timeout).then(:accepted)
      #   session.fail_with(429, headers: { "Retry-After" => 7 })
      def fail_with(*faults, event_key: nil, **options)
        none = faults.find { |fault| Answer::TAKEN.include?(fault) || (fault.is_a?(Integer) && fault < 400) }
        raise ArgumentError, "#{none.inspect} is no failure: write respond_with(#{none.inspect})" if none

        add(event_key, Script.answers(faults, options, nil))
      end

      # Forgets all deliveries, and what was set to be answered.
      #
      # @return [void]
      def reset
        @lock.synchronize do
          @service = Sandbox::Ledger.new(nil)
          @deliveries = []
          @messages = []
          @requests = []
          @scripts = []
        end
        nil
      end

      # @return [String]
      def inspect = "#<#{self.class.name} #{deliveries.size} deliveries, #{messages.size} messages>"

      # @api private
      # @return [Array<Delivery>] those that came while the block ran
      def deliveries_during
        before = deliveries.size
        yield
        deliveries.drop(before)
      end

      # @api private
      def exchange(target, response_class) = Exchange.new(self, target, response_class)

      # Stands where the network would be, for what is no delivery: see {Transport}.
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
      # @return [Answer] to one attempt
      def answer_to(delivery)
        answer = @lock.synchronize { @scripts.find { |script| script.for?(delivery) }&.next }
        # Not while the lock is held: a block may look at the deliveries.
        answer = answer.call(delivery) if answer.is_a?(Proc)
        answer || Answer.new(:accepted)
      end

      # Has the service do something.
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
