# frozen_string_literal: true

require_relative "sender"

module SimpleConnect
  module Webhooks
    # Tells how handlers do: a record of each event to a hook of yours, and to a URL where one is given.
    #
    # A record is `{ event:, version:, status:, duration_ms:, error_class:, error_message: }`; the status is `"ok"` or
    # `"error"`. It is posted as JSON from a thread of its own, that starts with the first record, and does not keep the
    # process from ending. A forked process starts its own. What cannot be posted is dropped.
    class Telemetry
      # Set this variable to 1, and nothing is told.
      OPT_OUT = "SIMPLECONNECT_TELEMETRY_OPTOUT"
      # How many records may wait to be posted; more are dropped.
      CAPACITY = 1000
      # The characters of an error's message that a record has at the most.
      MESSAGE_LENGTH = 1000
      private_constant :CAPACITY, :MESSAGE_LENGTH

      # @api private
      # @return [Boolean] whether that variable is set to anything that does not mean no
      def self.opted_out?(env, variable) = !["", "0", "false"].include?(env[variable].to_s)

      # @param feedback_hook [#call, nil] gets each record, in the thread that handled the event
      # @param url [String, nil] where to post them
      # @param enabled [Boolean]
      # @param env [Hash{String => String}, ENV]
      # @raise [ConfigurationError] where the hook cannot be called, or the URL is none
      # @example
      #   hook = ->(record) { StatsD.timing("webhook", record[:duration_ms]) }
      #   SimpleConnect::Webhooks::Telemetry.new(feedback_hook: hook)
      def initialize(feedback_hook: nil, url: nil, enabled: true, env: ENV)
        unless feedback_hook.nil? || feedback_hook.respond_to?(:call)
          raise ConfigurationError, "feedback_hook: must have a call, such as ->(record) { … }, " \
                                    "not #{feedback_hook.class}"
        end

        sender = Sender.new(url, "telemetry_url") if url
        return unless enabled && !Telemetry.opted_out?(env, OPT_OUT)

        @hook = feedback_hook
        @sender = sender
        @lock = Mutex.new
      end

      # Tells of one handled event. Whatever goes wrong with that, the caller never hears of it.
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
                   error_message: error && Webhooks.utf8(error.message)[0, MESSAGE_LENGTH] }.freeze
        enqueue(record) if @sender
        @hook&.call(record)
        nil
      rescue StandardError, ScriptError => e
        # The hook is the user's, and so is the error's message: they can fail in any way whatever, and none may cost a
        # webhook.
        Log.stderr { "a webhook's telemetry failed: #{e.class}" }
      end

      # @return [String]
      def inspect = "#<#{self.class.name} #{@sender || @hook ? "on" : "off"}>"

      private

      def enqueue(record)
        queue.push(record, true)
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
        thread = Thread.new { loop { post(queue.pop) } }
        thread.name = "simple_connect telemetry"
        # It is started again with the next record.
        thread.report_on_exception = false
        thread
      end

      def post(record)
        @sender.post(Codec.generate(record))
      rescue Error
        # There is nobody to tell. A network error is none of these, but a failed result.
        nil
      end
    end
  end
end
