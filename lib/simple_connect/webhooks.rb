# frozen_string_literal: true

require_relative "keeps_secrets"
require_relative "signature"

module SimpleConnect
  # A webhook's body that is no JSON object.
  class MalformedPayloadError < Error; end

  # A request that is signed and came before.
  class ReplayError < Error
    # @api private
    # @param under_way [Boolean]
    def initialize(under_way: false)
      super(under_way ? "this request is being handled" : "this request came before")
      @under_way = under_way
    end

    # @return [Boolean] whether it is still being handled: it may have to come again
    def under_way? = @under_way
  end

  # Receives signed webhooks. It must be asked for, with `require "simple_connect/webhooks"`.
  #
  # {App} is a whole receiver, for Rack and Rails. {Controller} checks signatures in a controller of your own,
  # {.construct_event} anywhere else.
  module Webhooks
    # Checks a signature, and reads the body it belongs to.
    #
    # @param body [String, nil] the body, byte by byte as it came
    # @param headers [Hash, #each] the header fields, in any case, with dashes or underscores; or a Rack env
    # @param replay_guard [#first_time?, nil] what remembers the requests that came, such as a {ReplayGuard}; nil for
    #   nothing: a copy of a request is then as good as the request, for as long as its timestamp is
    # @param options [Hash] `secret:`, `scheme:`, `tolerance:` and `now:`, as for {Signature.verify!}
    # @return [InboundEvent]
    # @raise [SignatureVerificationError] where it is not believed
    # @raise [MalformedPayloadError] where it is believed, but is no JSON object
    # @raise [ReplayError] where it came before
    # @raise [ConfigurationError] as {Signature.verify!}
    # @raise [ArgumentError] as {Signature.verify!}
    # @example
    #   event = SimpleConnect::Webhooks.construct_event(request.raw_post, request.headers, secret: "s3cret")
    #   event["order"] # => 7
    def self.construct_event(body, headers, replay_guard: nil, **options)
      Signature.verify!(body, headers, **options)
      event = InboundEvent.new(parse(body))
      raise ReplayError if replay_guard && !replay_guard.first_time?(fingerprint(body, headers, **options))

      event
    end

    # @api private
    # @return [String] what makes a request that request: what is signed
    def self.fingerprint(body, headers, secret:, scheme: :simple_connect, **)
      SigningKeys.of(secret, scheme).fingerprint_of(body, headers)
    end

    # @api private
    # @param body [String, nil]
    # @return [Hash{String => Object}]
    # @raise [MalformedPayloadError]
    def self.parse(body)
      text = body.to_s.dup.force_encoding(Encoding::UTF_8)
      raise MalformedPayloadError, "the body is not UTF-8" unless text.valid_encoding?

      payload = Codec.parse(text)
      raise MalformedPayloadError, "the body is not JSON" if payload == :invalid
      raise MalformedPayloadError, "the body is JSON, but not an object" unless payload.is_a?(Hash)

      payload
    end

    # @api private
    # @param text [String, nil] whatever came
    # @return [String] a copy that can be JSON
    def self.utf8(text) = text.to_s.dup.force_encoding(Encoding::UTF_8).scrub
  end
end

require_relative "webhooks/inbound_event"
require_relative "webhooks/replay_guard"
require_relative "webhooks/cache_replay_guard"
require_relative "webhooks/registry"
require_relative "webhooks/settings"
require_relative "webhooks/manifest"
require_relative "webhooks/secrets"
require_relative "webhooks/context"
require_relative "webhooks/telemetry"
require_relative "webhooks/app"
require_relative "webhooks/controller"
require_relative "webhooks/testing"
require_relative "rate_limiter"
require_relative "webhooks/event"
require_relative "webhooks/endpoint"
require_relative "webhooks/router"
require_relative "webhooks/retry_schedule"
require_relative "webhooks/application"
require_relative "webhooks/delivery_attempt"
require_relative "webhooks/dispatcher"

module SimpleConnect
  # Their classes inherit from what the process must have loaded by itself.
  module Webhooks
    autoload :SidekiqDelivery, File.join(__dir__, "webhooks/sidekiq_delivery")
    autoload :ActiveJobDelivery, File.join(__dir__, "webhooks/active_job_delivery")
  end
end
