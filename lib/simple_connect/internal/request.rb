# frozen_string_literal: true

require_relative "clock"
require_relative "../result"
require_relative "../retryable"
require_relative "transport"

module SimpleConnect
  # Sends a client's requests by its retry policy.
  # @api private
  class Request
    # Whether another attempt may succeed where one failed.
    RETRIABLE = lambda do |result|
      next result.status_code.between?(500, 599) unless result.status_code.zero?

      result.network_error != :too_large && !result.taken?
    end
    private_constant :RETRIABLE

    # @return [Transport]
    attr_reader :transport

    # @param transport [Transport]
    # @param retryable [#call]
    # @param log [Log, nil]
    # @param batch [Batch, nil] that its requests belong to
    # @param headers [HeaderLines, nil] more header fields of each request, see {Transport.headers}
    def initialize(transport, retryable:, log:, batch: nil, headers: nil)
      @transport = transport
      @retryable = retryable
      @log = log
      # A subclass that decides for itself when to try again must be asked.
      decides = retryable.method(:call).owner if retryable.is_a?(Retryable)
      @plain = decides.equal?(Retryable)
      @exponential = decides.equal?(Retryable::Exponential)
      log = log&.naming(headers.names) if headers
      @call = Transport::Call.new(log, batch, nil, retryable, (retryable.attempt_limit if @plain), headers).freeze
    end

    # @param target [String] path and query
    # @param response_class [Class] of the data of a success
    # @return [Result]
    # @raise [MalformedResponseError] where a 2xx is not JSON
    def get(target, response_class) = perform(target, nil, response_class)

    # @param target [String] path and query
    # @param body [String] JSON
    # @param response_class [Class] of the data of a success
    # @return [Result]
    # @raise [MalformedResponseError] where a 2xx is not JSON
    def post(target, body, response_class) = perform(target, body, response_class)

    # @param bounds [Hash] see {Transport.bounds}
    # @param attempts [Hash] `max_attempts:`, where they are others
    # @param fields [Hash, nil] header fields beside those it has, see {Transport.headers}
    # @return [Request] with the same connections, and other bounds on time and on attempts
    # @raise [ConfigurationError] where the policy knows of no such number, or a field cannot be sent
    def within(bounds, attempts, fields)
      headers = Transport.headers(fields, @call.headers)
      self.class.new(@transport.with(bounds), retryable: limited(attempts), log: @log, headers:)
    end

    # @param batch [Batch]
    # @return [Request] the same, giving way to the others of a batch
    def in(batch)
      self.class.new(@transport, retryable: @retryable, log: @log, batch:, headers: @call.headers)
    end

    private

    def limited(attempts)
      return @retryable if attempts.empty?
      return @retryable.with(**attempts) if @retryable.is_a?(Retryable)

      raise ConfigurationError, "max_attempts: needs a SimpleConnect::Retryable as the client's retryable:, " \
                                "not #{@retryable.class}"
    end

    def perform(target, body, response_class)
      exchange = Transport.testing&.exchange(target, response_class)
      interceptor = exchange || Transport.interceptor
      return @transport.deliver(@call, target, body, response_class, interceptor) if @plain

      total_timeout = @transport.total_timeout
      deadline = total_timeout && (now + total_timeout)
      call = @call.dup
      # Where a fork during a wait brings the delivery into a child, it is the parent's alone.
      call.process = Transport.generation
      bounds = @exponential ? { deadline:, batch: call.batch } : {}
      result = @retryable.call(retriable_if: RETRIABLE, **bounds) do |attempt|
        @transport.attempt(call, target, body, attempt, deadline && (deadline - now), interceptor)
      end
      with_data(result, response_class)
    end

    # The policy may have returned a result of its own making, which has its data or none.
    def with_data(result, response_class)
      return result unless result.is_a?(Result) && result.data.nil? && result.response_body

      result.decode(response_class)
    end

    def now = Clock.now
  end
  private_constant :Request
end
