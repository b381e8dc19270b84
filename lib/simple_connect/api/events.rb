# frozen_string_literal: true

require_relative "../internal/event_encoding"
require_relative "../internal/extension"
require_relative "../responses"
require_relative "deliver_all"

module SimpleConnect
  module Api # rubocop:disable Style/Documentation -- it only holds what {Client} has
    autoload :Later, File.expand_path("later.rb", __dir__)

    # Delivers events and looks them up: {Client#events}.
    class Events
      include EventEncoding
      include DeliverAll

      # @!method deliver_all(deliveries, concurrency: 8)
      #   Delivers many events at a time, in the calling thread. Each is delivered as by {#deliver}, with its own
      #   retries and timeouts. An invalid item, such as one without recipient, returns a failed {Result} with the
      #   reason; the others continue. A custom `sleep:` of `retryable:` blocks the others while it waits.
      #
      #   An exception (Timeout, Ctrl-C, or an error in the block) ends all deliveries in progress. The server may have
      #   received some of them: repeat them with the same `event_id`.
      #
      #   @param deliveries [Enumerable<Array, Hash>] each `[event_key, { recipient:, event: }]`, or a Hash of the
      #     arguments including `event_key:`. Items are taken one by one, so the Enumerable can be lazy and endless
      #   @param concurrency [Integer] the number of deliveries at a time
      #   @yieldparam result [Result] called as soon as each result is known
      #   @yieldparam item [Object] the item
      #   @yieldparam index [Integer] the item's index, from 0
      #   @return [Array<Result>, Integer] the results in the order of the items; with a block, the number of items
      #   @raise [ArgumentError] if `deliveries` has no `each`, or `concurrency` is not an Integer of 1 or more
      #   @example
      #     payments = Payment.unsent.lazy.map do |payment|
      #       ["customer_payment_received", { recipient: payment.recipient, event: { event_id: "pp_#{payment.id}" } }]
      #     end
      #     client.events.deliver_all(payments, concurrency: 16) do |result, _item, index|
      #       warn "#{index}: #{result.error}" unless result.success?
      #     end

      # The default language.
      DEFAULT_LANGUAGE = EventEncoding::DEFAULT_LANGUAGE

      # @api private
      # @param name [Symbol, nil] the client's name in the configuration
      # @param configuration [Configuration, nil] that names it
      def initialize(request:, event_keys: nil, envelope: nil, name: nil, configuration: nil)
        @request = request
        @target = request.transport.target
        @event_keys = event_keys
        @envelope = envelope
        @name = name
        @configuration = configuration
      end

      # Delivers one event, and retries by the client's policy if the network or the server fails.
      #
      # The server accepts each `event_id` once and ignores repetitions. Pass an id derived from what happened, so that
      # a job that runs twice delivers once.
      #
      # There are two layouts. With `recipient:`, the body is `{"recipient": {…}, "event": {…}}`. Without it, the fields
      # are next to the envelope, as in releases 0.1 of the gem. A Hash as `"recipient"` or `"event"`, by position or as
      # a keyword, selects the first layout, so a job can pass its arguments on.
      #
      # @overload deliver(event_key, recipient:, event: {})
      #   @param event_key [String, Symbol] such as `"customer_payment_received"`
      #   @param recipient [Hash, #to_h] `mobile_no:` in international form, and `name:`
      #   @param event [Hash] the event's fields; `event_id`, `occurred_at` and `language` go to the envelope
      # @overload deliver(event_key, fields = {}, event_id: nil, language: "en", occurred_at: nil, **fields)
      #   @param event_key [String, Symbol]
      #   @param fields [Hash] the event's fields, by position, as keywords, or both
      #   @param event_id [String, nil] the idempotency key; generated if blank
      #   @param language [String] the language of the message
      #   @param occurred_at [Time, String, nil] the time of the event; nil for now
      # @return [Result] with a {Responses::DeliverResponse} as `data`
      # @raise [ArgumentError] for a blank event key, a recipient without number, or mixed layouts
      # @raise [UnknownEventError] for an event key that is not in the client's `event_keys:`
      # @raise [JSON::GeneratorError] for values that cannot be JSON, such as invalid UTF-8 or NaN
      # @raise [MalformedResponseError] if the server accepts the event, but its response is not JSON
      # @example
      #   client.events.deliver(
      #     "customer_payment_received",
      #     recipient: { name: "Lakshmi Nair", mobile_no: "+919812345678" },
      #     event: { event_id: "payment_42", payment_amount: "450.00" }
      #   )
      # @example In a job, with arguments from JSON
      #   arguments = { "recipient" => { "mobile_no" => "+919812345678" }, "event" => { "event_id" => "payment_42" } }
      #   client.events.deliver("customer_payment_received", arguments)
      # @example The flat layout
      #   client.events.deliver("customer_payment_received", payment_amount: "450.00", event_id: "payment_42")
      def deliver(event_key, fields = nil, event_id: nil, language: DEFAULT_LANGUAGE, occurred_at: nil, **keywords)
        deliver_body(encode(event_key, fields, event_id, language, occurred_at, keywords))
      end

      # Like {#deliver}, but raises if the delivery fails.
      #
      # @overload deliver!(event_key, recipient:, event: {})
      # @overload deliver!(event_key, fields = {}, event_id: nil, language: "en", occurred_at: nil, **fields)
      # @return [Result] a success, with a {Responses::DeliverResponse} as `data`
      # @raise [DeliveryError] if it failed: a {TransientError} or a {PermanentError}
      # @raise [ArgumentError] see {#deliver}
      # @raise [UnknownEventError] see {#deliver}
      # @raise [JSON::GeneratorError] see {#deliver}
      # @raise [MalformedResponseError] see {#deliver}
      # @example
      #   client.events.deliver!("order_paid", recipient: { mobile_no: "+919812345678" }).data.log_id
      def deliver!(...) = deliver(...).or_raise

      # Delivers one event in a background job, which retries for as long as needed; see docs/jobs.md. The arguments are
      # checked and encoded now, so the event keeps its `event_id` in all attempts. In an ActiveRecord transaction, the
      # job is enqueued after the commit.
      #
      # @overload deliver_later(event_key, recipient:, event: {})
      # @overload deliver_later(event_key, fields = {}, event_id: nil, language: "en", occurred_at: nil, **fields)
      # @return [String] the `event_id`
      # @raise [ConfigurationError] if the client has no name in {SimpleConnect.client}, or there is no job queue
      # @raise [EnqueueError] if a callback or a middleware of the queue rejects the job
      # @raise [ArgumentError] see {#deliver}
      # @raise [UnknownEventError] see {#deliver}
      # @raise [JSON::GeneratorError] see {#deliver}
      # @example
      #   SimpleConnect.client.events.deliver_later(
      #     "order_paid", recipient: { mobile_no: "+919812345678" }, event: { event_id: "order_7" }
      #   )
      def deliver_later(...) = later.deliver(...)

      # Returns an object that delivers with options of the queue, so that they are not mistaken for fields of the
      # event.
      #
      # @param queue [String, Symbol, nil] the queue's name; nil for that of the configuration
      # @param wait [Numeric, nil] the minimum delay in seconds
      # @param priority [Integer, nil] for ActiveJob's adapter; Sidekiq has none
      # @return [Later]
      # @raise [ConfigurationError] see {#deliver_later}
      # @raise [ArgumentError] for any other option, and for invalid values
      # @example
      #   SimpleConnect.client.events.later(queue: "low", wait: 60).deliver("order_paid", order: 7)
      def later(queue: nil, wait: nil, priority: nil)
        Later.of(self, @configuration, @name, queue:, wait:, priority:)
      end

      # Looks up a delivered event.
      #
      # @param event_id [String] its idempotency key
      # @return [Result] with a {Responses::EventResponse} as `data`
      # @raise [ArgumentError] if `event_id` is blank, `.`, `..`, not UTF-8, or contains a line break or a NUL
      # @example
      #   client.events.detail("payment_42").data.dispatched?
      def detail(event_id)
        event_id = event_id.to_s
        raise ArgumentError, "event_id is required" if event_id.scrub.strip.empty?

        @request.get(@request.transport.member_target("event_id", event_id), Responses::EventResponse)
      end

      # Like {#detail}, but raises if the request fails.
      #
      # @param event_id [String] its idempotency key
      # @return [Result] a success, with a {Responses::EventResponse} as `data`
      # @raise [DeliveryError] if it failed; a {NotFoundError} if there is no such event
      # @raise [ArgumentError] see {#detail}
      # @raise [MalformedResponseError] if the response is not JSON
      # @example
      #   client.events.detail!("payment_42").data.dispatched?
      def detail!(event_id) = detail(event_id).or_raise

      # @api private
      # @param body [String] JSON from {#body_of}
      # @return [Result]
      # @raise [MalformedResponseError] see {#deliver}
      def deliver_body(body) = @request.post(@target, body, Responses::DeliverResponse)

      # @return [String]
      def inspect = "#<#{self.class.name}>"

      private

      # See {DeliverAll#deliver_all}.
      def deliver_arguments(item)
        event_key, arguments = arguments_of(item)
        deliver(event_key, **arguments)
      end
    end
  end
end
