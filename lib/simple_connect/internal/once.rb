# frozen_string_literal: true

require "digest"
require_relative "autoload"

module SimpleConnect
  # One request that a replay guard remembers, so that it is handled once.
  #
  # The guard knows it by its signed bytes, so that nobody can have them handled as another event. Where it went is
  # remembered under a second key: two events with the same bytes are rare, but the second must not be lost silently.
  # @api private
  class Once
    # A replay guard that knows no more than which keys came before.
    FirstTimes = Struct.new(:guard) do
      # See {Webhooks::ReplayGuard#begin}.
      def begin(key) = guard.first_time?(key) ? :new : :handled

      # It knows nothing of an end.
      def finish(_key) = nil

      # See {Webhooks::ReplayGuard#forget}.
      def forget(key) = guard.respond_to?(:forget) && guard.forget(key)
    end
    private_constant :FirstTimes

    class << self
      # @return [Boolean]
      def guard?(guard) = %i[begin finish forget].all? { |name| guard.respond_to?(name) }

      # @return [#begin, #finish, #forget] a guard, or one made of what has `first_time?` alone
      def guard(guard) = guard?(guard) ? guard : FirstTimes.new(guard)
    end

    # @param guard [#begin, #finish, #forget]
    # @param key [String] the same for the same signed bytes
    # @param place [String, nil] where the request goes, such as its event and version; nil where that does not matter
    def initialize(guard, key, place = nil)
      @guard = guard
      @key = key
      @place = place && Digest::SHA256.hexdigest("#{key}\n".b << place.b)
    end

    # {#finish} or {#forget} is to follow where it is `:new`.
    #
    # @return [:new, :under_way, :handled, :elsewhere] `:elsewhere` where it was handled, but in another place
    def begin
      verdict = @guard.begin(@key)
      verdict == :handled && @place && !here? ? :elsewhere : verdict
    end

    # The place comes first: once the request is handled, it is known where.
    #
    # @return [void]
    def finish
      @guard.begin(@place) && @guard.finish(@place) if @place
      @guard.finish(@key)
    end

    # @return [void]
    def forget = @guard.forget(@key)

    private

    def here?
      verdict = @guard.begin(@place)
      @guard.forget(@place) if verdict == :new
      verdict == :handled
    end
  end
  private_constant :Once
end
