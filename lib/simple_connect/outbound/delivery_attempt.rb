# frozen_string_literal: true

require "time"
require_relative "../internal/autoload"

module SimpleConnect
  module Outbound
    # A record of one attempt to deliver an event to an endpoint, made or still to be made. Immutable. What the endpoint
    # answered is in it without the sensitive headers that were sent there, should it have sent them back.
    #
    # @example
    #   dispatcher.publish(event).each do |attempt|
    #     Attempt.create!(attempt.to_h.slice(:id, :event_uid, :endpoint_uid, :status, :response_status_code))
    #   end
    class DeliveryAttempt
      # What a record has in it.
      MEMBERS = %i[id event_uid endpoint_uid endpoint_url status response response_status_code response_headers
                   retry_count trigger_type attempted_at scheduled_at started_at error].freeze
      # What can have come of it.
      STATUSES = %i[pending success failure canceled].freeze
      # Times as JSON has them, by ActiveSupport or by Ruby's own `to_s`. One without a zone can be any.
      TIME = /\A\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)? ?(Z|UTC|[+-]\d\d:?\d\d)\z/
      private_constant :STATUSES, :TIME

      # @return [String]
      attr_reader :id
      # @return [String]
      attr_reader :event_uid
      # @return [String]
      attr_reader :endpoint_uid
      # @return [String, nil] nil where the endpoint is gone
      attr_reader :endpoint_url
      # @return [:pending, :success, :failure, :canceled] `:success` for a 2xx; `:canceled` where the endpoint was gone,
      #   or inactive, when the attempt was due
      attr_reader :status
      # @return [String, nil] the answer's body; nil where none came
      attr_reader :response
      # @return [Integer, nil] the answer's status; nil where none came
      attr_reader :response_status_code
      # @return [Hash{String => String}] the answer's header fields, their names in lower case
      attr_reader :response_headers
      # @return [Integer] 0 for the first attempt
      attr_reader :retry_count
      # @return [:automatic, :manual]
      attr_reader :trigger_type
      # @return [Time, nil] when it was made
      attr_reader :attempted_at
      # @return [Time] when it was to be made
      attr_reader :scheduled_at
      # @return [Time, nil] when the first attempt was made
      attr_reader :started_at
      # @return [String, nil] why no answer came, as {Result#error} has it
      attr_reader :error

      # Makes one of what was kept of it, for {Dispatcher#next_attempt} and {Dispatcher#retry}. The readers explain each
      # keyword. It may have been JSON: times may be texts such as `"2026-11-25T23:30:01Z"`.
      #
      # @raise [ArgumentError] where one is missing, or unknown; or the status is; or a time is none
      # @example
      #   members = SimpleConnect::Outbound::DeliveryAttempt::MEMBERS
      #   attempt = SimpleConnect::Outbound::DeliveryAttempt.new(**row.attributes.symbolize_keys.slice(*members))
      def initialize(id:, event_uid:, endpoint_uid:, status:, retry_count:, endpoint_url: nil, response: nil,
                     response_status_code: nil, response_headers: {}, trigger_type: :automatic, attempted_at: nil,
                     scheduled_at: nil, started_at: nil, error: nil, **others)
        refuse(others) unless others.empty?
        @id = id
        @event_uid = event_uid
        @endpoint_uid = endpoint_uid
        @endpoint_url = endpoint_url
        @status = STATUSES.find { |known| known.name == status.to_s } or
          raise ArgumentError, "status: must be one of #{STATUSES.map(&:inspect).join(", ")}, not #{status.inspect}"
        @response = response
        @response_status_code = response_status_code
        @response_headers = response_headers.to_h.transform_keys(&:to_s).freeze
        @retry_count = retry_count
        @trigger_type = trigger_type.to_sym
        @attempted_at = time("attempted_at:", attempted_at)
        @scheduled_at = time("scheduled_at:", scheduled_at)
        @started_at = time("started_at:", started_at)
        @error = error
        freeze
      end

      # @return [Boolean]
      def pending? = status == :pending

      # @return [Boolean]
      def success? = status == :success

      # @return [Boolean]
      def failure? = status == :failure

      # @return [Boolean]
      def canceled? = status == :canceled

      # @return [Hash{Symbol => Object}]
      def to_h = MEMBERS.to_h { |name| [name, public_send(name)] }

      # @param other [Object]
      # @return [Boolean]
      def ==(other) = other.instance_of?(self.class) && to_h == other.to_h
      alias eql? ==

      # @return [Integer] the same for attempts that are equal
      def hash = to_h.hash

      # @api private
      # @param changes [Hash{Symbol => Object}]
      # @return [DeliveryAttempt]
      def with(**changes) = self.class.new(**to_h, **changes)

      # @return [String] without the answer
      def inspect
        "#<#{self.class.name} #{id} #{status} event=#{event_uid} endpoint=#{endpoint_uid} retry_count=#{retry_count}" \
          "#{" HTTP #{response_status_code}" if response_status_code}#{" #{error}" if error}>"
      end

      private

      def refuse(others)
        names = others.keys.map(&:inspect).join(", ")
        raise ArgumentError, "unknown keyword#{"s" if others.size > 1}: #{names}; of a row pass the members alone, " \
                             "such as **row.slice(*#{self.class.name}::MEMBERS)"
      end

      def time(option, value)
        return value if value.nil? || value.is_a?(Time)
        return Time.parse(value) if value.is_a?(String) && value.match?(TIME)

        raise ArgumentError
      rescue ArgumentError
        raise ArgumentError, "#{option} must be a Time, or a text such as \"2026-11-25T23:30:01Z\", " \
                             "not #{value.inspect}"
      end
    end
  end
end
