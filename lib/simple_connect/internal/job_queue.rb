# frozen_string_literal: true

require_relative "../errors"
require_relative "after_commit"
require_relative "checks"
require_relative "job_class"
require_relative "observation"
require_relative "tracing"

module SimpleConnect
  # Enqueues deliveries as jobs of the configured class.
  #
  # A job's only argument is a Hash of JSON: `v`, the version of this list; `client`, its name; `event_key` and
  # `event_id`; `body`, in Base64, so that logs, error trackers and the queue's pages show no phone number; after the
  # first attempt, `failed`, the number of failed attempts, and `since`, the start of the first; and `queue`, if it was
  # set for Sidekiq, whose jobs do not know their queue.
  # @api private
  class JobQueue
    # The version of the arguments.
    VERSION = 1
    JOBS = { active_job: "SimpleConnect::DeliverJob", sidekiq: "SimpleConnect::Sidekiq::DeliverJob" }.freeze
    private_constant :JOBS

    # @param arguments [Hash{String => Object}] the job's arguments
    # @return [String] the JSON to deliver
    # @raise [Error] if a later release of the gem enqueued it
    def self.body(arguments)
      version = arguments["v"]
      return arguments.fetch("body").unpack1("m0").force_encoding(Encoding::UTF_8) if version == VERSION

      raise Error, "this job's arguments have the version #{version.inspect}: run it with the release of " \
                   "simple_connect-client that enqueued it, or a later one"
    end

    # @param configuration [Configuration, nil]
    # @param client [Symbol, nil] its name
    # @raise [ConfigurationError] if a job could not find the client
    def self.check_client(configuration, client)
      return if configuration && client

      raise ConfigurationError, "a job finds its client by name: configure one (SimpleConnect.configure), and call " \
                                "SimpleConnect.client.events.deliver_later, or SimpleConnect.client(:name) for " \
                                "another; options of client.with apply only to calls without a job"
    end

    # @param configuration [Configuration, nil]
    # @param client [Symbol, nil] its name
    # @param options [Hash] `queue:`, `wait:` and `priority:`; values can be nil
    # @raise [ConfigurationError] if a job could not find the client, or there is no queue
    # @raise [ArgumentError] for invalid options
    def initialize(configuration, client, **options)
      JobQueue.check_client(configuration, client)
      @client = client
      @options = checked(options.compact)
      @job_class = job_class(configuration.job)
      @options[:queue] ||= configuration.queue if configuration.queue
      @job_class.check_options(@options)
    end

    # @param body [String] JSON
    # @return [Hash{String => Object}] the arguments of a job that delivers it
    def job(body)
      { "v" => VERSION, "client" => @client.name, **Observation.identify(body).transform_keys(&:name),
        "body" => [body].pack("m0"), **Tracing.carried }
    end

    # Enqueues these jobs after the open transactions have committed.
    #
    # @param jobs [Array<Hash>]
    # @return [void]
    # @raise [EnqueueError] if one is rejected
    def push(jobs)
      AfterCommit.call { @job_class.enqueue_deliveries(jobs, @options) }
    end

    def inspect = "#{@job_class.name} #{@options.inspect}"

    private

    def checked(options)
      queue, wait, priority = options.values_at(:queue, :wait, :priority)
      if queue && Checks.line(queue).nil?
        raise ArgumentError, "queue: must be a name, such as \"low\", not #{queue.inspect}"
      end
      unless wait.nil? || (wait.is_a?(Numeric) && wait.real? && !wait.negative? && wait.to_f.finite?)
        raise ArgumentError, "wait: must be a number of seconds, such as 60, not #{wait.inspect}"
      end
      unless priority.nil? || priority.is_a?(Integer)
        raise ArgumentError, "priority: must be an Integer, such as 5, not #{priority.inspect}"
      end

      options
    end

    def job_class(job)
      JobClass.find("config.job", job, JOBS, :enqueue_deliveries) or
        raise ConfigurationError, "there is no queue: require Active Job or Sidekiq before deliver_later"
    end
  end
  private_constant :JobQueue
end
