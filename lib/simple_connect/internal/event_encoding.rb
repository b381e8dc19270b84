# frozen_string_literal: true

require_relative "../errors"
require_relative "checks"
require_relative "extension"

module SimpleConnect
  # Encodes the arguments of a delivery. Whatever includes it sets `@event_keys` and `@envelope`.
  # @api private
  module EventEncoding
    DEFAULT_LANGUAGE = "en"
    FIELDS = 'a Hash of fields, such as { payment_amount: "450.00" }'
    RECIPIENT = 'a Hash, such as { name: "Asha", mobile_no: "+919812345678" }'
    # The nested layout's arguments after a round trip through JSON, such as in a job.
    NESTED = { "recipient" => :recipient, "event" => :event }.freeze
    TEXTS = NESTED.keys.freeze
    NAMES = NESTED.flatten.freeze
    private_constant :FIELDS, :RECIPIENT, :NESTED, :TEXTS, :NAMES

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

    # @api private
    # @param item [Array, Hash] see {Api::DeliverAll#deliver_all}
    # @return [Array(Object, Hash)] the event key and the other arguments
    def arguments_of(item)
      pair = item if item.is_a?(Array) && item.size == 2
      arguments = Checks.hash(pair ? pair.last : item)&.transform_keys(&:to_sym)
      return [pair.first, arguments] if pair && arguments
      return [arguments[:event_key], arguments.except(:event_key)] if arguments && !item.is_a?(Array)

      raise ArgumentError, "a delivery must be [event_key, { recipient: { … }, event: { … } }] or " \
                           "{ event_key: …, recipient: { … }, event: { … } }, not #{item.class}"
    end

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
  private_constant :EventEncoding
end
