# frozen_string_literal: true

require "digest"
require "json"
require "securerandom"
require_relative "databases"
require_relative "outbox_tables"

# The outbox in a database of these specs, without Rails.
class OutboxDatabase
  # Of the configuration of this process.
  CLIENT = "outbox_spec"

  # @param database [Databases::Database]
  def initialize(database)
    @database = database
  end

  # @return [Class] of ActiveRecord
  def base = @database.base

  def create = OutboxTables.migrate(base)

  def drop = OutboxTables.migrate(base, :down)

  # The one of a process.
  def store = @store ||= SimpleConnect::Outbox.const_get(:Store).new(base)

  # @param timeout [Numeric] seconds of an attempt; leases last some of them
  def relay(timeout: 30, sender: SimpleConnect::Outbox.const_get(:Sender).new(timeout:), **options)
    SimpleConnect::Outbox.const_get(:Relay).new(store:, sender:, **options)
  end

  # Configures the client that sends.
  def configure(endpoint_url, key_id:, secret:)
    SimpleConnect.configure do |config|
      config.client(CLIENT) do |client|
        client.endpoint_url = endpoint_url
        client.key_id = key_id
        client.secret = secret
        client.logger = false
      end
    end
  end

  def transaction(**options, &) = base.transaction(**options, &)

  # Writes an event in the transaction that is open.
  # @param recipient [Integer]
  def write(recipient, event_id = SecureRandom.uuid, **row) = store.insert([row(recipient, event_id, **row)])

  def row(recipient, event_id, **row)
    body = JSON.generate(
      recipient: { name: "Asha Patil", mobile_no: format("+9198%08d", recipient) },
      event: { event_id:, name: "customer_payment_received", occurred_at: "2026-08-21T10:00:00Z", language: "en",
               payment_amount: "450.00" }
    )
    { client: CLIENT, event_id:, event_key: "customer_payment_received", body:,
      lane_key: Digest::SHA256.hexdigest("lane #{recipient}"), expires_at: nil, traceparent: nil, **row }
  end

  # Sends what is due.
  def drain(**options) = relay(concurrency: 8, **options).run(seconds: 10)

  # Tells the database how many rows there are, so that its plans fit.
  def analyze
    tables = "TABLE simple_connect_outbox_events, simple_connect_outbox_lanes" if mysql?
    base.connection.execute("ANALYZE #{tables}")
  end

  # @param sql [String]
  # @return [String] how the database would run it
  def explain(sql)
    base.connection.select_rows("EXPLAIN #{"QUERY PLAN" if @database.engine == "SQLite"} #{sql}").flatten.join("\n")
  end

  # @return [Array<String>] some events that are left, with their lanes and clients, to find out why
  def left
    base.connection.select_all(<<~SQL).map(&:inspect)
      SELECT #{store.now} AS clock, e.id AS event, state, attempts, last_status, last_error, l.id AS lane,
        next_attempt_at, lease_owner, lease_until, probe_at, paused_reason
      FROM simple_connect_outbox_events e LEFT JOIN simple_connect_outbox_lanes l ON l.id = e.lane_id
        LEFT JOIN simple_connect_outbox_clients c ON c.id = l.client_id
      ORDER BY e.id LIMIT 10
    SQL
  end

  # @return [Boolean] whether no event is left
  def empty? = count.zero?

  # @param condition [String] SQL
  # @return [Integer] the number of events
  def count(condition = "1 = 1")
    base.connection.select_value("SELECT COUNT(*) FROM simple_connect_outbox_events WHERE #{condition}").to_i
  end

  private

  def mysql? = base.connection.adapter_name.match?(/mysql/i)
end
