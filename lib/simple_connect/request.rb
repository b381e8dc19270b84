# frozen_string_literal: true

module SimpleConnect
  # Sends a client's requests by its retry policy.
  # @api private
  class Request
    # Whether another attempt may mend a failed result.
    RETRIABLE = lambda do |result|
      result.status_code.zero? ? result.network_error != :too_large : result.status_code >= 500
    end
    private_constant :RETRIABLE

    # @return [Transport]
    attr_reader :transport

    # @param transport [Transport]
    # @param retryable [#call]
    # @param log [Log, nil]
    # @param batch [Batch, nil] that its requests belong to
    def initialize(transport, retryable:, log:, batch: nil)
      @transport = transport
      @retryable = retryable
      @log = log
      @batch = batch
      # A subclass that decides for itself when to try again must be asked.
      @plain = retryable.is_a?(Retryable) && retryable.method(:call).owner.equal?(Retryable)
      @max_attempts = retryable.attempt_limit if @plain
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
    # @return [Request] with the same connections and other bounds on time
    def within(bounds)
      self.class.new(@transport.with(bounds), retryable: @retryable, log: @log)
    end

    # @param batch [Batch]
    # @return [Request] the same, giving way to the others of a batch
    def in(batch)
      self.class.new(@transport, retryable: @retryable, log: @log, batch:)
    end

    private

    def perform(target, body, response_class)
      return @transport.deliver(target, body, response_class, @retryable, @max_attempts, @log, @batch) if @plain

      total_timeout = @transport.total_timeout
      deadline = total_timeout && (now + total_timeout)
      result = @retryable.call(retriable_if: RETRIABLE) do |attempt|
        @transport.attempt(target, body, attempt, deadline && (deadline - now), @log, @batch)
      end
      with_data(result, response_class)
    end

    # The policy may have returned a result of its own making, which has its data or none.
    def with_data(result, response_class)
      return result unless result.is_a?(Result) && result.data.nil? && result.response_body

      response_class = Responses::ErrorResponse unless result.success?
      result.with_data(Result.data(response_class, result.response_body, result.success?))
    end

    def now = Process.clock_gettime(Process::CLOCK_MONOTONIC)
  end
  private_constant :Request
end
