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
  # Sends the requests of one client. Written in Rust; this file has the defaults of the options and builds the results.
  #
  # An interceptor is called before each attempt, with `intercept(verb, url, headers, body)`: the header lines that will
  # be sent, and the signed body, nil for a GET. If it raises, the delivery ends with that error. It returns
  # - nil: the request is sent;
  # - a Proc: the request is sent, and the Proc is called with the response's status, head and body, if there is one;
  # - `[status, head, body]`: a response instead of the server's; the body is nil if the status allows none;
  # - `[network_error, network_phase, class, message]`: a failure instead, see {Result#network_error}.
  # @api private
  class Transport
    IP_VERSIONS = { ipv4: 4, ipv6: 6 }.freeze
    # The largest size that the extension accepts.
    MOST = (2**63) - 1
    private_constant :IP_VERSIONS, :MOST

    # What the deliveries of a {Request} share: the {Observation} of one, or nil; the {Batch}; the process that started
    # them (nil for this one); the policy; and the headers to add (HeaderLines or nil). The extension relies on this
    # order.
    Call = Struct.new(:log, :batch, :process, :policy, :max_attempts, :headers)

    # The default User-Agent.
    USER_AGENT = "simple_connect-client/#{VERSION} ruby/#{RUBY_VERSION}".freeze

    class << self
      # @return [Testing, nil] test mode, once it is loaded
      attr_accessor :testing

      # Called before each attempt: the WebMock adapter, once all of WebMock is loaded, which may be at any time.
      #
      # @return [#intercept, nil]
      def interceptor = (WebMockAdapter if defined?(::WebMock.globally_stub_request))

      # Opens nothing yet. The options are explained at {Client#initialize}.
      #
      # @param server [Hash] `url:`, the `url_option:` it was passed as, the `path:` to use instead of the URL's, and
      #   `headers:` to add, as HeaderLines
      # @param credentials [Hash] `key_id:` and `secret:`, or `api_key:`, or the `scheme:` of webhooks and
      #   `secret:`, one or several
      # @raise [ConfigurationError] if an option is invalid
      # @raise [ArgumentError] for an unknown option
      def open(server, credentials, timeout:, user_agent:, ip_version: nil, proxy: nil, ca_file: nil, pool_size: 25,
               idle_timeout: 30, max_response_bytes: 1024 * 1024, guard: false, allow_private: nil, allow_http: nil,
               **bounds)
        server = { path: nil, headers: nil, **server, url: text(server[:url_option], server[:url]) }
        credentials = { key_id: nil, secret: nil, api_key: nil, scheme: nil, **credentials(**credentials) }
        guard = guard(guard, allow_private, allow_http)
        # The guard can check the addresses of a server only without a proxy, so the environment must not set one.
        proxy = false if proxy.nil? && guard[:guard]
        new({ **server, **credentials, **guard, **proxy(proxy, server[:url]), **bounds(timeout:, **bounds),
              user_agent: user_agent(user_agent), ip_version: ip_version(ip_version),
              ca_file: ca_file.nil? ? nil : text("ca_file", ca_file),
              pool_size: natural("pool_size", pool_size), idle_timeout: seconds("idle_timeout", idle_timeout),
              max_response_bytes: natural("max_response_bytes", max_response_bytes) })
      end

      # @return [Hash{Symbol => Float, nil}] the timeouts, checked
      def bounds(timeout:, open_timeout: nil, read_timeout: nil, write_timeout: nil, total_timeout: nil)
        timeout = seconds("timeout", timeout)
        { open_timeout: bound("open_timeout", open_timeout, timeout),
          read_timeout: bound("read_timeout", read_timeout, timeout),
          write_timeout: bound("write_timeout", write_timeout, timeout),
          total_timeout: bound("total_timeout", total_timeout, nil) }
      end

      # @param allow_private [Boolean, Array<String>, nil]
      # @param allow_http [Boolean, nil]
      # @return [Hash{Symbol => Boolean, Array<String>}] what the guard allows, checked
      # @raise [ConfigurationError] if one is invalid
      def allowances(allow_private, allow_http)
        networks = allow_private.is_a?(Array) && allow_private.all?(String)
        unless networks || [nil, true, false].include?(allow_private)
          raise ConfigurationError, "allow_private: must be true or a list of networks, such as [\"10.0.0.0/8\"], " \
                                    "not #{allow_private.inspect}"
        end

        networks &&= allow_private.map { |network| text("allow_private", network) }
        { allow_private: networks || allow_private == true, allow_http: boolean("allow_http", allow_http) }
      end

      # @return [String] the User-Agent
      def user_agent(user_agent) = text("user_agent", user_agent || USER_AGENT)

      # @param fields [Hash{String, Symbol => String, Symbol, Numeric}, nil] headers to add
      # @param base [HeaderLines, nil] the headers they are added to; those of the same names are replaced
      # @return [HeaderLines, nil] all of them; nil if there are none
      # @raise [ConfigurationError] if one is invalid; the message does not show its value
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

      # The value may be a secret, so the error does not show it.
      def text(option, value)
        text = value.to_s
        text = text.encode(Encoding::UTF_8) unless text.encoding == Encoding::UTF_8
        return text if text.valid_encoding?

        raise EncodingError
      rescue EncodingError
        raise ConfigurationError, "#{option} must be a String in UTF-8"
      end

      def guard(guard, allow_private, allow_http)
        guard = boolean("guard", guard)
        allowances = allowances(allow_private, allow_http)
        if !guard && (allow_private || allow_http)
          raise ConfigurationError, "allow_private: and allow_http: are exceptions from guard: true, which is missing"
        end

        { guard:, **allowances }
      end

      def boolean(option, value)
        return value == true if [nil, true, false].include?(value)

        raise ConfigurationError, "#{option} must be true or false, not #{value.inspect}"
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

    # Sends a request once, without retries.
    #
    # @param verb [String]
    # @param target [String] path and query
    # @param headers [Hash{String => String}] in addition to those of every request
    # @param body [String, nil]
    # @param batch [Batch, nil] that the request belongs to
    # @param observation [Observation, nil] that reports it
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
