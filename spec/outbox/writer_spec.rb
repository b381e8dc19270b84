# frozen_string_literal: true

require "date"
require_relative "../support/fake_open_telemetry"
require_relative "../support/outbox_config"
require_relative "../support/scripted_server"

RSpec.describe "SimpleConnect.outbox", unchecked: true do
  include OutboxConfig

  recipient = OutboxConfig::RECIPIENT

  describe "without a database" do
    it "is the same writer each time, of a client that is configured" do
      config.client(:billing) { |client| client.event_keys = %w[invoice_ready] }
      expect(SimpleConnect.outbox).to equal(outbox)
      expect(SimpleConnect.outbox("billing")).to equal(SimpleConnect.outbox(:billing))
      expect(SimpleConnect.outbox(:billing).inspect).to eq("#<SimpleConnect::Outbox::Writer billing>")
      expect { SimpleConnect.outbox(:other) }.to raise_error(SimpleConnect::ConfigurationError, /configured as :other/)
      expect { SimpleConnect.outbox("") }.to raise_error(ArgumentError, /\Aname must be/)
      config.client("c" * 101) { nil }
      expect { SimpleConnect.outbox("c" * 101) }.to raise_error(ArgumentError, /has 101 bytes: the outbox takes up to/)
    end

    it "raises for mistakes as a delivery does, before anything else" do
      config.event_keys = %w[order_paid]
      mistakes = {
        -> { outbox.deliver("order_sent", recipient:) } => [SimpleConnect::UnknownEventError, /order_sent/],
        -> { outbox.deliver("", recipient:) } => [ArgumentError, /event_key is required/],
        -> { outbox.deliver("order_paid", recipient: {}) } => [ArgumentError, /mobile_no/],
        -> { outbox.deliver("order_paid", order: 7) } =>
          [ArgumentError, /\Aunknown keyword: :order; write the fields of the flat layout as a Hash/],
        -> { outbox.deliver("order_paid", { order: 7 }, event_id: "e" * 256) } =>
          [ArgumentError, "event_id has 256 bytes: the outbox takes up to 255"],
        -> { outbox.deliver("order_paid", { order: "x" * 5_000_000 }) } => [ArgumentError, /bytes as JSON/],
        -> { outbox.deliver("order_paid", recipient:, expires_at: "2027-01-01") } =>
          [ArgumentError, /\Aexpires_at: must be a Time/],
        -> { outbox.deliver("order_paid", recipient:, expires_at: Date.today) } => [ArgumentError, /must be a Time/],
        -> { outbox.deliver("order_paid", recipient:, ordered: nil) } => [ArgumentError, /\Aordered: must be true or/],
        -> { outbox.deliver("order_paid", recipient:, lane: " ") } => [ArgumentError, /\Alane: must be a String/],
        -> { outbox.deliver("order_paid", recipient:, lane: 7, ordered: false) } => [ArgumentError, /\Apass either/],
        -> { outbox.deliver_all(7) } => [ArgumentError, /\Adeliveries must be an Array/]
      }
      mistakes.each { |call, (error, text)| expect(&call).to raise_error(error, text) }
    end
  end

  Databases.each(self) do |database|
    OutboxConfig.with(self, database)

    it "is stored with the transaction, as the bytes that are sent" do
      time = Time.at(1_800_000_000, 123_456, :usec)
      OutboxBase.transaction do
        id = outbox.deliver("order_paid", recipient:, event: { event_id: "o7", occurred_at: "t" }, expires_at: time)
        expect(id).to eq("o7")
        expect(rows).to eq([])
      end
      row = rows.first
      expect(row).to include("client" => "default", "event_id" => "o7", "event_key" => "order_paid", "state" => 0,
                             "expires_at" => 1_800_000_000_123_456, "traceparent" => nil)
      expect(row["lane_key"]).to eq(config.outbox.lane_keys.of("default", mobile_no: "+919812345678"))
      expect(row["body"]).to include('"event_id":"o7"').or(match(/\A\\x7b/))
    end

    it "is not stored if the transaction is rolled back" do
      OutboxBase.transaction do
        outbox.deliver("order_paid", recipient:)
        raise ActiveRecord::Rollback
      end
      expect(rows).to eq([])
    end

    it "raises outside a transaction, and in that around a test, and says what to write" do
      call = -> { outbox.deliver("order_paid", recipient:) }
      text = "SimpleConnect.outbox.deliver must be within a transaction of OutboxBase, so that the event is stored " \
             "if your change is, and only then: write OutboxBase.transaction { … }"
      expect(&call).to raise_error(SimpleConnect::NoTransactionError, text)
      expect { ActiveRecord::Base.connected_to(role: :writing, shard: :two, &call) }
        .to raise_error(SimpleConnect::NoTransactionError, /transaction of OutboxBase, in its default shard, so/)
      connection.begin_transaction(joinable: false)
      expect(&call).to raise_error(SimpleConnect::NoTransactionError)
      expect { outbox.deliver_all([]) }.to raise_error(SimpleConnect::NoTransactionError, /deliver_all/)
      OutboxBase.transaction { call.call }
      connection.rollback_transaction
      expect(rows).to eq([])
      config.outbox.allow_no_transaction = true
      call.call
      expect(rows.size).to eq(1)
    end

    it "gives each event the lane that it asks for" do
      OutboxBase.transaction do
        outbox.deliver("a", recipient:)
        outbox.deliver("b", { "recipient" => { "mobile_no" => "+91 98123 45678" }, "event" => {} })
        outbox.deliver("c", recipient:, ordered: false)
        outbox.deliver("d", recipient:, lane: :orders)
        outbox.deliver("e", { order: 7 }, lane: "orders")
        outbox.deliver("f", { order: 7, mobile_no: "+919812345678" })
      end
      one, two, alone, lane, same, flat = rows.map { |row| row["lane_key"] }
      expect([one, lane]).to eq([two, same])
      expect([one, alone, lane, flat].uniq.size).to eq(4)
      expect([alone, lane, flat].map { |key| key[0, 32] == one[0, 32] }).to eq([true, false, false])
    end

    it "takes the same event twice, and refuses another one with its id" do
      event = { event_id: "o7", amount: 5 }
      OutboxBase.transaction { 2.times { outbox.deliver("order_paid", recipient:, event:) } }
      expect(rows.size).to eq(1)
      other = -> { OutboxBase.transaction { outbox.deliver("order_paid", recipient:, event: { event_id: "o7" }) } }
      expect(&other).to raise_error(SimpleConnect::EventConflictError) { |error|
        expect(error).to have_attributes(client: "default", event_id: "o7")
      }
    end

    it "takes many, lazily, all or none" do
      items = (1..1500).lazy.map { |n| ["order_paid", { recipient:, event: { event_id: "o#{n}" }, ordered: n.odd? }] }
      expect(OutboxBase.transaction { outbox.deliver_all(items) }).to eq(1500)
      expect(rows.map { |row| row["lane_key"] }.uniq.size).to eq(751)
      bad = [{ event_key: "a", recipient:, lane: "l" }, ["b", { recipient: {} }]]
      expect { OutboxBase.transaction { outbox.deliver_all(bad) } }
        .to raise_error(ArgumentError, /\Adelivery 1: .*mobile/)
      expect(rows.size).to eq(1500)
    end

    it "encrypts, where that is wanted" do
      config.outbox.encrypt = true
      OutboxBase.transaction { outbox.deliver("order_paid", recipient:, event: { event_id: "o7" }) }
      expect(rows.first.values.join(" ")).not_to match(/98123|Lakshmi|recipient/)
      OutboxBase.transaction { outbox.deliver("order_paid", recipient:, event: { event_id: "o7" }) }
      expect(rows.size).to eq(1)
    end

    it "reads only event_keys and envelope of a configured client, and builds a tenant's" do
      config.client(:billing) { |client| client.event_keys = -> { %w[invoice_ready] } }
      config.clients do |name|
        next unless name == :acme

        SimpleConnect::Client.new(endpoint_url: "http://127.0.0.1:1/e", key_id: "k", secret: "s", envelope: :nested)
      end
      OutboxBase.transaction do
        SimpleConnect.outbox(:billing).deliver("invoice_ready", recipient:)
        expect { SimpleConnect.outbox(:billing).deliver("order_paid", recipient:) }
          .to raise_error(SimpleConnect::UnknownEventError)
        SimpleConnect.outbox(:acme).deliver("order_paid", recipient:)
        expect { SimpleConnect.outbox(:acme).deliver("order_paid", { order: 7 }) }
          .to raise_error(ArgumentError, /recipient: is required/)
        expect { SimpleConnect.outbox(:other).deliver("order_paid", recipient:) }
          .to raise_error(SimpleConnect::ConfigurationError, /config.clients knows no client :other/)
      end
      expect(rows.map { |row| row["client"] }).to eq(%w[billing acme])
    end

    it "is where deliver_later writes to, with a transaction of its own if there is none" do
      config.job = :outbox
      configure
      events = SimpleConnect.client.events
      expect(events.deliver_later("order_paid", recipient:, event: { event_id: "o7" })).to eq("o7")
      expect(events.later.deliver_all([["order_paid", { order: 7 }], ["order_paid", { order: 8 }]])).to eq(2)
      expect(rows.size).to eq(3)
      OutboxBase.transaction do
        events.deliver_later("order_paid", recipient:)
        raise ActiveRecord::Rollback
      end
      expect(rows.size).to eq(3)
      expect { events.later(wait: 60, queue: "low") }.to raise_error(ArgumentError, /\Athe outbox has no queue:, wait:/)
      expect { SimpleConnect.client.with(timeout: 1).events.deliver_later("a", order: 7) }
        .to raise_error(SimpleConnect::ConfigurationError, /finds its client by name/)
    end

    it "links the relay's attempts to the trace that it was written in" do
      ScriptedServer.open([{ "status" => 202, "body" => "{}" }]) do |server|
        configure(endpoint_url: server.endpoint)
        stub_const("OpenTelemetry", FakeOpenTelemetry)
        FakeOpenTelemetry.spans.clear
        FakeOpenTelemetry.failing = false
        parent = FakeOpenTelemetry::Span.new("request", nil, {}, nil, nil, 41)
        FakeOpenTelemetry::Context.with(FakeOpenTelemetry::Context.new(parent)) { write }
        expect(rows.first["traceparent"]).to match(/\A00-/)
        SimpleConnect::Outbox.relay(seconds: 5)
        expect(FakeOpenTelemetry.spans.first.links.map { |link| link.span_context.to_s }).to eq(%w[41])
      end
    end

    it "erases a recipient's events, under each key" do
      OutboxBase.transaction { outbox.deliver("a", recipient:) }
      config.outbox.encryption_key = "n" * 32
      config.outbox.previous_encryption_keys = ["k" * 32]
      config.client(:billing) { nil }
      OutboxBase.transaction do
        SimpleConnect.outbox(:billing).deliver("b", recipient:, ordered: false)
        outbox.deliver("c", recipient: { mobile_no: "+919812345679" })
        outbox.deliver("d", recipient:, lane: 7)
      end
      expect(SimpleConnect::Outbox.erase(mobile_no: "+91 9812345678")).to eq(2)
      expect(rows.map { |row| row["event_key"] }).to eq(%w[c d])
      expect(SimpleConnect::Outbox.erase(lane: 7)).to eq(1)
      [{}, { mobile_no: " " }, { mobile_no: "+91", lane: 7 }].each do |arguments|
        expect { SimpleConnect::Outbox.erase(**arguments) }.to raise_error(ArgumentError, /\Aerase takes either/)
      end
    end
  end
end
