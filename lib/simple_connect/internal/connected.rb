# frozen_string_literal: true

require_relative "../errors"
require_relative "keeps_secrets"
require_relative "log"
require_relative "request"
require_relative "../retryable"
require_relative "transport"

module SimpleConnect
  # The methods that both clients share.
  module Connected
    include KeepsSecrets

    # The timeouts that {#with} takes.
    BOUNDS = %i[timeout open_timeout read_timeout write_timeout total_timeout].freeze
    private_constant :BOUNDS

    # Returns a copy of this client with other timeouts, another number of attempts or more headers. The copy shares the
    # connections and costs almost nothing: make one for a single call.
    #
    # @param changes [Hash] the options to change
    # @option changes [Numeric] :timeout seconds, as for {Client#initialize}; the same for `open_timeout:`,
    #   `read_timeout:`, `write_timeout:` and `total_timeout:`
    # @option changes [Integer] :max_attempts the number of attempts, 1 or more
    # @option changes [Hash{String => String}] :headers headers to add, as for {Client#initialize}; they replace the
    #   client's headers of the same names
    # @return [Client, MessagesClient]
    # @raise [ConfigurationError] if a timeout is not a positive number, a header is invalid, or `max_attempts:` is
    #   passed and the client's `retryable:` is not a {Retryable}
    # @raise [ArgumentError] for any other option, and if `max_attempts:` is below 1
    # @example A call that takes at most three seconds, including all attempts and waits
    #   client.with(total_timeout: 3).events.deliver("order_paid", order: 7)
    # @example In a job that your queue retries
    #   client.with(max_attempts: 1).events.deliver!("order_paid", order: 7)
    # @example With a trace header
    #   client.with(headers: { "traceparent" => "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01" })
    #         .events.deliver("order_paid", order: 7)
    def with(**changes)
      refuse_unknown(changes)
      bounds = @bounds.merge(changes.slice(*BOUNDS))
      request = @request.within(Transport.bounds(**bounds), changes.slice(:max_attempts), changes[:headers])
      dup.tap do |client|
        # A job finds the client by its name, and would know nothing of the changes.
        client.configuration = nil
        client.__send__(:attach, request, bounds)
      end
    end

    # Returns counters since the process started or forked. They include calls through {#with}.
    #
    # @return [Hash{Symbol => Integer}] `succeeded` and `failed` calls; `attempts` and `retries`; `connections_opened`
    #   and `connections_reused`; `bytes_sent` and `bytes_received`
    # @example
    #   client.stats[:retries] # => 3
    def stats = @request.transport.stats

    # Closes the idle connections. You can still use the client: it opens new ones.
    #
    # @return [void]
    def close
      @request.transport.close
      nil
    end

    # @return [Symbol, nil] the client's name in the configuration, such as `:default`; nil if it is not configured
    #   there
    attr_reader :name

    # @api private
    # @param name [Symbol]
    # @param configuration [Configuration] that names it
    # @return [Client, MessagesClient] a copy with that name
    def named(name, configuration)
      dup.tap do |client|
        client.name = name
        client.configuration = configuration
        client.__send__(:attach, @request.of(name), @bounds)
      end
    end

    # @return [String] without secrets
    def inspect
      "#<#{self.class.name} #{@request.transport.origin} #{identity}>"
    end
    alias to_s inspect

    protected

    attr_writer :name, :configuration

    private

    def refuse_unknown(changes)
      unknown = changes.keys - [*BOUNDS, :max_attempts, :headers]
      raise ArgumentError, "unknown keyword: #{unknown.map(&:inspect).join(", ")}" unless unknown.empty?
    end

    # Sends through `request` from now on; `options` includes the timeouts it was built with.
    def attach(request, options)
      @request = request
      @bounds = options.slice(*BOUNDS)
    end

    def require_present(**options)
      options.each do |name, value|
        raise ConfigurationError, "#{name} is required" if value.to_s.scrub.strip.empty? && value != false
      end
    end

    def policy(max_attempts, retryable)
      raise ConfigurationError, "pass either `max_attempts:` or `retryable:`, not both" if max_attempts && retryable

      if retryable && !retryable.respond_to?(:call)
        raise ConfigurationError, "retryable: must respond to call, such as a SimpleConnect::Retryable, " \
                                  "not #{retryable.class}"
      end
      # Compared here, so that a value that cannot be compared with 1 raises the same error as in earlier versions.
      raise ArgumentError, "max_attempts must be >= 1" if max_attempts && max_attempts < 1

      retryable || (max_attempts ? Retryable.new(max_attempts:) : Retryable.new)
    end

    def log(logger, debug, transport, user_agent, credentials)
      return unless logger || debug

      headers = { "Content-Type" => "application/json", "User-Agent" => Transport.user_agent(user_agent) }
      Log.new(logger, debug:, origin: transport.origin, headers: headers.merge(credentials))
    end
  end
  private_constant :Connected
end
