# frozen_string_literal: true

require_relative "internal/autoload"
require_relative "internal/extension"
require_relative "internal/once"
require_relative "signature"

module SimpleConnect
  # Receives signed webhooks. Not loaded by default: it is when you first use it.
  #
  # {App} is a whole receiver, for Rack and Rails. {Controller} checks signatures in a controller of your own,
  # {.construct_event} anywhere else.
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

    # Checks a signature, and reads the body it belongs to.
    #
    # @param body [String, nil] the body, byte by byte as it came
    # @param headers [Hash, #each] the header fields, in any case, with dashes or underscores; or a Rack env
    # @param replay_guard [#begin, #finish, #forget, #first_time?, nil] what remembers the requests that came, such as a
    #   {ReplayGuard}; nil for nothing: a copy of a request is then as good as the request, for as long as its timestamp
    #   is. One that has `first_time?` alone does as well; give it `forget` where you pass a block
    # @param options [Hash] `secret:`, `scheme:`, `tolerance:` and `now:`, as for {Signature.verify!}
    # @yield Does the work, where there is a block: the request counts as handled once the block returns, and can come
    #   again where the block raises. Without a block it counts as handled at once
    # @yieldparam event [InboundEvent]
    # @return [InboundEvent, Object] the event, or what the block gives
    # @raise [SignatureVerificationError] where it is not believed
    # @raise [MalformedPayloadError] where it is believed, but is no JSON object
    # @raise [ReplayError] where it came before, or its block still runs
    # @raise [ConfigurationError] as {Signature.verify!}
    # @raise [ArgumentError] as {Signature.verify!}
    # @example
    #   event = SimpleConnect::Webhooks.construct_event(request.raw_post, request.headers, secret: "s3cret")
    #   event["order"] # => 7
    # @example Once, unless the work fails
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
