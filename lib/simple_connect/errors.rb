# frozen_string_literal: true

module SimpleConnect
  # The base class of all errors of this gem.
  #
  # A failed delivery returns a failed {Result} and raises none of them; only methods that end in `!` raise a
  # {DeliveryError}. Invalid arguments raise ArgumentError. All errors support pattern matching on their fields.
  class Error < StandardError
    # @param _keys [Array<Symbol>, nil] the keys in the pattern
    # @return [Hash{Symbol => Object}] the message and the fields
    def deconstruct_keys(_keys) = { message: }
  end

  # The options of a client, a sandbox or a webhook object are invalid. The message says what to write instead.
  class ConfigurationError < Error; end

  # The event key is not in the client's `event_keys:`.
  class UnknownEventError < Error
    # @return [String, nil] the key
    attr_reader :event_key

    # @param message [String, nil]
    # @param event_key [String, nil]
    def initialize(message = nil, event_key: nil)
      super(message)
      @event_key = event_key
    end

    # @param keys [Array<Symbol>, nil] the keys that a pattern asks for
    # @return [Hash{Symbol => Object}] `message:` and `event_key:`
    def deconstruct_keys(keys) = { **super, event_key: }
  end

  # The server accepted the request, but its response is not JSON. The request is not retried.
  class MalformedResponseError < Error
    # @return [Result, nil] the response, as a success without data
    attr_reader :result

    # @param message [String, nil]
    # @param result [Result, nil]
    def initialize(message = nil, result: nil)
      super(message)
      @result = result
    end

    # @param keys [Array<Symbol>, nil] the keys that a pattern asks for
    # @return [Hash{Symbol => Object}] `message:` and `result:`
    def deconstruct_keys(keys) = { **super, result: }
  end

  # A callback or a middleware of the job queue refused a job of {Api::Events#deliver_later}. What the queue itself
  # raises goes through.
  class EnqueueError < Error; end

  # {Outbox::Writer#deliver} was called outside a transaction of the outbox's database.
  class NoTransactionError < Error; end

  # The outbox already has another event with this `event_id`.
  class EventConflictError < Error
    # @return [String, nil] the name of the client
    attr_reader :client
    # @return [String, nil]
    attr_reader :event_id

    # @param message [String, nil]
    # @param client [String, nil]
    # @param event_id [String, nil]
    def initialize(message = nil, client: nil, event_id: nil)
      super(message)
      @client = client
      @event_id = event_id
    end

    # @param keys [Array<Symbol>, nil] the keys that a pattern asks for
    # @return [Hash{Symbol => Object}] `message:`, `client:` and `event_id:`
    def deconstruct_keys(keys) = { **super, client:, event_id: }
  end

  # A bug in this gem. Please report it.
  class InternalError < Error; end

  # A method that ends in `!`, such as {Api::Events#deliver!}, failed. The error is a {TransientError} or a
  # {PermanentError}, or only this class if a custom policy returned a failed {Result} without a cause.
  #
  # @example In a job that retries transient errors
  #   class DeliverPaymentJob < ActiveJob::Base
  #     retry_on SimpleConnect::TransientError, wait: 30, attempts: 10
  #
  #     def perform(fields, event_id)
  #       CLIENT.events.deliver!("customer_payment_received", fields, event_id:)
  #     end
  #   end
  # @example Pattern matching
  #   rescue SimpleConnect::DeliveryError => e
  #     case e
  #     in { status_code: 422, data: } then warn data.message
  #     in { retryable: true, retry_after: } then retry_later(retry_after || 60)
  #     end
  class DeliveryError < Error
    # @return [Result, nil] the result of the call; nil if you raise the error yourself without one
    attr_reader :result

    class << self
      # @api private
      # @param result [Result] a failed result
      # @return [Class] the error class for it
      def class_for(result)
        status = result.status_code
        return result.taken? ? PermanentError : class_for_network(result.network_error) if status.zero?

        # A status of 600 or more is not valid, so a repeated call does not help.
        STATUSES[status] || HUNDREDS[status / 100] || (status >= 600 ? PermanentError : DeliveryError)
      end

      # @api private
      # @param result [Result] a failed result
      # @return [Boolean] whether {Retryable} retries it: after a network error or a 5xx
      def retried?(result)
        error = class_for(result)
        result.status_code.zero? ? !(error <= PermanentError) : error == ServerError
      end

      private

      def class_for_network(kind)
        case kind
        when nil then DeliveryError
        when :timeout then TimeoutError
        # The server has processed the request, and its response will be as large next time; or the guard will refuse
        # the same server again.
        when :too_large, :guarded then PermanentError
        else ConnectionError
        end
      end
    end

    # @param message [String, nil] by default the result's `error`
    # @param result [Result, nil]
    # @example In a spec
    #   allow(client.events).to receive(:deliver!).and_raise(SimpleConnect::RateLimitedError)
    def initialize(message = nil, result: nil)
      super(message || result&.error)
      @result = result
    end

    # @return [Integer] the HTTP status; 0 if there was no response
    def status_code = result ? result.status_code : 0

    # @return [Boolean] whether the same call may succeed later: see {Result#retryable?}
    def retryable? = is_a?(TransientError)

    # @return [Float, nil] the seconds to wait before that: see {Result#retry_after}
    def retry_after = result&.retry_after

    # @param keys [Array<Symbol>, nil] the keys that a pattern asks for
    # @return [Hash{Symbol => Object}] `message:`, `result:`, and the keys of {Result#deconstruct_keys}
    def deconstruct_keys(keys)
      { **super, result:, status_code:, retryable: retryable?, retry_after:, **result&.deconstruct_keys(keys) }
    end
  end

  # The same call may succeed later. Repeat it with the same `event_id`. A 425 (too early) raises this class itself.
  class TransientError < DeliveryError; end

  # There was no response, for a reason other than a timeout: see `result.network_error`.
  class ConnectionError < TransientError; end

  # The response did not arrive in time, or the server timed out waiting for the request (408).
  class TimeoutError < TransientError; end

  # Too many requests (429).
  class RateLimitedError < TransientError; end

  # The server failed (5xx).
  class ServerError < TransientError; end

  # The same call would fail again.
  class PermanentError < DeliveryError; end

  # The server or a proxy rejected the credentials (401, 403, 407).
  class AuthenticationError < PermanentError; end

  # The event, message or endpoint does not exist (404, 410).
  class NotFoundError < PermanentError; end

  # The request conflicts with the server's state (409).
  class ConflictError < PermanentError; end

  # The server rejected the request as invalid (any other 4xx).
  class InvalidRequestError < PermanentError; end

  # The endpoint has moved (3xx); redirects are not followed.
  class RedirectError < PermanentError; end

  class DeliveryError # rubocop:disable Style/Documentation -- it has that above
    # The error classes by status; {HUNDREDS} has the classes of all other statuses.
    STATUSES = {
      401 => AuthenticationError, 403 => AuthenticationError, 407 => AuthenticationError, 404 => NotFoundError,
      410 => NotFoundError, 408 => TimeoutError, 409 => ConflictError, 425 => TransientError, 429 => RateLimitedError
    }.freeze
    HUNDREDS = { 3 => RedirectError, 4 => InvalidRequestError, 5 => ServerError }.freeze
    private_constant :STATUSES, :HUNDREDS
  end

  # The signature of a request is missing, does not match, or is too old or too new.
  class SignatureVerificationError < Error
    # @return [Symbol] `:missing_signature`, `:missing_timestamp`, `:malformed_timestamp`, `:mismatch`, `:too_old` or
    #   `:too_new`; with Standard Webhooks also `:missing_id` or `:malformed_id`
    attr_reader :reason

    # @param reason [Symbol]
    # @param message [String]
    def initialize(reason, message)
      super(message)
      @reason = reason
    end

    # @return [Hash{Symbol => Object}] a body for the 401 response: `:error`, the message, and `:reason`
    # @example In your own server
    #   [401, { "content-type" => "application/json" }, [JSON.generate(error.to_h)]]
    def to_h = { error: message, reason: }

    # @param keys [Array<Symbol>, nil] the keys that a pattern asks for
    # @return [Hash{Symbol => Object}] `message:` and `reason:`
    def deconstruct_keys(keys) = { **super, reason: }
  end

  # The body of a webhook is not a JSON object.
  class MalformedPayloadError < Error; end

  # A signed request was received before.
  class ReplayError < Error
    MESSAGES = {
      handled: "this request was received before",
      under_way: "this request is being handled",
      elsewhere: "this body and timestamp were received before, with another event or version: " \
                 "sign again with a new timestamp"
    }.freeze
    private_constant :MESSAGES

    # @api private
    # @param verdict [:handled, :under_way, :elsewhere]
    def initialize(verdict = :handled)
      super(MESSAGES.fetch(verdict))
      @verdict = verdict
    end

    # @return [Boolean] whether the first request is still in progress; the sender should retry
    def under_way? = @verdict == :under_way

    # @return [Boolean] whether body and timestamp were received before on another path; this one was not handled
    def elsewhere? = @verdict == :elsewhere
  end
end
