# frozen_string_literal: true

require_relative "../support/outbox_config"

RSpec.describe "simple_connect doctor and the outbox", unchecked: true do
  include OutboxConfig

  def findings
    doctor = SimpleConnect.const_get(:Doctor)
    doctor.const_get(:OutboxTables).new(config).findings.to_h { |one| [one.name, [one.level, one.seen, one.advice]] }
  end

  def levels = findings.transform_values(&:first)

  Databases.each(self) do |database|
    OutboxConfig.with(self, database)

    it "is green where all is well, and red until a relay has run" do
      expect(findings["outbox relay"]).to match([:red, "no relay has run yet", /once a minute, or run rails/])
      SimpleConnect::Outbox.relay(seconds: 1)
      expect(levels).to eq("outbox" => :green, "outbox key" => :green, "outbox job" => :green, "outbox relay" => :green,
                           "outbox lag" => :green, "outbox clients" => :green, "outbox parked" => :green)
      connection.execute("UPDATE simple_connect_outbox_clients SET last_success_at = last_success_at - 301000000")
      expect(findings["outbox relay"]).to match([:red, "the last pass was 301 s ago", /./])
    end

    it "finds what waits, what is paused and what is parked" do
      configure
      write("a")
      connection.execute("UPDATE simple_connect_outbox_events SET created_at = created_at - 301000000")
      expect(findings["outbox lag"]).to match([:yellow, "1 waiting, the oldest for 301 s", /more relays/])
      connection.execute("UPDATE simple_connect_outbox_events SET created_at = created_at - 3601000000")
      expect(levels["outbox lag"]).to eq(:red)
      SimpleConnect.test! do |session|
        session.respond_with(422).then(503, 401)
        SimpleConnect::Outbox::Testing.drain
        expect(findings["outbox parked"]).to match([:yellow, "1 event", /retry_parked or purge_parked/])
        write("b")
        SimpleConnect::Outbox::Testing.drain
        expect(findings["outbox clients"]).to match([:yellow, "default: held back after a failure", /./])
        SimpleConnect::Outbox.resume
        SimpleConnect::Outbox::Testing.drain
        expect(findings["outbox clients"])
          .to match([:red, "default is paused: http_401", /call SimpleConnect::Outbox.resume\(:default\)/])
      end
    end

    it "finds missing tables, and none where there is no outbox" do
      OutboxTables.migrate(OutboxBase, :down)
      expect(findings).to match("outbox" => [:red, /\Atables are missing: simple_connect_outbox_events, /,
                                             /rails g simple_connect:outbox/])
      SimpleConnect.instance_variable_set(:@configuration, SimpleConnect::Configuration.new(env: {}))
      config.outbox_settings.base = "OutboxBase"
      2.times { expect(findings).to eq({}) }
    ensure
      OutboxTables.migrate(OutboxBase)
    end
  end

  Databases.each(self, %w[SQLite]) do |database|
    OutboxConfig.with(self, database)

    it "finds a database that is too old, of another kind, or away" do
      allow(SimpleConnect::Outbox).to receive(:check_engine)
        .and_raise(SimpleConnect::ConfigurationError, "the outbox needs MariaDB 10.6")
      expect(findings).to match("outbox" => [:red, "the outbox needs MariaDB 10.6", "change that"])
      config.outbox.base = "Missing"
      expect(findings).to match("outbox" => [:red, /config.outbox.base is "Missing", which cannot be loaded/, /./])
      config.outbox.base = "OutboxBase"
      pool = instance_double(ActiveRecord::ConnectionAdapters::ConnectionPool)
      allow(pool).to receive(:with_connection).and_raise(ActiveRecord::ConnectionNotEstablished, "password")
      allow(SimpleConnect::Outbox).to receive(:base).and_return(class_double(ActiveRecord::Base, connection_pool: pool))
      expect(findings).to match("outbox" => [:red, /\Aits database did not answer: ActiveRecord::Con\w+\z/, /./])
    end

    it "passes over a database that does not answer in time where there is no outbox" do
      stub_const("SimpleConnect::Doctor::LIMIT", 0.05)
      pool = instance_double(ActiveRecord::ConnectionAdapters::ConnectionPool)
      allow(pool).to receive(:with_connection) { sleep }
      allow(SimpleConnect::Outbox).to receive(:base).and_return(class_double(ActiveRecord::Base, connection_pool: pool))
      expect(findings).to match("outbox" => [:red, /\Ano result within/, /./])
      SimpleConnect.instance_variable_set(:@configuration, SimpleConnect::Configuration.new(env: {}))
      expect(findings).to eq({})
    end

    it "finds a missing key, and a job that cannot be loaded" do
      config.outbox.encryption_key = -> { "short" }
      config.outbox.job = "Missing"
      expect(findings.slice("outbox key", "outbox job")).to match(
        "outbox key" => [:red, /encryption_key must be a String of at least 32 bytes/, /./],
        "outbox job" => [:red, /config.outbox.job is "Missing", which cannot be loaded/, /./]
      )
      config.outbox.encryption_key = -> { raise "secret" }
      expect(findings["outbox key"]).to match([:red, "reading it raised RuntimeError", /./])
    end
  end
end
