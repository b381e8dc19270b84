# frozen_string_literal: true

module SimpleConnect
  # An event's body as the service reads it, in the nested or the flat layout.
  # @api private
  class Envelope
    # What stands beside the event's fields.
    MEMBERS = %w[event_id occurred_at language].freeze
    private_constant :MEMBERS

    # @return [Hash{String => Object}] the object that has the event's fields and the members beside them
    attr_reader :event

    # @param json [Hash{String => Object}]
    def initialize(json)
      @json = json
      @nested = json["event"].is_a?(Hash)
      @event = @nested ? json["event"] : json
    end

    # @return [Boolean]
    def nested? = @nested

    # @return [String] the member of the event that has its key
    def key = nested? ? "name" : "event"

    # @return [Hash{String => Object}] the event's fields
    def fields = event.except(key, *MEMBERS).freeze

    # Which field of the flat layout has the number is set up with the service: this goes by its name.
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
