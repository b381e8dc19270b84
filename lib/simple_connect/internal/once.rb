# frozen_string_literal: true

require "digest"
require_relative "autoload"

module SimpleConnect
  # One request in a replay guard, so that it is handled once.
  #
  # The first key is the digest of the signed bytes, so that nobody can replay them as another event. A second key
  # remembers event and version: if another event has the same bytes, it must not be dropped silently.
  # @api private
  class Once
    # Wraps a guard that has only `first_time?`.
    FirstTimes = Struct.new(:guard) do
      # See {Webhooks::ReplayGuard#begin}.
      def begin(key) = guard.first_time?(key) ? :new : :handled

      # Does nothing: such a guard does not record the end.
      def finish(_key) = nil

      # See {Webhooks::ReplayGuard#forget}.
      def forget(key) = guard.respond_to?(:forget) && guard.forget(key)
    end
    private_constant :FirstTimes

    class << self
      # @return [Boolean]
      def guard?(guard) = %i[begin finish forget].all? { |name| guard.respond_to?(name) }

      # @return [#begin, #finish, #forget] the guard, wrapped if it has only `first_time?`
      def guard(guard) = guard?(guard) ? guard : FirstTimes.new(guard)
    end

    # @param guard [#begin, #finish, #forget]
    # @param key [String] derived from the signed bytes
    # @param place [String, nil] where the request goes, such as event and version; nil if that does not matter
    def initialize(guard, key, place = nil)
      @guard = guard
      @key = key
      @place = place && Digest::SHA256.hexdigest("#{key}\n".b << place.b)
    end

    # After `:new`, call {#finish} or {#forget}.
    #
    # @return [:new, :under_way, :handled, :elsewhere] `:elsewhere` if it was handled in another place
    def begin
      verdict = @guard.begin(@key)
      verdict == :handled && @place && !here? ? :elsewhere : verdict
    end

    # Stores the place first, so that it is known once the request counts as handled.
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
