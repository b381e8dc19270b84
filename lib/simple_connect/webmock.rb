# frozen_string_literal: true

# If WebMock is loaded already, it may come from another path.
require "webmock" unless defined?(WebMock.globally_stub_request)
require_relative "internal/autoload"
require_relative "internal/wire"

module SimpleConnect
  # Connects the gem to WebMock: stubs answer its requests. Loaded automatically with the first request if WebMock is
  # loaded; `require "simple_connect/webmock"` loads it at once.
  #
  # Requests are stubbed while Net::HTTP's are, because earlier versions of this gem used Net::HTTP: `:net_http` in a
  # spec applies to this gem too. Its own name in `except:` is `:simple_connect`.
  # @api private
  class WebMockAdapter < ::WebMock::HttpLibAdapter
    NAME = :simple_connect
    # `WebMock.enable!` disables every adapter and then enables it, `disable!` the reverse; an adapter named in
    # `except:` gets only the first call. This adapter runs before ours and marks the start.
    FORERUNNER = Module.new do
      def self.enable! = WebMockAdapter.begin
      def self.disable! = WebMockAdapter.begin
    end
    ::WebMock::HttpLibAdapterRegistry.instance.register(:"simple_connect (forerunner)", FORERUNNER)
    adapter_for NAME

    # Net::HTTP's exceptions, and the network errors of {Result} that correspond.
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
    # The same for other exceptions that a stub raises.
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

        # A copy of the body: a callback may change it, but the signed body must be sent.
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
        # An exception that the stub raises is a failure of the request; any other is a mistake in the spec.
        e.equal?(response&.exception) ? failure(e) : raise
      end

      # The request is sent, then the callbacks get the response.
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

      # Header lines as a Hash; repeated headers become an Array.
      def fields(lines)
        Wire.fields(lines).reject { |name, _| name.casecmp?("Proxy-Authorization") }
            .group_by(&:first).transform_values { |fields| fields.map(&:last) }
      end
    end
  end
end
