# frozen_string_literal: true

require_relative "../errors"
require_relative "../version"

module SimpleConnect # rubocop:disable Style/Documentation -- it has that where the gem is loaded
  # Every public name works, whichever file is loaded first. What an application does not use is not loaded.
  {
    Client: "client", MessagesClient: "messages_client", Configuration: "configuration",
    ClientSettings: "client_settings", Retryable: "retryable", Result: "result",
    Responses: "responses", Signature: "signature", RateLimiter: "rate_limiter",
    Webhooks: "webhooks", Outbound: "outbound", Endpoints: "endpoints", Kiket: "kiket", Simplyq: "simplyq",
    Sandbox: "sandbox", Outbox: "outbox", Testing: "testing", CLI: "cli", Doctor: "doctor", WebMockAdapter: "webmock",
    Database: "internal/database", Instrumentation: "internal/instrumentation",
    DeliverJob: "active_job/deliver_job", ActiveJob: "active_job", Sidekiq: "sidekiq"
  }.each { |name, file| autoload name, File.expand_path("../#{file}.rb", __dir__) }
  private_constant :WebMockAdapter, :Doctor, :Database, :Instrumentation

  @configuration_lock = Mutex.new

  class << self
    # Configures the clients of this process: see {Configuration}. Clients are built on first use.
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

    # Returns the client of this process, or the configured client of that name. It is built on first use; later calls
    # return the same one. Threads and forked processes may share it.
    #
    # @param name [Symbol, String, nil] see {Configuration#client}; nil for the one without a name
    # @return [Client]
    # @raise [ConfigurationError] if no client has this name
    # @raise [ArgumentError] for a blank name
    # @example
    #   SimpleConnect.client.events.deliver("order_paid", order: 7)
    #   SimpleConnect.client(:billing).events.deliver("invoice_ready", invoice: 9)
    def client(name = nil) = configuration.built(Client, name)

    # Returns the messages client of this process, or the configured one of that name; see {.client}.
    #
    # @param name [Symbol, String, nil]
    # @return [MessagesClient]
    # @raise [ConfigurationError] if no client has this name
    # @raise [ArgumentError] for a blank name
    # @example
    #   SimpleConnect.messages.deliver(template_name: "order_update", recipients: [{ mobile_no: "+919812345678" }])
    def messages(name = nil) = configuration.built(MessagesClient, name)

    # Returns the outbox of the client of this process, or of the configured client of that name. Events that you write
    # into it are stored in your database, within your transaction, and delivered afterwards: see docs/outbox.md.
    #
    # @param name [Symbol, String, nil] see {.client}
    # @return [Outbox::Writer]
    # @raise [ConfigurationError] if no client has this name
    # @raise [ArgumentError] for a blank name
    # @example
    #   Payment.transaction do
    #     payment = Payment.create!(amount: "450.00")
    #     SimpleConnect.outbox.deliver("customer_payment_received", recipient: { mobile_no: "+919812345678" },
    #                                                               event: { event_id: "payment_#{payment.id}" })
    #   end
    def outbox(name = nil) = configuration.writer(name)
  end

  # Calls a hook after each event; docs/observability.md lists names and payloads. An error in the hook is reported and
  # does not fail the delivery. If ActiveSupport::Notifications is loaded, it gets the same events.
  #
  # @param name [String, nil] such as `"deliver.simple_connect"`; nil for all events
  # @yieldparam name [String]
  # @yieldparam payload [Hash{Symbol => Object}] frozen
  # @return [Proc] the hook, for {.off_event}
  # @raise [ArgumentError] without a block
  # @example
  #   SimpleConnect.on_event("deliver.simple_connect") do |_name, event|
  #     StatsD.timing("simple_connect.deliver", event[:elapsed] * 1000, tags: ["success:#{event[:success]}"])
  #   end
  def self.on_event(name = nil, &hook)
    raise ArgumentError, "SimpleConnect.on_event takes a block: { |name, event| … }" unless hook

    Instrumentation.subscribe(name, hook)
  end

  # Removes a hook.
  #
  # @param hook [Proc] what {.on_event} returned
  # @return [void]
  # @example
  #   hook = SimpleConnect.on_event { |name, event| p name, event }
  #   SimpleConnect.off_event(hook)
  def self.off_event(hook) = Instrumentation.unsubscribe(hook)

  # Loads everything that an application needs in production, so that forked processes share the memory. Rails calls it
  # when it loads eagerly.
  #
  # @return [void]
  def self.eager_load!
    [Configuration, RateLimiter, Responses, Retryable, Signature].each(&:name)
    { Webhooks => %i[App CacheReplayGuard Context Controller InboundEvent Registry ReplayGuard],
      Outbound => %i[Application DeliveryAttempt Dispatcher Endpoint Event RetrySchedule Router] }.each do |home, names|
      names.each { |name| home.const_get(name) }
    end
    return unless configuration.outbox?

    Database.name
    %i[Bodies LaneKeys LaterQueue Outcome Relay Sender Store Wake Writer].each { |name| Outbox.const_get(name) }
  end

  # Turns test mode on: nothing is sent. Each request is encoded, signed and recorded, and answered as by the service;
  # see {Testing}. Waits between attempts take no time. This also holds for webhooks and Kiket: see {Testing.requests}.
  #
  # With a block, test mode lasts while the block runs, in the thread and fiber that call it, with separate records and
  # answers. On Ruby 3.2 and later it includes threads and fibers started in the block; on 3.1, all fibers of the
  # thread.
  #
  # @yieldparam session [Testing::Session] its records and answers
  # @return [Object] the block's value; nil without a block
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
