# frozen_string_literal: true

require "simple_connect"
require_relative "../support/outbox_tables"

RSpec.describe "The outbox's migration", unchecked: true do
  names = %w[simple_connect_outbox_clients simple_connect_outbox_events simple_connect_outbox_lanes]

  Databases.each(self) do |database|
    def insert(base, client, event_id)
      base.connection.execute(<<~SQL)
        INSERT INTO simple_connect_outbox_events (client, event_id, lane_key, body, created_at)
        VALUES ('#{client}', '#{event_id}', 'k', 'b', 1)
      SQL
    end

    it "creates the tables with their indexes, and rolls back" do
      OutboxTables.migrate(database.base)
      connection = database.base.connection
      expect(connection.tables.sort).to eq(names)
      indexes = names.to_h { |name| [name[/[a-z]+\z/], connection.indexes(name).to_h { |i| [i.columns, i.unique] }] }
      expect(indexes).to eq(
        "clients" => { %w[name] => true },
        "events" => { %w[client event_id] => true, %w[lane_id state id] => false },
        "lanes" => { %w[lane_key] => true, %w[client_id next_attempt_at id] => false }
      )
      OutboxTables.migrate(database.base, :down)
      expect(connection.tables).to eq([])
    end

    it "compares keys by their bytes, and takes large bodies" do
      OutboxTables.migrate(database.base)
      ["a", "A", "a ", "á"].each { |event_id| insert(database.base, "default", event_id) }
      insert(database.base, "Default", "a")
      expect { insert(database.base, "default", "a") }.to raise_error(ActiveRecord::RecordNotUnique)
      body = database.base.connection.columns("simple_connect_outbox_events").find { |column| column.name == "body" }
      expect(body.limit).to be_nil.or(be >= 16_777_215)
    ensure
      OutboxTables.migrate(database.base, :down)
    end
  end
end
