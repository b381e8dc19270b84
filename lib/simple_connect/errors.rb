# frozen_string_literal: true

module SimpleConnect
  # What all errors of this gem inherit from.
  #
  # A failed delivery raises none of them: it gives a failed {Result}; only the calls that end in `!` raise a
  # {DeliveryError}. A mistake in a call raises ArgumentError. All can be matched by their fields.
  class Error < StandardError
    # @param _keys [Array<Symbol>, nil] the keys that a pattern asks for
    # @return [Hash{Symbol => Object}] the message and the fields
    def deconstruct_keys(_keys) = { message: }
  end

  # A client, or a sandbox, cannot be built with these options. The message says what to write instead.
  class ConfigurationError < Error; end

  # An event key that is not among the client's `event_keys:`.
  class UnknownEventError < Error
    # @return [String, nil] that key
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

  # The server accepted the request, but its answer is not JSON. The request has been taken; it is not sent again.
  class MalformedResponseError < Error
    # @return [Result, nil] the answer, as a success without data
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

  # A bug in this gem. Please report it.
  class InternalError < Error; end

  # A call that ends in `!` failed: {Api::Events#deliver!} and its like. It either is a {TransientError} or a
  # {PermanentError}; or just this, where a policy of your own gave a failed {Result} that tells nothing of the cause.
  #
  # @example In a job: what may go better later is for the queue to repeat
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
    # @return [Result, nil] what came of the call; nil where you raise the error yourself and give none
    attr_reader :result

    class << self
      # @api private
      # @param result [Result] a failed one
      # @return [Class] of the error that stands for it
      def class_for(result)
        status = result.status_code
        return result.taken? ? PermanentError : class_for_network(result.network_error) if status.zero?

        # No status that exists is 600 or more: whatever the server means by it, repeating the call does not help.
        STATUSES[status] || HUNDREDS[status / 100] || (status >= 600 ? PermanentError : DeliveryError)
      end

      # @api private
      # @param result [Result] a failed one
      # @return [Boolean] whether a {Retryable} tries again: where no answer came, or the server failed
      def retried?(result)
        error = class_for(result)
        result.status_code.zero? ? !(error <= PermanentError) : error == ServerError
      end

      private

      def class_for_network(kind)
        case kind
        when nil then DeliveryError
        when :timeout then TimeoutError
        # The server has taken the request, and its answer will be no smaller next time.
        when :too_large then PermanentError
        else ConnectionError
        end
      end
    end

    # @param message [String, nil] by default the result's `error`
    # @param result [Result, nil]
    # @example In a spec of your own
    #   allow(client.events).to receive(:deliver!).and_raise(SimpleConnect::RateLimitedError)
    def initialize(message = nil, result: nil)
      super(message || result&.error)
      @result = result
    end

    # @return [Integer] the HTTP status; 0 where no answer came
    def status_code = result ? result.status_code : 0

    # @return [Boolean] whether the same call may succeed later: see {Result#retryable?}
    def retryable? = is_a?(TransientError)

    # @return [Float, nil] for how many seconds to wait before that: see {Result#retry_after}
    def retry_after = result&.retry_after

    # @param keys [Array<Symbol>, nil] the keys that a pattern asks for
    # @return [Hash{Symbol => Object}] `message:`, `result:`, and whatever a {Result} can be matched by
    def deconstruct_keys(keys)
      { **super, result:, status_code:, retryable: retryable?, retry_after:, **result&.deconstruct_keys(keys) }
    end
  end

  # The same call may succeed later. Repeat it with the same `event_id`. A 425 (too early) is no kind of its own.
  class TransientError < DeliveryError; end

  # No answer came, other than for want of time: `result.network_error` tells why.
  class ConnectionError < TransientError; end

  # No answer came in time; or the server gave up waiting for the request (408).
  class TimeoutError < TransientError; end

  # The server wants fewer requests (429).
  class RateLimitedError < TransientError; end

  # The server failed (5xx).
  class ServerError < TransientError; end

  # The same call would fail again.
  class PermanentError < DeliveryError; end

  # The credentials, or a proxy's, are not accepted (401, 403, 407).
  class AuthenticationError < PermanentError; end

  # There is no such event, message or endpoint (404, 410).
  class NotFoundError < PermanentError; end

  # It contradicts what the server has (409).
  class ConflictError < PermanentError; end

  # The server does not take what was sent (any other 4xx).
  class InvalidRequestError < PermanentError; end

  # The endpoint has moved (3xx); redirects are not followed.
  class RedirectError < PermanentError; end

  class DeliveryError # rubocop:disable Style/Documentation -- it has that above
    # Which error stands for a status; {HUNDREDS} has those of the others.
    STATUSES = {
      401 => AuthenticationError, 403 => AuthenticationError, 407 => AuthenticationError, 404 => NotFoundError,
      410 => NotFoundError, 408 => TimeoutError, 409 => ConflictError, 425 => TransientError, 429 => RateLimitedError
    }.freeze
    HUNDREDS = { 3 => RedirectError, 4 => InvalidRequestError, 5 => ServerError }.freeze
    private_constant :STATUSES, :HUNDREDS
  end

  # A request that is not believed: unsigned, signed with another secret, changed on its way, too old or too new.
  class SignatureVerificationError < Error
    # @return [Symbol] `:missing_signature`, `:missing_timestamp`, `:malformed_timestamp`, `:mismatch`, `:too_old` or
    #   `:too_new`
    attr_reader :reason

    # @param reason [Symbol]
    # @param message [String]
    def initialize(reason, message)
      super(message)
      @reason = reason
    end

    # @return [Hash{Symbol => Object}] what a refusal can tell the sender: `:error`, the message, and `:reason`
    # @example In a server of your own
    #   [401, { "content-type" => "application/json" }, [JSON.generate(error.to_h)]]
    def to_h = { error: message, reason: }

    # @param keys [Array<Symbol>, nil] the keys that a pattern asks for
    # @return [Hash{Symbol => Object}] `message:` and `reason:`
    def deconstruct_keys(keys) = { **super, reason: }
  end

  # A webhook's body that is no JSON object.
  class MalformedPayloadError < Error; end

  # A request that is signed and came before.
  class ReplayError < Error
    MESSAGES = {
      handled: "this request came before",
      under_way: "this request is being handled",
      elsewhere: "this body and timestamp came before, with another event or version: sign again with a new timestamp"
    }.freeze
    private_constant :MESSAGES

    # @api private
    # @param verdict [:handled, :under_way, :elsewhere]
    def initialize(verdict = :handled)
      super(MESSAGES.fetch(verdict))
      @verdict = verdict
    end

    # @return [Boolean] whether it is still being handled: it may have to come again
    def under_way? = @verdict == :under_way

    # @return [Boolean] whether its body and timestamp came before, but to another path: it was not handled
    def elsewhere? = @verdict == :elsewhere
  end
end
