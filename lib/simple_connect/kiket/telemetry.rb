# frozen_string_literal: true

require "time"
require_relative "../internal/autoload"
require_relative "../internal/keeps_secrets"
require_relative "../internal/log"
require_relative "../internal/sender"

module SimpleConnect
  class Kiket < Webhooks::App
    # Reports how handlers do: a record of each event to a hook of yours, and by POST to a URL where one is given.
    #
    # A record has `event`, `version`, `status` (`"ok"` or `"error"`), `duration_ms`, `error_class`, `error_message`,
    # `extension_id`, `extension_version` and `timestamp` (ISO 8601, in UTC). A background thread posts it as JSON; that
    # thread starts with the first record, does not keep the process from ending, and starts again in a forked process.
    # What cannot be posted is dropped.
    class Telemetry
      include KeepsSecrets

      # Set this variable to 1, and nothing is posted.
      OPT_OUT = "KIKET_SDK_TELEMETRY_OPTOUT"
      # How many records may wait to be posted; more are dropped.
      CAPACITY = 1000
      # The characters of an error's message that a record has at the most.
      MESSAGE_LENGTH = 1000
      private_constant :CAPACITY, :MESSAGE_LENGTH

      # @param feedback_hook [#call, nil] gets each record, on the thread that handled the event
      # @param url [String, nil] where to post them
      # @param enabled [Boolean] whether to post them; the hook gets them in any case
      # @param extension_id [String, nil]
      # @param extension_version [String, nil]
      # @param extension_api_key [String, nil] sent along as `X-Kiket-API-Key`
      # @param env [Hash{String => String}, ENV]
      # @raise [ConfigurationError] where the hook cannot be called, or the URL is invalid
      # @example
      #   hook = ->(record) { StatsD.timing("webhook", record[:duration_ms]) }
      #   SimpleConnect::Kiket::Telemetry.new(feedback_hook: hook)
      def initialize(feedback_hook: nil, url: nil, enabled: true, extension_id: nil, extension_version: nil,
                     extension_api_key: nil, env: ENV)
        unless feedback_hook.nil? || feedback_hook.respond_to?(:call)
          raise ConfigurationError, "feedback_hook: must have a call, such as ->(record) { … }, " \
                                    "not #{feedback_hook.class}"
        end

        @hook = feedback_hook
        @extension = { extension_id:, extension_version: }.freeze
        sender = Sender.new(url, "telemetry_url", headers: Client.api_key(extension_api_key)) if url
        @sender = sender if enabled && ["", "0", "false"].include?(env[OPT_OUT].to_s)
        @lock = Mutex.new
      end

      # Reports one handled event. Whatever goes wrong with that, the caller never hears of it.
      #
      # @param event [String]
      # @param version [String]
      # @param seconds [Float] how long the handler took
      # @param error [Exception, nil] what it raised
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
        # The hook is the user's, and so is the error's message: they can fail in any way, and none may cost a webhook.
        Log.stderr { "a webhook's telemetry failed: #{e.class}" }
      end

      # @return [String]
      def inspect = "#<#{self.class.name} #{@sender ? "on" : "off"}>"

      private

      def enqueue(record)
        queue.push([record, Sender.session], true)
      rescue ThreadError
        # The queue is full, or the system has no thread to give.
        nil
      end

      # The queue of this process, with a thread that empties it. Threads do not survive a fork.
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
        # It is started again with the next record.
        thread.report_on_exception = false
        thread
      end

      def post(record, session)
        @sender.post(Codec.generate(record), session:)
      rescue Error
        # There is nobody to tell. A network error is none of these, but a failed result.
        nil
      end
    end
  end
end
