# frozen_string_literal: true

# Whoever has loaded it already may have done so from anywhere.
require "webmock" unless defined?(WebMock.globally_stub_request)
require_relative "internal/autoload"
require_relative "internal/wire"

module SimpleConnect
  # Shows each attempt to WebMock, and takes stubbed answers from it. It is loaded by itself with the first request of
  # a process that has WebMock; `require "simple_connect/webmock"` loads it at once.
  #
  # Requests are stubbed while those of Net::HTTP are: this gem takes the place of one that was built on it, so what a
  # spec says of `:net_http` holds for us too. Its own name in `except:` is `:simple_connect`.
  # @api private
  class WebMockAdapter < ::WebMock::HttpLibAdapter
    NAME = :simple_connect
    # `WebMock.enable!` has every adapter disabled and then enabled, `disable!` the other way round, and one that
    # `except:` names gets only the first. This one gets its turn before us.
    FORERUNNER = Module.new do
      def self.enable! = WebMockAdapter.begin
      def self.disable! = WebMockAdapter.begin
    end
    ::WebMock::HttpLibAdapterRegistry.instance.register(:"simple_connect (forerunner)", FORERUNNER)
    adapter_for NAME

    # What Net::HTTP raises, where no answer comes, and how a {Result} calls that.
    FAILURES = {
      Net::OpenTimeout => %i[timeout connect],
      Net::ReadTimeout => %i[timeout read],
      Net::WriteTimeout => %i[timeout write],
      Errno::ETIMEDOUT => %i[timeout connect],
      Errno::ECONNREFUSED => %i[refused connect],
      Errno::EHOSTUNREACH => %i[unreachable connect],
      Errno::ENETUNREACH => %i[unreachable connect],
      Errno::ECONNRESET => %i[reset read],
      Errno::ECONNABORTED => %i[reset read],
      Errno::EPIPE => %i[reset write],
      SocketError => %i[dns resolve],
      OpenSSL::SSL::SSLError => %i[tls tls],
      EOFError => %i[eof read],
      Net::HTTPBadResponse => %i[malformed read],
      Net::HTTPHeaderSyntaxError => %i[malformed read]
    }.freeze
    # The same for whatever else a stub is told to raise.
    OTHERS = { Timeout::Error => %i[timeout read], StandardError => %i[io read] }.freeze
    @told = []
    private_constant :NAME, :FORERUNNER, :FAILURES, :OTHERS

    class << self
      # See {FORERUNNER}.
      def begin = @told = []

      # See `WebMock.enable!`.
      def enable! = @told << true

      # See `WebMock.disable!`.
      def disable! = @told << false

      # @return [Boolean] whether requests are stubbed
      def enabled? = @told.size == 1 ? @told.first : net_http_enabled?

      # See {Transport}.
      def intercept(verb, url, headers, body)
        return unless enabled?

        # A copy of the body: whoever is shown it may change it, but what is sent is what was signed.
        signature = ::WebMock::RequestSignature.new(verb.downcase.to_sym, url, headers: fields(headers),
                                                                               body: body&.dup)
        ::WebMock::RequestRegistry.instance.requested_signatures.put(signature)
        stubbed(signature) || really(signature)
      end

      private

      def net_http_enabled? = !Net::HTTP.equal?(::WebMock::HttpLibAdapters::NetHttpAdapter::OriginalNetHTTP)

      def stubbed(signature)
        response = ::WebMock::StubRegistry.instance.response_for_request(signature)
        return unless response

        ::WebMock::CallbackRegistry.invoke_callbacks({ lib: NAME }, signature, response)
        return [:timeout, :connect, "Net::OpenTimeout", "execution expired"] if response.should_timeout

        response.raise_error_if_any
        answer(response)
      rescue *FAILURES.keys => e
        failure(e)
      rescue StandardError => e
        # The stub was told to raise it; anything else is a mistake in the spec, to be seen there.
        e.equal?(response&.exception) ? failure(e) : raise
      end

      # The request may be sent; then the callbacks are shown the answer.
      def really(signature)
        raise ::WebMock::NetConnectNotAllowedError, signature unless ::WebMock.net_connect_allowed?(signature.uri)

        lambda do |status, head, body|
          next unless ::WebMock::CallbackRegistry.any_callbacks?

          response = ::WebMock::Response.new
          status_line, lines = head.scrub.split(/\r?\n/, 2)
          response.status = [status, status_line.split(" ", 3)[2].to_s]
          response.headers = fields(lines)
          response.body = body
          ::WebMock::CallbackRegistry.invoke_callbacks({ lib: NAME, real_request: true }, signature, response)
        end
      end

      def answer(response)
        fields = response.headers.to_h.flat_map { |name, values| Array(values).map { |value| [name, value] } }
        Wire.answer(response.status[0].to_i, response.status[1], fields, Array(response.body).join)
      end

      def failure(error)
        kind, phase = FAILURES.merge(OTHERS).find { |failure, _| error.is_a?(failure) }.last
        [kind, phase, error.class.to_s, error.message.dup.force_encoding(Encoding::UTF_8).scrub]
      end

      # Header lines as a Hash; several of a name are an Array.
      def fields(lines)
        Wire.fields(lines).reject { |name, _| name.casecmp?("Proxy-Authorization") }
            .group_by(&:first).transform_values { |fields| fields.map(&:last) }
      end
    end
  end
end
