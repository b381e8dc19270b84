# frozen_string_literal: true

require "time"
require_relative "../internal/autoload"
require_relative "../internal/keeps_secrets"
require_relative "../internal/log"
require_relative "../internal/sender"

module SimpleConnect
  class Kiket < Webhooks::App
    # Reports each handled event: it passes a record to your hook, and posts it to a URL if one is set.
    #
    # A record has `event`, `version`, `status` (`"ok"` or `"error"`), `duration_ms`, `error_class`, `error_message`,
    # `extension_id`, `extension_version` and `timestamp` (ISO 8601, in UTC). A background thread posts it as JSON. The
    # thread starts with the first record, also in a forked process, and does not keep the process running. Records that
    # cannot be posted are dropped.
    class Telemetry
      include KeepsSecrets

      # If this variable is 1, nothing is posted.
      OPT_OUT = "KIKET_SDK_TELEMETRY_OPTOUT"
      # The maximum number of records that wait to be posted; more are dropped.
      CAPACITY = 1000
      # The maximum characters of an error's message in a record.
      MESSAGE_LENGTH = 1000
      private_constant :CAPACITY, :MESSAGE_LENGTH

      # @param feedback_hook [#call, nil] called with each record, in the thread that handled the event
      # @param url [String, nil] the URL to post to
      # @param enabled [Boolean] whether to post records; the hook always gets them
      # @param extension_id [String, nil]
      # @param extension_version [String, nil]
      # @param extension_api_key [String, nil] sent as `X-Kiket-API-Key`
      # @param env [Hash{String => String}, ENV]
      # @raise [ConfigurationError] if the hook has no `call`, or the URL is invalid
      # @example
      #   hook = ->(record) { StatsD.timing("webhook", record[:duration_ms]) }
      #   SimpleConnect::Kiket::Telemetry.new(feedback_hook: hook)
      def initialize(feedback_hook: nil, url: nil, enabled: true, extension_id: nil, extension_version: nil,
                     extension_api_key: nil, env: ENV)
        unless feedback_hook.nil? || feedback_hook.respond_to?(:call)
          raise ConfigurationError, "feedback_hook: must respond to call, such as ->(record) { … }, " \
                                    "not #{feedback_hook.class}"
        end

        @hook = feedback_hook
        @extension = { extension_id:, extension_version: }.freeze
        sender = Sender.new(url, "telemetry_url", headers: Client.api_key(extension_api_key)) if url
        @sender = sender if enabled && ["", "0", "false"].include?(env[OPT_OUT].to_s)
        @lock = Mutex.new
      end

      # Reports one handled event. Never raises.
      #
      # @param event [String]
      # @param version [String]
      # @param seconds [Float] the duration of the handler
      # @param error [Exception, nil] the handler's exception
      # @return [void]
      # @example
      #   telemetry.record("order.paid", "v1", 0.02)
      def record(event, version, seconds, error = nil)
        return unless @hook || @sender

        record = { event:, version:, status: error ? "error" : "ok", duration_ms: (seconds * 1000).round(3),
                   error_class: error&.class&.name,
                   error_message: error && Webhooks.utf8(error.message)[0, MESSAGE_LENGTH],
                   **@extension, timestamp: Time.now.utc.iso8601(3) }.freeze
        enqueue(record) if @sender
        @hook&.call(record)
        nil
      rescue StandardError, ScriptError => e
        # The hook and the exception are user code and can raise anything; they must not fail a webhook.
        Log.stderr { "a webhook's telemetry failed: #{e.class}" }
      end

      # @return [String]
      def inspect = "#<#{self.class.name} #{@sender ? "on" : "off"}>"

      private

      def enqueue(record)
        queue.push([record, Sender.session], true)
      rescue ThreadError
        # The queue is full, or no thread could be started.
        nil
      end

      # The queue of this process and the thread that empties it. Threads do not survive a fork.
      def queue
        @lock.synchronize do
          unless @generation == Transport.generation
            @generation = Transport.generation
            @queue = SizedQueue.new(CAPACITY)
            @thread = nil
          end
          @thread = start(@queue) unless @thread&.alive?
          @queue
        end
      end

      def start(queue)
        thread = Thread.new { loop { post(*queue.pop) } }
        thread.name = "simple_connect telemetry"
        # The next record starts a new thread.
        thread.report_on_exception = false
        thread
      end

      def post(record, session)
        @sender.post(Codec.generate(record), session:)
      rescue Error
        # Nobody waits for this error. A network error does not raise; it returns a failed result.
        nil
      end
    end
  end
end
