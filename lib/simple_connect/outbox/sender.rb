# frozen_string_literal: true

require_relative "../errors"
require_relative "../internal/tracing"
require_relative "../outbox"

module SimpleConnect
  module Outbox
    # Sends an event once, through the configured client of its name. Keys and URLs may change between attempts.
    # @api private
    class Sender
      # @return [Numeric] the seconds that {#call} takes at most
      attr_reader :timeout

      # @param timeout [Numeric]
      def initialize(timeout: 30)
        @timeout = timeout
      end

      # @param event [Store::Event]
      # @param body [String] the bytes to send
      # @param batch [Batch] that the request belongs to
      # @return [Outcome]
      def call(event, body, batch)
        events = found(event.client) { |outcome| return outcome }
        trace = { "traceparent" => event.traceparent } if event.traceparent
        Outcome.of(Tracing.linked(trace) { events.within_batch(batch).deliver_body(body) })
      rescue MalformedResponseError => e
        Outcome.new(:done, e.result&.status_code)
      end

      private

      # The client's Events; yields what happens if there are none.
      def found(name)
        bounded(SimpleConnect.client(name)).events
      rescue ArgumentError, Error => e
        yield Outcome.new(:pause, nil, e.is_a?(ConfigurationError) ? "client_not_configured" : "client_invalid")
      rescue StandardError, ScriptError => e
        # Application code builds clients, such as from a tenants' database.
        yield Outcome.new(:hold_back, nil, e.class.to_s[0, 100])
      end

      def bounded(client)
        client.with(max_attempts: 1, total_timeout: timeout).tap(&:events)
      rescue ConfigurationError
        # A custom `retryable:` has no `max_attempts:` and decides for itself.
        client.with(total_timeout: timeout)
      end
    end
  end
end
