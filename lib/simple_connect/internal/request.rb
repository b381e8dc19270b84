# frozen_string_literal: true

require_relative "clock"
require_relative "../errors"
require_relative "observation"
require_relative "../result"
require_relative "../retryable"
require_relative "tracing"
require_relative "transport"

module SimpleConnect
  # Sends a client's requests and retries them by its policy.
  # @api private
  class Request
    # Whether another attempt may succeed.
    RETRIABLE = ->(result) { DeliveryError.retried?(result) }
    private_constant :RETRIABLE

    # @return [Transport]
    attr_reader :transport

    # @param transport [Transport]
    # @param retryable [#call]
    # @param log [Log, nil]
    # @param batch [Batch, nil] that the requests belong to
    # @param headers [HeaderLines, nil] the client's own headers
    # @param client [Symbol, nil] the client's name
    def initialize(transport, retryable:, log:, batch: nil, headers: nil, client: nil)
      @transport = transport
      @retryable = retryable
      @log = log
      @client = client
      # A subclass that overrides `call` must be called.
      @plain = retryable.is_a?(Retryable) && retryable.method(:call).owner.equal?(Retryable)
      @bounds = bounds_of(retryable)
      # Taken where the call is made, because a batch runs in fibers of its own.
      @parent = Tracing.context if batch
      limit = retryable.attempt_limit if @plain
      @call = Transport::Call.new(nil, batch, nil, retryable, limit, headers).freeze
    end

    # @param target [String] path and query
    # @param response_class [Class] of the data of a success
    # @return [Result]
    # @raise [MalformedResponseError] if a 2xx body is not JSON
    def get(target, response_class) = perform(target, nil, response_class)

    # @param target [String] path and query
    # @param body [String] JSON
    # @param response_class [Class] of the data of a success
    # @return [Result]
    # @raise [MalformedResponseError] if a 2xx body is not JSON
    def post(target, body, response_class) = perform(target, body, response_class)

    # @param bounds [Hash] see {Transport.bounds}
    # @param attempts [Hash] `max_attempts:`, or empty
    # @param fields [Hash, nil] headers to add
    # @return [Request] a copy with the same connections, and other timeouts and attempts
    # @raise [ConfigurationError] if the policy has no `max_attempts:`, or a header is invalid
    def within(bounds, attempts, fields)
      with(@transport.with(bounds), retryable: limited(attempts), headers: Transport.headers(fields, @call.headers))
    end

    # @param batch [Batch]
    # @return [Request] a copy that runs in the batch
    def in(batch) = with(@transport, batch:)

    # @param client [Symbol]
    # @return [Request] a copy with the client's name
    def of(client) = with(@transport, log: @log&.detailed, client:)

    private

    def with(transport, **changes)
      self.class.new(transport, retryable: @retryable, log: @log, headers: @call.headers, client: @client, **changes)
    end

    # The keywords among `deadline:` and `batch:` that the policy accepts.
    def bounds_of(policy)
      names = policy.method(:call).parameters.filter_map { |kind, name| name if %i[key keyreq].include?(kind) }
      names & %i[deadline batch]
    end

    def limited(attempts)
      return @retryable if attempts.empty?
      return @retryable.with(**attempts) if @retryable.is_a?(Retryable)

      raise ConfigurationError, "max_attempts: needs a SimpleConnect::Retryable as the client's retryable:, " \
                                "not #{@retryable.class}"
    end

    def perform(target, body, response_class)
      result = observed(target, body, response_class)
      Observation.check_rotation(result, @client, body)
      result
    end

    def observed(target, body, response_class)
      return deliver(@call, target, body, response_class) unless Observation.wanted?(@log)

      headers = @call.headers
      log = headers ? @log&.naming(headers.names) : @log
      observation = Observation.new(body, origin: @transport.origin, log:, client: @client,
                                          parent: @parent || Tracing.context)
      call = @call.dup
      call.log = observation
      observation.of_call { deliver(call, target, body, response_class) }
    end

    def deliver(call, target, body, response_class)
      exchange = Transport.testing&.exchange(target, response_class)
      interceptor = exchange || Transport.interceptor
      return @transport.deliver(call, target, body, response_class, interceptor) if @plain

      total_timeout = @transport.total_timeout
      deadline = total_timeout && (Clock.now + total_timeout)
      # If the process forks during a wait, only the parent continues the delivery.
      call = call.dup
      call.process = Transport.generation
      bounds = { deadline:, batch: call.batch }.slice(*@bounds)
      result = @retryable.call(retriable_if: RETRIABLE, **bounds) do |attempt|
        @transport.attempt(call, target, body, attempt, deadline && (deadline - Clock.now), interceptor)
      end
      # The policy may have returned anything, such as a result that it built itself, with or without data.
      return result unless result.is_a?(Result)

      @transport.count_call(result.success?)
      result.data.nil? && result.response_body ? result.decode(response_class) : result
    end
  end
  private_constant :Request
end
