# frozen_string_literal: true

require "json"
require "net/http"
require "simple_connect/webhooks"
require_relative "../support/rack_process"

# In a Rails application of its own, in Puma. The document's controller is in document_spec.rb.
RSpec.describe SimpleConnect::Webhooks::Controller, skip: Libraries.missing("puma", "rails") do
  files = {
    "config/routes.rb" => <<~'RUBY',
      Rails.application.routes.draw do
        %w[kiket pages own].each { |name| post name, to: "#{name}#create" }
      end
    RUBY
    "app/controllers/kiket_controller.rb" => <<~RUBY,
      require "simple_connect/webhooks"

      class KiketController < ActionController::API
        include SimpleConnect::Webhooks::Controller
        before_action { verify_simple_connect_signature!(secret: %w[new old], scheme: :kiket, tolerance: 10) }

        def create = render(json: { which: verify_simple_connect_signature!(secret: %w[new old], scheme: :kiket) })
      end
    RUBY
    "app/controllers/pages_controller.rb" => <<~RUBY,
      require "simple_connect/webhooks"

      class PagesController < ActionController::Base
        include SimpleConnect::Webhooks::Controller
        protect_from_forgery with: :exception
        skip_forgery_protection
        before_action :verify_simple_connect_signature!

        def create = render(json: params.to_unsafe_h.slice("a"))
      end
    RUBY
    "app/controllers/own_controller.rb" => <<~RUBY
      require "simple_connect/webhooks"

      class OwnController < ActionController::API
        include SimpleConnect::Webhooks::Controller
        before_action :verify_simple_connect_signature!
        rescue_from(SimpleConnect::SignatureVerificationError) { |error| render json: { why: error.reason }, status: 418 }

        def create = head(:no_content)
      end
    RUBY
  }

  define_method(:serve) do |env = { "SIMPLECONNECT_WEBHOOK_SECRET" => "s3cret" }, &block|
    RackProcess.open({ **RackProcess::RAILS, **files }, env, &block)
  end

  def post(url, body, headers, type: "application/json")
    answer = Net::HTTP.post(URI(url), body, { "Content-Type" => type, **headers })
    [Integer(answer.code), answer.body.to_s.empty? ? nil : JSON.parse(answer.body)]
  end

  def signed(body, secret = "s3cret", **options) = SimpleConnect::Signature.sign(body, secret:, **options)

  it "takes secrets, a scheme and a tolerance" do
    serve do |server|
      url = "#{server.url}/kiket"
      expect(post(url, "{}", signed("{}", "new", scheme: :kiket))).to eq([200, { "which" => 0 }])
      expect(post(url, "{}", signed("{}", "old", scheme: :kiket))).to eq([200, { "which" => 1 }])
      expect(post(url, "{}", signed("{}", "s3cret", scheme: :kiket)).last).to include("reason" => "mismatch")
      expect(post(url, "{}", signed("{}", "new", scheme: :kiket, timestamp: Time.now - 60)).last)
        .to include("reason" => "too_old")
    end
  end

  it "checks the raw body, whatever Rails makes of it" do
    serve do |server|
      url = "#{server.url}/pages"
      body = "{ \"b\" : \"\u00e9\" , \"a\":1.0}"
      expect(post(url, body, signed(body))).to eq([200, { "a" => 1.0 }])
      expect(post(url, '{"a":1.0}', signed(body)).first).to eq(401)
      form = "a=b&a=c+d"
      expect(post(url, form, signed(form), type: "application/x-www-form-urlencoded")).to eq([200, { "a" => "c d" }])
      expect(post(url, "", signed(""))).to eq([200, {}])
    end
  end

  it "leaves the answer to whoever rescues by himself" do
    serve do |server|
      expect(post("#{server.url}/own", "{}", {})).to eq([418, { "why" => "missing_signature" }])
      expect(post("#{server.url}/own", "{}", signed("{}"))).to eq([204, nil])
    end
  end

  it "fails where there is no secret, and lets nobody in" do
    log = nil
    serve({}) do |server|
      headers = SimpleConnect::Signature.sign("{}", secret: "x")
      answer = Net::HTTP.post(URI("#{server.url}/pages"), "{}", { "Content-Type" => "application/json", **headers })
      expect(answer.code).to eq("500")
      log = server.log
    end
    expect(log).to include("secret is required")
  end
end
