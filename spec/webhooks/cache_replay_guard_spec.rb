# frozen_string_literal: true

require "rack"
require "simple_connect/webhooks"
require "stringio"
require "tmpdir"
require_relative "../support/subprocess"

# In processes of their own, as ActiveSupport changes what there is.
RSpec.describe SimpleConnect::Webhooks::CacheReplayGuard, skip: Libraries.missing("active_support") do
  def with_active_support(&block)
    Subprocess.run do
      $VERBOSE = nil
      require "logger"
      require "active_support"
      require "active_support/cache"
      block.call
    end
  end

  it "remembers in a cache of Rails what is under way, and what was handled" do
    seen = with_active_support do
      cache = ActiveSupport::Cache::MemoryStore.new
      guard, other = Array.new(2) { described_class.new(cache) }
      found = [guard.begin("a"), other.begin("a")]
      guard.finish("a")
      found << other.begin("a") << other.first_time?("a")
      guard.forget("a")
      found << other.begin("a", lease: 1e-6) << guard.begin("a") << guard.first_time?("b") << guard.first_time?("b")
    end
    expect(seen).to eq([:new, :under_way, :handled, false, :new, :new, true, false])
  end

  it "lets one of many threads be the first" do
    firsts = with_active_support do
      guard = described_class.new(ActiveSupport::Cache::MemoryStore.new)
      Array.new(8) { Thread.new { (1..200).count { |n| guard.begin(n.to_s) == :new } } }.sum(&:value)
    end
    expect(firsts).to eq(200)
  end

  it "is what an app makes of a cache" do
    statuses = with_active_support do
      cache = ActiveSupport::Cache::MemoryStore.new
      env = SimpleConnect::Webhooks::TestHelpers.signed_env("{}", secret: "s")
      Array.new(2) do
        app = SimpleConnect::Webhooks::App.new(secret: "s", replay_guard: cache)
        %w[a b].each { |event| app.register(event, version: "v1") { nil } }
        %w[a b].map { |event| Rack::MockRequest.new(app).post("/v/1/webhooks/#{event}", input: "{}", **env).status }
      end
    end
    expect(statuses).to eq([[200, 409], [200, 409]])
  end

  it "refuses a cache that remembers nothing, or does not write atomically" do
    errors = with_active_support do
      [ActiveSupport::Cache::NullStore.new, ActiveSupport::Cache::FileStore.new(Dir.tmpdir)].map do |cache|
        SimpleConnect::Webhooks::App.new(secret: "s", replay_guard: cache)
      rescue SimpleConnect::ConfigurationError => e
        e.message
      end
    end
    expect(errors).to match([/\Areplay_guard: .*NullStore cannot/, /\Areplay_guard: .*FileStore cannot/])
  end
end
