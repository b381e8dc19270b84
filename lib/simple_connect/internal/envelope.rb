# frozen_string_literal: true

module SimpleConnect
  # Reads the body of an event as the service does, in the nested or the flat layout.
  # @api private
  class Envelope
    # The names of the other members next to the event's fields.
    MEMBERS = %w[event_id occurred_at language].freeze
    private_constant :MEMBERS

    # @return [Hash{String => Object}] the object with the event's fields and the other members
    attr_reader :event

    # @param json [Hash{String => Object}]
    def initialize(json)
      @json = json
      @nested = json["event"].is_a?(Hash)
      @event = @nested ? json["event"] : json
    end

    # @return [Boolean]
    def nested? = @nested

    # @return [String] the name of the member with the event's key
    def key = nested? ? "name" : "event"

    # @return [Hash{String => Object}] the event's fields
    def fields = event.except(key, *MEMBERS).freeze

    # In the flat layout, the service's settings say which field has the number; this guesses by the field's name.
    #
    # @return [Hash, nil]
    def recipient
      return @json["recipient"] if nested?

      _, mobile_no = fields.find { |name, _| name.end_with?("mobile_no") }
      { "mobile_no" => mobile_no }.freeze if mobile_no
    end
  end
  private_constant :Envelope
end
