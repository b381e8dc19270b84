# frozen_string_literal: true

require "json"
require "open3"
require "rbconfig"
require "tempfile"
require "timeout"
require_relative "../support/jobs"
require_relative "../support/redis_server"
require_relative "../support/scripted_server"

# What is due later waits in a job queue. The processes here are those that an application would have: one that
# publishes, and one that works on jobs.
RSpec.describe "Outbound::Dispatcher and job queues", unchecked: true do
  around { |example| Timeout.timeout(60) { example.run } }

  # What each of the processes has for an initializer. Attempts are told on standard output.
  def initializer(library, server, limit: "nil", wait: 0.3)
    file = Tempfile.new(["initializer", ".rb"])
    file.write(<<~RUBY)
      $LOAD_PATH.unshift(#{File.expand_path("../../lib", __dir__).dump})
      require #{library.dump}
      require "json"
      require "simple_connect"
      $stdout.sync = true
      include SimpleConnect::Outbound
      SimpleConnect.configure { |config| config.allow_private = true }
      endpoints = [
        Endpoint.new(uid: "one", url: "#{server.url}/hooks", secret: "hush-hush", rate_limit: #{limit},
                     headers: { sensitive: { "X-Token" => "s3cr3t" } })
      ]
      DISPATCHER = Dispatcher.new(
        Application.new(name: "Acme", uid: "acme", endpoints: ENV["GONE"] ? [] : endpoints,
                        retry_schedule: RetrySchedule.new(:fixed_wait, wait: #{wait}, max_retries: 2)),
        on_attempt: ->(attempt) { puts JSON.generate(attempt.to_h) }
      )
      EVENT = Event.new(uid: "ev_1", event_type: "parcel.sent", version: "1.0.0", topics: ["north"], payload: { user: 7 })
    RUBY
    file.close
    file
  end

  def ruby(file, code, env = {})
    output, status = Open3.capture2e(env, RbConfig.ruby, "-r", file.path, "-e", code)
    raise output unless status.success?

    # Sidekiq 7 tells whom it connects to.
    output.lines.grep_v(/pid=\d+ tid=/).join
  end

  # A Sidekiq process, and its output line by line.
  def sidekiq(file, redis, env = {})
    File.write(file.path, Jobs::IMPATIENT, mode: "a")
    command = [RbConfig.ruby, "-S", "sidekiq", "-r", file.path, "-c", "2", "-t", "5"]
    Open3.popen2e({ "REDIS_URL" => redis.url, "SIDEKIQ_ARGS" => nil, **env }, *command) do |_, output, process|
      lines = Queue.new
      reader = Thread.new { output.each_line { |line| lines << line } }
      yield lines
    ensure
      Process.kill(:TERM, process.pid)
      process.join
      reader.join
    end
  end

  # The next `count` attempts told of.
  def attempts(lines, count)
    seen = []
    found = []
    while found.size < count
      seen << lines.pop
      found << JSON.parse(seen.last, symbolize_names: true) if seen.last.start_with?("{")
      raise seen.join if seen.last.include?("ERROR") || seen.last.include?("WARN")
    end
    found
  end

  describe "Sidekiq" do
    around do |example|
      missing = RedisServer.missing || Libraries.missing("sidekiq")
      skip(missing) if missing
      RedisServer.open do |redis|
        @redis = redis
        example.run
      end
    end

    attr_reader :redis

    def publish(file) = ruby(file, "DISPATCHER.publish(EVENT)", "REDIS_URL" => redis.url)

    it "has jobs wait in the queue that is named" do
      ScriptedServer.open([{ "status" => 503 }]) do |server|
        output = ruby(initializer("sidekiq", server), <<~RUBY, "REDIS_URL" => redis.url)
          require "sidekiq/api"
          [nil, "webhooks"].each { |queue| Dispatcher.new(DISPATCHER.application, queue: queue).publish(EVENT) }
          puts Sidekiq::ScheduledSet.new.map(&:queue).sort
        RUBY
        expect(output.split).to eq(%w[default webhooks])
      end
    end

    it "makes the attempts that are due later, until one succeeds" do
      ScriptedServer.open([{ "status" => 503 }, { "status" => 500 }, { "status" => 200 }]) do |server|
        file = initializer("sidekiq", server)
        expect(JSON.parse(publish(file))).to include("status" => "failure", "retry_count" => 0)
        jobs = ruby(file, 'require "sidekiq/api"; puts Sidekiq::ScheduledSet.new.map(&:value)',
                    "REDIS_URL" => redis.url)
        expect(jobs.lines.size).to eq(1)
        expect(jobs).to include("SidekiqDelivery", "parcel.sent")
        expect(jobs).not_to match(/hush-hush|s3cr3t|X-Token|#{server.port}/)

        made = sidekiq(file, redis) { |lines| attempts(lines, 2) }
        expect(made.map { |attempt| attempt.slice(:status, :retry_count, :trigger_type, :endpoint_uid, :event_uid) })
          .to eq([{ status: "failure", retry_count: 1 }, { status: "success", retry_count: 2 }].map do |expected|
            { **expected, trigger_type: "automatic", endpoint_uid: "one", event_uid: "ev_1" }
          end)
        expect(made.map { |attempt| attempt[:started_at] }.uniq.size).to eq(1)
        expect(server.requests.size).to eq(3)
        server.requests.each do |request|
          expect(SimpleConnect::Signature.valid?(request.body, request.headers, secret: "hush-hush", scheme: :simplyq))
            .to be(true)
          expect(request.headers).to include("x-token" => "s3cr3t", "x-simplyq-event-uid" => "ev_1",
                                             "x-simplyq-event-version" => "1.0.0")
        end
        expect(server.requests.map(&:body).uniq).to eq(['{"user":7}'])
        expect(server.requests.each_cons(2).map { |one, next_one| next_one.at - one.at }).to all(be >= 0.29)
      end
    end

    it "ends with the schedule" do
      ScriptedServer.open([{ "status" => 503 }]) do |server|
        file = initializer("sidekiq", server, wait: 0.1)
        publish(file)
        made = sidekiq(file, redis) { |lines| attempts(lines, 2) }
        expect(made.map { |attempt| [attempt[:status], attempt[:retry_count]] }).to eq([["failure", 1], ["failure", 2]])
        left = ruby(file, 'require "sidekiq/api"; print Sidekiq::ScheduledSet.new.size, Sidekiq::RetrySet.new.size',
                    "REDIS_URL" => redis.url)
        expect(left).to eq("00")
      end
    end

    it "cancels what is due to an endpoint that is gone" do
      ScriptedServer.open([{ "status" => 503 }]) do |server|
        file = initializer("sidekiq", server, wait: 0.1)
        publish(file)
        made, = sidekiq(file, redis, "GONE" => "1") { |lines| attempts(lines, 1) }
        expect(made).to include(status: "canceled", endpoint_uid: "one", endpoint_url: nil, retry_count: 1)
        expect(server.requests.size).to eq(1)
      end
    end

    it "makes an attempt whose rate limit was busy for long" do
      ScriptedServer.open([{ "status" => 200 }]) do |server|
        file = initializer("sidekiq", server, limit: "1")
        pending = ruby(file, <<~RUBY, "REDIS_URL" => redis.url)
          limiter = DISPATCHER.__send__(:limiter, "one", 1)
          12.times { limiter.reserve }
          DISPATCHER.publish(EVENT)
        RUBY
        pending = JSON.parse(pending, symbolize_names: true)
        expect(pending).to include(status: "pending", attempted_at: nil, retry_count: 0)
        expect(server.requests.size).to eq(0)
        # So that the spec need not wait for as long.
        ruby(file, 'require "sidekiq/api"; Sidekiq::ScheduledSet.new.each { |job| job.reschedule(Time.now) }',
             "REDIS_URL" => redis.url)
        made, = sidekiq(file, redis) { |lines| attempts(lines, 1) }
        expect(made).to include(id: pending[:id], status: "success", retry_count: 0)
      end
    end
  end

  describe "ActiveJob" do
    it "makes the attempts that are due later, until one succeeds" do
      ScriptedServer.open([{ "status" => 503 }, { "status" => 500 }, { "status" => 200 }]) do |server|
        output = ruby(initializer("active_job", server), <<~RUBY)
          require "logger"
          require "stringio"
          ActiveJob::Base.logger = Logger.new(log = StringIO.new)
          ActiveJob::Base.queue_adapter = :async
          DISPATCHER.publish(EVENT)
          sleep(0.01) until log.string.scan("Performed ").size == 2
          warn(log.string)
        RUBY
        made = output.lines.grep(/\A\{/).map { |line| JSON.parse(line).values_at("status", "retry_count") }
        expect(made).to eq([["failure", 0], ["failure", 1], ["success", 2]])
        expect(output).to include("Performed SimpleConnect::Outbound::ActiveJobDelivery")
        expect(output.lines.grep(/Job|Deliver/).join).not_to match(/hush-hush|s3cr3t|user/)
        expect(server.requests.size).to eq(3)
      end
    end

    it "is used where Sidekiq is not loaded", skip: Libraries.missing("sidekiq") do
      ScriptedServer.open do |server|
        code = "p DISPATCHER.instance_variable_get(:@jobs)"
        expect(ruby(initializer("active_job", server), code)).to eq(":active_job\n")
        expect(ruby(initializer("sidekiq", server), "require 'active_job'; #{code}")).to eq(":sidekiq\n")
        expect(ruby(initializer("json", server), code)).to eq("nil\n")
      end
    end

    it "is not loaded before an attempt has to wait, so that later initializers can still configure it" do
      ScriptedServer.open do |server|
        output = ruby(initializer("active_job", server), <<~'RUBY')
          ActiveSupport.on_load(:active_job) { puts "loaded" }
          p DISPATCHER.publish(EVENT).map(&:status)
        RUBY
        expect(output.lines.grep_v(/\A\{/)).to eq(["[:success]\n"])
      end
    end

    # With 24 endpoints, which all answer with a 503.
    def publish_to_many(adapter)
      ScriptedServer.open([{ "status" => 503 }]) do |server|
        output = ruby(initializer("active_job", server), <<~RUBY)
          require "logger"
          ActiveJob::Base.logger = Logger.new(nil)
          #{adapter}
          endpoints = Array.new(24) { |n| Endpoint.new(uid: "e\#{n}", url: "#{server.url}/hooks", secret: "s") }
          kept = []
          many = Dispatcher.new(Application.new(name: "Acme", uid: "many", endpoints:), on_attempt: kept.method(:<<))
          begin
            many.publish(EVENT)
          rescue StandardError, ScriptError => e
            told = { error: e.class.name, message: e.message, cause: e.cause&.class&.name }
            told.update(attempts: e.attempts.size, unqueued: e.unqueued.size) if e.respond_to?(:attempts)
          end
          puts JSON.generate({ kept: kept.map(&:status).tally, **told.to_h })
        RUBY
        [JSON.parse(output, symbolize_names: true), server.requests.size]
      end
    end

    it "costs no endpoint its event, and no attempt its record, where it raises" do
      # The second is no StandardError: ActiveJob's adapter :inline raises it.
      %w[Errno::ECONNREFUSED NotImplementedError].each do |error|
        told, requests = publish_to_many(<<~RUBY)
          class FullAdapter
            def enqueue(*) = raise(#{error}, "the queue is down")
            alias_method :enqueue_at, :enqueue
          end
          ActiveJob::Base.queue_adapter = FullAdapter.new
        RUBY
        expect(requests).to eq(24)
        expect(told).to include(kept: { failure: 24 }, error: "SimpleConnect::Outbound::QueueError", cause: error,
                                attempts: 24, unqueued: 24)
        expect(told[:message]).to match(/\Athe job queue did not take 24 of 24 attempts.*the queue is down/)
      end
    end

    it "is told where a callback or an adapter refuses a job without raising" do
      told, requests = publish_to_many("ActiveJob::Base.before_enqueue { throw :abort }")
      expect(requests).to eq(24)
      expect(told).to include(kept: { failure: 24 }, error: "SimpleConnect::Outbound::QueueError", unqueued: 24)
    end

    it "keeps those whose attempts it took out of the error" do
      told, = publish_to_many(<<~RUBY)
        class FullAdapter
          def enqueue(*) = nil
          def enqueue_at(job, _) = job.arguments.first["endpoint_uid"] == "e3" && raise(IOError, "full")
        end
        ActiveJob::Base.queue_adapter = FullAdapter.new
      RUBY
      expect(told).to include(kept: { failure: 24 }, attempts: 24, unqueued: 1)
    end

    it "needs a uid and secrets that are the same in each process" do
      ScriptedServer.open do |server|
        output = ruby(initializer("active_job", server), <<~RUBY)
          url = "#{server.url}/hooks"
          application = lambda do |endpoint, **with|
            Application.new(name: "Acme", endpoints: [Endpoint.new(url:, **endpoint)], **with)
          end
          told = lambda do |application, **with|
            Dispatcher.new(application, **with) && puts("fine")
          rescue SimpleConnect::ConfigurationError => e
            puts e.message
          end
          told.(application.({ uid: "one", secret: "s" }))
          told.(application.({ uid: "one" }, uid: "acme"))
          told.(application.({ secret: "s" }, uid: "acme"))
          told.(application.({}))
          told.(application.({}), jobs: false)
        RUBY
        expect(output.lines).to match(
          [/uid: of the application/, /secret: of the endpoint one/, /uid: of the endpoint ep_/,
           /uid: of the application .*uid: and secret: of the endpoint ep_/, "fine\n"]
        )
      end
    end

    it "has jobs wait in the queue that is named, and again where one raised" do
      ScriptedServer.open([{ "status" => 503 }]) do |server|
        output = ruby(initializer("active_job", server), <<~'RUBY')
          ActiveJob::Base.queue_adapter = :test
          ActiveJob::Base.logger = nil
          told = -> { p ActiveJob::Base.queue_adapter.enqueued_jobs.map { |job| job[:queue] } }
          Dispatcher.new(DISPATCHER.application, queue: :webhooks).publish(EVENT)
          told.call
          job = ActiveJobDelivery.new({ "application_uid" => "nobody" })
          job.queue_name = "webhooks"
          job.perform_now
          told.call
          begin
            Dispatcher.new(DISPATCHER.application, queue: 7)
          rescue SimpleConnect::ConfigurationError => e
            puts e.message
          end
        RUBY
        expect(output.lines.grep_v(/\A{/)).to eq(
          ["[\"webhooks\"]\n", "[\"webhooks\", \"webhooks\"]\n",
           "queue: must be the name of a job queue, such as \"webhooks\", or nil for the default one, not 7\n"]
        )
      end
    end

    it "does not keep closed dispatchers" do
      ScriptedServer.open([{ "status" => 503 }]) do |server|
        output = ruby(initializer("active_job", server), <<~'RUBY')
          make = lambda do |n|
            Dispatcher.new(Application.new(name: "Acme", uid: "acme-#{n}", endpoints: []))
          end
          100.times { |n| make.(n).close }
          GC.start
          puts ObjectSpace.each_object(Dispatcher).count
        RUBY
        # The stack may hold some of them.
        expect(Integer(output)).to be < 20
      end
    end

    it "finds a dispatcher that is used again after it was closed" do
      ScriptedServer.open([{ "status" => 503 }, { "status" => 200 }]) do |server|
        output = ruby(initializer("active_job", server), <<~RUBY)
          require "logger"
          require "stringio"
          ActiveJob::Base.logger = Logger.new(log = StringIO.new)
          ActiveJob::Base.queue_adapter = :async
          DISPATCHER.close
          DISPATCHER.publish(EVENT)
          sleep(0.01) until log.string.include?("Performed ") || log.string.include?("Error performing ")
        RUBY
        expect(output.lines.map { |line| JSON.parse(line)["status"] }).to eq(%w[failure success])
      end
    end
  end

  it "a job says what is missing in a process without the dispatcher" do
    expect { SimpleConnect::Outbound::Dispatcher.perform({ "application_uid" => "none" }) }
      .to raise_error(SimpleConnect::Error, /no Dispatcher for the application none: build it in an initializer/)
  end
end
