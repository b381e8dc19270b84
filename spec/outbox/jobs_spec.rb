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
        allow(SimpleConnect::Outbox).to receive(:relay_in_job).and_return(true)
        SimpleConnect::Outbox::RelayJob.perform_now
        expect(jobs.size).to eq(1)
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
      allow(SimpleConnect::Outbox).to receive(:relay_in_job).and_return(true)
      SimpleConnect::Sidekiq::RelayJob.new.perform
      [wake.job_class.name, jobs.map { |job| [job["queue"], job["retry"], job["at"].nil?] }]
    end
    expect(printed).to eq(["SimpleConnect::Sidekiq::RelayJob", [["whatsapp", 0, true], ["whatsapp", 0, false],
                                                                ["whatsapp", 0, true]]])
  end
end
