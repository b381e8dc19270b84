# frozen_string_literal: true

require "net/http"
require "open3"
require "rbconfig"
require "simple_connect/sandbox"
require_relative "support/rack_process"
require_relative "support/scripted_server"

# Each example as a user runs it.
RSpec.describe "examples/" do
  root = File.expand_path("..", __dir__)
  secret = { "SIMPLECONNECT_WEBHOOK_SECRET" => "s3cret" }

  define_method(:run) do |file, env|
    Open3.capture2e(env, RbConfig.ruby, "-I", "#{root}/lib", "#{root}/examples/#{file}")
  end

  def credentials(sandbox)
    { "SIMPLECONNECT_ENDPOINT_URL" => sandbox.endpoint_url, "SIMPLECONNECT_KEY_ID" => sandbox.key_id,
      "SIMPLECONNECT_SECRET" => sandbox.secret }
  end

  def serving(&)
    receiver = File.read(File.expand_path("../examples/config.ru", __dir__))
    RackProcess.open({ "config.ru" => receiver }, { "SIMPLECONNECT_WEBHOOK_SECRET" => "s3cret" }, &)
  end

  it "are all run here" do
    expect(Dir.glob("**/*.{rb,ru}", base: "#{root}/examples")).to contain_exactly(
      "config.ru", "deliver.rb", "send_webhooks.rb", "rails/app/jobs/payment_received_job.rb",
      "rails/config/initializers/simple_connect.rb"
    )
  end

  it "deliver an event", skip: Libraries.missing("puma") do
    SimpleConnect::Sandbox.start do |sandbox|
      env = credentials(sandbox)
      shown = "dispatched: true, message: delivered\n"
      expect(run("deliver.rb", env).first).to eq("delivered: event_id payment_42\n#{shown}")
      expect(run("deliver.rb", env).first).to eq("delivered before: event_id payment_42\n#{shown}")
    end
  end

  it "say why an event was not delivered" do
    ScriptedServer.open([{ "status" => 422, "body" => "{}" }]) do |server|
      env = { "SIMPLECONNECT_ENDPOINT_URL" => server.endpoint, "SIMPLECONNECT_KEY_ID" => "k",
              "SIMPLECONNECT_SECRET" => "s" }
      output, status = run("deliver.rb", env)
      expect([output, status.exitstatus]).to eq(["not delivered: HTTP 422: {}\n", 1])
    end
  end

  it "send webhooks to the example that receives them", skip: Libraries.missing("puma") do
    log = nil
    serving do |server|
      output, = run("send_webhooks.rb", { **secret, "SHOP_URL" => "#{server.url}/v/v1/webhooks/order.paid" })
      expect(output).to eq("shop: success 200\n")
      log = server.log
    end
    expect(log).to include("order.paid: order 7\n")
  end

  it "show when an attempt is due that failed" do
    output, = run("send_webhooks.rb", { **secret, "SHOP_URL" => "http://127.0.0.1:1/hooks" })
    expect(output).to match(/\Ashop: failure Errno::ECONNREFUSED: .*\nnext attempt at \d{4}-/)
  end

  it "receive what becomes of a message", skip: Libraries.missing("puma") do
    log = nil
    serving do |server|
      callback = "#{server.url}/v/v1/webhooks/message.status"
      SimpleConnect::Sandbox.start(webhook_secret: "s3cret", status_callback_url: callback) do |sandbox|
        run("deliver.rb", credentials(sandbox))
      end
      log = server.log
    end
    expect(log).to match(/^message wamid\.sandbox\.\d+: \w+$/)
  end

  it "deliver from a job in Rails", skip: Libraries.missing("puma", "rails") do
    examples = Dir.glob("**/*.rb", base: "#{root}/examples/rails").to_h do |path|
      [path, File.read("#{root}/examples/rails/#{path}")]
    end
    environment = RackProcess::RAILS["config/environment.rb"]
    files = {
      **RackProcess::RAILS, **examples,
      "config/environment.rb" => "require 'active_job/railtie'\n#{environment}",
      "config/routes.rb" => "Rails.application.routes.draw { post '/payments/:id' => 'payments#create' }\n",
      "app/jobs/application_job.rb" => "ApplicationJob = Class.new(ActiveJob::Base)\n",
      "app/models/payment.rb" => <<~RUBY,
        Payment = Struct.new(:id, :customer_name, :mobile_no, :amount) do
          def self.find(id) = new(id, "Lakshmi Nair", "+919812345678", BigDecimal("450.00"))
        end
      RUBY
      "app/controllers/payments_controller.rb" => <<~RUBY
        class PaymentsController < ActionController::API
          def create = render(json: PaymentReceivedJob.perform_now(params[:id]).success?)
        end
      RUBY
    }
    SimpleConnect::Sandbox.start do |sandbox|
      log = nil
      RackProcess.open(files, credentials(sandbox)) do |server|
        payment = Net::HTTP.post(URI("#{server.url}/payments/42"), "{}", { "Content-Type" => "application/json" })
        expect(payment.body).to eq("true")
        log = server.log
      end
      expect(sandbox.events.map { |event| event.values_at("event_id", "payload") })
        .to eq([["payment_42", { "payment_amount" => "450.0" }]])
      expect(log).to include("[SimpleConnect] Response 202")
    end
  end
end
