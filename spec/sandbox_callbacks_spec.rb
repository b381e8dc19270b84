# frozen_string_literal: true

require "json"
require "simple_connect/sandbox"
require "simple_connect/sandbox/callbacks"
require "stringio"
require_relative "support/scripted_server"
require_relative "support/webmock"

RSpec.describe "The sandbox's status callbacks" do
  include_context "with WebMock"

  around { |example| ScriptedServer.open([{ "status" => 204 }]) { |server| (@server = server) && example.run } }

  around do |example|
    stderr = $stderr
    $stderr = StringIO.new
    example.run
    expect($stderr.string).to eq("[SimpleConnect] a status callback failed: WebMock::NetConnectNotAllowedError\n")
  ensure
    $stderr = stderr
  end

  attr_reader :server

  def posted = server.requests.map { |request| JSON.parse(request.body)["data"] }

  # Whatever is raised, also what is no StandardError.
  def raised
    yield
    nil
  rescue Exception => e # rubocop:disable Lint/RescueException
    e
  end

  it "are posted also behind one that WebMock refuses, which `stop` raises once" do
    callbacks = SimpleConnect::Sandbox.const_get(:Callbacks).new("#{server.url}/status", "s")
    # Before the thread looks at it.
    WebMock.allow_net_connect!
    WebMock.after_request { raise WebMock::NetConnectNotAllowedError, @signature if posted.size == 1 }
    @signature = WebMock::RequestSignature.new(:post, server.url)
    3.times { |number| callbacks.push({ "message_id" => number }) }

    expect(raised { callbacks.stop }).to be_a(WebMock::NetConnectNotAllowedError)
    expect(posted).to eq(Array.new(3) { |number| { "message_id" => number } })
    expect(raised { callbacks.stop }).to be_nil
  end

  it "go on where their host is allowed again" do
    sandbox = SimpleConnect::Sandbox.new(status_callback_url: "#{server.url}/status")
    callbacks = sandbox.instance_variable_get(:@callbacks)
    callbacks.push({ "message_id" => "refused" })
    expect(raised { sandbox.stop }).to be_a(WebMock::NetConnectNotAllowedError)

    WebMock.allow_net_connect!
    callbacks.push({ "message_id" => "allowed" })
    sandbox.stop
    expect(posted).to eq([{ "message_id" => "allowed" }])
  end
end
