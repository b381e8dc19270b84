# frozen_string_literal: true

require_relative "../errors"
require_relative "../version"

module SimpleConnect # rubocop:disable Style/Documentation -- it has that where the gem is loaded
  # Whatever file is loaded first, every public name is there: what an application does not use is not loaded.
  {
    Client: "client", MessagesClient: "messages_client", Configuration: "configuration",
    ClientSettings: "client_settings", Retryable: "retryable", Result: "result",
    Responses: "responses", Signature: "signature", RateLimiter: "rate_limiter",
    Webhooks: "webhooks", Outbound: "outbound", Kiket: "kiket", Simplyq: "simplyq",
    Sandbox: "sandbox", Testing: "testing", CLI: "cli", Doctor: "doctor", WebMockAdapter: "webmock",
    Instrumentation: "internal/instrumentation",
    DeliverJob: "active_job/deliver_job", ActiveJob: "active_job", Sidekiq: "sidekiq"
  }.each { |name, file| autoload name, File.expand_path("../#{file}.rb", __dir__) }
  private_constant :WebMockAdapter, :Doctor, :Instrumentation

  @configuration_lock = Mutex.new

  class << self
    # Configures the clients of this process: see {Configuration}. Nothing is built or read before the first use.
    #
    # @yieldparam config [Configuration]
    # @return [void]
    # @raise [ArgumentError] without a block
    # @example
    #   SimpleConnect.configure do |config|
    #     config.logger = Logger.new($stdout)
    #     config.total_timeout = 5
    #   end
    def configure
      raise ArgumentError, "SimpleConnect.configure takes a block: { |config| config.timeout = 5 }" unless block_given?

      yield configuration
      configuration.reset
    end

    # @return [Configuration]
    def configuration = @configuration || @configuration_lock.synchronize { @configuration ||= Configuration.new }

    # The client of this process, or another that is configured by name. It is built when it is first used, and is the
    # same for each call. Threads and forked processes may share it.
    #
    # @param name [Symbol, String, nil] see {Configuration#client}; nil for the one without a name
    # @return [Client]
    # @raise [ConfigurationError] where no client has this name
    # @raise [ArgumentError] for a blank name
    # @example
    #   SimpleConnect.client.events.deliver("order_paid", order: 7)
    #   SimpleConnect.client(:billing).events.deliver("invoice_ready", invoice: 9)
    def client(name = nil) = configuration.built(Client, name)

    # The messages client of this process, or another; as {.client}.
    #
    # @param name [Symbol, String, nil]
    # @return [MessagesClient]
    # @raise [ConfigurationError] where no client has this name
    # @raise [ArgumentError] for a blank name
    # @example
    #   SimpleConnect.messages.deliver(template_name: "order_update", recipients: [{ mobile_no: "+919812345678" }])
    def messages(name = nil) = configuration.built(MessagesClient, name)
  end

  # Calls a hook with what happens, after it has happened; see docs/observability.md for names and payloads. What the
  # hook raises is reported, and fails no delivery. ActiveSupport::Notifications has the same events where it is loaded.
  #
  # @param name [String, nil] such as `"deliver.simple_connect"`; nil for each event
  # @yieldparam name [String]
  # @yieldparam payload [Hash{Symbol => Object}] frozen
  # @return [Proc] what {.off_event} takes
  # @raise [ArgumentError] without a block
  # @example
  #   SimpleConnect.on_event("deliver.simple_connect") do |_name, event|
  #     StatsD.timing("simple_connect.deliver", event[:elapsed] * 1000, tags: ["success:#{event[:success]}"])
  #   end
  def self.on_event(name = nil, &hook)
    raise ArgumentError, "SimpleConnect.on_event takes a block: { |name, event| … }" unless hook

    Instrumentation.subscribe(name, hook)
  end

  # Calls a hook no more.
  #
  # @param hook [Proc] what {.on_event} returned
  # @return [void]
  # @example
  #   hook = SimpleConnect.on_event { |name, event| p name, event }
  #   SimpleConnect.off_event(hook)
  def self.off_event(hook) = Instrumentation.unsubscribe(hook)

  # Loads what an application needs in production, so that forked processes share it. Rails calls this where it loads
  # eagerly.
  #
  # @return [void]
  def self.eager_load!
    [Configuration, RateLimiter, Responses, Retryable, Signature].each(&:name)
    { Webhooks => %i[App CacheReplayGuard Context Controller InboundEvent Registry ReplayGuard],
      Outbound => %i[Application DeliveryAttempt Dispatcher Endpoint Event RetrySchedule Router] }.each do |home, names|
      names.each { |name| home.const_get(name) }
    end
  end

  # Turns test mode on: nothing is sent any more, by no client. What would be is encoded and signed, recorded, and
  # answered as by the service; see {Testing}. Waits between attempts take no time. Nor does anything else of this gem
  # send: see {Testing.requests}.
  #
  # With a block only while it runs, with records and answers of its own, and for the block's own thread and fiber. From
  # Ruby 3.2 on also for the threads and fibers that it starts; before, for all fibers of its thread.
  #
  # @yieldparam session [Testing::Session] its records and answers
  # @return [Object] what the block gives; nil without one
  # @example For the whole process
  #   SimpleConnect.test!
  # @example For a block
  #   SimpleConnect.test! do |session|
  #     session.respond_with(422)
  #     client.events.deliver("order_paid", order: 7).status_code # => 422
  #     session.deliveries.size                                   # => 1
  #   end
  def self.test!(&block)
    block ? Testing.within(Testing::Session.new, &block) : Testing.enable
  end
end
