# frozen_string_literal: true

require "simple_connect/internal/job_run"
require "simple_connect/sandbox"
require "simple_connect/sandbox/callbacks"
require "simple_connect/webhooks"
require_relative "support/delivering"
require_relative "support/private_addresses"

# What is written down costs no delivery, wherever it goes and whatever becomes of it there.
RSpec.describe "Diagnostics" do
  include Delivering
  include PrivateAddresses

  accepted = Delivering::ACCEPTED

  broken = lambda do
    reader, writer = IO.pipe
    reader.close
    writer.tap { |pipe| pipe.sync = true }
  end
  outputs = {
    "closed" => -> { File.open(File::NULL, "w").tap(&:close) },
    "a pipe that nobody reads" => broken,
    "on a full disk" => -> { File.open("/dev/full", "w").tap { |file| file.sync = true } }
  }

  # Runs the block with standard error elsewhere.
  def with_stderr(output)
    before = $stderr
    $stderr = output
    yield
  ensure
    $stderr = before
    output.close
  end

  outputs.each do |what, output|
    describe "on a standard error that is #{what}" do
      around { |example| with_stderr(output.call) { example.run } }

      it "leave a debugged delivery as it is" do
        ScriptedServer.open([accepted]) do |server|
          results = [deliver(client_of(server, debug: true)), send_message(messages_client_of(server, debug: true))]
          expect(results).to all(be_success)
          expect(server.requests.size).to eq(2)
        end
      end

      it "leave the endpoints behind a failing on_attempt: theirs" do
        ScriptedServer.open([accepted]) do |server|
          endpoints = Array.new(2) { SimpleConnect::Outbound::Endpoint.new(url: server.url) }
          application = SimpleConnect::Outbound::Application.new(name: "Acme", endpoints:)
          on_attempt = ->(_) { raise "no" }
          dispatcher = SimpleConnect::Outbound::Dispatcher.new(application, jobs: false, on_attempt:)
          event = SimpleConnect::Outbound::Event.new(event_type: "user.created", payload: {})
          expect(dispatcher.publish(event)).to all(be_success)
        end
      end

      it "leave a webhook with failing telemetry as it is" do
        telemetry = SimpleConnect::Kiket::Telemetry.new(feedback_hook: ->(_) { raise "no" })
        expect(telemetry.record("order.paid", "v1", 0.02)).to be_nil
      end

      it "leave the sandbox's other callbacks theirs" do
        ScriptedServer.open([{ "status" => 500 }]) do |server|
          callbacks = SimpleConnect::Sandbox.const_get(:Callbacks).new(server.url, "s")
          2.times { callbacks.push({}) }
          callbacks.stop
          expect(server.requests.size).to eq(2)
        end
      end

      it "leave a failing webhook its answer" do
        app = SimpleConnect::Webhooks::App.new(secret: "s")
        app.register("order.paid", version: "v1") { raise "no" }
        env = { "REQUEST_METHOD" => "POST", "PATH_INFO" => "/v/1/webhooks/order.paid", "rack.errors" => $stderr,
                "rack.input" => StringIO.new("{}") }
        signed = SimpleConnect::Signature.sign("{}", secret: "s")
        env.merge!(signed.transform_keys { |name| "HTTP_#{name.tr("-", "_").upcase}" })
        expect(app.call(env).first).to eq(500)
      end
    end
  end

  [RuntimeError, NotImplementedError].each do |error|
    it "leave a delivery as it is whose logger raises #{error}" do
      logger = Object.new
      %i[info warn].each { |level| logger.define_singleton_method(level) { |_| raise error } }
      ScriptedServer.open([accepted]) do |server|
        expect(deliver(client_of(server, logger:, debug: true))).to be_success
      end
    end
  end

  it "can be written whatever the encodings of what is sent" do
    ScriptedServer.open([accepted]) do |server|
      user_agent = "Café".encode(Encoding::ISO_8859_1)
      client = client_of(server, user_agent:, debug: true)
      expect { expect(deliver(client, name: "日本")).to be_success }
        .to output(/User-Agent: Café$.*"name":"日本"/m).to_stderr
    end
  end

  it "let no answer steer the terminal" do
    ScriptedServer.open([{ "status" => 422, "headers" => { "X-Title" => "a\e]0;b" },
                           "body" => "{\n\t\"a\":\"\e[2J\r\u009b\"}" }]) do |server|
      expect { deliver(client_of(server, debug: true)) }
        .to output(/\A(?:[^[:cntrl:]]|[\n\t])*\{\n\t"a":"\\e\[2J\\r\\u009B"\}\n\z/).to_stderr
    end
  end

  it "are written by debug: true also where Ruby's warnings are off" do
    before = $VERBOSE
    $VERBOSE = nil
    ScriptedServer.open([accepted]) do |server|
      expect { deliver(client_of(server, debug: true)) }.to output(/--> POST .*<-- 202/m).to_stderr
    end
  ensure
    $VERBOSE = before
  end

  [IOError, NotImplementedError].each do |error_class|
    it "bring a job back whose client cannot be built for now, by #{error_class}, though the logger fails" do
      config = SimpleConnect.configuration
      config.endpoint_url = -> { raise error_class, "the vault is down" }
      config.logger = Class.new { %i[info warn].each { |level| define_method(level) { |_| raise "disk full" } } }.new
      arguments = { "v" => 1, "client" => "default", "event_key" => "a", "event_id" => "1",
                    "body" => ["{}"].pack("m0") }
      again = nil
      job_run = SimpleConnect.const_get(:JobRun)
      job_run.call(arguments, "Job") { |wait, later, error| again = [wait, later["failed"], error] }
      expect(again).to match([a_value > 0, 1, an_instance_of(error_class)])
    ensure
      config.endpoint_url = config.logger = nil
      config.reset
    end
  end

  it "report a hook of jobs that raises, whatever it is" do
    config = SimpleConnect.configuration
    config.on_exhausted = ->(*) { raise NotImplementedError, "no hook" }
    policy = SimpleConnect.const_get(:JobPolicy)
    expect { expect(policy.decide(:retry, nil, failed: 1, since: 0.0, context: {}).todo).to eq(:dead) }
      .to output(/config.on_exhausted raised NotImplementedError: no hook/).to_stderr
  ensure
    config.on_exhausted = nil
  end
end
