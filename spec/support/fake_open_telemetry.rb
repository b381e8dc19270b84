# frozen_string_literal: true

# The least of opentelemetry-api's public interface that this gem uses: its gems are not packaged by Debian. A tracer
# that keeps its spans, a context, and the propagation of W3C's `traceparent`.
module FakeOpenTelemetry
  Span = Struct.new(:name, :parent, :attributes, :links, :kind, :id, :status, :finished) do
    def context = id

    def set_attribute(name, value) = attributes[name] = value

    def finish = self.finished = true
  end

  Context = Struct.new(:span) do
    def self.current = Thread.current[:fake_context] || new(nil)

    def self.with(context)
      before = Thread.current[:fake_context]
      Thread.current[:fake_context] = context
      yield
    ensure
      Thread.current[:fake_context] = before
    end
  end

  module Trace
    Link = Struct.new(:span_context)
    Status = Struct.new(:description) do
      def self.error(description) = new(description)
    end

    def self.context_with_span(span, **) = Context.new(span)
    def self.current_span(context) = context.span
  end

  class << self
    attr_accessor :failing

    def spans = @spans ||= []
    def tracer_provider = self
    def propagation = self
    def tracer(_name, _version) = self

    def start_span(name, with_parent:, attributes:, kind:, links: nil)
      raise "the exporter is broken" if failing

      Span.new(name, with_parent.span, attributes.dup, links, kind, spans.size + 1).tap { |span| spans << span }
    end

    def inject(carrier, context: Context.current)
      return unless context.span

      carrier["traceparent"] = format("00-%<trace>032x-%<span>016x-01", trace: 7, span: context.span.id)
    end

    def extract(carrier)
      Context.new(Span.new("remote", nil, {}, nil, nil, carrier["traceparent"][36, 16].to_i(16)))
    end
  end
end
