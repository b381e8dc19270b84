# frozen_string_literal: true

require_relative "../errors"
require_relative "job_policy"
require_relative "job_queue"
require_relative "log"
require_relative "tracing"

module SimpleConnect
  # One delivery attempt in a job.
  # @api private
  class JobRun
    # @param arguments [Hash{String => Object}] see {JobQueue}
    # @param job [String] the name of its class
    # @yield [wait, arguments, error] schedules the next attempt
    # @return [void]
    # @raise [StandardError] the error that ends the job, and that its queue keeps
    def self.call(arguments, job, &again) = new(arguments, job).call(&again)

    def initialize(arguments, job)
      @arguments = arguments
      @body = JobQueue.body(arguments)
      @failed = arguments.fetch("failed", 0) + 1
      @since = arguments.fetch("since") { Time.now.to_f }
      @context = { client: arguments["client"].to_sym, event_key: arguments["event_key"],
                   event_id: arguments["event_id"], job: }
    end

    def call(&)
      events = found or return come_back(&)
      result = attempt(events)
      settle(JobPolicy.verdict(result), result, &) if result
    end

    private

    # The client's Events; nil if application code that builds it fails, such as a tenants' database.
    def found
      client = SimpleConnect.client(@context[:client])
      begin
        client.with(max_attempts: 1).events
      rescue ConfigurationError
        # A custom `retryable:` has no `max_attempts:` and decides for itself.
        client.events
      end
    rescue ArgumentError, Error
      raise
    rescue StandardError, ScriptError => e
      @trouble = e
      nil
    end

    def come_back(&)
      Log.warn(SimpleConnect.configuration.find(:logger)&.last,
               "the client #{@context[:client].inspect} cannot be built: #{@trouble.class}: #{@trouble.message}")
      settle(:retry, nil, &)
    end

    # Nil if the service accepted the event, but its response is not readable.
    def attempt(events)
      Tracing.linked(@arguments["trace"]) { events.deliver_body(@body) }
    rescue MalformedResponseError
      nil
    end

    def settle(verdict, result)
      decision = JobPolicy.decide(verdict, result, failed: @failed, since: @since, context: @context)
      case decision.todo
      when :retry then yield decision.wait, @arguments.merge("failed" => @failed, "since" => @since), error(result)
      when :dead then raise error(result, decision.exhausted)
      end
    end

    # Without the response body, which may repeat the event: queues, logs and error trackers keep the message.
    def error(result, exhausted = nil)
      return @trouble if result.nil?

      event = "#{@context[:event_key]}, event_id #{@context[:event_id]}"
      answer = result.status_code.zero? ? result.error : "HTTP #{result.status_code}"
      tried = ", after #{@failed} attempts in #{(Time.now.to_f - @since).round} s" if exhausted
      DeliveryError.class_for(result).new("#{answer} (#{event})#{tried}", result:)
    end
  end
  private_constant :JobRun
end
