# frozen_string_literal: true

require "timeout"
require_relative "../support/endpoint_tables"

# What goes wrong with one delivery, and where events are published.
RSpec.describe SimpleConnect::Endpoints, unchecked: true do
  around { |example| Timeout.timeout(20) { example.run } }

  ok = { "status" => 200 }

  def settings = SimpleConnect.configuration.endpoints

  def states = deliveries.pluck(:state)

  # Microseconds until each delivery is due again.
  def waits = deliveries.map { |each| each.next_attempt_at - described_class.store.now }

  def run_jobs_inline
    require "active_job"
    settings.jobs = :active_job
    described_class.const_get(:ActiveJobRelay).then do |job|
      job.queue_adapter = :inline
      job.logger = nil
    end
  end

  it "refuses attempts without a limit, or of more than an hour" do
    [nil, Float::INFINITY, 3601].each do |total_timeout|
      expect { SimpleConnect::Endpoints::Settings.new.connection = { total_timeout: } }
        .to raise_error(SimpleConnect::ConfigurationError, /of 3600 seconds at most, not #{total_timeout.inspect}/)
    end
  end

  EndpointTables.each(self) do
    it "publishes in a callback after the commit" do
      stub_const("Order", Class.new(EndpointTables::Base))
      Order.table_name = "orders"
      Order.connection.create_table(:orders, force: true) { |table| table.string(:name) }
      published = []
      test = self
      Order.after_commit { published.concat(SimpleConnect::Endpoints.publish("shop", test.event)) }
      ScriptedServer.open([ok]) do |server|
        application.endpoints.create!(url: server.url)
        Order.create!(name: "x")
        expect([published.map(&:status), states]).to eq([[:success], %w[succeeded]])
      end
    ensure
      EndpointTables::Base.connection.drop_table(:orders, if_exists: true)
    end

    it "sends in jobs that run at once after the commit, and has what waits sent by the relay",
       skip: Libraries.missing("active_job") do
      run_jobs_inline
      ScriptedServer.open([ok, { "status" => 500 }]) do |server|
        application.endpoints.create!(url: server.url)
        EndpointTables::Base.transaction { described_class.publish_later("shop", event) }
        expect(states).to eq(%w[succeeded])
        expect { EndpointTables::Base.transaction { described_class.publish_later("shop", event) } }
          .to output(/the job queue of endpoints raised NotImplementedError/).to_stderr
        expect { expect(described_class.publish("shop", event).map(&:status)).to eq([:failure]) }
          .to output(/NotImplementedError/).to_stderr
        expect([states.tally, server.requests.size]).to eq([{ "succeeded" => 1, "pending" => 2 }, 3])
      end
    end

    it "sends what is due within a transaction" do
      ScriptedServer.open([ok]) do |server|
        application.endpoints.create!(url: server.url)
        3.times { described_class.publish_later("shop", event) }
        EndpointTables::Base.transaction { expect(described_class.deliver_due).to eq(3) }
        expect(states).to eq(%w[succeeded] * 3)
      end
    end

    it "lets subscribers use the database in such a callback" do
      seen = []
      hook = SimpleConnect.on_event { |name, _| seen << [name, deliveries.count, Fiber.current] }
      ScriptedServer.open([ok]) do |server|
        application.endpoints.create!(url: server.url)
        EndpointTables::Base.transaction do
          described_class.publish_later("shop", event)
          described_class.deliver_due
        end
      end
      expect(seen.uniq(&:first)).to match_array(
        %w[dispatch.simple_connect request.simple_connect].map { |name| [name, 1, Fiber.current] }
      )
    ensure
      SimpleConnect.off_event(hook)
    end

    it "runs no statement in the fibers of requests" do
      fibers = []
      hook = ActiveSupport::Notifications.subscribe("sql.active_record") { fibers << Fiber.current }
      ScriptedServer.open([ok, { "status" => 500 }, { "status" => 410 }, ok]) do |server|
        4.times { |number| application(uid: "s#{number}", rate_limit: 100).endpoints.create!(url: server.url) }
        2.times { |number| described_class.publish("s#{number}", event) }
        2.times { |number| described_class.publish_later("s#{number + 2}", event) }
        described_class.deliver_due
      end
      expect([fibers.uniq, states.uniq.sort]).to eq([[Fiber.current], %w[kept pending succeeded]])
    ensure
      ActiveSupport::Notifications.unsubscribe(hook)
    end

    it "has one delivery wait that raises, reports it, and goes on with the others" do
      ScriptedServer.open([ok]) do |server|
        %w[bad good].each { |uid| application(uid:).endpoints.create!(uid:, url: server.url) }
        faults = {
          "the scheme does not fit" => -> { deliveries.first.update_columns(scheme: "standard_webhooks") },
          "there is no such scheme" => -> { deliveries.first.update_columns(scheme: "none") },
          "what happened cannot be recorded" => lambda do
            allow(described_class.store).to receive(:keep).and_wrap_original do |keep, delivery, attempt|
              raise NotImplementedError, "no" if attempt.endpoint_uid == "bad"

              keep.call(delivery, attempt)
            end
          end,
          "it cannot be prepared" => lambda do
            bad = deliveries.first.endpoint_id
            allow(described_class.store).to receive(:held_for).and_wrap_original do |held, id|
              id == bad ? raise(IOError, "no") : held.call(id)
            end
          end
        }
        faults.each do |name, fault|
          deliveries.delete_all
          %w[bad good].each { |uid| described_class.publish_later(uid, event) }
          fault.call
          expect { expect(described_class.deliver_due).to eq(2) }
            .to output(/a delivery to the endpoint bad of bad raised /).to_stderr
          bad, good = deliveries.to_a
          expect([bad.state, bad.retry_count, bad.lease_token, good.state])
            .to eq(["pending", 0, nil, "succeeded"]), name
          expect(waits.first).to be_between(40_000_000, 90_000_000)
        end
      end
    end

    it "returns a pending attempt where one of a published event raises" do
      ScriptedServer.open([ok]) do |server|
        shop = application
        %w[bad good].each { |uid| shop.endpoints.create!(uid:, url: server.url) }
        allow(described_class.store).to receive(:held_for).and_invoke(->(_) { raise IOError, "no" }, ->(_) { 0.0 })
        attempts = nil
        expect { attempts = described_class.publish("shop", event) }.to output(/IOError: no/).to_stderr
        expect(attempts.map(&:status)).to eq(%i[pending success])
        expect(attempts.first.scheduled_at - Time.now).to be_between(30, 90)
      end
    end

    it "tries again after faults of our own side, less and less often, until the last retry would have been due" do
      settings.connection = { proxy: "http://127.0.0.1:1" }
      exhausted = []
      settings.on_exhausted = ->(attempt) { exhausted << attempt.retry_count }
      schedules = { { strategy: "fixed_wait", wait: 900, max_retries: 8 } => 7200,
                    { strategy: "fixed_wait", wait: 900, max_retries: 0 } => 3600,
                    { strategy: "fixed_wait_with_deadline", wait: 60, deadline: 5000 } => 5000,
                    { strategy: "fixed_wait_with_deadline", wait: 60, deadline: 5000, max_retries: 90 } => 5000 }
      schedules.each.with_index do |(schedule, ends), number|
        deliveries.delete_all
        application(uid: "s#{number}", retry_schedule: schedule).endpoints.create!(url: "http://127.0.0.1:1")
        described_class.publish("s#{number}", event)
        seen = [100, 3000, ends + 10].map do |age|
          deliveries.update_all(started_at: ((Time.now.to_f - age) * 1_000_000).to_i)
          due!
          described_class.deliver_due
          [deliveries.first.retry_count, waits.first / 1_000_000]
        end
        expect(seen.first(2)).to match([[0, be_between(40, 80)], [0, be_between(220, 380)]])
        expect([seen.last.first, SimpleConnect::Endpoints::Endpoint.last.failures, states])
          .to eq([1, 1, [schedule[:max_retries]&.zero? ? "failed" : "pending"]])
      end
      expect(exhausted).to eq([0])
    end

    it "holds a delivery for longer than an attempt can take" do
      { nil => 90, 20 => 90, 100 => 300 }.each do |total_timeout, lease|
        deliveries.delete_all
        settings.connection = { total_timeout: }.compact
        leases = []
        slow = lambda do |connection, _|
          leases << (waits.first / 1_000_000.0)
          connection.io.write("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
          true
        end
        ScriptedServer.open([slow]) do |server|
          application(uid: "s#{lease}#{total_timeout}").then do |shop|
            shop.endpoints.create!(url: server.url)
            described_class.publish(shop.uid, event)
            deliveries.delete_all
            described_class.publish_later(shop.uid, event)
          end
          described_class.deliver_due
        end
        expect(leases).to match([be_between(lease - 15, lease)] * 2)
      end
    end

    it "is recorded where the configured job queue is not loaded, which is reported" do
      allow(described_class.sender).to receive(:job_class).and_raise(NameError, "uninitialized constant Sidekiq")
      application.endpoints.create!(url: "http://127.0.0.1:1")
      expect { expect(described_class.publish_later("shop", event).map(&:status)).to eq([:pending]) }
        .to output(/the job queue of endpoints raised NameError: uninitialized constant Sidekiq/).to_stderr
      expect(states).to eq(%w[pending])
    end

    it "counts in the database where the limiter raises, whatever it is" do
      limiter = Object.new
      def limiter.take(...) = raise(NotImplementedError)
      settings.limiter = limiter
      ScriptedServer.open([ok]) do |server|
        application(rate_limit: 5).endpoints.create!(url: server.url)
        expect { expect(described_class.publish("shop", event).map(&:status)).to eq([:success]) }
          .to output(/config.endpoints.limiter raised NotImplementedError/).to_stderr
      end
    end

    it "cancels a delivery whose event or application is gone" do
      ScriptedServer.open([ok]) do |server|
        %w[one two good].each do |uid|
          application(uid:).endpoints.create!(uid:, url: server.url)
          described_class.publish_later(uid, event)
        end
        deliveries.first.event.delete
        SimpleConnect::Endpoints::Application.where(uid: "two").delete_all
        expect(described_class.deliver_due).to eq(3)
        expect([states, server.requests.size]).to eq([%w[canceled canceled succeeded], 1])
      end
    end
  end
end
