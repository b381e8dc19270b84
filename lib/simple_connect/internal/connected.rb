# frozen_string_literal: true

require_relative "../errors"
require_relative "keeps_secrets"
require_relative "log"
require_relative "request"
require_relative "../retryable"
require_relative "transport"

module SimpleConnect
  # What the two clients have in common.
  module Connected
    include KeepsSecrets

    # The bounds on time that {#with} takes.
    BOUNDS = %i[timeout open_timeout read_timeout write_timeout total_timeout].freeze
    private_constant :BOUNDS

    # The same client within other bounds on time and on attempts, or with more header fields. It shares the
    # connections, so it costs next to nothing: make one for a single call.
    #
    # @param changes [Hash] what is not named stays as it is
    # @option changes [Numeric] :timeout seconds, as for {Client#initialize}; so are `open_timeout:`, `read_timeout:`,
    #   `write_timeout:` and `total_timeout:`
    # @option changes [Integer] :max_attempts how often to try, at least once; otherwise by the client's own policy
    # @option changes [Hash{String => String}] :headers header fields, as for {Client#initialize}; they are added to the
    #   client's own, and replace those of the same names
    # @return [Client, MessagesClient]
    # @raise [ConfigurationError] where a time is not a positive number, a header field cannot be sent, or
    #   `max_attempts:` is given to a client whose `retryable:` is no {Retryable}
    # @raise [ArgumentError] for any other option, and for `max_attempts:` below 1
    # @example A call that must not take longer than three seconds, attempts and waits together
    #   client.with(total_timeout: 3).events.deliver("order_paid", order: 7)
    # @example In a job queue that tries again by itself
    #   client.with(max_attempts: 1).events.deliver!("order_paid", order: 7)
    # @example As a part of a trace
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

    # What this client has done since the process began, or since it was forked; also by {#with}.
    #
    # @return [Hash{Symbol => Integer}] `succeeded` and `failed` calls; `attempts` and `retries`; `connections_opened`
    #   and `connections_reused`; `bytes_sent` and `bytes_received`
    # @example
    #   client.stats[:retries] # => 3
    def stats = @request.transport.stats

    # Closes the idle connections. The client can still be used: it opens new ones.
    #
    # @return [void]
    def close
      @request.transport.close
      nil
    end

    # @return [Symbol, nil] what the configuration calls it, such as `:default`; nil for a client that was built by hand
    attr_reader :name

    # @api private
    # @param name [Symbol]
    # @param configuration [Configuration] that has it by this name
    # @return [Client, MessagesClient] the same, which knows that
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

    # Sends through `request` from now on; `options` has the bounds on time it was made with.
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
        raise ConfigurationError, "retryable: must have a `call`, such as a SimpleConnect::Retryable, " \
                                  "not #{retryable.class}"
      end
      # Compared here, so that what cannot be compared with 1 raises what it always raised here.
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
