# frozen_string_literal: true

require_relative "clock"
require_relative "extension"
require_relative "instrumentation"
require_relative "../responses"
require_relative "../result"
require_relative "tracing"

module SimpleConnect
  # Reports one call to the log, to event subscribers and to OpenTelemetry. The transport calls it for each attempt.
  # Built only if at least one of them is in use.
  class Observation
    NAMES = %w[deliver.simple_connect request.simple_connect retry.simple_connect].freeze
    ROTATION = "rotation.simple_connect"
    private_constant :NAMES, :ROTATION

    # @param log [Log, nil]
    # @return [Boolean] whether anything needs the report
    def self.wanted?(log) = !log.nil? || Tracing.on? || Instrumentation.listening?(NAMES)

    # Publishes an event if the previous secret signed the delivery.
    # @param result [Object] a custom policy can return anything
    # @param client [Symbol, nil] its name
    # @param body [String, nil]
    def self.check_rotation(result, client, body)
      data = result.data if result.is_a?(Result)
      return unless data.is_a?(Responses::DeliverResponse) && data.used_previous_secret?

      Instrumentation.publish(ROTATION, { client:, **identify(body) })
    end

    # @param body [String] JSON
    # @return [Hash{Symbol => String, nil}] `event_key:` and `event_id:`
    def self.identify(body)
      json = Codec.parse(body) if body
      return { event_key: nil, event_id: nil } unless json.is_a?(Hash)

      event = json["event"]
      return { event_key: event["name"], event_id: event["event_id"] } if event.is_a?(Hash)

      { event_key: event, event_id: json["event_id"] }
    end

    # @param body [String, nil] JSON; nil for a GET
    # @param origin [String] scheme, host and port
    # @param log [Log, nil]
    # @param client [Symbol, nil] its name
    # @param parent [OpenTelemetry::Context, nil] the trace of the call
    # @param path [Boolean] whether a trace may show the path
    def initialize(body, origin:, log:, client:, parent:, path: true)
      @origin = origin
      @path = path
      @log = log
      @event = { client:, **Observation.identify(body) }
      @delivery = !body.nil?
      @events = Instrumentation.listening?(NAMES)
      @parent = parent
    end

    # @yieldreturn [Result]
    # @return [Result]
    def of_call
      started = Clock.now
      result = yield
    ensure
      # Also if a Timeout or Thread#kill ends the call; `result` is nil then.
      called(result, Clock.now - started) if @events && @delivery
    end

    # Before an attempt.
    # @return [HeaderLines, nil] headers to add
    def sending(verb, target, body, attempt)
      retrying(attempt) if attempt > 1 && @events
      @attempt = attempt
      @log&.sending(verb, target, body, attempt, @event)
      return unless Tracing.on?

      url = @path ? @origin + target[/\A[^?]*/] : @origin
      @span = Tracing.start(verb, url, attempt, @parent)
      @span&.headers
    end

    # After a response. `wire` has the seconds, whether the connection was reused, and the bytes sent and received.
    def answered(status, head, body, wire)
      request_id = head[/^x-request-id:[ \t]*(.*?)[ \t]*\r?$/i, 1]
      @log&.answered(status, head, body, { **@event, attempt: @attempt, seconds: wire[0], request_id: })
      ended(wire, status:, network_error: nil, request_id:)
    end

    # After an attempt without a response.
    def failed(verb, error, kind, wire)
      @log&.failed(verb, error, { **@event, attempt: @attempt, seconds: wire[0] })
      ended(wire, status: 0, network_error: kind, request_id: nil)
    end

    private

    def ended(wire, **outcome)
      elapsed, reused, bytes_sent, bytes_received = wire
      @last = { **@event, attempt: @attempt, **outcome, elapsed:, reused:, bytes_sent:, bytes_received: }
      @span&.finish(**outcome.slice(:status, :network_error))
      Instrumentation.publish("request.simple_connect", @last) if @events
    end

    def retrying(attempt)
      Instrumentation.publish("retry.simple_connect", { **(@last || @event), attempt: })
    end

    # A custom policy can return anything as a result.
    def called(result, elapsed)
      result = nil unless result.is_a?(Result)
      last = @last || { status: 0, network_error: nil, request_id: nil }
      outcome = { attempts: @attempt || 0, success: result ? result.success? : false, elapsed:,
                  **last.slice(:status, :network_error, :request_id) }
      Instrumentation.publish("deliver.simple_connect", { **@event, **outcome })
    end
  end
  private_constant :Observation
end
