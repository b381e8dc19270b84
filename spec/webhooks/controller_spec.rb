# frozen_string_literal: true

require "json"
require "net/http"
require "open3"
require "rbconfig"
require "simple_connect/webhooks"
require "stringio"
require_relative "../support/rack_process"

# In a Rails application of its own, in Puma. The document's controller is in document_spec.rb.
RSpec.describe SimpleConnect::Webhooks::Controller, skip: Libraries.missing("puma", "rails") do
  files = {
    "config/routes.rb" => <<~'RUBY',
      Rails.application.routes.draw do
        %w[kiket pages own events forgetful once broken].each { |name| post name, to: "#{name}#create" }
        post "once/again", to: "once#again"
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
    "app/controllers/own_controller.rb" => <<~RUBY,
      require "simple_connect/webhooks"

      class OwnController < ActionController::API
        include SimpleConnect::Webhooks::Controller
        before_action :verify_simple_connect_signature!
        rescue_from(SimpleConnect::SignatureVerificationError) { |error| render json: { why: error.reason }, status: 418 }

        def create = head(:no_content)
      end
    RUBY
    "app/controllers/events_controller.rb" => <<~RUBY,
      require "simple_connect/webhooks"

      class EventsController < ActionController::API
        include SimpleConnect::Webhooks::Controller
        before_action :verify_simple_connect_signature!

        def create = render(json: { event: simple_connect_event["order"], param: params[:order] })
      end
    RUBY
    "app/controllers/once_controller.rb" => <<~RUBY,
      require "simple_connect/webhooks"

      class OnceController < ActionController::API
        include SimpleConnect::Webhooks::Controller
        GUARD = SimpleConnect::Webhooks::ReplayGuard.new
        COUNTS = Hash.new(0)
        GATE = Queue.new
        before_action { verify_simple_connect_signature!(replay_guard: GUARD) }
        before_action { verify_simple_connect_signature!(replay_guard: GUARD) }

        def create
          task = simple_connect_event["do"]
          count = COUNTS[task] += 1
          raise "x" if task == "raise" && count == 1
          return head(:unprocessable_entity) if task == "refuse" && count == 1

          GATE << true if task == "open"
          GATE.pop if task == "wait"
          render json: { count: }
        end

        def again = create
      end
    RUBY
    "app/controllers/broken_controller.rb" => <<~RUBY,
      require "simple_connect/webhooks"

      # Its guard's store goes away while an action runs.
      class BrokenController < ActionController::API
        include SimpleConnect::Webhooks::Controller
        GUARD = Class.new(SimpleConnect::Webhooks::ReplayGuard) do
          def finish(_key) = raise(IOError, "the store is away")
          def forget(_key) = raise(IOError, "the store is away")
        end.new
        before_action { verify_simple_connect_signature!(replay_guard: GUARD) }

        def create = head(simple_connect_event["status"])
      end

      if Rails.respond_to?(:error)
        subscriber = Object.new
        def subscriber.report(error, **) = Rails.logger.warn(error.message)
        Rails.error.subscribe(subscriber)
      end
    RUBY
    "app/controllers/forgetful_controller.rb" => <<~RUBY
      require "simple_connect/webhooks"

      class ForgetfulController < ActionController::API
        include SimpleConnect::Webhooks::Controller

        def create
          verify_simple_connect_signature!(secret: "another") if params[:twice]
        rescue SimpleConnect::SignatureVerificationError
          # Not to be believed now, either.
        ensure
          render json: simple_connect_event.to_h
        end
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

  it "gives the event that was signed, whatever the query says" do
    serve do |server|
      url = "#{server.url}/events"
      body = '{"order":7}'
      expect(post(url, body, signed(body))).to eq([200, { "event" => 7, "param" => 7 }])
      # In Rails a parameter of the query comes before one of the body, which alone is signed.
      expect(post("#{url}?order=999", body, signed(body))).to eq([200, { "event" => 7, "param" => "999" }])
    end
  end

  describe "with a replay guard" do
    copy = [200, { "ok" => true, "duplicate" => true }]

    it "runs the action once, and answers 200 to a copy" do
      serve do |server|
        body = '{"do":"it"}'
        now = Time.now
        headers = signed(body, timestamp: now)
        expect(Array.new(3) { post("#{server.url}/once", body, headers) }).to eq([[200, { "count" => 1 }], copy, copy])
        # Another action has not had it.
        expect(post("#{server.url}/once/again", body, headers))
          .to match([409, { "error" => /\Athis body and timestamp were received before, with another event/ }])
        expect(post("#{server.url}/once", body, signed(body, timestamp: now - 1))).to eq([200, { "count" => 2 }])
      end
    end

    it "takes again what ended in a refusal or a 500" do
      serve do |server|
        { "raise" => 500, "refuse" => 422 }.each do |task, status|
          body = JSON.generate({ do: task })
          headers = signed(body)
          expect(post("#{server.url}/once", body, headers).first).to eq(status)
          expect(Array.new(2) { post("#{server.url}/once", body, headers) }).to eq([[200, { "count" => 2 }], copy])
        end
      end
    end

    it "sends the action's response even if the guard fails after it, and reports the guard" do
      log = nil
      serve do |server|
        [201, 422].each do |status|
          body = JSON.generate({ status: })
          expect(post("#{server.url}/broken", body, signed(body))).to eq([status, nil])
        end
        log = server.log
      end
      expect(log.scan("the store is away").size).to eq(2)
    end

    it "answers 409 to a copy of what is under way" do
      serve do |server|
        body = '{"do":"wait"}'
        headers = signed(body)
        answers = Queue.new
        threads = Array.new(2) { Thread.new { answers << post("#{server.url}/once", body, headers) } }
        expect(answers.pop).to eq([409, { "error" => "this request is being handled" }])
        post("#{server.url}/once", '{"do":"open"}', signed('{"do":"open"}'))
        expect(answers.pop).to eq([200, { "count" => 1 }])
        threads.each(&:join)
      end
    end
  end

  it "answers 400 to what is signed and no JSON object" do
    serve do |server|
      url = "#{server.url}/events"
      { "[7]" => "the body is JSON, but not an object", "order=7" => "the body is not JSON" }.each do |body, error|
        expect(post(url, body, signed(body), type: "text/plain")).to eq([400, { "error" => error }])
      end
    end
  end

  it "gives no event that was not verified" do
    log = nil
    serve do |server|
      ["", "?twice=1"].each do |query|
        answer = Net::HTTP.post(URI("#{server.url}/forgetful#{query}"), "{}",
                                { "Content-Type" => "application/json", **signed("{}") })
        expect(answer.code).to eq("500")
      end
      log = server.log
    end
    # The subscriber to errors, from Rails 7 on, logs the text once more.
    expect(log.scan(/SimpleConnect::Error \(.*before_action :verify_simple_connect_signature!\)/).size).to eq(2)
  end

  it "reads a chunked body also where the server does not say how long it is",
     skip: Libraries.missing("webrick", "action_controller") do
    output, status = Open3.capture2e({ "RUBYLIB" => File.expand_path("../../lib", __dir__) }, RbConfig.ruby,
                                     "-W0", "-e", <<~'RUBY')
                                       require "logger"
                                       require "net/http"
                                       require "action_controller"
                                       require "simple_connect/webhooks"
                                       require "webrick"
                                       handler = begin
                                         require "rackup/handler/webrick"
                                         Rackup::Handler::WEBrick
                                       rescue LoadError
                                         require "rack/handler/webrick"
                                         Rack::Handler::WEBrick
                                       end

                                       class EventsController < ActionController::API
                                         include SimpleConnect::Webhooks::Controller
                                         before_action { verify_simple_connect_signature!(secret: "s3cret") }
                                         def create = render(json: simple_connect_event.to_h)
                                       end

                                       server = WEBrick::HTTPServer.new(BindAddress: "127.0.0.1", Port: 0, AccessLog: [],
                                                                        Logger: WEBrick::Log.new(File::NULL))
                                       server.mount("/", handler, EventsController.action(:create))
                                       thread = Thread.new { server.start }
                                       body = '{"order":7}'
                                       request = Net::HTTP::Post.new("/", "Content-Type" => "application/json", "Transfer-Encoding" => "chunked",
                                                                          **SimpleConnect::Signature.sign(body, secret: "s3cret"))
                                       request.body_stream = StringIO.new(body)
                                       answer = Net::HTTP.start("127.0.0.1", server.listeners.first.addr[1]) { |http| http.request(request) }
                                       print answer.code, " ", answer.body
                                       server.shutdown
                                       thread.join
                                     RUBY
    expect(output).to eq('200 {"order":7}')
    expect(status).to be_success
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
