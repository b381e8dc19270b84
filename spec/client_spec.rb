# frozen_string_literal: true

require "pp" # rubocop:disable Lint/RedundantRequireStatement -- PP is there only after a first pp
require "json"
require "psych"
require_relative "support/scripted_server"

RSpec.describe SimpleConnect::Client do
  accepted = { "status" => 202, "body" => '{"status":"accepted","log_id":7,"event_id":"payment_42"}' }

  around do |example|
    ScriptedServer.open([accepted]) do |server|
      @server = server
      example.run
    end
  end

  attr_reader :server

  def client(**options)
    described_class.new(endpoint_url: server.endpoint, key_id: "wa_sec_demo", secret: "hush-hush", **options)
  end

  def deliver(client)
    client.events.deliver("customer_payment_received",
                          recipient: { name: "Lakshmi Nair", mobile_no: "+919812345678" },
                          event: { payment_amount: "450.00", event_id: "payment_42" })
  end

  it "opens one connection for many deliveries" do
    client = client()
    5.times { expect(deliver(client)).to be_success }
    expect([server.requests.size, server.connections]).to eq([5, 1])
  end

  it "opens a new connection after close" do
    client = client()
    deliver(client)
    client.close
    server.closed.pop
    expect(deliver(client)).to be_success
    expect(server.connections).to eq(2)
  end

  it "closes its connections when nobody needs it any more" do
    # In a thread of its own, so that no reference is left on this one's stack.
    Thread.new { 3.times { deliver(client) } }.join
    GC.start
    expect(3.times.map { server.closed.pop }).to contain_exactly(0, 1, 2)
  end

  # Checking a call against its signature allocates, too.
  it "allocates no more than 20 objects in a delivery", unchecked: true do
    client = client()
    recipient = { name: "Lakshmi Nair", mobile_no: "+919812345678" }
    event = { payment_amount: "450.00", event_id: "payment_42" }
    delivery = -> { client.events.deliver("customer_payment_received", recipient:, event:) }
    # The server runs in a process of its own, so that only the client's objects are counted.
    counts = in_another_process { 20.times.map { allocated(&delivery) } }
    expect(counts.min).to be <= 20
  end

  def allocated
    before = GC.stat(:total_allocated_objects)
    yield
    GC.stat(:total_allocated_objects) - before
  end

  def in_another_process
    reader, writer = IO.pipe
    pid = fork do
      writer.write(JSON.generate(yield))
      writer.close
      exit!(0)
    end
    writer.close
    JSON.parse(reader.read)
  ensure
    Process.wait(pid)
  end

  it "shows no secret when it is inspected, and cannot be dumped" do
    client = client()
    expect(client.inspect).to eq("#<SimpleConnect::Client #{server.url} key_id=\"wa_sec_demo\">")
    expect("#{client} #{client.events.inspect} #{client.integrations.inspect}").not_to include("hush-hush")
    expect { Marshal.dump(client) }.to raise_error(TypeError, /cannot be dumped/)
    expect { Psych.dump(client) }.to raise_error(TypeError, /cannot be dumped/)
    expect { Marshal.dump(client.events) }.to raise_error(TypeError)
  end

  it "asks a subclass of Retryable that decides for itself" do
    persistent = Class.new(SimpleConnect::Retryable) do
      def call(retriable_if:)
        result = nil
        4.times { |index| result = yield(index + 1) }
        result.with(attempts: retriable_if.call(result) ? 0 : 44)
      end
    end
    expect(deliver(client(retryable: persistent.new)).attempts).to eq(44)
    expect(server.requests.size).to eq(4)
  end

  it "takes its options along into `with`" do
    short = client(event_keys: %w[order_paid]).with(total_timeout: 3, read_timeout: 1)
    expect { deliver(short) }.to raise_error(SimpleConnect::UnknownEventError)
  end

  it "takes nothing but attempts and bounds on time into `with`", unchecked: true do
    expect { client.with(pool_size: 3) }.to raise_error(ArgumentError, "unknown keyword: :pool_size")
    expect { client.with(total_timeout: 0) }.to raise_error(SimpleConnect::ConfigurationError, /total_timeout/)
  end

  describe "with(max_attempts:)" do
    down = { "status" => 503 }

    around { |example| ScriptedServer.open([down]) { |server| (@server = server) && example.run } }

    def attempts(client, **changes)
      [deliver(client.with(**changes)).attempts, deliver(client).attempts]
    end

    it "tries as often, and by the policy that the client has" do
      waits = []
      policy = { delay: ->(failed) { failed * 10 }, sleep: ->(seconds) { waits << seconds } }
      client = client(retryable: SimpleConnect::Retryable.new(max_attempts: 2, **policy))
      expect(attempts(client, max_attempts: 4)).to eq([4, 2])
      expect(waits).to eq([10, 20, 30, 10])
      expect(attempts(client, max_attempts: 1, total_timeout: 5)).to eq([1, 2])
      expect(deliver(client.with(max_attempts: 1).with(total_timeout: 5)).attempts).to eq(1)
      expect(server.connections).to eq(1)
    end

    it "keeps an exponential policy" do
      client = client(retryable: SimpleConnect::Retryable.exponential(max_attempts: 2, base: 0.001))
      expect(attempts(client, max_attempts: 3)).to eq([3, 2])
    end

    it "is there for messages" do
      client = SimpleConnect::MessagesClient.new(base_url: server.url, api_key: "k").with(max_attempts: 1)
      result = client.messages.deliver(template_name: "t", recipients: [{ mobile_no: "+91" }])
      expect(result.attempts).to eq(1)
    end

    it "is held for deliver_all, verify and detail" do
      once = client.with(max_attempts: 1)
      results = [once.events.detail("e"), once.integrations.verify, *once.events.deliver_all([["a", {}]])]
      expect(results.map(&:attempts)).to eq([1, 1, 1])
    end

    it "takes a number that a policy takes", unchecked: true do
      client = self.client
      expect { client.with(max_attempts: 0) }.to raise_error(ArgumentError, "max_attempts must be >= 1")
      expect { client.with(max_attempts: nil) }.to raise_error(ArgumentError, /\Amax_attempts must be an Integer/)
      own = Class.new { def call(**) = yield(1) }.new
      expect { client(retryable: own).with(max_attempts: 1) }
        .to raise_error(SimpleConnect::ConfigurationError, /\Amax_attempts: needs a SimpleConnect::Retryable/)
    end
  end

  describe ".from_env" do
    let(:env) do
      { "SIMPLECONNECT_ENDPOINT_URL" => server.endpoint, "SIMPLECONNECT_KEY_ID" => "wa_sec_demo",
        "SIMPLECONNECT_SECRET" => "hush-hush" }
    end

    it "takes its three options from the environment, and the others as they are" do
      client = described_class.from_env(env, event_keys: %w[customer_payment_received])
      2.times { expect(deliver(client)).to be_success }
      expect(client.integrations.verify).to be_success
      expect(server.connections).to eq(1)
      expect(server.requests.first.headers["x-simpleconnect-key-id"]).to eq("wa_sec_demo")
      expect { client.events.deliver("order_paid") }.to raise_error(SimpleConnect::UnknownEventError)
      expect(client.inspect).to eq("#<SimpleConnect::Client #{server.url} key_id=\"wa_sec_demo\">")
      expect(client.to_s).to eq(client.inspect)
    end

    it "takes ENV where nothing else is said" do
      before = env.keys.to_h { |name| [name, ENV.fetch(name, nil)] }
      ENV.update(env)
      expect(deliver(described_class.from_env)).to be_success
    ensure
      ENV.update(before)
    end

    it "raises nothing before its first use, which names what is missing", unchecked: true do
      missing = lambda do |**changes, &use|
        client = described_class.from_env(env.merge(changes.transform_keys(&:to_s)).compact)
        expect(client).to be_a(described_class)
        expect(client.inspect).to eq("#<SimpleConnect::Client of the environment>")
        client.close
        use.call(client.with(max_attempts: 1))
      rescue SimpleConnect::ConfigurationError => e
        e.message
      end
      deliver = ->(client) { deliver(client) }
      expect(missing.call(SIMPLECONNECT_SECRET: nil, &deliver))
        .to eq("not set in the environment: SIMPLECONNECT_SECRET; set them, or pass secret:")
      expect(missing.call(SIMPLECONNECT_KEY_ID: " ", SIMPLECONNECT_ENDPOINT_URL: "", &:integrations))
        .to eq("not set in the environment: SIMPLECONNECT_ENDPOINT_URL, SIMPLECONNECT_KEY_ID; set them, or pass " \
               "endpoint_url: and key_id:")
      expect(missing.call(SIMPLECONNECT_ENDPOINT_URL: "oops", &deliver)).to start_with("endpoint_url: \"oops\" is not")
    end

    it "reads it again where something was missing" do
      secret = env.delete("SIMPLECONNECT_SECRET")
      client = described_class.from_env(env)
      expect { deliver(client) }.to raise_error(SimpleConnect::ConfigurationError)
      env["SIMPLECONNECT_SECRET"] = secret
      expect(deliver(client)).to be_success
      expect(deliver(described_class.from_env({}, endpoint_url: server.endpoint, key_id: "k", secret:))).to be_success
    end

    it "can be frozen, and refuses at once what `with` does not take", unchecked: true do
      client = described_class.from_env(env).freeze
      expect { client.with(max_attempt: 1) }.to raise_error(ArgumentError, "unknown keyword: :max_attempt")
      expect(client.inspect).to end_with("of the environment>")
      2.times { expect(deliver(client)).to be_success }
      expect(server.connections).to eq(1)
    end

    it "builds one client, whoever comes first, also for what `with` makes" do
      client = described_class.from_env(env)
      once = client.with(max_attempts: 1)
      threads = Array.new(8) { |number| Thread.new { (number.odd? ? client : once).events } }
      expect(threads.map(&:value).uniq.size).to eq(2)
      2.times { expect([deliver(once), deliver(client), deliver(client.with(timeout: 5))]).to all(be_success) }
      expect(server.connections).to eq(1)
      expect { Marshal.dump(client) }.to raise_error(TypeError, /cannot be dumped/)
    end
  end

  it "shares its connections with what `with` makes" do
    client = client()
    3.times { expect(deliver(client.with(total_timeout: 3))).to be_success }
    expect(server.connections).to eq(1)
  end
end

RSpec.describe SimpleConnect::Result do
  it "is shown without what the service said of a customer" do
    body = '{"error":"+919812345678 is blocked"}'
    data = SimpleConnect::Responses::ErrorResponse.new(JSON.parse(body))
    refused = described_class.new(success: false, status_code: 422, response_body: body, data:,
                                  error: "HTTP 422: #{body}")
    taken = described_class.new(success: true, status_code: 202, response_body: body, attempts: 2)
    nobody = SimpleConnect::Client.new(endpoint_url: "http://127.0.0.1:1", key_id: "k", secret: "s", max_attempts: 1)
    silent = nobody.events.detail("e")
    expect([refused, taken, silent, described_class.new(success: false)].map(&:inspect)).to eq(
      ["#<SimpleConnect::Result HTTP 422 attempts=1>", "#<SimpleConnect::Result HTTP 202 attempts=2>",
       "#<SimpleConnect::Result refused attempts=1>", "#<SimpleConnect::Result failed attempts=1>"]
    )
    expect([refused.to_s, PP.pp(refused, +"")]).to eq([refused.inspect, "#{refused.inspect}\n"])
  end
end
