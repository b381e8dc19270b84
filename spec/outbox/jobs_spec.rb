# frozen_string_literal: true

require "logger"
require_relative "../support/outbox_config"
require_relative "../support/scripted_server"
require_relative "../support/subprocess"

RSpec.describe "The relay's jobs", skip: Libraries.missing("active_job"), unchecked: true do
  include OutboxConfig

  Databases.each(self, %w[SQLite]) do |database|
    OutboxConfig.with(self, database)

    before do
      require "active_job"
      ActiveJob::Base.logger = Logger.new(nil)
      ActiveJob::Base.queue_adapter = :test
      jobs.clear
      config.outbox.job = nil
      wake.reset
    end

    def jobs = ActiveJob::Base.queue_adapter.enqueued_jobs

    def wake = SimpleConnect::Outbox::Wake

    it "are enqueued after the commit, at once and once more for all the rest" do
      OutboxBase.transaction do
        write("a")
        expect(jobs).to eq([])
      end
      expect(jobs.map { |job| [job[:job], job[:at]] }).to eq([[SimpleConnect::Outbox::RelayJob, nil]])
      4.times { |number| write("b#{number}") }
      expect(jobs.size).to eq(2)
      expect(jobs.last[:at]).to be_between(Time.now.to_f, Time.now.to_f + 1.1)
    end

    it "are not enqueued for what is rolled back, nor if there is none" do
      OutboxBase.transaction do
        write("a")
        raise ActiveRecord::Rollback
      end
      config.outbox.job = false
      write("b")
      expect(jobs).to eq([])
    end

    it "have the queue and the class that are configured" do
      stub_const("MyRelayJob", Class.new(SimpleConnect::Outbox::RelayJob))
      config.outbox.job = "MyRelayJob"
      config.outbox.queue = :whatsapp
      write
      expect(jobs.map { |job| job.values_at(:job, :queue) }).to eq([[MyRelayJob, "whatsapp"]])
    end

    it "that cannot be enqueued leave the event where it is, and are reported" do
      ["Missing", "String", :sidekiq].each do |job|
        config.outbox.job = job
        wake.reset
        text = /wakes the outbox's relay raised SimpleConnect::ConfigurationError: /
        expect { write(job.to_s) }.to output(text).to_stderr
      end
      config.outbox.job = nil
      wake.reset
      allow(SimpleConnect::Outbox::RelayJob).to receive(:perform_later).and_raise(Errno::ECONNREFUSED)
      expect { write("d") }.to output(/ECONNREFUSED/).to_stderr
      expect(rows.size).to eq(4)
    end

    it "deliver, and come again only if there is more" do
      ScriptedServer.open([{ "status" => 202, "body" => "{}" }]) do |server|
        configure(endpoint_url: server.endpoint)
        3.times { |number| write("o#{number}") }
        jobs.clear
        SimpleConnect::Outbox::RelayJob.perform_now
        expect(server.requests.map { |request| request.body[/o\d/] }).to eq(%w[o0 o1 o2])
        expect([jobs, rows]).to eq([[], []])
        write("late")
        jobs.clear
        allow(SimpleConnect::Outbox.store).to receive(:due?).and_return(true)
        SimpleConnect::Outbox::RelayJob.perform_now
        expect(jobs.map { |job| job[:at] }).to eq([nil])
      end
    end

    it "come again a second later, one for all, if something is due that cannot be claimed" do
      allow(SimpleConnect::Outbox.store).to receive(:due?).and_return(true)
      3.times { SimpleConnect::Outbox::RelayJob.perform_now }
      expect(jobs.map { |job| job[:at] }).to match([be_within(0.5).of(Time.now.to_f + 1)])
      ActiveJob::Base.queue_adapter = :inline
      connection.execute("DELETE FROM simple_connect_outbox_lanes")
      2.times { SimpleConnect::Outbox::RelayJob.perform_now }
      expect(SimpleConnect::Outbox.store.take_turn(owner: "o", lease: 1)).not_to be_nil
    end

    it "come again for what was written after the last look, whose own job ended at once" do
      configure
      config.outbox.job = false
      relays = 0
      allow(SimpleConnect::Outbox).to receive(:new_relay).and_wrap_original do |build|
        build.call.tap do |relay|
          allow(relay).to receive(:run).and_wrap_original do |run, **options, &claimed|
            relays += 1
            run.call(**options) do
              write
              SimpleConnect::Outbox::RelayJob.perform_now
              claimed.call
            end
          end
        end
      end
      SimpleConnect::Outbox::RelayJob.perform_now
      expect([relays, jobs.size, rows.size]).to eq([1, 1, 1])
    end

    it "give their turn back if they fail" do
      allow(SimpleConnect::Outbox.store).to receive(:passed).and_raise(ActiveRecord::StatementInvalid)
      2.times { expect { SimpleConnect::Outbox::RelayJob.perform_now }.to raise_error(ActiveRecord::StatementInvalid) }
    end

    # Adds how many jobs claim events at a time, each for 0.2 seconds.
    def count_jobs(counts)
      lock = Mutex.new
      add = ->(one) { lock.synchronize { counts << (counts.last.to_i + one) } }
      allow(SimpleConnect::Outbox).to receive(:new_relay).and_wrap_original do |build|
        build.call.tap do |relay|
          allow(relay).to receive(:run).and_wrap_original do |run, **, &claimed|
            add.call(1)
            run.call(seconds: 0.2) { add.call(-1).then { claimed&.call } }
          end
        end
      end
    end

    it "are one at a time during a backlog, however often they are enqueued" do
      queue = Queue.new
      allow(SimpleConnect::Outbox::RelayJob).to receive(:enqueue_relay) { |wait| queue << wait unless queue.closed? }
      count_jobs(counts = [])
      ScriptedServer.open([{ "status" => 202, "body" => "{}", "delay" => 0.02 }]) do |server|
        configure(endpoint_url: server.endpoint)
        OutboxBase.transaction do
          outbox.deliver_all((1..1000).map do |id|
            ["paid", { recipient: { mobile_no: id.to_s }, event: { event_id: id.to_s } }]
          end)
        end
        workers = Array.new(4) { Thread.new { SimpleConnect::Outbox::RelayJob.new.perform while queue.pop } }
        50.times { sleep(0.02).then { queue << 0 } }
        expect([counts.max, queue.size, rows.empty?]).to match([1, be < 10, false])
        queue.close
        workers.each(&:join)
      end
    end

    it "run at once, and each time, with an adapter that has no later" do
      ActiveJob::Base.queue_adapter = :inline
      ScriptedServer.open([{ "status" => 202, "body" => "{}" }]) do |server|
        configure(endpoint_url: server.endpoint)
        4.times { |number| write("o#{number}") }
        expect(server.requests.map { |request| request.body[/o\d/] }).to eq(%w[o0 o1 o2 o3])
      end
    end
  end

  it "are Sidekiq's where only that is loaded", skip: Libraries.missing("sidekiq") do
    printed = Subprocess.run do
      require "sidekiq/testing"
      Object.send(:remove_const, :ActiveJob) if defined?(ActiveJob)
      wake = SimpleConnect::Outbox::Wake
      SimpleConnect.configuration.outbox.queue = "whatsapp"
      3.times { wake.now }
      jobs = SimpleConnect::Sidekiq::RelayJob.jobs
      allow(SimpleConnect::Outbox).to receive(:relay_in_job) { |job| job.enqueue_relay(0) }
      SimpleConnect::Sidekiq::RelayJob.new.perform
      [wake.job_class.name, jobs.map { |job| [job["queue"], job["retry"], job["at"].nil?] }]
    end
    expect(printed).to eq(["SimpleConnect::Sidekiq::RelayJob", [["whatsapp", 0, true], ["whatsapp", 0, false],
                                                                ["whatsapp", 0, true]]])
  end
end
