# frozen_string_literal: true

require "simple_connect"
require_relative "outbox_tables"

# A configuration of its own for each example, whose outbox is in `OutboxBase`.
module OutboxConfig
  RECIPIENT = { name: "Lakshmi Nair", mobile_no: "+919812345678" }.freeze

  def self.included(group)
    group.around do |example|
      before = SimpleConnect.configuration
      SimpleConnect.instance_variable_set(:@configuration, SimpleConnect::Configuration.new(env: {}))
      SimpleConnect.configuration.outbox.encryption_key = "k" * 32
      example.run
    ensure
      SimpleConnect.instance_variable_set(:@configuration, before)
    end
  end

  # @param group [Class] of examples, on this database
  # @param database [Databases::Database]
  def self.with(group, database)
    group.before(:context) { OutboxTables.migrate(database.base) }
    group.before do
      stub_const("OutboxBase", database.base)
      config.outbox.base = "OutboxBase"
      config.outbox.job = false
    end
    group.after do
      %w[events lanes clients].each { |name| connection.execute("DELETE FROM simple_connect_outbox_#{name}") }
    end
  end

  def config = SimpleConnect.configuration

  def outbox = SimpleConnect.outbox

  def connection = OutboxBase.connection

  # For the client to be built.
  def configure(endpoint_url: "http://127.0.0.1:1/e")
    config.endpoint_url = endpoint_url
    config.key_id = config.secret = "k"
  end

  # Writes an event in a transaction.
  def write(event_id = "o7", client: nil, **options)
    OutboxBase.transaction do
      SimpleConnect.outbox(client).deliver("order_paid", recipient: RECIPIENT, event: { event_id: }, **options)
    end
  end

  # What is committed, as another connection sees it.
  def rows
    Thread.new do
      OutboxBase.connection_pool.with_connection do |other|
        other.exec_query("SELECT * FROM simple_connect_outbox_events ORDER BY id").to_a
      end
    end.value
  end
end
