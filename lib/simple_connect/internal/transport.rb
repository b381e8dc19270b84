# frozen_string_literal: true

require_relative "autoload"
require_relative "checks"
require_relative "environment_proxy"
require_relative "../errors"
require_relative "extension"
require_relative "resolver"
require_relative "../result"
require_relative "../version"

module SimpleConnect
  # The requests of one client; written in Rust, but for the defaults of its options and for what it makes of an
  # outcome.
  #
  # An interceptor is asked before each attempt, with `intercept(verb, url, headers, body)`: the header lines as they
  # will go out, and the body that they sign, nil for a GET. What it raises ends the delivery. It returns
  # - nil, and the request is sent;
  # - a Proc, and the request is sent, and the Proc called with the answer's status, head and body, if there is one;
  # - `[status, head, body]`, an answer in the server's place, the body nil where the status allows none;
  # - `[network_error, network_phase, class, message]`, a failure in its place, see {Result#network_error}.
  # @api private
  class Transport
    IP_VERSIONS = { ipv4: 4, ipv6: 6 }.freeze
    # Beyond that no machine counts.
    MOST = (2**63) - 1
    private_constant :IP_VERSIONS, :MOST

    # What {Request}'s deliveries have in common: the {Observation} of one, or nil; the {Batch} that they belong to; the
    # process that has begun them (nil for this one), the policy, and its own header fields (HeaderLines or nil).
    # The extension goes by this order.
    Call = Struct.new(:log, :batch, :process, :policy, :max_attempts, :headers)

    # What requests call themselves unless told otherwise.
    USER_AGENT = "simple_connect-client/#{VERSION} ruby/#{RUBY_VERSION}".freeze

    class << self
      # @return [Testing, nil] test mode, once it is loaded
      attr_accessor :testing

      # Who is asked before each attempt: WebMock, where it is there in full. It may be loaded at any time.
      #
      # @return [#intercept, nil]
      def interceptor = (WebMockAdapter if defined?(::WebMock.globally_stub_request))

      # Opens nothing yet. The options are explained at {Client#initialize}.
      #
      # @param server [Hash] `url:`, the `url_option:` that it was given as, the `path:` to use instead of its own, and
      #   `headers:` of its own, as HeaderLines
      # @param credentials [Hash] `key_id:` and `secret:`, or `api_key:`, or the `scheme:` of webhooks and
      #   `secret:`, one or several
      # @raise [ConfigurationError] where an option cannot be used
      # @raise [ArgumentError] for an unknown option
      def open(server, credentials, timeout:, user_agent:, ip_version: nil, proxy: nil, ca_file: nil, pool_size: 25,
               idle_timeout: 30, max_response_bytes: 1024 * 1024, **bounds)
        server = { path: nil, headers: nil, **server, url: text(server[:url_option], server[:url]) }
        credentials = { key_id: nil, secret: nil, api_key: nil, scheme: nil, **credentials(**credentials) }
        new({ **server, **credentials, **proxy(proxy, server[:url]), **bounds(timeout:, **bounds),
              user_agent: user_agent(user_agent), ip_version: ip_version(ip_version),
              ca_file: ca_file.nil? ? nil : text("ca_file", ca_file),
              pool_size: natural("pool_size", pool_size), idle_timeout: seconds("idle_timeout", idle_timeout),
              max_response_bytes: natural("max_response_bytes", max_response_bytes) })
      end

      # @return [Hash{Symbol => Float, nil}] the bounds on time, checked
      def bounds(timeout:, open_timeout: nil, read_timeout: nil, write_timeout: nil, total_timeout: nil)
        timeout = seconds("timeout", timeout)
        { open_timeout: bound("open_timeout", open_timeout, timeout),
          read_timeout: bound("read_timeout", read_timeout, timeout),
          write_timeout: bound("write_timeout", write_timeout, timeout),
          total_timeout: bound("total_timeout", total_timeout, nil) }
      end

      # @return [String] what requests call themselves
      def user_agent(user_agent) = text("user_agent", user_agent || USER_AGENT)

      # @param fields [Hash{String, Symbol => String, Symbol, Numeric}, nil] header fields of a client's own
      # @param base [HeaderLines, nil] what they are added to, replacing those of the same names
      # @return [HeaderLines, nil] all of them; nil for none
      # @raise [ConfigurationError] where one cannot be sent; the message does not show its value
      def headers(fields, base = nil)
        return base if fields.nil? || fields == {}

        unless fields.is_a?(Hash)
          raise ConfigurationError, "headers: must be a Hash, such as { \"traceparent\" => \"00-4bf9…\" }, " \
                                    "not #{fields.class}"
        end

        HeaderLines.of_client(base, fields.map { |name, value| [name.to_s.scrub, header_value(name, value)] }).freeze
      end

      private

      def header_value(name, value)
        return value.to_s if value.is_a?(String) || value.is_a?(Symbol) || value.is_a?(Numeric)

        raise ConfigurationError,
              "headers: the value of #{name.to_s.scrub.inspect} must be a String, not #{value.class}"
      end

      def ip_version(version)
        return unless version

        IP_VERSIONS.fetch(version) { raise ConfigurationError, "ip_version: must be :ipv4 or :ipv6" }
      end

      def seconds(option, value) = Checks.seconds(option, value, 2.5).to_f

      def bound(option, value, otherwise) = value.nil? ? otherwise : seconds(option, value)

      def natural(option, value)
        return value if value.is_a?(Integer) && value.between?(0, MOST)

        raise ConfigurationError, "#{option} must be an Integer from 0 to 2**63 - 1, not #{value.inspect}"
      end

      # The value, which may be a secret, is not shown.
      def text(option, value)
        text = value.to_s
        text = text.encode(Encoding::UTF_8) unless text.encoding == Encoding::UTF_8
        return text if text.valid_encoding?

        raise EncodingError
      rescue EncodingError
        raise ConfigurationError, "#{option} must be a text in UTF-8"
      end

      # A secret may be any bytes, and there may be several.
      def credentials(**credentials)
        credentials.to_h { |name, value| [name, name == :secret ? [*value].map(&:to_s) : text(name, value)] }
      end

      def proxy(proxy, url)
        return EnvironmentProxy.options(url) if proxy.nil?

        unless proxy == false || proxy.is_a?(String) || proxy.respond_to?(:host)
          raise ConfigurationError, "proxy must be a URL, such as \"http://proxy.example:3128\", or false for none, " \
                                    "not #{proxy.class}"
        end

        { proxy: proxy ? proxy.to_s : nil, proxy_variable: nil, no_proxy: nil }
      end
    end

    # Sends any request, once.
    #
    # @param verb [String]
    # @param target [String] path and query
    # @param headers [Hash{String => String}] beside those of every request
    # @param body [String, nil]
    # @param batch [Batch, nil] that it belongs to
    # @param observation [Observation, nil] that is told of it
    # @return [Result] without data
    def request(verb, target, headers: {}, body: nil, batch: nil, observation: nil)
      interceptor = Transport.testing&.interceptor || Transport.interceptor
      send_once(verb, target, headers.to_a, body, Call.new(observation, batch), interceptor)
    end

    private

    def answered(response_class, attempts, elapsed, status, head, body)
      Result.answered(response_class, attempts, elapsed, status, head, body)
    end

    def failed(attempts, elapsed, error, kind, phase, taken)
      Result.failed(attempts, elapsed, error, kind, phase, taken)
    end
  end
  private_constant :Transport
end
