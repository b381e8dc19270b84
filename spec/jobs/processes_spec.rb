# frozen_string_literal: true

require "simple_connect"
require "timeout"
require_relative "../support/jobs"
require_relative "../support/libraries"
require_relative "../support/scripted_server"

# Jobs from the first attempt to the last, in the processes that work on them.
RSpec.describe "Jobs, until the service has taken the event", unchecked: true do
  include Jobs

  around { |example| Timeout.timeout(90) { example.run } }

  taken = { "status" => 202, "body" => "{}" }

  def bodies(server) = server.requests.map(&:body).uniq

  describe "in Sidekiq", skip: RedisServer.missing || Libraries.missing("sidekiq") do
    around { |example| with_redis { example.run } }

    it "come back with the same bytes, in the queue that they had, and never sooner than Retry-After" do
      script = [{ "status" => 503 }, { "status" => 429, "headers" => { "Retry-After" => "2" } }, taken]
      ScriptedServer.open(script) do |server|
        file = initializer("sidekiq", server, more: "config.max_wait = 0.5")
        ruby(file, 'SimpleConnect.client.events.later(queue: "low").deliver("order_paid", amount: 7)')
        output = sidekiq(file, queues: %w[low]) { server.wait_for(3) }
        expect(bodies(server).size).to eq(1)
        expect(gaps(server)).to match([be_between(0.4, 2), be >= 2])
        expect(output.grep(/ERROR|WARN|Error/)).to eq([])
        expect(kept(file).values).to eq([[]] * 4)
      end
    end

    it "go back to the queue at a shutdown that finds a delivery in flight, and are delivered by the next process" do
      gate = Queue.new
      ScriptedServer.open([ScriptedServer.held(gate), taken]) do |server|
        file = initializer("sidekiq", server)
        ruby(file, 'deliver("order_paid")')
        began = nil
        # One thread: another one would fetch what Sidekiq puts back, and be killed with it.
        sidekiq(file, timeout: 1, threads: 1) do |_, pid|
          server.wait_for(1)
          began = Process.clock_gettime(Process::CLOCK_MONOTONIC)
          Process.kill(:TERM, pid)
        end
        expect(Process.clock_gettime(Process::CLOCK_MONOTONIC) - began).to be < 9
        kept = kept(file)
        expect(kept[:queues].map { |job| delivery(job)[:event_id] }).to eq(["id_order_paid"])
        expect(kept.except(:queues).values).to eq([[]] * 3)
        gate.close
        sidekiq(file) { server.wait_for(1) }
        expect(bodies(server).size).to eq(1)
        expect(kept(file).values).to eq([[]] * 4)
      end
    end

    it "come back where the application cannot build the client for now, and are dead where it never will" do
      ScriptedServer.open([taken]) do |server|
        file = initializer("sidekiq", server, more: <<~RUBY)
          config.max_wait = 0.3
          config.clients do |name|
            next if name == :gone && $PROGRAM_NAME.include?("sidekiq")

            raise IOError, "the database is down" if $PROGRAM_NAME.include?("sidekiq") && ($tries = $tries.to_i + 1) < 3

            SimpleConnect::Client.new(endpoint_url: ENDPOINT, key_id: "k", secret: "s")
          end
        RUBY
        ruby(file, '%i[acme gone].each { |name| SimpleConnect.client(name).events.deliver_later("a", n: 1) }')
        output = sidekiq(file) do
          server.wait_for(1)
          wait_until { kept(file)[:dead].any? }
        end
        expect(output.grep(/client :acme cannot be built: IOError: the database is down/).size).to be >= 1
        dead = kept(file)[:dead].map { |job| [delivery(job)[:client], job[:error_class]] }
        expect(dead).to eq([["gone", "SimpleConnect::ConfigurationError"]])
      end
    end

    it "are dead, and reported once, when config.give_up_after is over" do
      ScriptedServer.open([{ "status" => 503 }]) do |server|
        file = initializer("sidekiq", server, more: "config.max_wait = 0.4; config.give_up_after = 1")
        ruby(file, 'deliver("order_paid")')
        output = sidekiq(file) { |lines| nil until lines.pop.include?("on_exhausted") }
        expect(server.requests.size).to be >= 3
        context = { client: "default", event_key: "order_paid", event_id: "id_order_paid",
                    job: "SimpleConnect::Sidekiq::DeliverJob" }
        expect(output.grep(/\A\["on_/).map { |line| JSON.parse(line, symbolize_names: true) })
          .to eq([["on_exhausted", 503, context]])
        reported = /SimpleConnect::ServerError: HTTP 503 \(order_paid, event_id id_order_paid\), after/
        expect(output.grep(reported).size).to eq(1)
        expect(output.join).not_to include("9812345678")
        expect(kept(file)[:dead].size).to eq(1)
      end
    end

    it "are discarded where the configuration says so; a hook that raises is reported, and costs nothing" do
      ScriptedServer.open([{ "status" => 422 }]) do |server|
        file = initializer("sidekiq", server, more: <<~RUBY)
          config.rejected = :discard
          config.on_rejected = ->(*) { raise "no hook" }
        RUBY
        ruby(file, 'deliver("order_paid")')
        output = sidekiq(file) { |lines| nil until lines.pop.include?("no hook") }
        expect(output.grep(/config.on_rejected raised RuntimeError: no hook/).size).to eq(1)
        expect(kept(file).values).to eq([[]] * 4)
      end
    end
  end

  describe "in ActiveJob", skip: Libraries.missing("active_job") do
    it "come back with the same bytes, and never sooner than Retry-After" do
      script = [{ "status" => 503 }, { "status" => 429, "headers" => { "Retry-After" => "2" } }, taken]
      ScriptedServer.open(script) do |server|
        output = ruby(initializer("active_job", server, more: "config.max_wait = 0.5"), <<~RUBY)
          ActiveJob::Base.queue_adapter = :async
          require "stringio"
          ActiveJob::Base.logger = Logger.new(log = StringIO.new)
          deliver("order_paid")
          sleep(0.02) until log.string.scan("Performed ").size == 3
          puts log.string
        RUBY
        expect(bodies(server).size).to eq(1)
        expect(gaps(server)).to match([be_between(0.4, 2), be >= 2])
        expect(output.scan(/due to a SimpleConnect::\w+/).uniq)
          .to eq(["due to a SimpleConnect::ServerError", "due to a SimpleConnect::RateLimitedError"])
        expect(output).not_to include("9812345678")
      end
    end
  end

  it "say where a later release of the gem has enqueued them" do
    file = initializer("active_job", ScriptedServer.open(&:itself))
    expect { ruby(file, 'SimpleConnect::DeliverJob.perform_now({ "v" => 2 })') }
      .to raise_error(/this job's arguments have the version 2: run it with the release/)
  end
end
