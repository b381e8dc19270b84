# frozen_string_literal: true

require "monitor"
require_relative "client"
require_relative "client_settings"
require_relative "internal/checks"
require_relative "messages_client"

module SimpleConnect
  # The configuration of the clients of {SimpleConnect.client} and {SimpleConnect.messages}; see
  # {SimpleConnect.configure}. In Rails, `config.simple_connect` is the same object.
  #
  # Each value comes from the first place that has it: this object; the environment; in Rails, `simple_connect` in the
  # credentials, first below the name of the Rails environment. Procs are called when the client is first used. Key id
  # and secret must come from the same place.
  #
  # @example
  #   SimpleConnect.configure do |config|
  #     config.key_id = -> { Vault.read("simple_connect/key_id") }
  #     config.secret = -> { Vault.read("simple_connect/secret") }
  #     config.total_timeout = 5
  #   end
  class Configuration < ClientSettings
    # The required and the optional settings of each client.
    NEEDED = { Client => %i[endpoint_url key_id secret].freeze, MessagesClient => %i[base_url api_key].freeze }.freeze
    SHARED = %i[logger timeout open_timeout read_timeout write_timeout total_timeout max_attempts retryable headers
                user_agent debug proxy guard allow_private allow_http ca_file ip_version pool_size idle_timeout
                max_response_bytes].freeze
    OPTIONAL = { Client => [*SHARED, :event_keys, :envelope].freeze, MessagesClient => SHARED }.freeze
    # The maximum number of clients from {#clients} that are kept.
    KEPT = 100
    private_constant :NEEDED, :SHARED, :OPTIONAL, :KEPT

    # @return [:active_job, :sidekiq, :outbox, String, nil] the job that {Api::Events#deliver_later} enqueues: the gem's
    #   own, or the name of a class that inherits from it; nil for ActiveJob's if loaded, otherwise Sidekiq's. With
    #   `:outbox`, it writes into the outbox instead: see {SimpleConnect.outbox}
    attr_reader :job
    # @return [String, Symbol, nil] the queue of these jobs; nil for the job's default
    attr_reader :queue
    # @return [Numeric] the maximum wait between attempts in seconds, unless the service asks for more (an hour)
    attr_reader :max_wait
    # @return [Numeric] the time in seconds after the first attempt when the job gives up (three days)
    attr_reader :give_up_after
    # @return [:dead, :discard] whether a job whose event the service rejects is kept as dead or discarded
    attr_reader :rejected
    # @return [#call, nil] called with the {Result} and a Hash (`client:`, `event_key:`, `event_id:`, `job:`) if the
    #   service rejects the event
    attr_reader :on_rejected
    # @return [#call, nil] called with the same arguments, at most once a minute, if the integration, its URL or a proxy
    #   rejects all events
    attr_reader :on_unauthorized
    # @return [#call, nil] called with the same arguments if a job gives up. The Result is nil if its client cannot be
    #   built
    attr_reader :on_exhausted

    # @api private
    # @return [Proc, nil] returns the values of Rails' credentials, by place
    attr_accessor :credentials

    # @api private
    # @param env [Hash{String => String}, ENV]
    def initialize(env: ENV)
      super()
      @env = env
      @max_wait = 3600
      @give_up_after = 3 * 24 * 3600
      @rejected = :dead
      @named = {}
      @built = {}
      @writers = {}
      @lock = Monitor.new
    end

    # @return [Outbox::Settings] the settings of the outbox
    # @example
    #   config.outbox.encrypt = true
    def outbox
      @outbox_configured = true
      outbox_settings
    end

    # @param job [:active_job, :sidekiq, :outbox, String, Symbol, nil] see {#job}; a String, as Rails reloads classes
    # @raise [ConfigurationError] for anything else
    def job=(job)
      job = job.to_sym if %w[active_job sidekiq outbox].include?(job)
      unless [nil, :active_job, :sidekiq, :outbox].include?(job) || Checks.class_name?(job)
        raise ConfigurationError, "config.job must be :active_job, :sidekiq, :outbox, or the name of a class, such " \
                                  "as \"MyJob\", not #{job.inspect}"
      end

      @job = job
    end

    # @param queue [String, Symbol, nil] see {#queue}
    # @raise [ConfigurationError] if it is not a name
    def queue=(queue)
      unless queue.nil? || Checks.line(queue)
        raise ConfigurationError, "config.queue must be a name, such as \"low\", not #{queue.inspect}"
      end

      @queue = queue
    end

    # @param seconds [Numeric] see {#max_wait}
    # @raise [ConfigurationError] if it is not a positive number
    def max_wait=(seconds)
      @max_wait = Checks.seconds("config.max_wait", seconds, 3600)
    end

    # @param seconds [Numeric] see {#give_up_after}
    # @raise [ConfigurationError] if it is not a positive number
    def give_up_after=(seconds)
      @give_up_after = Checks.seconds("config.give_up_after", seconds, 259_200)
    end

    # @param rejected [:dead, :discard] see {#rejected}
    # @raise [ConfigurationError] for anything else
    def rejected=(rejected)
      unless %i[dead discard].include?(rejected)
        raise ConfigurationError, "config.rejected must be :dead or :discard, not #{rejected.inspect}"
      end

      @rejected = rejected
    end

    # @param hook [#call, nil] see {#on_rejected}
    # @raise [ConfigurationError] if it has no `call`
    def on_rejected=(hook)
      @on_rejected = hook(:on_rejected, hook)
    end

    # @param hook [#call, nil] see {#on_unauthorized}
    # @raise [ConfigurationError] if it has no `call`
    def on_unauthorized=(hook)
      @on_unauthorized = hook(:on_unauthorized, hook)
    end

    # @param hook [#call, nil] see {#on_exhausted}
    # @raise [ConfigurationError] if it has no `call`
    def on_exhausted=(hook)
      @on_exhausted = hook(:on_exhausted, hook)
    end

    # Configures another client, for {SimpleConnect.client}. Settings that are missing for it come from the rest of the
    # configuration.
    #
    # @param name [Symbol, String]
    # @yieldparam client [ClientSettings]
    # @return [void]
    # @raise [ArgumentError] without a block, and for a blank name
    # @example
    #   config.client(:billing) do |client|
    #     client.endpoint_url = "https://app.simplewaconnect.com/api/v1/integrations/billing/events"
    #     client.key_id = -> { Rails.application.credentials.dig(:billing, :key_id) }
    #     client.secret = -> { Rails.application.credentials.dig(:billing, :secret) }
    #   end
    def client(name)
      raise ArgumentError, "config.client takes a block, which sets the options of #{name.inspect}" unless block_given?

      yield(@lock.synchronize { @named[checked(name)] ||= ClientSettings.new })
      reset
    end

    # Builds clients by name on first use, such as one for each tenant. The 100 most recently used are kept.
    #
    # @yieldparam name [Symbol] one that {#client} has not configured
    # @yieldreturn [Client, nil] nil if there is no such client
    # @return [void]
    # @raise [ArgumentError] without a block
    # @example
    #   config.clients do |name|
    #     tenant = Tenant.find_by(slug: name) or next
    #     SimpleConnect::Client.new(endpoint_url: tenant.url, key_id: tenant.key_id, secret: tenant.secret)
    #   end
    def clients(&block)
      @clients = block or raise ArgumentError, "config.clients takes a block, which builds the client of a name"
      reset
    end

    # Forgets the clients that were built, and closes their idle connections. The next use builds them again, such as
    # with a new secret.
    #
    # @return [void]
    # @example
    #   SimpleConnect.configuration.reset
    def reset
      built = @lock.synchronize do
        before = @built
        @built = {}
        @writers = {}
        @outbox&.reset
        before
      end
      built.each_value(&:close)
      Endpoints.reset if @endpoints
      nil
    end

    # @return [Endpoints::Settings] the settings of stored endpoints
    # @example
    #   config.endpoints.retain = 14 * 24 * 3600
    def endpoints = @lock.synchronize { @endpoints ||= Endpoints::Settings.new }

    # @return [String] without secrets
    def inspect = "#<#{self.class.name} #{client_names.join(", ")}>"
    alias to_s inspect

    # @api private
    # @return [Array<Symbol>] without those of {#clients}
    def client_names = [:default, *@named.keys]

    # @api private
    # @param name [Symbol]
    # @return [Boolean] whether there may be such a client: one of {#clients} is known only once it is built
    def client_name?(name) = configured?(name) || !@clients.nil?

    # @api private
    # @param type [Class] {Client} or {MessagesClient}
    # @param name [Symbol, String, nil]
    # @return [Client, MessagesClient] built on first use
    # @raise [ConfigurationError] if no client has this name
    def built(type, name)
      name = checked(name || :default)
      unless configured?(name) || (@clients && type == Client)
        raise ConfigurationError, "no client is configured as #{name.inspect}: use config.client(#{name.inspect}) { … }"
      end

      @lock.synchronize do
        # Keeps the most recently used last.
        client = @built.delete([type, name]) || deferred(type, name)
        @built[[type, name]] = client
        drop_oldest
        client
      end
    end

    # @api private
    # @param name [Symbol, String, nil]
    # @return [Outbox::Writer]
    # @raise [ConfigurationError] if no client has this name
    def writer(name)
      built(Client, name)
      name = checked(name || :default)
      return Outbox::Writer.new(self, name) unless configured?(name)

      @lock.synchronize { @writers[name] ||= Outbox::Writer.new(self, name) }
    end

    # @api private
    # @param type [Class] {Client} or {MessagesClient}
    # @param name [Symbol] the name of a client for which {#configured?} is true
    # @param changes [Hash] options that replace the configured ones
    # @return [Client, MessagesClient] a new one
    # @raise [ConfigurationError] if a value is missing or invalid
    def build(type, name, **changes) = type.new(**options(type, name), **changes)

    # @api private
    # @param name [Symbol]
    # @return [Boolean] whether {#client} has configured it; else {#clients} may build it
    def configured?(name) = name == :default || @named.key?(name)

    # @api private
    # @return [Boolean] whether the application configures the outbox
    def outbox? = @outbox_configured == true || job == :outbox

    # @api private
    # @return [Outbox::Settings] see {#outbox}; reading them is no configuring
    def outbox_settings = @outbox || @lock.synchronize { @outbox ||= Outbox::Settings.new }

    # @api private
    # @param option [Symbol] one that is optional
    # @param name [Symbol, String, nil] see {#client}
    # @return [Object, nil] its value
    def option(option, name) = find(option, checked(name || :default))&.last

    # @api private
    # @param allow_private [Boolean, Array<String>, nil] nil for the configured value
    # @param allow_http [Boolean, nil] nil for the configured value
    # @return [Hash{Symbol => Boolean, Array<String>}] what the guard of endpoints allows
    # @raise [ConfigurationError] if one is invalid
    def allowances(allow_private, allow_http)
      values = { allow_private:, allow_http: }.map do |option, value|
        value = public_send(option) if value.nil?
        value.is_a?(Proc) ? value.call : value
      end
      Transport.allowances(*values)
    end

    # Finds a value and the place it comes from.
    # @api private
    # @param option [Symbol]
    # @param name [Symbol] the client's name
    # @return [Array(String, Object), nil] the place and the value
    def find(option, name = :default)
      places(name).each do |place, values|
        value = values.call(option)
        value = value.call if value.is_a?(Proc)
        return [place, value] unless value.nil? || (value.is_a?(String) && value.scrub.strip.empty?)
      end
      nil
    end

    private

    def hook(name, hook)
      return hook if hook.nil? || hook.respond_to?(:call)

      raise ConfigurationError, "config.#{name} must respond to call, such as ->(result, context) { … }, " \
                                "not #{hook.inspect}"
    end

    def checked(name)
      return name.to_sym if (name.is_a?(Symbol) || name.is_a?(String)) && !name.to_s.strip.empty?

      raise ArgumentError, "name must be a Symbol or a String, such as :billing, not #{name.inspect}"
    end

    # Clients configured by name are few, and stay.
    def drop_oldest
      others = @built.keys.reject { |_, name| configured?(name) }
      @built.delete(others.first).close if others.size > KEPT
    end

    def deferred(type, name)
      source = name == :default ? "the configuration" : "the configuration's #{name.inspect}"
      type::Deferred.new(source) do
        client = configured?(name) ? build(type, name) : of_tenant(name)
        client.named(name, self)
      end
    end

    def of_tenant(name)
      client = @clients.call(name)
      return client if client.is_a?(Client)

      raise ConfigurationError, "config.clients knows no client #{name.inspect}" if client.nil?

      raise ConfigurationError, "config.clients must return a SimpleConnect::Client for #{name.inspect}, " \
                                "not #{client.class}"
    end

    def options(type, name)
      found = NEEDED[type].to_h { |option| [option, find(option, name)] }
      missing = NEEDED[type].select { |option| found[option].nil? }
      raise ConfigurationError, message(missing, name) unless missing.empty?

      refuse_halves(found)
      given = OPTIONAL[type].to_h { |option| [option, find(option, name)&.last] }.compact
      # In Rails, false means no logger.
      given.delete(:logger) unless given[:logger]
      # They also apply to endpoints, which have a guard where this client has none.
      given = given.except(:allow_private, :allow_http) unless given[:guard]
      { **given, **found.transform_values(&:last) }
    end

    # The places by name, each with a way to read an option.
    def places(name)
      own = { "config.client(#{name.inspect})" => @named[name], "the configuration" => self }.compact
      { **own.transform_values { |settings| settings.method(:public_send) },
        "the environment" => ->(option) { @env[VARIABLES[option]] if VARIABLES.key?(option) },
        **(credentials&.call || {}).transform_values { |values| values.slice(*VARIABLES.keys).method(:[]) } }
    end

    # A key id from another place belongs to another secret.
    def refuse_halves(found)
      key_id, secret = found.values_at(:key_id, :secret).compact.map(&:first)
      return if key_id == secret

      raise ConfigurationError, "key_id is set in #{key_id}, but secret in #{secret}: they belong together, so set " \
                                "both in the same place"
    end

    def message(missing, name)
      ways = missing.map { |option| "config.#{option} or #{VARIABLES[option]}" }
      "not configured#{" for the client #{name.inspect}" unless name == :default}: #{missing.join(", ")}; set " \
        "#{ways.join(", ")}; looked in #{places(name).keys.join(", ")}"
    end
  end
end
