# frozen_string_literal: true

require "monitor"
require "securerandom"
require_relative "internal/autoload"
require_relative "internal/stop_signals"

module SimpleConnect
  # Webhooks for endpoints that your customers enter, in your database: {Outbound} with applications and endpoints as
  # ActiveRecord models, and events that are recorded before they are sent. `rails g simple_connect:endpoints` adds the
  # tables; see docs/endpoints.md. `config.endpoints` has the settings.
  #
  # @example
  #   shop = SimpleConnect::Endpoints::Application.create!(uid: "shop", name: "Shop")
  #   shop.endpoints.create!(url: "https://acme.example/hooks", filter_types: ["order.paid"])
  #   event = SimpleConnect::Outbound::Event.new(event_type: "order.paid", payload: { order: 7 })
  #   SimpleConnect::Endpoints.publish_later("shop", event)
  module Endpoints
    autoload :ActiveJobRelay, File.expand_path("endpoints/active_job_relay.rb", __dir__)
    autoload :Application, File.expand_path("endpoints/application.rb", __dir__)
    autoload :Attempt, File.expand_path("endpoints/records.rb", __dir__)
    autoload :Delivery, File.expand_path("endpoints/records.rb", __dir__)
    autoload :Directory, File.expand_path("endpoints/directory.rb", __dir__)
    autoload :Endpoint, File.expand_path("endpoints/endpoint.rb", __dir__)
    autoload :Event, File.expand_path("endpoints/records.rb", __dir__)
    autoload :Health, File.expand_path("endpoints/health.rb", __dir__)
    autoload :Relay, File.expand_path("endpoints/relay.rb", __dir__)
    autoload :Settings, File.expand_path("endpoints/settings.rb", __dir__)
    autoload :SidekiqRelay, File.expand_path("endpoints/sidekiq_relay.rb", __dir__)
    autoload :Store, File.expand_path("endpoints/store.rb", __dir__)
    autoload :Vault, File.expand_path("endpoints/vault.rb", __dir__)
    private_constant :ActiveJobRelay, :Directory, :Health, :Relay, :SidekiqRelay, :Store, :Vault

    OUTBOX = "simple_connect_outbox_events"
    TABLE = "simple_connect_endpoints"
    private_constant :OUTBOX, :TABLE

    @lock = Monitor.new

    class << self
      # Records an event and a delivery for each endpoint that matches it, then sends it. Within a transaction of the
      # same database, the records belong to it, and a job or the relay sends the event after the commit.
      #
      # @param application_uid [String]
      # @param event [Outbound::Event] with the same uid, it is published once
      # @return [Array<Outbound::DeliveryAttempt>] one for each endpoint, in their order. An attempt is pending if it is
      #   sent later
      # @raise [ConfigurationError] if there is no such application, or it is invalid
      # @raise [ArgumentError] if the uid was published with another body, is longer than 255 characters, or cannot be
      #   the `webhook-id` of Standard Webhooks
      # @example
      #   SimpleConnect::Endpoints.publish("shop", event).map(&:status) # => [:success, :failure]
      def publish(application_uid, event) = sender.publish(application_uid, event, now: true)

      # Records an event likewise, and leaves the sending to a job or the relay.
      #
      # @param application_uid [String]
      # @param event [Outbound::Event]
      # @return [Array<Outbound::DeliveryAttempt>] all pending
      # @raise [ConfigurationError] if there is no such application, or it is invalid
      # @raise [ArgumentError] if the uid was published with another body, is longer than 255 characters, or cannot be
      #   the `webhook-id` of Standard Webhooks
      # @example
      #   SimpleConnect::Endpoints.publish_later("shop", event)
      def publish_later(application_uid, event) = sender.publish(application_uid, event, now: false)

      # Sends what is due. Any number of processes may do so at the same time.
      #
      # @param seconds [Numeric] when to stop claiming deliveries, unless nothing is due before
      # @return [Integer] how many deliveries it has handled
      # @example In a task that runs every minute
      #   SimpleConnect::Endpoints.deliver_due
      def deliver_due(seconds: 20) = sender.run(seconds)

      # Sends what is due until the process gets TERM or INT. `rails simple_connect:relay` calls it.
      #
      # @return [void]
      # @example
      #   SimpleConnect::Endpoints.relay
      def relay
        stopped = false
        StopSignals.call(-> { stopped = true }) { sender.serve { stopped } }
      end

      # Finds an application, as it is stored now. Unchanged applications are kept in memory.
      #
      # @param uid [String]
      # @return [Outbound::Application, nil]
      # @raise [ConfigurationError] if it is invalid
      # @example
      #   SimpleConnect::Outbound::Dispatcher.new("shop", store: SimpleConnect::Endpoints)
      def find_application(uid) = directory.find(uid)&.application

      # Deletes events, deliveries and attempts that are older than `config.endpoints.retain`. Deliveries that are due
      # are kept.
      #
      # @return [Integer] how many events
      # @example In a task that runs every day
      #   SimpleConnect::Endpoints.clean
      def clean = store.clean(settings.retain)

      # Encrypts all secrets and sensitive headers with the first of `config.endpoints.encryption_key`; then you can
      # remove the others. `rails simple_connect:rotate_encryption_key` calls it.
      #
      # @return [Integer] how many endpoints
      # @raise [Error] if no key decrypts one of them
      # @example
      #   SimpleConnect::Endpoints.rotate_encryption_key # => 240
      def rotate_encryption_key
        count = 0
        Endpoint.find_each do |endpoint|
          endpoint.seal_again
          count += 1
        end
        count
      end

      # @api private
      # @return [Settings]
      def settings = SimpleConnect.configuration.endpoints

      # @api private
      # @return [Class] the superclass of the models
      def base
        require "active_record"
        Object.const_get(settings.base)
      end

      # @api private
      # @return [Store]
      def store = built(:store) { Store.new }

      # @api private
      # @return [Directory]
      def directory = built(:directory) { Directory.new }

      # @api private
      # @return [Relay]
      def sender = built(:sender) { Relay.new(store, directory) }

      # @api private
      # Relays both, or what of them the application has.
      # @return [void]
      def relay_with_outbox
        return Outbox.relay unless defined?(::ActiveRecord) && stored?
        return relay unless Outbox.base.connection_pool.with_connection { |each| each.table_exists?(OUTBOX) }

        Outbox.relay_until_stopped { |stopped| sender.serve(&stopped) }
      end

      # @api private
      # @return [Boolean] whether the tables are there
      def stored? = base.connection_pool.with_connection { |connection| connection.table_exists?(TABLE) }

      # @api private
      # Makes all processes read an application again, once the transaction has committed.
      # @return [void]
      def changed(application_id)
        Application.where(id: application_id).update_all(version: new_version)
        nil
      end

      # @api private
      # @return [Integer] a version that no application has had. One that is counted would come again after a change
      #   that is rolled back, or by an object that was read before other changes
      def new_version = SecureRandom.random_number(2**62) + 1

      # @api private
      # Enqueues a job that sends what is due.
      # @param seconds [Numeric] from now
      # @return [void]
      def wake(seconds = 0) = sender.wake(seconds)

      # @api private
      # @return [Time, nil]
      def time(microseconds) = microseconds && Time.at(0, microseconds, :microsecond).utc

      # @api private
      # @return [String]
      def new_secret(scheme)
        "#{scheme == "standard_webhooks" ? "whsec_" : "enps_"}#{SecureRandom.base64(24)}"
      end

      # @api private
      # Forgets what was read and built, such as after a change of the settings.
      # @return [void]
      def reset
        @lock.synchronize { @built = nil }
        nil
      end

      private

      def built(name, &)
        @built&.[](name) || @lock.synchronize { (@built ||= {})[name] ||= yield }
      end
    end
  end
end
