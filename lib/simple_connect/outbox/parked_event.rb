# frozen_string_literal: true

require_relative "../internal/autoload"

module SimpleConnect
  module Outbox
    # An event that the outbox has parked: see {Outbox.parked}. Its `status` is that of the last answer, 0 if there was
    # none; its `error` is a code, such as `"expired"`. Its `attempts` do not count those that held back or paused its
    # client; they are 0 if it was parked without one.
    ParkedEvent = Struct.new(:id, :client, :event_id, :event_key, :attempts, :status, :error, :created_at) do
      # @api private
      # @param event [Struct] of the Store, with the time in microseconds
      # @return [ParkedEvent]
      def self.of(event)
        *fields, created_at = event.to_a
        new(*fields, Time.at(Rational(created_at, 1_000_000)).utc).freeze
      end

      # @return [Float] the seconds since it was written
      def age = Time.now - created_at
    end
  end
end
