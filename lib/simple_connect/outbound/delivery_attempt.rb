# frozen_string_literal: true

require "time"
require_relative "../internal/autoload"

module SimpleConnect
  module Outbound
    # A record of one attempt to deliver an event to an endpoint, made or still to be made. Immutable. Sensitive headers
    # are removed from the endpoint's response if it repeats them.
    #
    # @example
    #   dispatcher.publish(event).each do |attempt|
    #     Attempt.create!(attempt.to_h.slice(:id, :event_uid, :endpoint_uid, :status, :response_status_code))
    #   end
    class DeliveryAttempt
      # The members of a record.
      MEMBERS = %i[id event_uid endpoint_uid endpoint_url status response response_status_code response_headers
                   retry_count trigger_type attempted_at scheduled_at started_at error network_error].freeze
      # The possible statuses.
      STATUSES = %i[pending success failure canceled].freeze
      # Times as in JSON, from ActiveSupport or Ruby's own `to_s`. Without a zone, a time is ambiguous.
      TIME = /\A\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)? ?(Z|UTC|[+-]\d\d:?\d\d)\z/
      private_constant :STATUSES, :TIME

      # @return [String]
      attr_reader :id
      # @return [String]
      attr_reader :event_uid
      # @return [String]
      attr_reader :endpoint_uid
      # @return [String, nil] nil if the endpoint was removed
      attr_reader :endpoint_url
      # @return [:pending, :success, :failure, :canceled] `:success` for a 2xx; `:canceled` if the endpoint was removed
      #   or inactive when the attempt was due
      attr_reader :status
      # @return [String, nil] the response body; nil if there was no response
      attr_reader :response
      # @return [Integer, nil] the response's status; nil if there was no response
      attr_reader :response_status_code
      # @return [Hash{String => String}] the response headers, with names in lower case
      attr_reader :response_headers
      # @return [Integer] 0 for the first attempt
      attr_reader :retry_count
      # @return [:automatic, :manual]
      attr_reader :trigger_type
      # @return [Time, nil] the time of the attempt
      attr_reader :attempted_at
      # @return [Time] the planned time of the attempt
      attr_reader :scheduled_at
      # @return [Time, nil] the time of the first attempt
      attr_reader :started_at
      # @return [String, nil] the error as in {Result#error}
      attr_reader :error
      # @return [Symbol, nil] why there was no response, as in {Result#network_error}; `:guarded` is not retried
      attr_reader :network_error

      # Builds an attempt from a stored record, for {Dispatcher#next_attempt} and {Dispatcher#retry}. The readers
      # explain the keywords. Values may come from JSON: times may be Strings such as `"2026-11-25T23:30:01Z"`.
      #
      # @raise [ArgumentError] if a keyword is missing or unknown, or a status or time is invalid
      # @example
      #   members = SimpleConnect::Outbound::DeliveryAttempt::MEMBERS
      #   attempt = SimpleConnect::Outbound::DeliveryAttempt.new(**row.attributes.symbolize_keys.slice(*members))
      def initialize(id:, event_uid:, endpoint_uid:, status:, retry_count:, endpoint_url: nil, response: nil,
                     response_status_code: nil, response_headers: {}, trigger_type: :automatic, attempted_at: nil,
                     scheduled_at: nil, started_at: nil, error: nil, network_error: nil, **others)
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
        @network_error = network_error&.to_sym
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

      # @return [Integer] equal for equal attempts
      def hash = to_h.hash

      # @api private
      # @param changes [Hash{Symbol => Object}]
      # @return [DeliveryAttempt]
      def with(**changes) = self.class.new(**to_h, **changes)

      # @return [String] without the response
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
        raise ArgumentError, "#{option} must be a Time, or a String such as \"2026-11-25T23:30:01Z\", " \
                             "not #{value.inspect}"
      end
    end
  end
end
