# frozen_string_literal: true

require "time"
require_relative "../internal/autoload"
require_relative "checks"

module SimpleConnect
  class Doctor
    # Asks the service for the state of the integration, with a signed GET that changes nothing.
    # @api private
    class Service
      include Checks

      # Limits for the clock's difference in seconds. From 300 on the service rejects signatures.
      GOOD = 60
      BAD = 240
      NAMES = ["client", "clock", "verify", "event flows"].freeze
      private_constant :GOOD, :BAD, :NAMES

      # @param settings [Settings]
      # @param missing [Finding, nil] the failed check of the extension
      # @param unreachable [Finding, nil] the failed check of the network
      def initialize(settings, missing:, unreachable:)
        @settings = settings
        @missing = missing
        @unreachable = unreachable
      end

      # @return [Array<Finding>]
      def findings
        return skip("the extension is not loaded") if @missing
        return skip("a setting is missing") if @settings.missing?

        client = check("client", slow: "check whether a Proc in the configuration blocks") { build }
        return [client, *skip("there is no client", 1)] if client.level == :red
        return [client, *skip("#{@unreachable.name} failed", 1)] if @unreachable
        return [client, *skip("a MessagesClient has no integration", 1)] if @settings.messages_only?

        [client, *ask]
      end

      # @return [String]
      def inspect = "#<#{self.class.name}>"

      private

      def skip(why, from = 0) = NAMES.drop(from).map { |name| skipped(name, why) }

      def build
        @client = @settings.client
        green("client", @client.inspect)
      rescue ConfigurationError => e
        red("client", "cannot be built: #{e.message}", "change that setting")
      end

      def ask
        verify = check("verify", slow: "check whether the service works") { verified }
        clock = @result ? check("clock", slow: "", &method(:clock)) : skipped("clock", "there was no response")
        if verify.level == :red && clock.level == :red
          verify = red("verify", verify.seen, "set the clock first, then run doctor again")
        end
        flows = @data ? check("event flows", slow: "", &method(:flows)) : skipped("event flows", "verify failed")
        [clock, verify, flows]
      end

      # A GET, with one attempt.
      def verified
        result = once.integrations.verify
        @at = Time.now
        @result = result unless result.status_code.zero?
        return judged(result) if result.success?

        red("verify", @result ? "HTTP #{result.status_code}#{text(result)}" : result.error.to_s, advice(result))
      rescue MalformedResponseError => e
        @at = Time.now
        @result = e.result
        red("verify", "the response is not the service's", "check endpoint_url, and for a proxy in between")
      end

      def once
        @client.with(total_timeout: LIMIT - 0.5, max_attempts: 1)
      rescue ConfigurationError
        # A custom policy has no `max_attempts:`.
        @client.with(total_timeout: LIMIT - 0.5)
      end

      def text(result)
        message = result.data.respond_to?(:message) ? result.data.message.to_s[0, 200] : ""
        message.empty? ? "" : ": #{message}"
      end

      def judged(result)
        data = result.data
        return red("verify", "a response without a body", "check endpoint_url") unless data

        @data = data
        seen = "#{data.provider || "the integration"} is #{data.status || "without a status"}"
        data.connected? ? green("verify", seen) : red("verify", seen, "connect the integration in SimpleConnect")
      end

      def advice(result)
        case result.status_code
        when 0 then "see the checks above"
        when 401, 403 then "the key id or the secret is wrong: copy both again from the integration's page"
        when 300..399, 404, 405, 410 then "endpoint_url is wrong: copy it again from the integration's page"
        when 429 then "too many requests: try again later"
        when 500..599 then "the service failed: try again later"
        else "see the service's message"
        end
      end

      def clock
        date = @result.headers["date"]
        return skipped("clock", "the response has no Date") unless date

        # The Date is in whole seconds, and was written about half a round trip earlier.
        off = (@at - Time.httpdate(date) - 0.5 - (@result.elapsed.to_f / 2)).round
        seen = "#{off.abs} second#{"s" unless off.abs == 1} #{off.negative? ? "behind" : "ahead of"} the server's"
        return green("clock", seen) if off.abs <= GOOD

        advice = "set this machine's clock, such as by NTP: the service rejects signatures if it is off by 300 seconds"
        off.abs > BAD ? red("clock", seen, advice) : yellow("clock", seen, advice)
      rescue ArgumentError
        skipped("clock", "the response's Date is invalid")
      end

      def flows
        flows = @data.event_flows
        wrong = flows.select(&:needs_attention?)
        return green("event flows", "#{flows.count(&:enabled?)} of #{flows.size} enabled") if wrong.empty?

        yellow("event flows", "#{wrong.map(&:event_key).join(", ")}: needs attention",
               "see the event's template on the integration's page")
      end
    end
    private_constant :Service
  end
end
