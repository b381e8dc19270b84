# frozen_string_literal: true

require "simple_connect"
require_relative "../support/libraries"
require_relative "../support/private_addresses"
require_relative "../support/redis_server"
require_relative "../support/scripted_server"

# What a dispatcher shares with other processes: applications in a store, and rate limits.
RSpec.describe SimpleConnect::Outbound::Dispatcher, unchecked: true do
  include PrivateAddresses

  ok = { "status" => 200 }

  # A store whose application can be replaced.
  store = Class.new do
    attr_accessor :application

    def find_application(_uid) = application
  end

  def application(*endpoints, **options)
    SimpleConnect::Outbound::Application.new(name: "Acme", uid: "acme", endpoints:, **options)
  end

  def endpoint(server, uid: "one", **options)
    SimpleConnect::Outbound::Endpoint.new(uid:, url: server.url, secret: "s", **options)
  end

  def event(**options) = SimpleConnect::Outbound::Event.new(event_type: "parcel.sent", payload: {}, **options)

  it "reads its application from a store, and applies changes at once; connections and limits live on" do
    ScriptedServer.open([ok]) do |server|
      applications = store.new.tap { |each| each.application = application(endpoint(server), rate_limit: 3) }
      dispatcher = described_class.new("acme", store: applications, jobs: false)
      2.times { dispatcher.publish(event) }
      limiter = dispatcher.__send__(:limiter, "one", 3)
      applications.application = application(endpoint(server), endpoint(server, uid: "two"), rate_limit: 3)
      expect(dispatcher.publish(event).map(&:endpoint_uid)).to eq(%w[one two])
      expect([dispatcher.__send__(:limiter, "one", 3).equal?(limiter), server.connections]).to eq([true, 2])

      applications.application = application(endpoint(server, active: false), endpoint(server, uid: "two"))
      expect(dispatcher.publish(event).map(&:endpoint_uid)).to eq(%w[two])
      # A changed secret signs at once.
      applications.application = application(endpoint(server, secret: "t"))
      dispatcher.publish(event)
      request = server.requests.last
      expect(SimpleConnect::Signature.valid?(request.body, request.headers, secret: "t", scheme: :simplyq)).to be(true)
      applications.application = nil
      expect { dispatcher.publish(event) }.to raise_error(SimpleConnect::ConfigurationError, /it found none/)
    end
  end

  it "refuses stores, limiters and hooks that cannot be used" do
    application = application()
    refused = lambda do |*arguments, **options|
      described_class.new(*arguments, jobs: false, **options)
    rescue SimpleConnect::ConfigurationError => e
      e.message
    end
    expect([refused["acme"], refused[application, store: store.new], refused["acme", store: 1],
            refused["acme", store: store.new], refused[application, limiter: 1], refused[application, on_exhausted: 1]])
      .to match([/\Aapplication must/, /\Aapplication must be the uid/, /\Astore: must respond/, /it found none/,
                 /\Alimiter: must/, /\Aon_exhausted: must/])
  end

  it "tells of the last failure of a delivery" do
    ScriptedServer.open([{ "status" => 500 }]) do |server|
      schedule = SimpleConnect::Outbound::RetrySchedule.new(:fixed_wait, wait: 1, max_retries: 1)
      exhausted = []
      options = { jobs: false, on_exhausted: ->(attempt) { exhausted << attempt.retry_count } }
      dispatcher = described_class.new(application(endpoint(server), retry_schedule: schedule), **options)
      event = event()
      attempt = dispatcher.publish(event).first
      expect(exhausted).to eq([])
      dispatcher.retry(attempt, event)
      expect(exhausted).to eq([1])
    end
  end

  it "publishes later only with jobs" do
    dispatcher = described_class.new(application, jobs: false)
    expect { dispatcher.publish_later(event) }.to raise_error(SimpleConnect::ConfigurationError, /needs Sidekiq or/)
  end

  it "leaves what it publishes later to jobs, and says which ones the queue did not take",
     skip: Libraries.missing("active_job") do
    require "active_job"
    ScriptedServer.open([ok]) do |server|
      dispatcher = described_class.new(application(endpoint(server), endpoint(server, uid: "two")), jobs: :active_job)
      job = SimpleConnect::Outbound::ActiveJobDelivery
      allow(job).to receive(:enqueue) { |_, _, delivery| delivery["endpoint_uid"] == "one" ? raise(IOError) : true }
      expect { dispatcher.publish_later(event) }.to raise_error(SimpleConnect::Outbound::QueueError) do |error|
        expect([error.attempts.map(&:status), error.unqueued.map(&:endpoint_uid)]).to eq([%i[pending pending], ["one"]])
      end
      expect(server.requests).to eq([])
      expect(job).to have_received(:enqueue).twice
    ensure
      dispatcher.close
    end
  end

  describe SimpleConnect::Outbound::RedisLimiter, skip: RedisServer.missing || Libraries.missing("redis") do
    before(:context) { require "redis" }

    around { |example| RedisServer.open { |server| @url = server.url and example.run } }

    def dispatcher_of(application, limiter)
      SimpleConnect::Outbound::Dispatcher.new(application, jobs: false, limiter:)
    end

    def redis = Redis.new(url: @url)

    it "gives 10 now and places for 5 in the next second, at 10 a second, each at another time" do
      limiter = described_class.new(redis)
      waits = Array.new(15) { limiter.take("a", 10) }
      expect(waits.first(10)).to eq([0.0] * 10)
      expect(waits.last(5).each_cons(2).map { |one, two| two - one }).to all(be_within(0.05).of(0.1))
      expect(waits[10]).to be_within(0.4).of(1)
      expect(described_class.new(redis).take("b", 10)).to eq(0.0)
      # Who comes before those that wait gets a place behind them; who has waited, goes first.
      expect(limiter.take("a", 10)).to be > 1.1
      sleep(waits[10])
      expect([limiter.take("a", 10), limiter.take("a", 10, waited: true)]).to match([be > 0, 0.0])
      expect(redis.ttl("simple_connect:rate:{a}")).to be_between(1, 5)
      expect(limiter.inspect).not_to include(@url)
    end

    it "gives no window more than its limit, and wastes nothing" do
      random = Random.new(7)
      state = { started_at: 0, taken: 0, queue: 0 }
      now = 5_000_000
      windows = Array.new(2000) do
        # 33 a second ask, on average.
        now += random.rand(60_000)
        state, wait = described_class.step(*state.values, now, 10, random.rand < 0.5)
        state[:started_at] if wait.zero?
      end
      windows = windows.compact.tally.values
      expect([windows.max, windows.sum > 9 * 60]).to eq([10, true])
    end

    it "works with pools, and after the script is gone" do
      pool = Class.new do
        def initialize(redis) = @redis = redis
        def with = yield(@redis)
      end
      limiter = described_class.new(pool.new(redis))
      limiter.take("a", 1)
      redis.call("SCRIPT", "FLUSH")
      expect(limiter.take("a", 1)).to be_within(0.5).of(1)
      expect { described_class.new(1) }.to raise_error(SimpleConnect::ConfigurationError)
    end

    it "leaves the counting to the process where Redis is away" do
      ScriptedServer.open([ok]) do |server|
        away = described_class.new(Redis.new(url: "redis://127.0.0.1:1"))
        dispatcher = dispatcher_of(application(endpoint(server), rate_limit: 2), away)
        expect { expect(dispatcher.publish(event).map(&:status)).to eq([:success]) }.to output(/limiter/).to_stderr
      end
    end

    it "leaves it to the process likewise where a limiter does not do it" do
      limiter = Object.new
      def limiter.take(...) = raise(NotImplementedError)
      ScriptedServer.open([ok]) do |server|
        dispatcher = dispatcher_of(application(endpoint(server), rate_limit: 2), limiter)
        expect { expect(dispatcher.publish(event).map(&:status)).to eq([:success]) }.to output(/limiter/).to_stderr
      end
    end

    it "makes what has to wait pending" do
      ScriptedServer.open([ok]) do |server|
        dispatcher = dispatcher_of(application(endpoint(server), rate_limit: 2), described_class.new(redis))
        attempts = Array.new(4) { dispatcher.publish(event) }.flatten
        expect(attempts.map(&:status)).to eq(%i[success success pending pending])
        expect(attempts.map(&:scheduled_at).last(2).uniq.size).to eq(2)
      end
    end
  end
end
