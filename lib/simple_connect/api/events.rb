# frozen_string_literal: true

require_relative "../internal/checks"
require_relative "../errors"
require_relative "../internal/extension"
require_relative "../responses"
require_relative "deliver_all"

module SimpleConnect
  module Api # rubocop:disable Style/Documentation -- it only holds what {Client} has
    autoload :Later, File.expand_path("later.rb", __dir__)

    # Delivers events and looks them up: {Client#events}.
    class Events
      include DeliverAll

      # The default language.
      DEFAULT_LANGUAGE = "en"

      FIELDS = 'a Hash of fields, such as { payment_amount: "450.00" }'
      RECIPIENT = 'a Hash, such as { name: "Asha", mobile_no: "+919812345678" }'
      # The nested layout's arguments after a round trip through JSON, such as in a job.
      NESTED = { "recipient" => :recipient, "event" => :event }.freeze
      TEXTS = NESTED.keys.freeze
      NAMES = NESTED.flatten.freeze
      private_constant :FIELDS, :RECIPIENT, :NESTED, :TEXTS, :NAMES

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

      # @api private
      # @return [String] the body that {#deliver} would send
      def body_of(event_key, fields = nil, event_id: nil, language: DEFAULT_LANGUAGE, occurred_at: nil, **keywords)
        encode(event_key, fields, event_id, language, occurred_at, keywords)
      end

      # @api private
      # @param item [Array, Hash] see {DeliverAll#deliver_all}
      # @return [String] the body that {#deliver} would send
      def body_of_item(item)
        event_key, arguments = arguments_of(item)
        body_of(event_key, **arguments)
      end

      # @return [String]
      def inspect = "#<#{self.class.name}>"

      private

      def encode(event_key, fields, event_id, language, occurred_at, keywords)
        event_key = event_key.to_s
        if from_json?(fields, keywords)
          keywords = { **Checks.hash(fields).to_h, **keywords }.transform_keys(NESTED)
          fields = nil
        end
        if nested?(keywords)
          unless fields.nil? && event_id.nil? && occurred_at.nil? && language.equal?(DEFAULT_LANGUAGE) &&
                 keywords.size <= (keywords.key?(:event) ? 2 : 1)
            refuse_mixture(fields, event_id, occurred_at, language, keywords)
          end
          nested(event_key, keywords[:recipient], keywords[:event])
        else
          refuse(event_key) unless known?(event_key)
          refuse_nested_event if keywords[:event].is_a?(Hash)
          Codec.flat_event(event_key, event_id, occurred_at, language, members(fields, "fields"), keywords)
        end
      end

      # See {DeliverAll#deliver_all}.
      def deliver_arguments(item)
        event_key, arguments = arguments_of(item)
        deliver(event_key, **arguments)
      end

      def arguments_of(item)
        pair = item if item.is_a?(Array) && item.size == 2
        arguments = Checks.hash(pair ? pair.last : item)&.transform_keys(&:to_sym)
        return [pair.first, arguments] if pair && arguments
        return [arguments[:event_key], arguments.except(:event_key)] if arguments && !item.is_a?(Array)

        raise ArgumentError, "a delivery must be [event_key, { recipient: { … }, event: { … } }] or " \
                             "{ event_key: …, recipient: { … }, event: { … } }, not #{item.class}"
      end

      def known?(event_key) = !event_key.empty? && (@event_keys.nil? || @event_keys.include?(event_key))

      def refuse(event_key)
        raise ArgumentError, "event_key is required" if event_key.empty?

        message = "Unknown event_key '#{event_key}'. Must be one of: #{@event_keys.join(", ")}"
        raise UnknownEventError.new(message, event_key:)
      end

      def nested?(keywords)
        return true if keywords.key?(:recipient) && @envelope != :flat
        return false unless @envelope == :nested

        raise ArgumentError, "recipient: is required, such as { name: \"Asha\", mobile_no: \"+919812345678\" }: " \
                             "this client was built with envelope: :nested"
      end

      # Whether the arguments are those of the nested layout after JSON: by position, or with String keywords.
      def from_json?(fields, keywords)
        return true if hash_in?(keywords, TEXTS)

        fields &&= Checks.hash(fields)
        !fields.nil? && hash_in?(fields, NAMES)
      end

      def hash_in?(arguments, names) = names.any? { |name| arguments.fetch(name, nil).is_a?(Hash) }

      # It would replace the event key.
      def refuse_nested_event
        raise ArgumentError, "event: must not be a Hash: this client was built with envelope: :flat" if @envelope

        raise ArgumentError, "recipient: is required if event: is a Hash; write deliver(event_key, " \
                             "recipient: { … }, event: { … }), or the event's fields without event:"
      end

      def refuse_mixture(fields, event_id, occurred_at, language, keywords)
        language = nil if language.equal?(DEFAULT_LANGUAGE)
        stray = keywords.keys - %i[recipient event] + { fields:, event_id:, occurred_at:, language: }.compact.keys
        raise ArgumentError, "with recipient:, put everything else into event:, including #{stray.join(", ")}; write " \
                             "deliver(event_key, recipient: { … }, event: { … })"
      end

      def nested(event_key, recipient, event)
        name = mobile_no = nil
        # If a Symbol and a String name the same field, the later one counts.
        members(recipient, "recipient:", RECIPIENT).each do |key, value|
          case key
          when :name, "name" then name = value
          when :mobile_no, "mobile_no" then mobile_no = value
          end
        end
        unless known?(event_key)
          # If both are invalid, the recipient is reported, as in the published gem.
          Codec.nested_event(event_key, name, mobile_no, {})
          refuse(event_key)
        end
        Codec.nested_event(event_key, name, mobile_no, members(event, "event:"))
      end

      def members(value, called, example = FIELDS)
        return {} if value.nil?

        Checks.hash(value) or raise ArgumentError, "#{called} must be #{example}, not #{value.class}"
      end
    end
  end
end
