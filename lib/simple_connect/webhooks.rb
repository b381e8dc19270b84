# frozen_string_literal: true

require_relative "internal/autoload"
require_relative "internal/extension"
require_relative "internal/once"
require_relative "signature"

module SimpleConnect
  # Receives signed webhooks. Loaded on first use.
  #
  # {App} is a complete receiver for Rack and Rails. {Controller} verifies signatures in your own Rails controller;
  # {.construct_event} does so anywhere else.
  module Webhooks
    autoload :App, File.expand_path("webhooks/app.rb", __dir__)
    autoload :CacheReplayGuard, File.expand_path("webhooks/cache_replay_guard.rb", __dir__)
    autoload :Context, File.expand_path("webhooks/context.rb", __dir__)
    autoload :Controller, File.expand_path("webhooks/controller.rb", __dir__)
    autoload :InboundEvent, File.expand_path("webhooks/inbound_event.rb", __dir__)
    autoload :RedisReplayGuard, File.expand_path("webhooks/redis_replay_guard.rb", __dir__)
    autoload :Registry, File.expand_path("webhooks/registry.rb", __dir__)
    autoload :ReplayGuard, File.expand_path("webhooks/replay_guard.rb", __dir__)
    autoload :TestHelpers, File.expand_path("webhooks/test_helpers.rb", __dir__)

    # Verifies a request's signature and parses its body.
    #
    # @param body [String, nil] the raw body, byte for byte
    # @param headers [Hash, #each] the headers, in any case, with dashes or underscores; or a Rack env
    # @param replay_guard [#begin, #finish, #forget, #first_time?, nil] remembers requests, such as a {ReplayGuard}; nil
    #   accepts copies of a request while its timestamp is valid. An object with only `first_time?` also works; with a
    #   block, it needs `forget` too
    # @param options [Hash] `secret:`, `scheme:`, `tolerance:` and `now:`, as for {Signature.verify!}
    # @yield Handles the event: the request counts as handled when the block returns; if the block raises, the sender
    #   can repeat it. Without a block it counts as handled at once
    # @yieldparam event [InboundEvent]
    # @return [InboundEvent, Object] the event, or the block's value
    # @raise [SignatureVerificationError] if the signature or timestamp is missing or invalid
    # @raise [MalformedPayloadError] if the body is not a JSON object
    # @raise [ReplayError] if the request was received before, or its block is still running
    # @raise [ConfigurationError] see {Signature.verify!}
    # @raise [ArgumentError] see {Signature.verify!}
    # @example In a Rack application; in a Rails controller, use {Controller} and `simple_connect_event`
    #   event = SimpleConnect::Webhooks.construct_event(request.body.read, request.env, secret: "s3cret")
    #   event["order"] # => 7
    # @example With a replay guard: each request is handled once, unless the block raises
    #   SimpleConnect::Webhooks.construct_event(body, headers, secret: "s3cret", replay_guard: GUARD) do |event|
    #     Order.find(event["order"]).paid!
    #   end
    def self.construct_event(body, headers, replay_guard: nil, **options, &block)
      Signature.verify!(body, headers, **options)
      event = InboundEvent.new(parse(body))
      return block ? yield(event) : event unless replay_guard

      key = fingerprint(body, headers, **options)
      return once(Once.new(Once.guard(replay_guard), key), event, &block) if block
      raise ReplayError unless replay_guard.first_time?(key)

      event
    end

    def self.once(request, event)
      verdict = request.begin
      raise ReplayError, verdict unless verdict == :new

      handled = false
      value = yield event
      handled = true
      request.finish
      value
    ensure
      request.forget if verdict == :new && !handled
    end
    private_class_method :once

    # @api private
    # @return [String] identifies a request by its signed bytes
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
    # @param text [String, nil] any bytes
    # @return [String] a valid UTF-8 copy
    def self.utf8(text) = text.to_s.dup.force_encoding(Encoding::UTF_8).scrub
  end
end
