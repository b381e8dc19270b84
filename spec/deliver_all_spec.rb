# frozen_string_literal: true

require "timeout"
require_relative "support/scripted_server"

RSpec.describe SimpleConnect::Api::Events, "#deliver_all" do
  # Answers with the request's own event_id.
  echo = lambda do |connection, request|
    event_id = request.body[/"event_id":"([^"]*)"/, 1]
    body = %({"status":"accepted","event_id":"#{event_id}"})
    connection.io.write("HTTP/1.1 202 Accepted\r\nContent-Length: #{body.bytesize}\r\n\r\n#{body}")
    true
  end

  def client(server, **options)
    SimpleConnect::Client.new(endpoint_url: server.endpoint, key_id: "k", secret: "s", **options)
  end

  def payments(count)
    Array.new(count) { |index| ["order_paid", { recipient: { mobile_no: "+91" }, event: { event_id: "e#{index}" } }] }
  end

  def descriptors = Dir.children("/proc/self/fd").size

  it "gives the results in the order of the deliveries" do
    ScriptedServer.open([echo]) do |server|
      results = client(server).events.deliver_all(payments(200), concurrency: 16)
      expect(results.map { |result| result.data.event_id }).to eq((0...200).map { |index| "e#{index}" })
      expect(server.connections).to be <= 16
    end
  end

  it "yields each as soon as it is there, with its item and its place" do
    ScriptedServer.open([echo]) do |server|
      seen = []
      items = payments(20)
      count = client(server).events.deliver_all(items, concurrency: 4) { |*arguments| seen << arguments }
      expect(count).to eq(20)
      expect(seen.map(&:last)).to match_array(0...20)
      expect(seen).to all(satisfy do |result, item, index|
        item.equal?(items[index]) && result.data.event_id == "e#{index}"
      end)
    end
  end

  it "takes every form of a delivery" do
    ScriptedServer.open([echo]) do |server|
      results = client(server).events.deliver_all(
        [["order_paid", { recipient: { mobile_no: "+91" }, event: { event_id: "a" } }],
         ["order_paid", { "amount" => 1, "event_id" => "b" }],
         { event_key: "order_paid", amount: 1, event_id: "c" },
         { "event_key" => "order_paid", "recipient" => { "mobile_no" => "+91" }, "event" => { "event_id" => "d" } }]
      )
      expect(results.map { |result| result.data.event_id }).to eq(%w[a b c d])
      expect(server.requests.map { |request| request.body.start_with?('{"recipient"') })
        .to match_array([true, false, false, true])
    end
  end

  it "fails a bad item for itself and goes on with the rest" do
    ScriptedServer.open([echo]) do |server|
      items = [["order_paid", { recipient: {} }], ["", {}], 5, ["order_paid", { n: "\xFF" }], ["other", {}],
               *payments(1)]
      results = client(server, event_keys: ["order_paid", ""]).events.deliver_all(items)
      expect(results.map(&:error)).to match(
        ["ArgumentError: recipient[:mobile_no] is required", "ArgumentError: event_key is required",
         start_with("ArgumentError: a delivery must be [event_key, {"), start_with("JSON::GeneratorError: "),
         start_with("SimpleConnect::UnknownEventError: "), nil]
      )
      expect(results.map(&:attempts)).to eq([0, 0, 0, 0, 0, 1])
      expect(server.requests.size).to eq(1)
    end
  end

  it "fails an item whose answer is malformed for itself, too" do
    ScriptedServer.open([{ "status" => 202, "body" => "oops" }, echo]) do |server|
      results = client(server).events.deliver_all(payments(2), concurrency: 1)
      expect(results.map(&:error)).to eq(["SimpleConnect::MalformedResponseError: Unparseable JSON body: oops", nil])
    end
  end

  it "retries each for itself, and the others go on while one waits" do
    script = [{ "status" => 503 }, *Array.new(10, echo)]
    ScriptedServer.open(script) do |server|
      order = []
      policy = SimpleConnect::Retryable.new(delay: ->(_) { 0.3 })
      client(server, retryable: policy).events.deliver_all(payments(8), concurrency: 2) do |result, _, index|
        order << [index, result.attempts]
      end
      # The first two race for the 503.
      expect(order.last).to eq([0, 2]).or eq([1, 2])
      expect(order.map(&:last).sum).to eq(9)
      bodies = server.requests.map(&:body)
      expect(bodies.tally.values.max).to eq(2)
    end
  end

  it "bounds each for itself" do
    ScriptedServer.open([{ "fault" => "silence" }]) do |server|
      results = client(server, total_timeout: 0.2).events.deliver_all(payments(4), concurrency: 4)
      expect(results.map(&:network_error)).to eq([:timeout] * 4)
    end
  end

  it "has a policy of the user's own drive the attempts" do
    ScriptedServer.open([{ "status" => 503 }, { "status" => 503 }, echo]) do |server|
      policy = Class.new { def call(**) = 2.times.map { |index| yield(index + 1) }.last }.new
      results = client(server, retryable: policy).events.deliver_all(payments(1))
      expect([results.map(&:attempts), server.requests.size]).to eq([[2], 2])
    end
  end

  it "takes from a lazy source only what it has room for" do
    ScriptedServer.open([echo]) do |server|
      pulled = 0
      source = (0..).lazy.map do |index|
        pulled += 1
        raise StopIteration if index == 50

        ["order_paid", { event_id: "e#{index}" }]
      end
      finished = 0
      ahead = []
      endless = Enumerator.new { |out| loop { out << source.next } }
      client(server).events.deliver_all(endless, concurrency: 5) do
        ahead << (pulled - finished)
        finished += 1
      end
      expect([finished, ahead.max <= 6]).to eq([50, true])
    end
  end

  it "ends at once when it is interrupted, and drops what is under way" do
    ScriptedServer.open([{ "fault" => "silence" }]) do |server|
      client = client(server)
      client.events.deliver_all([])
      before = descriptors
      started = Process.clock_gettime(Process::CLOCK_MONOTONIC)
      expect { Timeout.timeout(0.2) { client.events.deliver_all(payments(50), concurrency: 10) } }
        .to raise_error(Timeout::Error)
      expect(Process.clock_gettime(Process::CLOCK_MONOTONIC) - started).to be < 2
      expect(Array.new(10) { server.closed.pop }).to match_array(0...10)
      # A waker stays for the next who waits.
      expect(descriptors - before).to be <= 2
    end
  end

  it "ends with an error of the block, and drops what is under way" do
    ScriptedServer.open([echo, { "fault" => "silence" }]) do |server|
      expect { client(server).events.deliver_all(payments(50), concurrency: 5) { raise KeyError, "no" } }
        .to raise_error(KeyError, "no")
      4.times { server.closed.pop }
    end
  end

  it "waits for no descriptor but those of its deliveries" do
    transport = SimpleConnect.const_get(:Transport)
    [9999, -1, 0].each do |descriptor|
      expect { transport.poll([[descriptor, IO::READABLE, 5.0]], 0.0) }
        .to raise_error(ArgumentError, "no delivery waits for descriptor #{descriptor}")
    end
    expect(transport.poll([[nil, 0, 0.0]], 0.0)).to eq([0])
  end

  it "leaves no thread behind" do
    before = Thread.list
    ScriptedServer.open([echo]) { |server| client(server).events.deliver_all(payments(50), concurrency: 10) }
    expect(Thread.list - before).to eq([])
  end

  it "yields on the caller's own fiber, which may break off" do
    ScriptedServer.open([echo]) do |server|
      Thread.current[:tenant] = "mine"
      seen = []
      outcome = client(server).events.deliver_all((0..).lazy.map { payments(1).first }) do |_, _, index|
        seen << Thread.current[:tenant]
        break "enough" if index == 20
      end
      expect([outcome, seen.uniq]).to eq(["enough", ["mine"]])
    end
  end

  it "tells what it cannot take", unchecked: true do
    ScriptedServer.open do |server|
      events = client(server).events
      expect { events.deliver_all(5) }.to raise_error(ArgumentError, /deliveries must be an Array .* not Integer/)
      [0, -1, 1.5, nil].each do |concurrency|
        expect { events.deliver_all([], concurrency:) }.to raise_error(ArgumentError, /concurrency: must be an Integer/)
      end
    end
  end

  it "sends many messages, too" do
    ScriptedServer.open([{ "status" => 200, "body" => '{"queued_messages":[{"message_id":"m1"}]}' }]) do |server|
      client = SimpleConnect::MessagesClient.new(base_url: server.url, api_key: "k")
      items = [{ template_name: "t", recipients: [{ mobile_no: "1" }] }, { template_name: "", recipients: [] }, "x"]
      results = client.messages.deliver_all(items)
      expect(results.map(&:error))
        .to match([nil, start_with("ArgumentError: "), start_with("ArgumentError: a delivery must be {")])
    end
  end
end
