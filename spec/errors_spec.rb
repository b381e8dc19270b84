# frozen_string_literal: true

require "json"
require "time"
require_relative "support/delivering"
require_relative "support/scripted_server"

RSpec.describe SimpleConnect::DeliveryError do
  include Delivering

  table = JSON.parse(File.read(File.expand_path("conformance/own/errors.json", __dir__)))
  transient = ["TransientError", *table["kinds"]["TransientError"]]
  class_named = ->(name) { SimpleConnect.const_get(name) }

  def answered(step, **options)
    ScriptedServer.open([step]) { |server| return yield(client_of(server, **options), server) }
  end

  def deliver!(client) = client.events.deliver!("order_paid", order: 7)

  # What the block raises.
  def raised
    yield
    nil
  rescue SimpleConnect::Error => e
    e
  end

  table["kinds"].each do |kind, names|
    names.each do |name|
      it "has #{name} among the kinds of #{kind}" do
        expect(class_named[name].ancestors.take(4))
          .to eq([class_named[name], class_named[kind], described_class, SimpleConnect::Error])
      end
    end
  end

  table["answers"].each do |row|
    status, name = row.values_at("status", "error")

    it "stands for a #{status} as #{name}" do
      error = answered({ "status" => status, "body" => '{"error":"no"}' }) { |client| raised { deliver!(client) } }
      expect(error).to be_instance_of(class_named[name])
      expect(error).to have_attributes(status_code: status, retryable?: transient.include?(name))
      expect(error.message).to eq(error.result.error).and start_with("HTTP #{status}: ")
      expect(error.result.retryable?).to be(error.retryable?)
    end
  end

  table["network_errors"].each do |kind, name|
    it "stands for #{kind} as #{name}" do
      result = SimpleConnect::Result.failed(2, 0.1, "SomeError: it happened", kind.to_sym, :read, false)
      error = raised { result.or_raise }
      expect(error).to be_instance_of(class_named[name])
      expect(error).to have_attributes(status_code: 0, message: "SomeError: it happened", result:, retry_after: nil,
                                       retryable?: transient.include?(name))
      expect(result.retryable?).to be(error.retryable?)
    end
  end

  # Ruby decides for a policy of your own, the core for a plain Retryable.
  own_policy = Struct.new(:retryable) { def call(**options, &block) = retryable.call(**options, &block) }
  { "a Retryable" => :itself.to_proc, "a policy of your own" => own_policy.method(:new) }.each do |name, policy|
    table["answers"].each do |row|
      it "#{row["retried"] ? "follows more attempts at" : "ends the attempts of"} #{name} with a #{row["status"]}" do
        retryable = policy.call(SimpleConnect::Retryable.new(max_attempts: 2, sleep: ->(_) {}))
        error = answered({ "status" => row["status"] }, retryable:) { |client| raised { deliver!(client) } }
        expect(error.result.attempts).to eq(row["retried"] ? 2 : 1)
      end
    end
  end

  table["network_errors"].each_key do |kind|
    retried = !table["not_retried"].include?(kind)

    it "tells a policy of your own that #{kind} is #{retried ? "worth another attempt" : "settled"}" do
      result = SimpleConnect::Result.failed(1, 0.1, "SomeError: it happened", kind.to_sym, :read, false)
      taken = SimpleConnect::Result.failed(1, 0.1, "SomeError: it happened", kind.to_sym, :read, true)
      verdicts = []
      policy = Object.new
      policy.define_singleton_method(:call) do |retriable_if:|
        verdicts.concat([result, taken].map { |each| retriable_if.call(each) })
        result
      end
      client_of("http://127.0.0.1:1/events", retryable: policy).events.deliver("order_paid", order: 7)
      expect(verdicts).to eq([retried, false])
    end
  end

  it "is raised where nothing listens, after all attempts" do
    port = TCPServer.open("127.0.0.1", 0) { |server| server.addr[1] }
    client = client_of("http://127.0.0.1:#{port}/events", retryable: quick(2))
    error = raised { deliver!(client) }
    expect(error).to be_instance_of(SimpleConnect::ConnectionError)
    expect(error.result).to have_attributes(network_error: :refused, attempts: 2)
  end

  it "is raised where no answer comes in time" do
    error = answered({ "fault" => "silence" }, read_timeout: 0.1) { |client| raised { deliver!(client) } }
    expect(error).to be_instance_of(SimpleConnect::TimeoutError)
    expect(error.message).to start_with("Net::ReadTimeout: ")
  end

  it "is no kind of its own where nothing tells the cause" do
    result = SimpleConnect::Result.new(success: false, error: "the circuit is open")
    policy = ->(**) { result }
    error = answered({}, retryable: policy) { |client| raised { deliver!(client) } }
    expect(error).to be_instance_of(described_class)
    expect(error).to have_attributes(message: "the circuit is open", result:, retryable?: false)
    expect(result).not_to be_retryable
  end

  it "is raised by every call that ends in !" do
    answered({ "status" => 404, "body" => "{}" }) do |client, server|
      messages = messages_client_of(server).messages
      calls = [-> { client.events.deliver!("a", recipient: { mobile_no: "+91" }) }, -> { client.events.detail!("e") },
               -> { client.integrations.verify! }, -> { messages.detail!("m") },
               -> { messages.deliver!(template_name: "t", recipients: [{ mobile_no: "+91" }]) }]
      expect(calls.map { |call| raised(&call).class }).to all(eq(SimpleConnect::NotFoundError))
      expect(server.requests.map { |request| "#{request.verb} #{request.target}" }).to eq(
        ["POST /api/v1/integrations/demo/events", "GET /api/v1/integrations/demo/events/e",
         "GET /api/v1/integrations/demo/status", "GET /api/v1/whatsapp_messages/m", "POST /api/v1/whatsapp_messages"]
      )
    end
  end

  it "is not raised by a success" do
    answered({ "status" => 202, "body" => '{"status":"accepted","log_id":7,"event_id":"e"}' }) do |client, server|
      messages = messages_client_of(server).messages
      expect(deliver!(client).data.log_id).to eq(7)
      expect([client.events.detail!("e"), client.integrations.verify!, messages.detail!("m"),
              messages.deliver!(template_name: "t", recipients: [{ mobile_no: "+91" }])]).to all(be_success)
    end
  end

  it "leaves what deliver raises as it is", unchecked: true do
    answered({ "body" => "oops" }, event_keys: ["order_paid"]) do |client, server|
      expect(raised { client.events.deliver!("other") })
        .to be_instance_of(SimpleConnect::UnknownEventError).and have_attributes(event_key: "other")
      expect { client.events.deliver!("order_paid", recipient: {}) }.to raise_error(ArgumentError)
      expect(server.requests).to eq([])
      error = raised { deliver!(client) }
      expect(error).to be_instance_of(SimpleConnect::MalformedResponseError)
      expect(error.result).to have_attributes(success: true, status_code: 200, response_body: "oops", data: nil)
    end
  end

  it "tells of a malformed answer likewise under a policy of one's own" do
    answered({ "body" => "oops" }, retryable: ->(**, &attempt) { attempt.call(1) }) do |client|
      error = raised { client.events.deliver("order_paid", order: 7) }
      expect(error).to be_instance_of(SimpleConnect::MalformedResponseError)
      expect(error.result).to have_attributes(success: true, response_body: "oops", data: nil)
    end
  end

  it "can be matched by its fields" do
    step = { "status" => 429, "headers" => { "Retry-After" => "7" }, "body" => '{"error":"slowly"}' }
    error = answered(step) { |client| raised { deliver!(client) } }
    matched = case error
              in { status_code: 422 } then nil
              in { retryable: true, retry_after: Float => wait, message:, data: } then [wait, message, data.message]
              end
    expect(matched).to eq([7.0, 'HTTP 429: {"error":"slowly"}', "slowly"])
    expect(SimpleConnect::UnknownEventError.new("no", event_key: "a").deconstruct_keys(nil))
      .to eq({ message: "no", event_key: "a" })
    expect(SimpleConnect::ConfigurationError.new("no").deconstruct_keys(nil)).to eq({ message: "no" })
  end

  it "can be raised by specs of its users, and dumped" do
    expect { raise SimpleConnect::RateLimitedError }.to raise_error(
      having_attributes(message: "SimpleConnect::RateLimitedError", status_code: 0, retry_after: nil, retryable?: true)
    )
    expect { raise SimpleConnect::NotFoundError, "gone" }.to raise_error(having_attributes(message: "gone"))
    error = SimpleConnect::ServerError.new(result: SimpleConnect::Result.new(success: false, status_code: 503))
    expect(Marshal.load(Marshal.dump(error)).result).to eq(error.result)
    expect(error.deconstruct_keys(nil)).to include(status_code: 503, retryable: true, result: error.result)
  end

  describe SimpleConnect::Result do
    table["retry_after"].each do |row|
      it "reads from Retry-After: #{row["name"]}" do
        allow(Time).to receive(:now).and_return(Time.iso8601(row["clock"])) if row["clock"]
        step = { "status" => 503, "headers" => row["headers"] }
        result = answered(step) { |client| client.events.deliver("order_paid", order: 7) }
        expect(result.retry_after).to eql(row["seconds"])
      end
    end

    it "can be matched by whether to try again, and when" do
      step = { "status" => 503, "headers" => { "Retry-After" => "3" } }
      result = answered(step) { |client| client.events.deliver("order_paid", order: 7) }
      expect(result.deconstruct_keys(%i[retryable retry_after])).to eq({ retryable: true, retry_after: 3.0 })
      expect(described_class.new(success: true).deconstruct_keys(%i[retryable retry_after]))
        .to eq({ retryable: false, retry_after: nil })
    end

    it "is not to be repeated where deliver_all could not send it, or its answer was malformed" do
      answered({ "body" => "oops" }) do |client|
        results = client.events.deliver_all([["order_paid", { recipient: {} }], ["order_paid", { order: 7 }]])
        expect(results.map(&:retryable?)).to eq([false, false])
      end
    end
  end
end
