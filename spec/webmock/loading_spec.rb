# frozen_string_literal: true

require "json"
require "open3"
require "rbconfig"

# When WebMock is loaded is nobody's business: each of these is a process of its own.
RSpec.describe "Loading WebMock" do
  # Nothing listens there: what WebMock does not answer fails.
  setting = <<~RUBY
    URL = "http://127.0.0.1:1/events"

    def client = @client ||= SimpleConnect::Client.new(endpoint_url: URL, key_id: "k", secret: "s", max_attempts: 1)

    def deliver = client.events.deliver("order_paid", order: 7).status_code

    def stub = WebMock.stub_request(:post, URL).to_return(status: 422)

    def ours = $LOADED_FEATURES.grep(%r{lib/simple_connect/webmock.rb}).size

    def show(*values) = puts(JSON.generate(values))
  RUBY

  define_method(:run) do |script, *options|
    lib = File.expand_path("../../lib", __dir__)
    code = "require \"json\"\n#{setting}\n#{script}"
    output, status = Open3.capture2e(RbConfig.ruby, "-I", lib, *options, "-e", code)
    # A warning is a line too many.
    raise output unless status.success? && output.lines.size == 1

    JSON.parse(output)
  end

  it "before us, enabled" do
    expect(run('require "webmock"; WebMock.enable!; require "simple_connect"; stub; show deliver')).to eq([422])
  end

  it "after us, when a client has been at work already" do
    script = 'require "simple_connect"; first = deliver; require "webmock"; WebMock.enable!; stub; show first, deliver'
    expect(run(script)).to eq([0, 422])
  end

  it "and enabling it only while a client is at work" do
    script = 'require "webmock"; require "simple_connect"; before = deliver; WebMock.enable!; stub; now = deliver; ' \
             "WebMock.disable!; show before, now, deliver"
    expect(run(script)).to eq([0, 422, 0])
  end

  it "with all but Net::HTTP enabled, before the first request" do
    script = 'require "webmock"; require "simple_connect"; WebMock.enable!(except: :net_http); stub; show deliver'
    expect(run(script)).to eq([0])
  end

  it "with only Net::HTTP enabled, before the first request" do
    script = 'require "webmock"; require "simple_connect"; WebMock.disable!(except: [:net_http]); stub; show deliver'
    expect(run(script)).to eq([422])
  end

  it "by webmock/minitest" do
    script = 'require "simple_connect"; client; require "minitest"; require "webmock/minitest"; stub; show deliver'
    expect(run(script)).to eq([422])
  end

  it "by simple_connect/webmock, which can then be named before the first request" do
    script = 'require "simple_connect/webmock"; WebMock.enable!(except: [:simple_connect]); stub; before = deliver; ' \
             "WebMock.enable!; show before, deliver, ours"
    expect(run(script)).to eq([0, 422, 1])
  end

  it "by simple_connect/webmock, after a first request has loaded that" do
    script = 'require "webmock"; WebMock.enable!; require "simple_connect"; stub; before = deliver; ' \
             'again = require("simple_connect/webmock"); show before, again, ours'
    expect(run(script)).to eq([422, false, 1])
  end

  it "and delivering from many threads at once" do
    script = 'require "webmock"; WebMock.enable!; require "simple_connect"; stub; client; ' \
             "show Array.new(8) { Thread.new { deliver } }.map(&:value).uniq, ours"
    expect(run(script)).to eq([[422], 1])
  end

  it "warns of nothing" do
    # WebMock loads every HTTP library that it finds, and their warnings are not ours.
    script = 'verbose, $VERBOSE = $VERBOSE, nil; require "webmock"; $VERBOSE = verbose; ' \
             'require "simple_connect/webmock"; WebMock.enable!; stub; show deliver'
    expect(run(script, "-w")).to eq([422])
  end

  it "never, and we load nothing for it" do
    script = 'require "simple_connect"; deliver; show defined?(WebMock).inspect, ours, ' \
             "$LOADED_FEATURES.grep(/webmock|net.http/).size"
    expect(run(script)).to eq(["nil", 0, 0])
  end

  it "is something else than a constant of that name" do
    expect(run('module WebMock; end; require "simple_connect"; show deliver, ours')).to eq([0, 0])
  end
end
