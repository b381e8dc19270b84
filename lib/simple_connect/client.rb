# frozen_string_literal: true

require_relative "internal/autoload"
require_relative "api/events"
require_relative "api/integrations"
require_relative "internal/checks"
require_relative "internal/connected"
require_relative "internal/lazy_client"

module SimpleConnect
  # Delivers events to one integration.
  #
  # Build one for the whole process, in an initializer. Threads may share it, it keeps connections open and reuses them,
  # and it works in forked processes.
  #
  # @example
  #   credentials = Rails.application.credentials.simple_connect
  #   SIMPLECONNECT = SimpleConnect::Client.new(
  #     endpoint_url: credentials[:endpoint_url], key_id: credentials[:key_id], secret: credentials[:secret]
  #   )
  # @example From environment variables
  #   SIMPLECONNECT = SimpleConnect::Client.from_env
  class Client
    # The default timeout in seconds: for connecting, and for each pause while sending or waiting for the response.
    DEFAULT_TIMEOUT = 10

    include Connected

    ENVELOPES = [nil, :nested, :flat].freeze
    private_constant :ENVELOPES

    # Builds a client from the environment variables `SIMPLECONNECT_ENDPOINT_URL`, `SIMPLECONNECT_KEY_ID` and
    # `SIMPLECONNECT_SECRET`. They are read on first use, so a process that never delivers (such as
    # `rails assets:precompile`) does not need them.
    #
    # The first use raises a {ConfigurationError} that names missing or blank variables, and any error that
    # {#initialize} raises. Later uses read them again.
    #
    # @param env [ENV, Hash{String => String}]
    # @param options [Hash] as for {#initialize}; an option takes precedence over its variable
    # @return [Client]
    # @example
    #   SIMPLECONNECT = SimpleConnect::Client.from_env(event_keys: %w[order_paid order_sent])
    def self.from_env(env = ENV, **options)
      Deferred.new("the environment") do
        variables = ClientSettings::VARIABLES.slice(:endpoint_url, :key_id, :secret).except(*options.keys)
        missing = variables.select { |_, name| env[name].to_s.scrub.strip.empty? }
        unless missing.empty?
          raise ConfigurationError, "not set in the environment: #{missing.values.join(", ")}; set them, or pass " \
                                    "#{missing.keys.map { |option| "#{option}:" }.join(" and ")}"
        end

        new(**options, **variables.transform_values { |name| env[name] })
      end
    end

    # @return [Api::Events]
    attr_reader :events
    # @return [Api::Integrations]
    attr_reader :integrations

    # @param endpoint_url [String] the integration's URL, such as
    #   `"https://app.simplewaconnect.com/api/v1/integrations/<provider>/events"`
    # @param key_id [String] the id of the secret
    # @param secret [String] the signing secret; the client keeps no copy of it
    # @param timeout [Numeric] seconds for connecting, and for each pause while sending or waiting for the response
    # @param logger [#info, #warn, nil] gets two lines for each attempt
    # @param event_keys [Array<String, Symbol>, nil] the allowed event keys; nil allows all
    # @param max_attempts [Integer, nil] the number of attempts; use 1 if a job queue retries
    # @param retryable [Retryable, #call, nil] the retry policy; nil for three attempts
    # @param user_agent [String, nil]
    # @param envelope [:nested, :flat, nil] the only layout to send; nil lets each call choose
    # @param debug [Boolean] whether to log requests and responses in full, without credentials
    # @param headers [Hash{String => String}, nil] up to 20 headers to send with each request, such as for tracing or a
    #   gateway. The signature does not cover them
    # @param connection [Hash] more options for connections:
    # @option connection [Numeric] :open_timeout seconds for connecting; `timeout` by default
    # @option connection [Numeric] :write_timeout seconds for each pause while sending; `timeout` by default
    # @option connection [Numeric] :read_timeout seconds for each pause while waiting; `timeout` by default
    # @option connection [Numeric] :total_timeout seconds for a whole call, including all attempts and waits
    # @option connection [:ipv4, :ipv6] :ip_version the only kind of address to use
    # @option connection [String, false] :proxy the URL of the HTTP proxy; by default from the environment; false
    #   for none
    # @option connection [Boolean] :guard whether to refuse servers that are not public, and http (false): for URLs that
    #   others enter. A proxy is then used only if you pass `proxy:`
    # @option connection [true, Array<String>] :allow_private what the guard allows nevertheless: networks such as
    #   `["10.0.0.0/8"]`, or true for this machine and all private networks
    # @option connection [Boolean] :allow_http whether the guard allows http (false)
    # @option connection [String] :ca_file a PEM file of certificates to trust in addition to the system's, of
    #   authorities or of servers. An invalid file raises here; a changed file is read again
    # @option connection [Integer] :pool_size the maximum number of idle connections (25)
    # @option connection [Numeric] :idle_timeout seconds to keep an idle connection (30)
    # @option connection [Integer] :max_response_bytes the maximum size of a response body (1 MiB)
    # @raise [ConfigurationError] if an option is invalid; the message says what to write
    # @raise [ArgumentError] for an unknown option
    def initialize(endpoint_url:, key_id:, secret:, timeout: DEFAULT_TIMEOUT, logger: nil, event_keys: nil,
                   max_attempts: nil, retryable: nil, user_agent: nil, envelope: nil, debug: false, headers: nil,
                   **connection)
      require_present(endpoint_url:, key_id:, secret:)
      unless ENVELOPES.include?(envelope)
        raise ConfigurationError, "envelope: must be :nested, :flat or nil for both, not #{envelope.inspect}"
      end

      @event_keys = Checks.event_keys(event_keys)
      @envelope = envelope
      @key_id = key_id.to_s
      retryable = policy(max_attempts, retryable)
      transport = Transport.open({ url: endpoint_url, url_option: "endpoint_url" }, { key_id:, secret: },
                                 timeout:, user_agent:, **connection)
      shown = { "X-SimpleConnect-Key-Id" => @key_id, "X-SimpleConnect-Signature" => "[redacted]" }
      attach(Request.new(transport, retryable:, log: log(logger, debug, transport, user_agent, shown),
                                    headers: Transport.headers(headers)),
             { timeout:, **connection })
    end

    private

    def attach(request, bounds)
      super
      @events = Api::Events.new(request:, event_keys: @event_keys, envelope: @envelope,
                                name: @name, configuration: @configuration)
      @integrations = Api::Integrations.new(request:)
    end

    def identity = "key_id=#{@key_id.inspect}"

    # A client that is built on first use.
    # @api private
    class Deferred < Client
      include LazyClient

      # See {Client#events}.
      def events = client.events

      # See {Client#integrations}.
      def integrations = client.integrations
    end
  end
end
