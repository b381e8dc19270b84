# frozen_string_literal: true

require "active_record"
require "securerandom"
require_relative "../endpoints"
require_relative "../internal/checks"

module SimpleConnect
  module Endpoints
    # The superclass of the models. It has the connections of `config.endpoints.base`.
    Record = Class.new(base) { self.abstract_class = true }
    private_constant :Record

    # A published event, with the body that all endpoints get.
    # @api private
    class Event < Record
      self.table_name = "simple_connect_endpoint_events"
      self.record_timestamps = false
      self.filter_attributes += [:body]
      attribute :topics, ::ActiveRecord::Type::Json.new

      # @return [Outbound::Event]
      def to_event
        Outbound::Event.new(uid:, event_type:, version:, topics:, payload: body.dup.force_encoding(Encoding::UTF_8))
      end
    end

    # An event on its way to an endpoint. `state` is pending; succeeded, failed or canceled; or kept, while its endpoint
    # is disabled. A process that sends it has set `lease_token` and moved `next_attempt_at` to the end of its lease.
    # @api private
    class Delivery < Record
      self.table_name = "simple_connect_endpoint_deliveries"
      self.record_timestamps = false
      belongs_to :event, class_name: "SimpleConnect::Endpoints::Event"
      # When the attempt was planned; not stored.
      attr_accessor :scheduled_at
    end

    # An attempt to deliver, for the pages of an application. An ActiveRecord model.
    #
    # @example The last attempts of an endpoint
    #   endpoint.attempts.order(id: :desc).limit(20).map(&:to_attempt)
    class Attempt < Record
      self.table_name = "simple_connect_endpoint_attempts"
      self.record_timestamps = false
      belongs_to :delivery, class_name: "SimpleConnect::Endpoints::Delivery"
      belongs_to :endpoint, class_name: "SimpleConnect::Endpoints::Endpoint"
      attribute :response_headers, ::ActiveRecord::Type::Json.new

      # @return [Outbound::DeliveryAttempt]
      # @example
      #   attempt.to_attempt.response_status_code # => 503
      def to_attempt
        Outbound::DeliveryAttempt.new(
          id: uid, event_uid: delivery.event.uid, endpoint_uid: endpoint&.uid.to_s, endpoint_url:, status:,
          retry_count:, response:, response_status_code:, response_headers: response_headers || {}, error:,
          network_error:, trigger_type: delivery.replay ? :manual : :automatic,
          scheduled_at: Endpoints.time(scheduled_at), attempted_at: Endpoints.time(attempted_at),
          started_at: Endpoints.time(delivery.started_at)
        )
      end
    end
  end
end
