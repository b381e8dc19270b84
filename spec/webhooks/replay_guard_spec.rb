# frozen_string_literal: true

require "rack"
require "simple_connect/webhooks"
require "simple_connect/webhooks/redis_replay_guard"
require "socket"
require "stringio"
require "tmpdir"
require_relative "../support/subprocess"

begin
  require "redis"
rescue LoadError => e
  no_redis = "needs the gem redis: #{e.message}"
end
no_redis ||= "needs redis-server" unless system("redis-server", "--version", out: File::NULL, err: File::NULL)

RSpec.describe SimpleConnect::Webhooks::ReplayGuard do
  let(:guard) { described_class.new }

  it "takes each key once, until it is forgotten" do
    guard = described_class.new
    keys = ["a", "b", "", "\xFF", "a", "b", "\xFF".b, "b" * 1000]

    expect(keys.map { |key| guard.first_time?(key) }).to eq([true, true, true, true, false, false, false, true])
    guard.forget("a")
    expect([guard.first_time?("a"), guard.first_time?("a"), guard.size]).to eq([true, false, 5])
  end

  it "forgets a key when its window has passed" do
    guard = described_class.new(window: 0.05)
    expect([guard.first_time?("a"), guard.first_time?("a")]).to eq([true, false])
    sleep(0.06) # No event tells that time has passed.
    expect(guard.first_time?("a")).to be(true)
  end

  it "keeps no more than it may, the last ones" do
    guard = described_class.new(capacity: 3)
    %w[a b c d].each { |key| guard.first_time?(key) }

    expect(guard.size).to eq(3)
    expect(%w[d c b].map { |key| guard.first_time?(key) }).to eq([false] * 3)
    expect(guard.first_time?("a")).to be(true)
  end

  it "keeps the others while one key comes and is forgotten over and over, as a failing event's does" do
    guard = described_class.new(capacity: 10)
    guard.first_time?("x")
    100.times { [guard.first_time?("a"), guard.forget("a")] }

    expect([guard.first_time?("x"), guard.size]).to eq([false, 1])
  end

  it "lets one of many threads be the first" do
    guard = described_class.new
    firsts = Array.new(8) { Thread.new { (1..2000).count { |n| guard.first_time?(n.to_s) } } }.sum(&:value)
    expect(firsts).to eq(2000)
  end

  it "goes on in a forked process, with what was seen so far" do
    guard = described_class.new
    guard.first_time?("a")
    expect(Subprocess.run { [guard.first_time?("a"), guard.first_time?("b")] }).to eq([false, true])
    expect(guard.first_time?("b")).to be(true)
  end

  it "tells what is under way from what was handled" do
    expect([guard.begin("a"), guard.begin("a"), guard.begin("b")]).to eq(%i[new under_way new])
    guard.finish("a")
    expect([guard.begin("a"), guard.begin("b"), guard.first_time?("a")]).to eq([:handled, :under_way, false])
    guard.forget("b")
    guard.forget("a")
    expect([guard.begin("b"), guard.begin("a")]).to eq(%i[new new])
  end

  it "gives a key to another where its lease has ended" do
    expect(guard.begin("a", lease: 1e-9)).to eq(:new)
    expect(guard.begin("a", lease: 60)).to eq(:new)
    expect(guard.begin("a")).to eq(:under_way)
  end

  it "gives each key to one thread, and keeps nothing of what is not under way" do
    firsts = Array.new(8) do
      Thread.new { (1..500).count { |n| guard.begin(n.to_s) == :new && guard.finish(n.to_s).nil? } }
    end
    expect(firsts.sum(&:value)).to eq(500)
    expect(guard.instance_variable_get(:@under_way)).to be_empty
  end

  it "refuses what cannot work", unchecked: true do
    positive = /\Awindow: must be a positive number of seconds, such as 300, not /
    [0, -1, nil, "5", Float::NAN].each do |window|
      expect { described_class.new(window:) }.to raise_error(SimpleConnect::ConfigurationError, positive)
    end
    [0, 1.5, nil, 2**33].each do |capacity|
      expect { described_class.new(capacity:) }
        .to raise_error(SimpleConnect::ConfigurationError, /\Acapacity: must be an Integer from 1 to 2\^32/)
    end
    expect { described_class.new.first_time?(nil) }.to raise_error(ArgumentError, "key must be a String, not NilClass")
  end
end

RSpec.describe SimpleConnect::Webhooks::RedisReplayGuard, skip: no_redis do
  around do |example|
    Dir.mktmpdir do |dir|
      port = TCPServer.open("127.0.0.1", 0) { |server| server.addr[1] }
      out, write = IO.pipe
      pid = Process.spawn("redis-server", "--port", port.to_s, "--bind", "127.0.0.1", "--save", "", "--dir", dir,
                          out: write, err: write)
      nil until out.gets.include?("Ready to accept connections")
      @url = "redis://127.0.0.1:#{port}"
      example.run
    ensure
      Process.kill("TERM", pid)
      Process.wait(pid)
    end
  end

  def guard(**options) = described_class.new(Redis.new(url: @url), **options)

  it "lets one of several processes be the first" do
    counts = Array.new(4) { Subprocess.new { own = guard and (1..200).count { |n| own.first_time?(n.to_s) } } }
    expect(counts.sum(&:value)).to eq(200)
  end

  it "remembers for its window, unless it is to forget" do
    expect([guard.first_time?("a"), guard.first_time?("a")]).to eq([true, false])
    expect(Redis.new(url: @url).ttl("simple_connect:webhook:a")).to be_between(595, 601)
    guard.forget("a")
    expect(guard.first_time?("a")).to be(true)

    guard(window: 1, prefix: "short:").first_time?("a")
    expect(Redis.new(url: @url).pttl("short:a")).to be_between(1, 1000)
  end

  it "tells what is under way from what was handled, to every process" do
    expect([guard.begin("a"), guard.begin("a")]).to eq(%i[new under_way])
    expect(Subprocess.run { guard.begin("a") }).to eq(:under_way)
    guard.finish("a")
    expect([guard.begin("a"), guard.first_time?("a")]).to eq([:handled, false])
    expect(Redis.new(url: @url).ttl("simple_connect:webhook:a")).to be_between(595, 601)
    guard.forget("a")
    expect(guard.begin("a", lease: 0.05)).to eq(:new)
    expect(Redis.new(url: @url).pttl("simple_connect:webhook:a")).to be <= 50
  end

  it "serves an app, and costs a 500 where Redis is away" do
    ask = lambda do |guard, body, event = "a"|
      app = SimpleConnect::Webhooks::App.new(secret: "s", replay_guard: guard)
      %w[a b].each { |name| app.register(name, version: "v1") { nil } }
      @headers ||= SimpleConnect::Webhooks::TestHelpers.signed_env(body, secret: "s")
      Rack::MockRequest.new(app)
                       .post("/v/1/webhooks/#{event}", input: body, "rack.errors" => StringIO.new, **@headers).status
    end
    expect([ask[guard, "{}"], ask[guard, "{}"], ask[guard, "{}", "b"]]).to eq([200, 200, 409])
    away = described_class.new(Redis.new(url: "redis://127.0.0.1:1", reconnect_attempts: 0))
    expect(ask[away, "{}"]).to eq(500)
  end

  it "shows no URL" do
    expect(described_class.new(Redis.new(url: "redis://:hunter2@127.0.0.1:1")).inspect).not_to include("hunter2")
  end
end
