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
  # Build one for the whole process, in an initializer: threads may share it, connections are kept alive and reused,
  # and it works on in processes that are forked from this one.
  #
  # @example
  #   credentials = Rails.application.credentials.simple_connect
  #   SIMPLECONNECT = SimpleConnect::Client.new(
  #     endpoint_url: credentials[:endpoint_url], key_id: credentials[:key_id], secret: credentials[:secret]
  #   )
  # @example With what the environment says
  #   SIMPLECONNECT = SimpleConnect::Client.from_env
  class Client
    # How many seconds connecting may take, and each silence while sending or waiting for the answer.
    DEFAULT_TIMEOUT = 10

    include Connected

    ENVELOPES = [nil, :nested, :flat].freeze
    # Where {.from_env} finds an option.
    VARIABLES = { endpoint_url: "SIMPLECONNECT_ENDPOINT_URL", key_id: "SIMPLECONNECT_KEY_ID",
                  secret: "SIMPLECONNECT_SECRET" }.freeze
    private_constant :ENVELOPES, :VARIABLES

    # A client whose URL and credentials come from the environment: `SIMPLECONNECT_ENDPOINT_URL`, `SIMPLECONNECT_KEY_ID`
    # and `SIMPLECONNECT_SECRET`. They are read when it is first used, so that what never delivers (such as
    # `rails assets:precompile`) needs none of them.
    #
    # The first use, and each until they are there, raises a {ConfigurationError} that names those that are missing or
    # blank; so does what else {#initialize} raises.
    #
    # @param env [ENV, Hash{String => String}]
    # @param options [Hash] as for {#initialize}; one that a variable stands for is used instead of it
    # @return [Client]
    # @example
    #   SIMPLECONNECT = SimpleConnect::Client.from_env(event_keys: %w[order_paid order_sent])
    def self.from_env(env = ENV, **options)
      Deferred.new("the environment") do
        variables = VARIABLES.except(*options.keys)
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
    # @param key_id [String] which secret signs
    # @param secret [String] the signing secret; the client keeps no copy of it
    # @param timeout [Numeric] seconds for connecting, and for each silence while sending or waiting for the answer
    # @param logger [#info, #warn, nil] gets two lines for each attempt
    # @param event_keys [Array<String, Symbol>, nil] the event keys to allow; nil allows all
    # @param max_attempts [Integer, nil] how often to try; use 1 where a job queue retries
    # @param retryable [Retryable, #call, nil] the retry policy; nil for three attempts
    # @param user_agent [String, nil]
    # @param envelope [:nested, :flat, nil] the one layout to send; nil for whichever a call asks for
    # @param debug [Boolean] whether to log requests and answers in full, without credentials
    # @param headers [Hash{String => String}, nil] up to 20 header fields to send with each request, such as a trace's
    #   or a gateway's. They are not part of what is signed
    # @param connection [Hash] more on connections:
    # @option connection [Numeric] :open_timeout seconds for connecting; `timeout` by default
    # @option connection [Numeric] :write_timeout seconds for each silence while sending; `timeout` by default
    # @option connection [Numeric] :read_timeout seconds for each silence while waiting; `timeout` by default
    # @option connection [Numeric] :total_timeout seconds for a whole call, attempts and waits together
    # @option connection [:ipv4, :ipv6] :ip_version the one kind of address to use
    # @option connection [String, false] :proxy the HTTP proxy's URL; by default what the environment says; false
    #   for none
    # @option connection [String] :ca_file a PEM file of certificates to trust beside the system's: of authorities, or
    #   of servers themselves. It is read whole or refused here, and again when it has changed
    # @option connection [Integer] :pool_size how many idle connections to keep (25)
    # @option connection [Numeric] :idle_timeout for how many seconds to keep them (30)
    # @option connection [Integer] :max_response_bytes the largest body of an answer to take (1 MiB)
    # @raise [ConfigurationError] where an option cannot be used; the message says what to write
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

    # A client that is built when it is first used.
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
