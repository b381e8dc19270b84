# frozen_string_literal: true

require_relative "../errors"
require_relative "../internal/autoload"
require_relative "../internal/checks"
require_relative "../internal/envelope"
require_relative "../internal/event_encoding"
require_relative "../internal/tracing"

module SimpleConnect
  module Outbox
    # Writes events into the outbox: {SimpleConnect.outbox}.
    #
    # Arguments are checked and encoded at once, so that a mistake raises where it is made. For a client of the
    # configuration this needs no credentials: only its `event_keys` and its `envelope` are read. A client that
    # `config.clients` builds is built, because only it knows these.
    class Writer
      # The number of events in one INSERT.
      SLICE = 1_000
      # The maximum size of a body in bytes. Encrypted, it is a third larger, and in a statement twice as large as that,
      # which must be less than the 16 MiB that MariaDB takes.
      BODY_BYTES = 5_000_000
      ARGUMENTS = %i[recipient event event_id language occurred_at].freeze
      private_constant :SLICE, :BODY_BYTES, :ARGUMENTS

      # Encodes events without a client.
      # @api private
      class Encoder
        include EventEncoding

        def initialize(event_keys, envelope)
          @event_keys = event_keys
          @envelope = envelope
        end
      end
      private_constant :Encoder

      # @api private
      # @param configuration [Configuration]
      # @param client [Symbol] the client's name
      def initialize(configuration, client)
        @configuration = configuration
        @client = client.name
        return if @client.bytesize <= CLIENT_BYTES

        raise ArgumentError, "the client's name has #{@client.bytesize} bytes: the outbox takes up to #{CLIENT_BYTES}"
      end

      # Writes one event into the outbox. It is delivered if the transaction commits, and never if it is rolled back.
      #
      # Events of a recipient keep their order. In the flat layout, nobody can say which field is the recipient, so each
      # event is on its own unless `lane:` is given; pass the fields of that layout as a Hash.
      #
      # @overload deliver(event_key, recipient:, event: {}, expires_at: nil, ordered: true, lane: nil)
      # @overload deliver(event_key, fields, expires_at: nil, lane: nil, **options)
      #   @param options [Hash] `event_id:`, `language:` and `occurred_at:`, as for {Api::Events#deliver}
      # @param event_key [String, Symbol]
      # @param fields [Hash, nil] the fields of the flat layout
      # @param arguments [Hash] `recipient:` and `event:`, as for {Api::Events#deliver}
      # @param expires_at [Time, nil] after that, it is not sent any more, but parked
      # @param ordered [Boolean] false to send it without regard to the recipient's other events
      # @param lane [String, Symbol, Integer, nil] events of the same lane keep their order, instead of those of the
      #   same recipient
      # @return [String] the `event_id`
      # @raise [NoTransactionError] outside a transaction of the outbox's database
      # @raise [EventConflictError] if the outbox has another event with this `event_id`
      # @raise [ArgumentError] see {Api::Events#deliver}
      # @raise [UnknownEventError] see {Api::Events#deliver}
      # @raise [JSON::GeneratorError] see {Api::Events#deliver}
      # @raise [ConfigurationError] if there is no key for the lanes, or the database is not supported
      # @example
      #   Payment.transaction do
      #     payment.paid!
      #     SimpleConnect.outbox.deliver("customer_payment_received", recipient: payment.recipient,
      #                                                               event: { event_id: "payment_#{payment.id}" })
      #   end
      # @example The flat layout, in order for each order
      #   SimpleConnect.outbox.deliver("order_paid", { order: 7 }, event_id: "order_7_paid", lane: "order_7")
      def deliver(event_key, fields = nil, expires_at: nil, ordered: true, lane: nil, **arguments)
        row = row_of(event_key, fields, arguments, expires_at:, ordered:, lane:)
        insert([row])
        row[:event_id]
      end

      # Writes many events, 1,000 at a time. An invalid one raises, with its index, and the transaction is rolled back.
      #
      # @param deliveries [Enumerable<Array, Hash>] each `[event_key, { recipient:, event: }]`, or a Hash of the
      #   arguments including `event_key:`; with the options of {#deliver}. Can be lazy
      # @return [Integer] the number of events
      # @raise [NoTransactionError] see {#deliver}
      # @raise [EventConflictError] see {#deliver}
      # @raise [ArgumentError] if `deliveries` has no `each`, and see {#deliver}
      # @raise [UnknownEventError] see {#deliver}
      # @raise [JSON::GeneratorError] see {#deliver}
      # @raise [ConfigurationError] see {#deliver}
      # @example
      #   Invoice.transaction do
      #     SimpleConnect.outbox.deliver_all(invoices.map do |invoice|
      #       ["invoice_ready", { recipient: invoice.recipient, event: { event_id: "invoice_#{invoice.id}" } }]
      #     end)
      #   end
      def deliver_all(deliveries)
        unless deliveries.respond_to?(:each)
          raise ArgumentError, "deliveries must be an Array or another Enumerable, not #{deliveries.class}"
        end

        in_transaction("deliver_all") do
          count = 0
          deliveries.to_enum.each_slice(SLICE) do |slice|
            insert(slice.map.with_index(count) { |item, index| row_of_item(item, index) })
            count += slice.size
          end
          count
        end
      end

      # @return [String]
      def inspect = "#<#{self.class.name} #{@client}>"

      # Writes events that are encoded already, in a transaction of its own if there is none.
      # @api private
      # @param bodies [Array<String>] JSON
      # @return [void]
      def insert_bodies(bodies)
        in_transaction("deliver_later", alone: true) do
          insert(bodies.map { |body| row(body, expires_at: nil, ordered: true, lane: nil) })
        end
      end

      private

      def insert(rows)
        in_transaction("deliver") do
          Outbox.store.insert(rows)
          Wake.after_commit
        end
      end

      def in_transaction(method, alone: settings.allow_no_transaction, &block)
        return yield if Outbox.transaction?
        return Outbox.base.transaction(&block) if alone

        name = settings.base
        shard = ", in its default shard" if Outbox.base.current_shard != Outbox.base.default_shard
        raise NoTransactionError, "SimpleConnect.outbox.#{method} must be within a transaction of #{name}#{shard}, " \
                                  "so that the event is stored if your change is, and only then: write " \
                                  "#{name}.transaction { … }"
      end

      def row_of_item(item, index)
        event_key, arguments = encoder.arguments_of(item)
        options = { expires_at: nil, ordered: true, lane: nil, **arguments.slice(:expires_at, :ordered, :lane) }
        row_of(event_key, nil, arguments.except(*options.keys), **options)
      rescue ArgumentError, TypeError, EncodingError, Error, *json_errors => e
        raise e, "delivery #{index}: #{e.message}"
      end

      def json_errors = defined?(JSON::JSONError) ? [JSON::JSONError] : []

      def row_of(event_key, fields, arguments, **options)
        unknown = arguments.keys.reject { |name| ARGUMENTS.include?(name) || name.is_a?(String) }
        unless unknown.empty?
          raise ArgumentError, "unknown keyword: #{unknown.map(&:inspect).join(", ")}; write the fields of the flat " \
                               "layout as a Hash: deliver(\"order_paid\", { order: 7 }, event_id: \"order_7\")"
        end

        row(encoder.body_of(event_key, fields, **arguments), **options)
      end

      def row(body, expires_at:, ordered:, lane:)
        envelope = Envelope.new(Codec.parse(body))
        event = envelope.event
        event_id = bounded("event_id", event["event_id"])
        event_key = bounded("event_key", event[envelope.key])
        mobile_no = envelope.recipient["mobile_no"] if envelope.nested?
        { client: @client, event_id:, event_key:, body: small(body), expires_at: microseconds(expires_at),
          lane_key: lane_key(event_id, mobile_no, checked_order(ordered, lane), lane),
          traceparent: Tracing.carried.dig("trace", "traceparent") }
      end

      def lane_key(event_id, mobile_no, ordered, lane)
        keys = settings.lane_keys
        return keys.of(@client, lane: checked_lane(lane)) unless lane.nil?

        keys.of(@client, mobile_no:, event_id: ordered && mobile_no ? nil : event_id)
      end

      def checked_order(ordered, lane)
        unless [true, false].include?(ordered)
          raise ArgumentError, "ordered: must be true or false, not #{ordered.inspect}"
        end
        raise ArgumentError, "pass either lane: or ordered: false, not both" unless ordered || lane.nil?

        ordered
      end

      def checked_lane(lane)
        lane = lane.to_s if lane.is_a?(Symbol) || lane.is_a?(Integer)
        return lane if lane.is_a?(String) && !lane.scrub.strip.empty?

        raise ArgumentError, "lane: must be a String, a Symbol or an Integer, such as \"order_7\", not #{lane.inspect}"
      end

      def bounded(name, text)
        return text if text.bytesize <= EVENT_ID_BYTES

        raise ArgumentError, "#{name} has #{text.bytesize} bytes: the outbox takes up to #{EVENT_ID_BYTES}"
      end

      def small(body)
        return body if body.bytesize <= BODY_BYTES

        raise ArgumentError, "the event has #{body.bytesize} bytes as JSON: the outbox takes up to #{BODY_BYTES}"
      end

      # A Date is no time: in which time zone would it be over?
      def microseconds(time)
        return if time.nil?

        time = time.to_time if !time.is_a?(String) && time.respond_to?(:to_time) && time.respond_to?(:hour)
        return (time.to_r * 1_000_000).floor if time.is_a?(Time)

        raise ArgumentError, "expires_at: must be a Time, such as Time.now + 3600, not #{time.inspect}"
      end

      def settings = @configuration.outbox_settings

      def encoder
        @encoder ||= if @configuration.configured?(@client.to_sym)
                       Encoder.new(Checks.event_keys(@configuration.option(:event_keys, @client)),
                                   @configuration.option(:envelope, @client))
                     else
                       @configuration.built(Client, @client).events
                     end
      end
    end
  end
end
