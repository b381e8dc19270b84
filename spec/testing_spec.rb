# frozen_string_literal: true

require "json"
require "openssl"
require "simple_connect/kiket"
require "simple_connect/sandbox"
require "simple_connect/testing"
require "simple_connect/webhooks"
require "timeout"
require_relative "support/delivering"
require_relative "support/private_addresses"
require_relative "support/scripted_server"
require_relative "support/suite"

RSpec.describe SimpleConnect::Testing do
  include Delivering
  include PrivateAddresses

  # Nothing listens there, and no name server knows it.
  endpoint = "https://service.invalid/api/v1/integrations/demo/events"

  # Each example in a block of its own, but for those on the whole process.
  around do |example|
    next example.run if example.metadata[:process]

    SimpleConnect.test! { example.run }
  end

  let(:client) { client_of(endpoint, retryable: SimpleConnect::Retryable.new) }
  let(:messages) { SimpleConnect::MessagesClient.new(base_url: "https://service.invalid", api_key: "hush-hush").messages }

  def pay(client = self.client, id: 1, **fields)
    recipient = { name: "Anjali", mobile_no: "+919812345678" }
    event = { event_id: "pp_#{id}", payment_amount: "450.00", **fields }
    client.events.deliver("customer_payment_received", recipient:, event:)
  end

  def deliveries = described_class.deliveries

  describe "records" do
    it "an event as it would have gone out" do
      pay(at: Time.at(0).utc, language: "hi", occurred_at: Time.at(1).utc)
      delivery = deliveries.first
      expect(delivery).to have_attributes(
        event_key: "customer_payment_received", event_id: "pp_1", language: "hi", occurred_at: "1970-01-01T00:00:01Z",
        recipient: { "name" => "Anjali", "mobile_no" => "+919812345678" }, attempts: 1, accepted?: true,
        fields: { "payment_amount" => "450.00", "at" => "1970-01-01 00:00:00 UTC" }
      )
      expect(delivery.body).to eq(
        '{"recipient":{"name":"Anjali","mobile_no":"+919812345678"},"event":{"event_id":"pp_1",' \
        '"payment_amount":"450.00","at":"1970-01-01 00:00:00 UTC","language":"hi",' \
        '"occurred_at":"1970-01-01T00:00:01Z","name":"customer_payment_received"}}'
      )
    end

    it "an event of the flat layout" do
      client.events.deliver("order_paid", { customer_mobile_no: "+91", event_id: "o" }, order: 7)
      client.events.deliver("order_paid", order: 8)
      expect(deliveries.map(&:recipient)).to eq([{ "mobile_no" => "+91" }, nil])
      expect(deliveries.map(&:fields)).to eq([{ "customer_mobile_no" => "+91", "order" => 7 }, { "order" => 8 }])
      expect(deliveries.map(&:event_id)).to match(["o", /\Aevt_\h{16}\z/])
    end

    it "each attempt with its signature" do
      described_class.fail_with(503, :timeout).then(:accepted)
      pay
      requests = deliveries.first.requests
      expect(requests.map(&:answer)).to eq([503, :timeout, 202])
      expect(requests.map(&:url)).to all(eq(endpoint))
      requests.each do |request|
        timestamp, signature = request.headers.values_at("x-simpleconnect-timestamp", "x-simpleconnect-signature")
        expect(timestamp.to_i).to be_within(60).of(Time.now.to_i)
        signed = OpenSSL::HMAC.hexdigest("SHA256", Delivering::SECRET, "#{timestamp}.#{deliveries.first.body}")
        expect(signature).to eq("sha256=#{signed}")
      end
    end

    it "what is refused before it is sent not at all", unchecked: true do
      expect { client.events.deliver("order_paid", recipient: {}) }.to raise_error(ArgumentError)
      expect { client.events.deliver("order_paid", order: Float::NAN) }.to raise_error(JSON::GeneratorError)
      expect(deliveries).to eq([])
    end

    it "each of deliver_all" do
      described_class.fail_with(:reset).then(:accepted)
      items = Array.new(20) { |id| ["order_paid", { event_id: "o#{id}" }] }
      results = client.events.deliver_all(items, concurrency: 4)
      expect(results).to all(be_success)
      expect(deliveries.map(&:event_id)).to match_array(Array.new(20) { |id| "o#{id}" })
      expect(deliveries.sum(&:attempts)).to eq(21)
    end

    it "messages, without the key" do
      messages.deliver(template_name: "order_update", recipients: [{ mobile_no: "+91" }], language_code: "en")
      expect(described_class.messages).to match([have_attributes(
        template_name: "order_update", recipients: [{ "mobile_no" => "+91" }], language_code: "en", attempts: 1,
        accepted?: true, fields: include("message_type" => "template")
      )])
      expect(described_class.messages.first.requests.first.headers["authorization"]).to eq("[redacted]")
      expect(deliveries).to eq([])
    end

    it "what can be matched, and inspected" do
      pay
      case deliveries.first
      in { event_key: "customer_payment_received", recipient:, attempts: 1 } then nil
      end
      expect(recipient["mobile_no"]).to eq("+919812345678")
      expect(deliveries.first.inspect).to start_with("#<SimpleConnect::Testing::Delivery event_key=")
      expect(deliveries.first.inspect).to include('event_id="pp_1"', "attempts=1")
    end

    it "what came before only until reset" do
      described_class.respond_with(422)
      pay
      described_class.reset
      expect(deliveries).to eq([])
      expect(pay).to have_attributes(status_code: 202, data: have_attributes(duplicate?: false))
    end
  end

  describe "answers" do
    it "as the service does, which knows a duplicate" do
      expect(pay).to have_attributes(
        success: true, status_code: 202, attempts: 1,
        data: have_attributes(status: "accepted", log_id: 1, event_id: "pp_1", duplicate?: false)
      )
      expect(pay.data).to have_attributes(log_id: 1, duplicate?: true)
      expect(pay(id: 2).data).to have_attributes(log_id: 2, duplicate?: false)
    end

    it "detail with what was delivered" do
      pay(id: "1 a/ü")
      detail = client.events.detail("pp_1 a/ü").data
      expect(detail).to have_attributes(
        event_key: "customer_payment_received", event_id: "pp_1 a/ü", payload: { "payment_amount" => "450.00" },
        dispatched?: true, message?: true
      )
      expect(client.events.detail("pp_2").status_code).to eq(404)
      described_class.respond_with(422)
      pay(id: 3)
      expect { client.events.detail!("pp_3") }.to raise_error(SimpleConnect::NotFoundError)
    end

    it "verify with what was delivered" do
      expect(client.integrations.verify.data).to have_attributes(connected?: true, provider: "demo", event_flows: [])
      pay
      expect(client.integrations.verify.data.event_flow("customer_payment_received")).to be_enabled
      expect(client_of("https://service.invalid/hook").integrations.verify.data).to be_connected
    end

    it "a message and its detail" do
      sent = messages.deliver(template_name: "order_update", recipients: [{ mobile_no: "+91" }]).data
      id = sent.queued_messages.first["message_id"]
      expect(messages.detail(id).data).to have_attributes(message_id: id, status: "delivered")
      expect(messages.detail("other").status_code).to eq(404)
    end

    it ":duplicate, also to what is new" do
      described_class.respond_with(:duplicate)
      expect(pay).to have_attributes(status_code: 200, data: have_attributes(duplicate?: true, event_id: "pp_1"))
      expect(client.events.detail("pp_1")).to be_success
    end

    it ":skipped, and so does detail" do
      described_class.respond_with(:skipped)
      expect(pay).to have_attributes(status_code: 202, data: have_attributes(status: "accepted", duplicate?: false))
      expect(pay(id: 2).data.event).to be_skipped
      expect(client.events.detail("pp_1").data).to have_attributes(skipped?: true, dispatched?: false, message?: false)
    end

    it "a status, with a message, header fields and a body" do
      described_class.respond_with(422, message: "no such template", headers: { "X-Request-Id": "r\r\n1" })
      expect(pay).to have_attributes(status_code: 422, data: have_attributes(message: "no such template"), attempts: 1,
                                     request_id: "r  1", error: 'HTTP 422: {"error":"no such template"}')
      described_class.respond_with(200, body: { status: "accepted", more: 1 })
      expect(pay.data.to_h).to eq({ "status" => "accepted", "more" => 1 })
      described_class.respond_with(202, body: "oops")
      expect { pay }.to raise_error(SimpleConnect::MalformedResponseError)
      described_class.respond_with(204)
      expect(pay).to have_attributes(status_code: 204, response_body: nil, data: nil)
      described_class.respond_with(302, headers: { location: "/new" })
      expect { client.events.deliver!("order_paid", order: 7) }.to raise_error(SimpleConnect::RedirectError, %r{/new})
    end

    it "one after the other, and the last for ever" do
      described_class.respond_with(422, 404).then(409).then(:accepted)
      expect(Array.new(6) { |id| pay(id:).status_code }).to eq([422, 404, 409, 202, 202, 202])
    end

    it "by event key, the last that was set" do
      described_class.respond_with(422, event_key: :order_paid)
      expect([pay, client.events.deliver("order_paid", a: 1)].map(&:status_code)).to eq([202, 422])
      described_class.respond_with(404)
      expect([pay, client.events.deliver("order_paid", a: 1)].map(&:status_code)).to eq([404, 404])
      described_class.respond_with(409, event_key: "order_paid")
      expect([pay, client.events.deliver("order_paid", a: 1)].map(&:status_code)).to eq([404, 409])
    end

    it "what a block says, which may look at what was delivered" do
      described_class.respond_with(message: "enough") do |delivery|
        described_class.deliveries.size > 2 ? 429 : { "pp_1" => :accepted }.fetch(delivery.event_id, :duplicate)
      end
      expect([1, 2, 3].map { |id| pay(id:).status_code }).to eq([202, 200, 429])
      described_class.respond_with { |delivery| delivery.attempts < 2 ? :eof : :accepted }
      expect(pay(id: 4)).to have_attributes(success: true, attempts: 3)
      described_class.respond_with { :nonsense }
      expect { pay }.to raise_error(ArgumentError, /\Aan answer must be :accepted, :duplicate, :skipped, a status/)
    end

    %w[timeout refused unreachable reset dns tls eof].each do |fault|
      it "with no answer but #{fault}" do
        described_class.fail_with(fault.to_sym)
        expect(pay).to have_attributes(status_code: 0, network_error: fault.to_sym, attempts: 3, retryable?: true)
        expect(deliveries.first.requests.map(&:answer)).to eq([fault.to_sym] * 3)
        expect(client.events.detail("pp_1").status_code).to eq(404)
      end
    end

    it "a failure as every policy sees it" do
      own = Class.new { def call(**) = 4.times.map { |index| yield(index + 1) }.last }.new
      counting = Class.new(SimpleConnect::Retryable) do
        attr_reader :calls

        def call(**)
          @calls = (@calls || 0) + 1
          super
        end
      end
      { SimpleConnect::Retryable.new(max_attempts: 9) => 3, SimpleConnect::Retryable.exponential => 3, own => 4,
        counting.new => 3 }.each do |retryable, attempts|
        client = client_of(endpoint, retryable:)
        described_class.fail_with(:timeout, 500).then(:accepted)
        results = [pay(client), *client.events.deliver_all([["a", {}]])]
        expect(results.first.attempts).to eq(attempts)
        expect(results).to all(be_success)
      end
    end

    it "as if no time passed between the attempts, unless a policy sleeps by itself" do
      described_class.fail_with(503)
      slow = { SimpleConnect::Retryable.new(max_attempts: 5, delay: ->(_) { 60 }) => 5,
               SimpleConnect::Retryable.exponential(max_attempts: 5, base: 60, max: 600) => 5 }
      slow.each do |retryable, attempts|
        expect(time { expect(pay(client_of(endpoint, retryable:)).attempts).to eq(attempts) }).to be < 10
      end
      waits = []
      pay(client_of(endpoint, retryable: SimpleConnect::Retryable.new(sleep: ->(seconds) { waits << seconds })))
      expect(waits).to eq([1.0, 2.0])
    end

    it "so that Retry-After and total_timeout hold" do
      described_class.fail_with(429, headers: { "Retry-After" => 31 })
      retryable = SimpleConnect::Retryable.exponential
      expect(pay(client_of(endpoint, retryable:))).to have_attributes(attempts: 1, retry_after: 31.0)
      expect(pay(client_of(endpoint, retryable: SimpleConnect::Retryable.new, total_timeout: 1)).attempts).to eq(1)
      described_class.fail_with(503)
      expect(pay(client_of(endpoint, retryable: SimpleConnect::Retryable.new, total_timeout: 1)).attempts).to eq(1)
    end

    it "failures of messages, too" do
      described_class.fail_with(503).then(:accepted)
      expect(messages.deliver(template_name: "t", recipients: [{ mobile_no: "+91" }]).attempts).to eq(2)
      described_class.respond_with(422, event_key: "t")
      expect(messages.deliver(template_name: "t", recipients: [{ mobile_no: "+91" }])).to be_success
      described_class.respond_with(:skipped)
      expect { messages.deliver(template_name: "t", recipients: [{ mobile_no: "+91" }]) }
        .to raise_error(ArgumentError, "a message is never skipped: only events are")
    end

    it "only what there is", unchecked: true do
      {
        -> { described_class.respond_with } => "pass answers, such as :accepted or 422, or a block that gives one",
        -> { described_class.respond_with(:ok) } => /not :ok\z/,
        -> { described_class.respond_with(99) } => /not 99\z/,
        -> { described_class.respond_with(:timeout) } => ":timeout is not a response: write fail_with(:timeout)",
        -> { described_class.fail_with(:accepted) } => ":accepted is not a failure: write respond_with(:accepted)",
        -> { described_class.fail_with(202) } => "202 is not a failure: write respond_with(202)",
        -> { described_class.fail_with(:timeout).then(:fine) } => /not :fine\z/,
        -> { described_class.respond_with(422, mesage: "no") } => "unknown keyword: :mesage"
      }.each { |call, message| expect(&call).to raise_error(ArgumentError, message) }
    end
  end

  describe "is on" do
    # Whether a delivery goes to a real server.
    def real?(server)
      before = server.requests.size
      pay(client_of(server))
      server.requests.size > before
    end

    around { |example| ScriptedServer.open([Delivering::ACCEPTED]) { |server| (@server = server) && example.run } }
    after { described_class.disable! }

    attr_reader :server

    it "for a block, and off behind it, also where it ends early", process: true do
      expect(SimpleConnect.test! { [real?(server), deliveries.size] }).to eq([false, 1])
      expect(real?(server)).to be(true)
      catch(:out) { SimpleConnect.test! { throw :out } }
      expect([real?(server), described_class.enabled?]).to eq([true, false])
    end

    it "for the whole process, and all of its threads", process: true do
      2.times { SimpleConnect.test! }
      expect(Thread.new { real?(server) }.value).to be(false)
      expect(deliveries.size).to eq(1)
      described_class.disable!
      expect(real?(server)).to be(true)
    end

    it "for a block with records and answers of its own", process: true do
      SimpleConnect.test!
      described_class.respond_with(422)
      inner = SimpleConnect.test! do |session|
        session.fail_with(404)
        expect(pay.status_code).to eq(404)
        SimpleConnect.test! { expect(pay.status_code).to eq(202) }
        session.deliveries + described_class.deliveries
      end
      expect([inner.size, deliveries.size, pay.status_code]).to eq([2, 0, 422])
    end

    it "for the block's own thread", process: true do
      orders = Queue.new
      elsewhere = Thread.new { orders.pop && real?(server) }
      SimpleConnect.test! do
        orders << true
        expect(elsewhere.value).to be(true)
        expect(deliveries).to eq([])
      end
    end

    it "for blocks at the same time, each for itself", process: true do
      threads = Array.new(8) do |number|
        Thread.new do
          SimpleConnect.test! do
            described_class.fail_with(400 + number)
            statuses = Array.new(50) { |id| pay(id: "#{number}_#{id}").status_code }
            [statuses.uniq, deliveries.map { |delivery| delivery.event_id[/\d+/].to_i }.uniq]
          end
        end
      end
      expect(threads.map(&:value)).to eq(Array.new(8) { |number| [[400 + number], [number]] })
    end

    it "for the threads and fibers that a block starts", process: true do
      skip "takes Ruby 3.2, where threads inherit" unless Fiber.respond_to?(:[])

      SimpleConnect.test! do
        expect(Thread.new { Thread.new { real?(server) }.value }.value).to be(false)
        expect(Fiber.new { real?(server) }.resume).to be(false)
        other = Fiber.new { SimpleConnect.test! { Fiber.yield(real?(server)) } }
        expect(other.resume).to be(false)
        # While the block of the other fiber is open.
        pay(id: 2)
        expect(deliveries.size).to eq(3)
      end
    end

    it "for many threads, without losing any", process: true do
      SimpleConnect.test!
      described_class.fail_with(*([503] * 100)).then(:accepted)
      client = client_of(endpoint, retryable: SimpleConnect::Retryable.new(max_attempts: 1000))
      threads = Array.new(8) { |number| Thread.new { 50.times { |id| pay(client, id: "#{number}_#{id}") } } }
      threads.each(&:join)
      expect(deliveries.map(&:event_id).uniq.size).to eq(400)
      expect([deliveries.size, deliveries.sum(&:attempts)]).to eq([400, 500])
      expect(deliveries).to all(be_accepted)
    end

    it "for whatever else would go out, which is recorded", process: true do
      SimpleConnect.test!
      sandbox = SimpleConnect::Sandbox.new(status_callback_url: "#{server.url}/status")
      kiket = SimpleConnect::Kiket::Client.new("#{server.url}/kiket", workspace_token: "wk_h", extension_api_key: "k")
      expect(dispatcher.publish(order).map(&:status)).to eq([:success])
      expect(kiket.post("/api/v1/x", { "a" => 1 })).to be_nil
      SimpleConnect::Kiket::Telemetry.new(url: "#{server.url}/telemetry", env: {}).record("order.paid", "v1", 0.02)
      sandbox.__send__(:tell) { { "message_id" => "m" } }
      sandbox.stop
      Timeout.timeout(10) { Thread.pass until described_class.requests.size == 4 }

      requests = described_class.requests.to_h { |request| [request.url.delete_prefix(server.url), request] }
      expect(requests.keys).to contain_exactly("/hook", "/kiket/api/v1/x", "/telemetry", "/status")
      expect(requests["/hook"]).to have_attributes(verb: "POST", body: order.body,
                                                   headers: include("x-simplyq-event-type" => "order.paid"))
      expect(requests["/kiket/api/v1/x"].headers).to include("authorization" => "[redacted]",
                                                             "x-kiket-api-key" => "[redacted]")
      expect(JSON.parse(requests["/status"].body)).to include("event" => "message.status")
      expect(deliveries).to eq([])
      described_class.reset
      expect(described_class.requests).to eq([])
      expect(server.requests).to eq([])
    end

    it "for whatever else a block would send", process: true do
      SimpleConnect.test! do |session|
        dispatcher.publish(order)
        expect(session.requests.map(&:url)).to eq(["#{server.url}/hook"])
      end
      expect(server.requests).to eq([])
      dispatcher.publish(order)
      expect(server.requests.size).to eq(1)
    end

    it "for what a block has other threads send, and only for that", process: true do
      telemetry = SimpleConnect::Kiket::Telemetry.new(url: "#{server.url}/telemetry", env: {})
      sandbox = SimpleConnect::Sandbox.new(status_callback_url: "#{server.url}/status")
      # The threads that post start in one block, go on in another, and behind it.
      2.times do
        SimpleConnect.test! do |session|
          telemetry.record("order.paid", "v1", 0.02)
          sandbox.__send__(:tell) { { "message_id" => "m" } }
          Timeout.timeout(10) { Thread.pass until session.requests.size == 2 }
          expect(session.requests.map(&:url)).to contain_exactly("#{server.url}/telemetry", "#{server.url}/status")
        end
      end
      expect(server.requests).to eq([])
      telemetry.record("order.paid", "v1", 0.02)
      sandbox.__send__(:tell) { { "message_id" => "m" } }
      expect(server.wait_for(2).map(&:target)).to contain_exactly("/telemetry", "/status")
      sandbox.stop
    end

    def dispatcher
      endpoint = SimpleConnect::Outbound::Endpoint.new(uid: "hook", url: "#{server.url}/hook", secret: "s")
      application = SimpleConnect::Outbound::Application.new(name: "Shop", endpoints: [endpoint])
      SimpleConnect::Outbound::Dispatcher.new(application, jobs: false)
    end

    def order
      @order ||= SimpleConnect::Outbound::Event.new(event_type: "order.paid", topics: [], payload: { order: 7 })
    end

    it "before WebMock, which is asked while it is off", process: true, unchecked: true do
      output, fine = Suite.minitest(<<~RUBY)
        require "webmock/minitest"
        require "simple_connect/minitest"
        #{Suite::CLIENT}
        class BothTest < Minitest::Test
          def test_both
            stub = stub_request(:post, %r{/demo/events}).to_return(status: 418)
            assert_equal(418, pay!.status_code)
            SimpleConnect.test! { assert_equal(202, pay!.status_code) }
            assert_equal(418, pay!.status_code)
            assert_requested(stub, times: 2)
          end
        end
      RUBY
      expect(fine).to be(true), output
    end

    it "or there is nothing to be asked", process: true do
      expect { deliveries }.to raise_error(SimpleConnect::Error, "test mode is off: call SimpleConnect.test! first")
    end
  end
end
