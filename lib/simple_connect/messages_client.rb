# frozen_string_literal: true

require_relative "internal/autoload"
require_relative "api/messages"
require_relative "internal/connected"
require_relative "internal/lazy_client"

module SimpleConnect
  # Sends WhatsApp template messages with an API key, without an integration.
  #
  # @example
  #   client = SimpleConnect::MessagesClient.new(
  #     base_url: "https://app.simplewaconnect.com", api_key: ENV.fetch("SIMPLECONNECT_API_KEY")
  #   )
  #   client.messages.deliver(template_name: "order_update", recipients: [{ mobile_no: "+919812345678" }])
  class MessagesClient
    include Connected

    # The default timeout in seconds: for connecting, and for each pause while sending or waiting for the response.
    DEFAULT_TIMEOUT = 10

    # @return [Api::Messages]
    attr_reader :messages

    # @param base_url [String] the server, such as `"https://app.simplewaconnect.com"`; its path is ignored
    # @param api_key [String]
    # @param timeout [Numeric] seconds, as for {Client#initialize}
    # @param logger [#info, #warn, nil] gets two lines for each attempt
    # @param max_attempts [Integer, nil] the number of attempts
    # @param retryable [Retryable, #call, nil] the retry policy; nil for three attempts
    # @param user_agent [String, nil]
    # @param debug [Boolean] whether to log requests and responses in full, without the key
    # @param ip_version [:ipv4, :ipv6, nil] the only kind of address to use
    # @param headers [Hash{String => String}, nil] headers to send with each request, as for {Client#initialize}
    # @param connection [Hash] more options for connections, as for {Client#initialize}
    # @raise [ConfigurationError] if an option is invalid; the message says what to write
    # @raise [ArgumentError] for an unknown option
    def initialize(base_url:, api_key:, timeout: DEFAULT_TIMEOUT, logger: nil, max_attempts: nil, retryable: nil,
                   user_agent: nil, debug: false, ip_version: nil, headers: nil, **connection)
      require_present(base_url:, api_key:)
      retryable = policy(max_attempts, retryable)
      server = { url: base_url, url_option: "base_url", path: Api::Messages::MESSAGES_PATH }
      transport = Transport.open(server, { api_key: }, timeout:, user_agent:,
                                                       ip_version:, **connection)
      shown = { "Authorization" => "Bearer [redacted]" }
      attach(Request.new(transport, retryable:, log: log(logger, debug, transport, user_agent, shown),
                                    headers: Transport.headers(headers)),
             { timeout:, **connection })
    end

    # @see Api::Messages#deliver
    def deliver(...) = messages.deliver(...)

    # @see Api::Messages#deliver!
    def deliver!(...) = messages.deliver!(...)

    # @see Api::Messages#deliver_all
    def deliver_all(...) = messages.deliver_all(...)

    # @see Api::Messages#detail
    def detail(...) = messages.detail(...)

    # @see Api::Messages#detail!
    def detail!(...) = messages.detail!(...)

    private

    def attach(request, options)
      super
      @messages = Api::Messages.new(request:)
    end

    def identity = "api_key=[redacted]"

    # A client that is built on first use.
    # @api private
    class Deferred < MessagesClient
      include LazyClient

      # See {MessagesClient#messages}.
      def messages = client.messages
    end
  end
end
