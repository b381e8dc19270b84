# frozen_string_literal: true

require_relative "../internal/job_policy"
require_relative "../outbox"

module SimpleConnect
  module Outbox
    # What an answer means for the event, its lane and its client: the table in docs/outbox.md.
    #
    # `todo` is `:done`; `:hold_back` or `:pause` (the client); `:postpone` (the lane); or `:park` (the event). `error`
    # is a code, without anything that the service says, which may repeat the event.
    # @api private
    Outcome = Struct.new(:todo, :status, :error, :retry_after) do
      # @return [Outcome] of an event that was not sent, because no key opens its body
      def self.unreadable = new(:pause, nil, Outcome::UNREADABLE)

      # @param result [Result, Object] a custom policy can return anything
      # @return [Outcome]
      def self.of(result)
        return new(:postpone, nil, "no_result") unless result.is_a?(Result)
        return new(:done, result.status_code) if JobPolicy.verdict(result) == :done

        status = result.status_code
        return of_failure(result.network_error, result.network_phase) if status.zero?

        new(Outcome::STATUSES[status] || Outcome::HUNDREDS[status / 100] || :park, status, "http_#{status}",
            result.retry_after)
      end

      # @param kind [Symbol, nil] see {Result#network_error}
      # @param phase [Symbol, nil] see {Result#network_phase}
      # @return [Outcome]
      def self.of_failure(kind, phase)
        # Before anything was written, it is not the event's fault, and will be the same with the next one.
        unreached = Outcome::UNREACHED.include?(kind) || (!phase.nil? && !%i[write read].include?(phase))
        new(unreached ? :hold_back : :postpone, nil, (kind || "unknown").to_s)
      end

      # @return [Boolean] whether it is {unreadable}
      def unreadable? = error == Outcome::UNREADABLE

      # @return [Integer] how many attempts it is
      def attempts = unreadable? ? 0 : 1
    end
    Outcome::UNREADABLE = "body_unreadable"
    # By status.
    Outcome::STATUSES = {
      429 => :hold_back, 503 => :hold_back,
      401 => :pause, 402 => :pause, 403 => :pause, 404 => :pause, 405 => :pause, 407 => :pause, 410 => :pause,
      408 => :postpone, 425 => :postpone
    }.freeze
    # By the first digit, for all other statuses. What is in none of them parks the event.
    Outcome::HUNDREDS = { 3 => :pause, 5 => :postpone }.freeze
    Outcome::UNREACHED = %i[refused unreachable dns tls proxy].freeze
  end
end
