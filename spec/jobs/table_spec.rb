# frozen_string_literal: true

require "simple_connect"
require "simple_connect/internal/job_policy"
require "timeout"
require_relative "../support/jobs"
require_relative "../support/scripted_server"

# docs/jobs.md has this table: what a job does with what came of its attempt. Each row runs in real jobs.
RSpec.describe "Jobs and what comes of a delivery", unchecked: true do
  include Jobs

  around { |example| Timeout.timeout(90) { example.run } }

  table = JSON.parse(File.read(File.expand_path("../conformance/own/errors.json", __dir__))).fetch("jobs")
  # What the server does, by the event key that it is sent.
  steps = {
    "duplicate" => { "status" => 200, "body" => '{"status":"duplicate"}' },
    "unreadable" => { "status" => 202, "body" => "<html>" },
    "too_large" => { "status" => 200, "body" => "x" * 1_100_000 },
    "closed" => { "fault" => "close" },
    "asked_429" => { "status" => 429, "headers" => { "Retry-After" => "120" } },
    "asked_503" => { "status" => 503, "headers" => { "Retry-After" => "120" } },
    # Longer than config.give_up_after.
    "asked_for_long" => { "status" => 503, "headers" => { "Retry-After" => "999999" } },
    **table.values.flatten.to_h { |status| ["status_#{status}", { "status" => status, "body" => "no +919812345678" }] }
  }
  # By what becomes of them.
  expected = table.transform_values { |statuses| statuses.map { |status| "status_#{status}" } }
  expected["done"] += %w[duplicate unreadable too_large]
  expected["retry"] += %w[closed asked_429 asked_503]
  expected["exhausted"] = %w[asked_for_long]
  # What an answer of our own cannot be unless its body is JSON.
  table.fetch("done").each { |status| steps["status_#{status}"]["body"] = status == 204 ? "" : "{}" }

  # A server that does to each event what the table says.
  define_method(:serve) do |&block|
    performing = ScriptedServer.instance_method(:perform)
    server = nil
    by_key = lambda do |connection, request|
      key = JSON.parse(request.body).dig("event", "name")
      performing.bind_call(server, steps.fetch(key), connection, request)
    end
    ScriptedServer.open([by_key]) do |opened|
      server = opened
      block.call(server)
    end
  end

  keys = steps.keys
  enqueue = "#{keys.inspect}.each { |key| deliver(key) }"

  define_method(:check) do |hooks, dead, scheduled|
    told = hooks.group_by { |hook, *| hook }
                .transform_values { |all| all.map { |_, _, context| context[:event_key] }.sort }
    expect(told["on_rejected"]).to eq(expected["rejected"].sort)
    # Once a minute at the most.
    expect(told["on_unauthorized"].size).to eq(1)
    expect(expected["integration"]).to include(*told["on_unauthorized"])
    expect(told["on_exhausted"]).to eq(expected["exhausted"])
    check_waits(scheduled)
    expect(dead.sort).to eq(expected.values_at("integration", "rejected", "exhausted").flatten.sort)
  end

  define_method(:check_waits) do |scheduled|
    expect(scheduled.keys.sort).to eq(expected["retry"].sort)
    asked, others = scheduled.partition { |key, _| key.start_with?("asked") }
    expect(asked.map(&:last)).to all(be_between(120, 155))
    expect(others.map(&:last)).to all(be_between(5, 6.5))
  end

  # The keys of the events that it got. A connection that was closed meanwhile gets one more attempt by itself.
  def received(server)
    all = server.requests.map { |request| JSON.parse(request.body).dig("event", "name") }
    (all.uniq + all.tally.filter_map { |key, count| key if count > 1 && key != "closed" }).sort
  end

  # What it holds where it must not.
  def expect_private(text)
    expect(text).not_to include("9812345678")
    expect(text).not_to include("hush-hush")
  end

  def hooks(output) = output.grep(/\A\["on_/).map { |line| JSON.parse(line, symbolize_names: true) }

  shared_examples "a job on Sidekiq" do |job_class, libraries, more|
    it "does what the table says" do
      with_redis do
        serve do |server|
          file = initializer(*libraries, server, more:)
          ruby(file, enqueue)
          began = Time.now.to_f
          output = sidekiq(file, scheduled: false) do
            wait_until { server.requests.size >= keys.size }
            wait_until { kept(file).values_at(:dead, :scheduled).sum(&:size) >= keys.size - expected["done"].size }
          end
          kept = kept(file)
          expect(received(server)).to eq(keys.sort)
          expect(kept.slice(:retry, :queues).values).to eq([[], []])
          expect(kept[:dead].map { |job| job[:wrapped] || job[:class] }.uniq).to eq([job_class])
          waits = kept[:scheduled].to_h do |job|
            [delivery(job)[:event_key], job[:at] - delivery(job)[:since]]
          end
          expect(kept[:scheduled].map { |job| delivery(job)[:since] }).to all(be_between(began - 1, began + 60))
          check(hooks(output), kept[:dead].map { |job| delivery(job)[:event_key] }, waits)
          expect(kept[:dead].map { |job| job[:error_message] })
            .to include("HTTP 422 (status_422, event_id id_status_422)")
          expect_private(output.join + JSON.generate(kept))
        end
      end
    end
  end

  describe "Sidekiq", skip: RedisServer.missing || Libraries.missing("sidekiq") do
    it_behaves_like "a job on Sidekiq", "SimpleConnect::Sidekiq::DeliverJob", %w[sidekiq], ""
  end

  describe "ActiveJob on Sidekiq", skip: RedisServer.missing || Libraries.missing("sidekiq", "rails") do
    it_behaves_like "a job on Sidekiq", "SimpleConnect::DeliverJob", %w[rails active_job sidekiq sidekiq/rails],
                    "config.job = :active_job; ActiveJob::Base.queue_adapter = :sidekiq"
  end

  describe "ActiveJob", skip: Libraries.missing("active_job") do
    it "does what the table says" do
      serve do |server|
        output = ruby(initializer("active_job", server), <<~RUBY).lines(chomp: true)
          ActiveJob::Base.queue_adapter = :test
          #{enqueue}
          jobs = ActiveJob::Base.queue_adapter.enqueued_jobs.dup
          ActiveJob::Base.queue_adapter.enqueued_jobs.clear
          dead = jobs.select do |job|
            ActiveJob::Base.execute(job.slice("job_class", "job_id", "queue_name", "arguments", "executions", "locale"))
            false
          rescue SimpleConnect::DeliveryError => e
            puts e.message
            true
          end
          key = ->(job) { job["arguments"].first["event_key"] }
          waits = ActiveJob::Base.queue_adapter.enqueued_jobs.to_h do |job|
            [key.(job), job[:at] - job["arguments"].first["since"]]
          end
          puts JSON.generate({ dead: dead.map(&key), waits: })
        RUBY
        told = JSON.parse(output.last)
        check(hooks(output), told["dead"], told["waits"])
        expect_private(output.join)
        expect(received(server)).to eq(keys.sort)
      end
    end
  end

  it "agrees with Result#retryable? and the errors" do
    policy = SimpleConnect.module_eval("JobPolicy", __FILE__, __LINE__)
    table.each do |verdict, statuses|
      statuses.each do |status|
        result = SimpleConnect::Result.new(success: status < 300, status_code: status)
        expect([status, policy.verdict(result).to_s]).to eq([status, verdict])
        expect([status, result.retryable?]).to eq([status, verdict == "retry"])
        next if verdict == "done"

        error = SimpleConnect::DeliveryError.class_for(result)
        expect([status, error.ancestors.include?(SimpleConnect::TransientError)]).to eq([status, verdict == "retry"])
      end
    end
  end
end
