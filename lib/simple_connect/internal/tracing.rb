# frozen_string_literal: true

require_relative "../version"
require_relative "log"
require_relative "transport"

module SimpleConnect
  # Creates an OpenTelemetry CLIENT span for each attempt, if OpenTelemetry's API is loaded, by the stable semantic
  # conventions for HTTP. An error in it never fails a delivery.
  # @api private
  class Tracing
    LINKS = :simple_connect_trace_links
    private_constant :LINKS

    class << self
      def on? = defined?(::OpenTelemetry::Trace) ? true : false

      # The current context. Read it where the call is made, because a batch runs in fibers of its own.
      # @return [OpenTelemetry::Context, nil]
      def context = (::OpenTelemetry::Context.current if on?)

      # @param url [String] without query
      # @param attempt [Integer]
      # @param parent [OpenTelemetry::Context, nil]
      # @return [Tracing, nil]
      def start(verb, url, attempt, parent)
        guarded { new(verb, url, attempt, parent || ::OpenTelemetry::Context.current) }
      end

      # What a job carries, so that its attempts are linked to what enqueued it.
      # @return [Hash{String => Hash{String => String}}]
      def carried
        fields = {}
        guarded { ::OpenTelemetry.propagation.inject(fields) } if on?
        fields.empty? ? {} : { "trace" => fields }
      end

      # Links the attempts that the block makes to what {carried} was called by.
      # @param fields [Hash{String => String}, nil]
      def linked(fields)
        return yield unless fields && on?

        before = Thread.current[LINKS]
        Thread.current[LINKS] = guarded { links(fields) }
        begin
          yield
        ensure
          Thread.current[LINKS] = before
        end
      end

      # The block's value; nil if it raises.
      def guarded
        yield
      rescue StandardError, ScriptError => e
        # OpenTelemetry runs exporters and processors of the user's.
        Log.stderr { "OpenTelemetry failed: #{e.class}: #{e.message}" }
        nil
      end

      private

      def links(fields)
        span = ::OpenTelemetry::Trace.current_span(::OpenTelemetry.propagation.extract(fields))
        [::OpenTelemetry::Trace::Link.new(span.context)]
      end
    end

    # @return [HeaderLines, nil] the trace headers of this span
    attr_reader :headers

    def initialize(verb, url, attempt, parent)
      server = URL.match(url)
      attributes = { "http.request.method" => verb, "url.full" => url, "server.address" => server[:host],
                     "server.port" => Integer(server[:port] || PORTS.fetch(server[:scheme])) }
      attributes["http.request.resend_count"] = attempt - 1 if attempt > 1
      tracer = ::OpenTelemetry.tracer_provider.tracer("simple_connect", VERSION)
      @span = tracer.start_span(verb, with_parent: parent, attributes:, links: Thread.current[LINKS], kind: :client)
      fields = {}
      context = ::OpenTelemetry::Trace.context_with_span(@span, parent_context: parent)
      ::OpenTelemetry.propagation.inject(fields, context:)
      @headers = Transport.headers(fields) unless fields.empty?
    end

    # @param status [Integer] 0 if there was no response
    # @param network_error [Symbol, nil]
    def finish(status:, network_error:)
      Tracing.guarded do
        @span.set_attribute("http.response.status_code", status) if status.positive?
        failed = network_error&.to_s || (status.to_s if status >= 400)
        if failed
          @span.set_attribute("error.type", failed)
          @span.status = ::OpenTelemetry::Trace::Status.error(failed)
        end
        @span.finish
      end
    end

    URL = %r{\A(?<scheme>https?)://(?<host>\[[^\]]*\]|[^:/]*)(?::(?<port>\d+))?}
    PORTS = { "http" => 80, "https" => 443 }.freeze
    private_constant :URL, :PORTS
  end
  private_constant :Tracing
end
