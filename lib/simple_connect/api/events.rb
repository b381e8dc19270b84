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

      # The language of an event that names none.
      DEFAULT_LANGUAGE = "en"

      FIELDS = 'a Hash of fields, such as { payment_amount: "450.00" }'
      RECIPIENT = 'a Hash, such as { name: "Asha", mobile_no: "+919812345678" }'
      # The nested layout's arguments as they come back from JSON, such as those of a job.
      NESTED = { "recipient" => :recipient, "event" => :event }.freeze
      TEXTS = NESTED.keys.freeze
      NAMES = NESTED.flatten.freeze
      private_constant :FIELDS, :RECIPIENT, :NESTED, :TEXTS, :NAMES

      # @api private
      # @param name [Symbol, nil] what the configuration calls the client
      # @param configuration [Configuration, nil] that has it by this name
      def initialize(request:, event_keys: nil, envelope: nil, name: nil, configuration: nil)
        @request = request
        @target = request.transport.target
        @event_keys = event_keys
        @envelope = envelope
        @name = name
        @configuration = configuration
      end

      # Delivers one event, and repeats it as the client's policy says while the network or the server fails.
      #
      # The server takes an event once for each `event_id`; whatever is repeated with the same one does nothing. Give
      # one of your own, derived from what happened, so that a job that runs twice delivers once.
      #
      # There are two layouts. With `recipient:` the body is `{"recipient": {…}, "event": {…}}`; without it the fields
      # stand beside the envelope, as releases 0.1 of the gem had it. A Hash as `"recipient"` or `"event"`, by position
      # or as a keyword, is that of the first layout: a job may pass on the arguments that it was given.
      #
      # @overload deliver(event_key, recipient:, event: {})
      #   @param event_key [String, Symbol] such as `"customer_payment_received"`
      #   @param recipient [Hash, #to_h] `mobile_no:` in international form, and `name:`
      #   @param event [Hash] the event's fields; `event_id`, `occurred_at` and `language` among them are the
      #     envelope's
      # @overload deliver(event_key, fields = {}, event_id: nil, language: "en", occurred_at: nil, **fields)
      #   @param event_key [String, Symbol]
      #   @param fields [Hash] the event's fields, by position, as keywords, or both
      #   @param event_id [String, nil] the idempotency key; generated where it is blank
      #   @param language [String] of the message
      #   @param occurred_at [Time, String, nil] when it happened; nil for now
      # @return [Result] its `data` a {Responses::DeliverResponse}
      # @raise [ArgumentError] for a blank event key, a recipient without number, or mixed layouts
      # @raise [UnknownEventError] for an event key that is not among the client's `event_keys:`
      # @raise [JSON::GeneratorError] for values that cannot be JSON, such as invalid UTF-8 or NaN
      # @raise [MalformedResponseError] where the server takes the event, but its answer is not JSON
      # @example
      #   client.events.deliver(
      #     "customer_payment_received",
      #     recipient: { name: "Lakshmi Nair", mobile_no: "+919812345678" },
      #     event: { event_id: "payment_42", payment_amount: "450.00" }
      #   )
      # @example In a job, whose arguments were JSON
      #   arguments = { "recipient" => { "mobile_no" => "+919812345678" }, "event" => { "event_id" => "payment_42" } }
      #   client.events.deliver("customer_payment_received", arguments)
      # @example The flat layout
      #   client.events.deliver("customer_payment_received", payment_amount: "450.00", event_id: "payment_42")
      def deliver(event_key, fields = nil, event_id: nil, language: DEFAULT_LANGUAGE, occurred_at: nil, **keywords)
        deliver_body(encode(event_key, fields, event_id, language, occurred_at, keywords))
      end

      # The same as {#deliver}, for callers that would rather rescue than ask.
      #
      # @overload deliver!(event_key, recipient:, event: {})
      # @overload deliver!(event_key, fields = {}, event_id: nil, language: "en", occurred_at: nil, **fields)
      # @return [Result] a success, its `data` a {Responses::DeliverResponse}
      # @raise [DeliveryError] where it failed, one of its kinds: {TransientError} or {PermanentError}
      # @raise [ArgumentError] as {#deliver}
      # @raise [UnknownEventError] as {#deliver}
      # @raise [JSON::GeneratorError] as {#deliver}
      # @raise [MalformedResponseError] as {#deliver}
      # @example
      #   client.events.deliver!("order_paid", recipient: { mobile_no: "+919812345678" }).data.log_id
      def deliver!(...) = deliver(...).or_raise

      # Delivers one event in a job, which waits and repeats as long as it takes; see docs/jobs.md. The arguments are
      # checked and encoded now, so the event keeps its `event_id` through all attempts. In a transaction of
      # ActiveRecord the job is enqueued once that commits.
      #
      # @overload deliver_later(event_key, recipient:, event: {})
      # @overload deliver_later(event_key, fields = {}, event_id: nil, language: "en", occurred_at: nil, **fields)
      # @return [String] the `event_id`
      # @raise [ConfigurationError] for a client that {SimpleConnect.client} does not know by a name, and where there is
      #   no queue
      # @raise [EnqueueError] where a callback or a middleware of the queue refuses the job
      # @raise [ArgumentError] as {#deliver}
      # @raise [UnknownEventError] as {#deliver}
      # @raise [JSON::GeneratorError] as {#deliver}
      # @example
      #   SimpleConnect.client.events.deliver_later(
      #     "order_paid", recipient: { mobile_no: "+919812345678" }, event: { event_id: "order_7" }
      #   )
      def deliver_later(...) = later.deliver(...)

      # The same with options of the queue. They are set here, so that none is taken for a field of the event.
      #
      # @param queue [String, Symbol, nil] its name; nil for that of the configuration
      # @param wait [Numeric, nil] in how many seconds at the earliest
      # @param priority [Integer, nil] as ActiveJob's adapter understands it; Sidekiq has none
      # @return [Later]
      # @raise [ConfigurationError] as {#deliver_later}
      # @raise [ArgumentError] for any other option, and for values that cannot be used
      # @example
      #   SimpleConnect.client.events.later(queue: "low", wait: 60).deliver("order_paid", order: 7)
      def later(queue: nil, wait: nil, priority: nil)
        Later.of(self, @configuration, @name, queue:, wait:, priority:)
      end

      # Looks up an event that was delivered.
      #
      # @param event_id [String] its idempotency key
      # @return [Result] its `data` a {Responses::EventResponse}
      # @raise [ArgumentError] where `event_id` is blank, `.`, `..`, not UTF-8, or holds a line break or a NUL
      # @example
      #   client.events.detail("payment_42").data.dispatched?
      def detail(event_id)
        event_id = event_id.to_s
        raise ArgumentError, "event_id is required" if event_id.scrub.strip.empty?

        @request.get(@request.transport.member_target("event_id", event_id), Responses::EventResponse)
      end

      # The same as {#detail}, for callers that would rather rescue than ask.
      #
      # @param event_id [String] its idempotency key
      # @return [Result] a success, its `data` a {Responses::EventResponse}
      # @raise [DeliveryError] where it failed; a {NotFoundError} where there is no such event
      # @raise [ArgumentError] as {#detail}
      # @raise [MalformedResponseError] where the answer is not JSON
      # @example
      #   client.events.detail!("payment_42").data.dispatched?
      def detail!(event_id) = detail(event_id).or_raise

      # @api private
      # @param body [String] JSON, as {#body_of} gives it
      # @return [Result]
      # @raise [MalformedResponseError] as {#deliver}
      def deliver_body(body) = @request.post(@target, body, Responses::DeliverResponse)

      # @api private
      # @return [String] what {#deliver} would send
      def body_of(event_key, fields = nil, event_id: nil, language: DEFAULT_LANGUAGE, occurred_at: nil, **keywords)
        encode(event_key, fields, event_id, language, occurred_at, keywords)
      end

      # @api private
      # @param item [Array, Hash] see {DeliverAll#deliver_all}
      # @return [String] what {#deliver} would send
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

      # Whether the nested layout's arguments are there as JSON has them: by position, or with Strings for keywords.
      def from_json?(fields, keywords)
        return true if hash_in?(keywords, TEXTS)

        fields &&= Checks.hash(fields)
        !fields.nil? && hash_in?(fields, NAMES)
      end

      def hash_in?(arguments, names) = names.any? { |name| arguments.fetch(name, nil).is_a?(Hash) }

      # It would take the place of the event key.
      def refuse_nested_event
        raise ArgumentError, "event: must not be a Hash: this client was built with envelope: :flat" if @envelope

        raise ArgumentError, "recipient: is required where event: is a Hash; write deliver(event_key, " \
                             "recipient: { … }, event: { … }), or the event's fields without event:"
      end

      def refuse_mixture(fields, event_id, occurred_at, language, keywords)
        language = nil if language.equal?(DEFAULT_LANGUAGE)
        stray = keywords.keys - %i[recipient event] + { fields:, event_id:, occurred_at:, language: }.compact.keys
        raise ArgumentError, "with recipient: everything else goes into event:, also #{stray.join(", ")}; write " \
                             "deliver(event_key, recipient: { … }, event: { … })"
      end

      def nested(event_key, recipient, event)
        name = mobile_no = nil
        # The later of a Symbol and a String wins, whichever it is.
        members(recipient, "recipient:", RECIPIENT).each do |key, value|
          case key
          when :name, "name" then name = value
          when :mobile_no, "mobile_no" then mobile_no = value
          end
        end
        unless known?(event_key)
          # Where both are wrong, the recipient is reported, as the published gem does.
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
