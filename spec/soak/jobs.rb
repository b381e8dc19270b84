# frozen_string_literal: true

require "json"
require "net/http"
require "simple_connect/sandbox"
require "socket"
require "timeout"
require_relative "../support/rails_app"
require_relative "../support/redis_server"

# Payments come into a Rails application, whose two Puma workers were forked from the preloaded application. A job in
# Sidekiq delivers each. The service fails one request in ten, in every way it can, and Sidekiq is stopped twice. Every
# event arrives, none is accepted twice, and none comes back sooner than `Retry-After` says.
RSpec.describe "Jobs in Rails", skip: RedisServer.missing || Libraries.missing("rails", "sidekiq", "puma", "sqlite3") do
  count = Integer(ENV.fetch("EVENTS", 5_000))
  patience = Integer(ENV.fetch("PATIENCE", 600))

  # The sandbox, which fails one request in ten and remembers when which event came.
  service = Class.new do
    # How long events stayed away that were asked to, in seconds.
    attr_reader :pauses
    attr_reader :answers, :accepted

    def initialize(sandbox)
      @sandbox = sandbox
      @lock = Mutex.new
      @asked = {}
      @pauses = []
      @answers = Hash.new(0)
      @accepted = Hash.new(0)
      @requests = 0
    end

    def call(env)
      body = env["rack.input"].read
      env["rack.input"].rewind
      event_id = JSON.parse(body).dig("event", "event_id")
      failure = @lock.synchronize { arrived(event_id) }
      answer = failure ? fail_with(failure, event_id, env) : deliver(event_id, env)
      @lock.synchronize { @answers[failure || answer.first] += 1 }
      answer
    end

    private

    def deliver(event_id, env)
      answer = @sandbox.call(env)
      @lock.synchronize { @accepted[event_id] += 1 } if answer.first == 202
      answer
    end

    def arrived(event_id)
      asked = @asked.delete(event_id)
      @pauses << (Process.clock_gettime(Process::CLOCK_MONOTONIC) - asked) if asked
      @requests += 1
      %i[refused broken busy overloaded lost][(@requests / 10) % 5] if (@requests % 10).zero?
    end

    def fail_with(failure, event_id, env)
      case failure
      when :refused then [503, {}, ["{}"]]
      when :broken then [500, {}, ["no JSON"]]
      when :busy then come_back(429, event_id)
      when :overloaded then come_back(503, event_id)
      # The service has it, and its answer is lost.
      else
        deliver(event_id, env)
        env["rack.hijack"].call.close
        [500, {}, []]
      end
    end

    def come_back(status, event_id)
      # From here on: the client cannot read it sooner.
      @lock.synchronize { @asked[event_id] = Process.clock_gettime(Process::CLOCK_MONOTONIC) }
      [status, { "Retry-After" => "8" }, ["{}"]]
    end
  end

  define_method(:eventually) do |&block|
    Timeout.timeout(patience) { sleep(0.1) until block.call }
  end

  def free_port = TCPServer.open("127.0.0.1", 0) { |server| server.addr[1] }

  def listening?(port)
    TCPSocket.open("127.0.0.1", port).close
    true
  rescue Errno::ECONNREFUSED
    false
  end

  define_method(:post_payments) do |port|
    ids = Queue.new
    count.times { |id| ids << id }
    ids.close
    threads = Array.new(4) do
      Thread.new do
        Net::HTTP.start("127.0.0.1", port) do |http|
          while (id = ids.pop)
            answer = http.post("/payments", JSON.generate({ id: }), "Content-Type" => "application/json")
            raise "the application answered #{answer.code}: #{answer.body}" unless answer.code == "202"
          end
        end
      end
    end
    threads.each(&:value)
  end

  def stop(pid)
    Process.kill("TERM", pid)
    Process.wait(pid)
  end

  before { WebMock.allow_net_connect! if defined?(WebMock) }

  { "Sidekiq's own" => "sidekiq", "ActiveJob's, on Sidekiq," => "active_job" }.each do |whose, job|
    it "of #{whose} deliver every event once, through failures and stops" do
      sandbox = SimpleConnect::Sandbox.new
      counting = service.new(sandbox)
      server = SimpleConnect.const_get(:Server).new(counting, "the service", "127.0.0.1", 0)
      RedisServer.open do |redis|
        RailsApp.open do |app|
          app.write("app/controllers/payments_controller.rb", <<~RUBY)
            class PaymentsController < ActionController::API
              def create
                SimpleConnect.client.events.deliver_later(
                  "customer_payment_received", recipient: { name: "Lakshmi Nair", mobile_no: "+919812345678" },
                  event: { event_id: "payment_\#{params.require(:id)}", payment_amount: "450.00" }
                )
                head :accepted
              end
            end
          RUBY
          app.write("config/initializers/zzz.rb", <<~RUBY)
            SimpleConnect.configuration.job = :#{job}
            SimpleConnect.configuration.logger = false
            # It looks for jobs that are due every five seconds or so.
            Sidekiq.configure_server do |config|
              (config.respond_to?(:options) ? config.options : config)[:poll_interval_average] = 0.5
            end
          RUBY
          env = { "RAILS_ENV" => "production", "ADAPTER" => "sidekiq", "REDIS_URL" => redis.url,
                  "LOG_LEVEL" => "error", "SIMPLECONNECT_KEY_ID" => sandbox.key_id,
                  "SIMPLECONNECT_ENDPOINT_URL" => "#{server.url}/api/v1/integrations/sandbox/events",
                  "SIMPLECONNECT_SECRET" => sandbox.secret }
          port = free_port
          log = "#{app.directory}/processes.log"
          out = [log, "a"]
          web = app.spawn("puma", "-w", "2", "-t", "4:4", "--preload", "-b", "tcp://127.0.0.1:#{port}", env:, out:)
          work = -> { app.spawn("sidekiq", "-r", "./config/environment.rb", "-c", "10", env:, out:) }
          sidekiq = work.call
          eventually { listening?(port) }
          started = Process.clock_gettime(Process::CLOCK_MONOTONIC)
          poster = Thread.new { post_payments(port) }
          [count / 4, count / 2].each do |share|
            eventually { counting.accepted.size >= share }
            stop(sidekiq)
            sidekiq = work.call
          end
          poster.value
          eventually { sandbox.events.size == count }
          seconds = Process.clock_gettime(Process::CLOCK_MONOTONIC) - started
          puts "#{job}: #{count} events in #{seconds.round} s; answers #{counting.answers}; " \
               "#{counting.pauses.size} came back after Retry-After: 8, the earliest after " \
               "#{counting.pauses.min.round(2)} s"
          expect(counting.pauses.min).to be >= 8
          expect([counting.accepted.size, counting.accepted.values.uniq]).to eq([count, [1]])
        rescue Timeout::Error
          warn "#{sandbox.events.size} of #{count} arrived", File.read(log).lines.last(30)
          raise
        ensure
          [web, sidekiq].compact.each { |pid| stop(pid) }
        end
      end
    ensure
      server&.stop
    end
  end
end
