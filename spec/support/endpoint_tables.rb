# frozen_string_literal: true

require "erb"
require "simple_connect"
require_relative "databases"
require_relative "scripted_server"

# Stored endpoints on each database: the tables, made by the migration that the generator copies, and settings.
module EndpointTables
  TEMPLATE = File.expand_path("../../lib/generators/simple_connect/endpoints/templates/migration.rb.tt", __dir__)
  KEY = "k" * 32

  class << self
    # Defines a group of examples for each engine, which begin with empty tables.
    def each(group, engines = Databases::ENGINES, &block)
      Databases.each(group, engines) do |database|
        before(:context) { EndpointTables.connect(database.config) }
        after(:context) { EndpointTables::Base.remove_connection }
        before { EndpointTables.clear }
        after { EndpointTables.settle }
        include EndpointTables
        class_exec(database, &block)
      end
    end

    # @param config [Hash] for ActiveRecord's establish_connection
    def connect(config, migrate: true)
      require "active_record"
      # The superclass of the models, whichever spec has loaded them.
      SimpleConnect::Endpoints::Attempt.name
      const_set(:Base, SimpleConnect::Endpoints.const_get(:Record)) unless const_defined?(:Base)
      self::Base.establish_connection(**config, pool: 25)
      configure
      self.migrate if migrate
      models.each do |model|
        # Forgets how the previous database quoted it.
        name = model.table_name
        model.table_name = "another"
        model.table_name = name
      end
    end

    def configure
      SimpleConnect.configuration.instance_variable_set(:@endpoints, nil)
      SimpleConnect.configuration.allow_private = SimpleConnect.configuration.allow_http = true
      SimpleConnect.configuration.endpoints.then do |settings|
        settings.base = "EndpointTables::Base"
        settings.encryption_key = KEY
        settings.jobs = false
      end
      SimpleConnect::Endpoints.reset
    end

    def migrate(direction = :up)
      module_eval(ERB.new(File.read(TEMPLATE), trim_mode: "-").result(binding), TEMPLATE) unless
        const_defined?(:CreateSimpleConnectEndpoints)
      self::Base.connection_pool.with_connection do |connection|
        migration = self::CreateSimpleConnectEndpoints.new
        migration.verbose = false
        migration.exec_migration(connection, direction)
        connection.schema_cache.clear!
      end
    end

    def models
      %i[Application Endpoint Event Delivery Attempt].map { |name| SimpleConnect::Endpoints.const_get(name) }
    end

    def clear
      models.each(&:delete_all)
      configure
    end

    # What an example has configured does not reach other specs.
    def settle
      SimpleConnect.configuration.allow_private = SimpleConnect.configuration.allow_http = nil
      SimpleConnect.configuration.instance_variable_set(:@endpoints, nil)
      SimpleConnect::Endpoints.reset
    end
  end

  # @return [SimpleConnect::Endpoints::Application]
  def application(uid: "shop", **attributes)
    SimpleConnect::Endpoints::Application.create!(uid:, name: "Shop", **attributes)
  end

  def event(type = "order.paid", payload: { order: 7 }, **options)
    SimpleConnect::Outbound::Event.new(event_type: type, payload:, **options)
  end

  # Every row of every table, as text.
  def rows
    connection = EndpointTables::Base.connection
    EndpointTables.models.map(&:table_name).to_h { |name| [name, connection.select_all("SELECT * FROM #{name}").to_a] }
  end

  def deliveries = EndpointTables.models[3].order(:id)

  # Makes all deliveries due.
  def due!
    deliveries.where(state: "pending").update_all(next_attempt_at: 0)
  end
end
