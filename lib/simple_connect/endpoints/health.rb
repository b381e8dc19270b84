# frozen_string_literal: true

require_relative "records"
require_relative "../internal/instrumentation"
require_relative "../internal/log"

module SimpleConnect
  module Endpoints
    # Counts the failures of endpoints in the database, and disables those that fail for too long.
    # @api private
    class Health
      EVENT = "failing.simple_connect"
      STEPS = [100, 75, 50].freeze
      # How the error of a connection to the proxy begins.
      PROXY = /\A[\w:]+: proxy /
      private_constant :EVENT, :STEPS, :PROXY

      # Whether a failure is not the endpoint's: no name server, no route, our proxy, or a lack of descriptors or
      # threads.
      #
      # @param result [Result]
      # @return [Boolean]
      def self.own_fault?(result)
        return true if result.network_error && result.error.to_s.match?(PROXY)

        case result.network_error
        when :proxy, :unreachable then true
        when :io, :timeout then %i[resolve proxy].include?(result.network_phase) || lacking?(result)
        when :dns then result.error.to_s.match?(/temporary failure|timed? ?out/i)
        else false
        end
      end

      def self.lacking?(result) = result.network_error == :io && result.network_phase == :connect
      private_class_method :lacking?

      # @param store [Store]
      def initialize(store)
        @store = store
      end

      # @return [void]
      def succeeded(endpoint_id)
        Endpoint.where(id: endpoint_id).where("failures > 0").update_all(failures: 0, failing_since: nil, warned: 0)
      end

      # @param entry [Directory::Entry]
      # @param done [Array<Proc>] gets what is to do after the transaction
      # @return [Boolean] whether it is disabled now
      def failed(entry, endpoint_id, done)
        now = @store.now
        row = Endpoint.where(id: endpoint_id)
        row.update_all(["failures = failures + 1, failing_since = COALESCE(failing_since, ?)", now])
        failures, since, disabled_at = row.pick(:failures, :failing_since, :disabled_at)
        return !disabled_at.nil? if failures.nil? || disabled_at

        percent = percent(failures, (now - since) / 1_000_000.0)
        step = STEPS.find { |each| percent >= each } or return false
        # Of several processes, one reports it.
        warned = row.where("warned < ?", step).update_all(warned: step) == 1
        done << -> { report(entry, endpoint_id, step, "failing") } if warned && step < 100
        step == 100 && disable(entry, endpoint_id, "failing", done)
      end

      # @return [true]
      def disable(entry, endpoint_id, reason, done)
        row = Endpoint.where(id: endpoint_id, disabled_at: nil)
        if row.update_all(disabled_at: @store.now, disabled_reason: reason, warned: 100) == 1
          Endpoints.changed(entry.id)
          done << -> { report(entry, endpoint_id, 100, reason) }
        end
        true
      end

      private

      # How near it is to the point where it is disabled: both limits must be reached.
      def percent(failures, seconds)
        settings = Endpoints.settings
        time = settings.disable_after.zero? ? 1 : seconds / settings.disable_after
        ([failures.fdiv(settings.disable_after_failures), time].min * 100).floor
      end

      def report(entry, endpoint_id, percent, reason)
        endpoint = @store.connected { Endpoint.find_by(id: endpoint_id) } or return
        Instrumentation.publish(
          EVENT, { application_uid: entry.application.uid, endpoint_uid: endpoint.uid, percent:, reason:,
                   failures: endpoint.failures, failing_since: Endpoints.time(endpoint.failing_since) }
        )
        Endpoints.settings.on_failing&.call(endpoint, percent)
      rescue StandardError, ScriptError => e
        # The hook is user code and can raise anything; the attempt was made.
        Log.report(e, "config.endpoints.on_failing")
      end
    end
    private_constant :Health
  end
end
