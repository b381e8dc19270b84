# frozen_string_literal: true

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

  it "takes nothing but bounds on time into `with`", unchecked: true do
    expect { client.with(pool_size: 3) }.to raise_error(ArgumentError, "unknown keyword: :pool_size")
    expect { client.with(total_timeout: 0) }.to raise_error(SimpleConnect::ConfigurationError, /total_timeout/)
  end

  it "shares its connections with what `with` makes" do
    client = client()
    3.times { expect(deliver(client.with(total_timeout: 3))).to be_success }
    expect(server.connections).to eq(1)
  end
end
