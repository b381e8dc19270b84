# frozen_string_literal: true

require "json"
require "net/http"
require "simple_connect/sandbox"
require "timeout"
require_relative "../support/libraries"
require_relative "../support/rack_process"

# Mounted in the routes of a Rails application in development, which reloads its code.
RSpec.describe SimpleConnect::Sandbox::Inbox, skip: Libraries.missing("puma", "rails") do
  files = RackProcess::RAILS.merge(
    "config/environment.rb" => <<~RUBY,
      require "logger"
      require "action_controller/railtie"
      require "simple_connect" # as Bundler does

      class Shop < Rails::Application
        config.root = File.expand_path("..", __dir__)
        config.eager_load = false
        config.cache_classes = false
        config.enable_reloading = true if config.respond_to?(:enable_reloading=)
        config.secret_key_base = "x" * 64
        config.logger = Logger.new($stdout)
        config.content_security_policy { |policy| policy.default_src(:self, "https://cdn.example") }
      end
      Rails.application.initialize!
    RUBY
    "config/routes.rb" => <<~RUBY,
      Rails.application.routes.draw do
        mount SimpleConnect::Sandbox::Inbox.new(SimpleConnect::Sandbox.new) => "/simple_connect"
        get "greeting", to: "greetings#show"
      end
    RUBY
    "app/controllers/greetings_controller.rb" => <<~RUBY,
      class GreetingsController < ActionController::Base
        def show = render(plain: Order.greeting)
      end
    RUBY
    "app/models/order.rb" => "class Order\n  def self.greeting = 'one'\nend\n",
    "config/puma.rb" => "workers 2\n"
  )

  def get(path, headers = {}) = Net::HTTP.get_response(URI("#{@server.url}#{path}"), headers)
  def json(path) = JSON.parse(get(path).body)

  def serve(files, env)
    RackProcess.open(files, env) { |server| Timeout.timeout(60) { yield @server = server } }
  end

  it "is served below its path, to all workers, and does not keep Rails from reloading" do
    serve(files, "RACK_ENV" => "development") do
      expect([get("/simple_connect?a=b")["location"]]).to eq(["/simple_connect/"])
      page = get("/simple_connect/")
      expect([page.code, page.content_type]).to eq(["200", "text/html"])
      expect(page.get_fields("content-security-policy")).to match([a_string_starting_with("default-src 'none'")])

      urls = json("/simple_connect/inbox/status").fetch("urls")
      expect(json("/simple_connect/inbox/status")["live"]).to eq("poll")
      expect(get("/simple_connect/inbox/stream").code).to eq("404")
      sandbox = SimpleConnect::Sandbox.new
      client = SimpleConnect::Client.new(
        endpoint_url: urls["endpoint_url"], key_id: sandbox.key_id, secret: sandbox.secret
      )
      results = Array.new(10) do |index|
        Thread.new { client.events.deliver("order_paid", event_id: "e#{index % 5}") }
      end.map(&:value)
      expect(results.map(&:status_code).tally).to eq(202 => 5, 200 => 5)
      expect(Array.new(5) { json("/simple_connect/inbox/messages")["count"] }).to all(eq(5))

      waiting = Thread.new { json("/simple_connect/inbox/wait?q=e9&timeout=30") }
      expect(get("/greeting").body).to eq("one")
      order = Dir["/proc/#{@server.instance_variable_get(:@pid)}/cwd"].first
      File.write("#{order}/app/models/order.rb", "class Order\n  def self.greeting = 'two'\nend\n")
      4.times { expect(get("/greeting").body).to eq("two") }
      expect(waiting).to be_alive
      client.events.deliver("order_paid", event_id: "e9")
      expect(waiting.value["message"]["event_id"]).to eq("e9")
      expect(File.stat("#{order}/tmp/simple_connect_inbox.jsonl").mode & 0o777).to eq(0o600)
    end
  end

  it "keeps an application in production from starting, without auth:" do
    expect { serve(files.except("config/puma.rb"), "RACK_ENV" => "production") { nil } }
      .to raise_error(RuntimeError, /the inbox shows what your customers get: in production it needs auth:/)
  end
end
