# frozen_string_literal: true

require "timeout"
require_relative "../support/endpoint_tables"
require_relative "../support/rails_app"
require_relative "../support/subprocess"

# Who sends what is due.
RSpec.describe SimpleConnect::Endpoints, unchecked: true do
  around { |example| Timeout.timeout(60) { example.run } }

  ok = { "status" => 200 }

  def states = deliveries.pluck(:state)

  EndpointTables.each(self, ["SQLite"]) do |database|
    it "enqueues a job of ActiveJob after the commit, and one for the next attempt",
       skip: Libraries.missing("active_job") do
      require "active_job"
      job = described_class.const_get(:ActiveJobRelay)
      job.queue_adapter = :test
      job.logger = nil
      enqueued = job.queue_adapter.enqueued_jobs
      SimpleConnect.configuration.endpoints.then do |settings|
        settings.jobs = :active_job
        settings.queue = :hooks
      end
      ScriptedServer.open([{ "status" => 500 }, ok]) do |server|
        application.endpoints.create!(url: server.url)
        EndpointTables::Base.transaction do
          described_class.publish_later("shop", event)
          expect(enqueued).to eq([])
        end
        expect(enqueued.map { |each| each.values_at(:job, :queue, :at, :args) }).to eq([[job, "hooks", nil, []]])
        job.perform_now
        expect([states, enqueued.size]).to eq([%w[pending], 2])
        expect(enqueued.last[:at] - Time.now.to_f).to be_within(5).of(30)
        due!
        job.perform_now
        expect([states, enqueued.size]).to eq([%w[succeeded], 2])
      end
    end

    it "enqueues a job of Sidekiq likewise", skip: Libraries.missing("sidekiq") do
      database.config
      jobs = EndpointTables::Base.connection_pool.disconnect! && Subprocess.run do
        require "sidekiq/testing"
        Sidekiq::Testing.fake!
        EndpointTables.connect(database.config, migrate: false)
        SimpleConnect.configuration.endpoints.jobs = :sidekiq
        SimpleConnect.configuration.endpoints.queue = "hooks"
        job = described_class.const_get(:SidekiqRelay)
        ScriptedServer.open([{ "status" => 500 }, ok]) do |server|
          application.endpoints.create!(url: server.url)
          described_class.publish_later("shop", event)
          first = job.jobs.map { |each| each.values_at("queue", "at", "args") }
          job.perform_one
          later = job.jobs.map { |each| (each["at"] - Time.now.to_f).round(-1) }
          due!
          job.perform_one
          [first, later, states, job.jobs.size]
        end
      end
      expect(jobs).to eq([[["hooks", nil, []]], [30], %w[succeeded], 0])
    end
  end

  it "is sent by rails simple_connect:relay, which ends when it is told to",
     skip: Libraries.missing("rails", "sqlite3") do
    ScriptedServer.open([ok]) do |server|
      RailsApp.open(install: false) do |app|
        app.rails("g", "simple_connect:endpoints")
        env = { "DATABASE" => "shop.sqlite3" }
        app.rails("db:migrate", env:)
        app.run(<<~RUBY, env)
          SimpleConnect.configuration.allow_private = true
          shop = SimpleConnect::Endpoints::Application.create!(uid: "shop", name: "Shop")
          shop.endpoints.create!(url: #{server.url.dump})
          event = SimpleConnect::Outbound::Event.new(event_type: "order.paid", payload: {})
          SimpleConnect.configuration.endpoints.jobs = false
          SimpleConnect::Endpoints.publish_later("shop", event)
        RUBY
        app.write("config/initializers/hooks.rb", "SimpleConnect.configuration.allow_private = true\n")
        pid = app.spawn(RbConfig.ruby, "bin/rails", "simple_connect:relay", env:, out: "#{app.directory}/log")
        server.wait_for(1)
        Process.kill(:TERM, pid)
        expect(Process.wait2(pid).last.success?).to be(true), File.read("#{app.directory}/log")
        expect(app.run("print SimpleConnect::Endpoints::Delivery.pluck(:state)", env)).to eq('["succeeded"]')
      end
    end
  end
end
