# frozen_string_literal: true

require "net/http"
require "socket"
require "timeout"
require_relative "../support/inbox"
require_relative "../support/libraries"
require_relative "../support/scripted_server"

# Over real connections, with our own clients.
RSpec.describe SimpleConnect::Sandbox::Inbox, skip: Libraries.missing("puma") do
  let(:receiver) { @receiver }
  let(:sandbox) { @sandbox }
  let(:client) { new_client }

  around do |example|
    ScriptedServer.open([{ "status" => 204 }]) do |receiver|
      @receiver = receiver
      @sandbox = SimpleConnect::Sandbox.new(status_callback_url: "#{receiver.url}/v/1/webhooks/message.status")
      described_class.new(@sandbox)
      @sandbox.start
      Timeout.timeout(30) { example.run }
    ensure
      @sandbox.stop
    end
  end

  def new_client(**options)
    SimpleConnect::Client.new(endpoint_url: sandbox.endpoint_url, key_id: sandbox.key_id, secret: sandbox.secret,
                              retryable: SimpleConnect::Retryable.new(max_attempts: 1), **options)
  end

  def uri(path) = URI("#{sandbox.url}/inbox/#{path}")
  def get(path) = JSON.parse(Net::HTTP.get(uri(path)))

  def post(path, json)
    answer = Net::HTTP.post(uri(path), JSON.generate(json), "Content-Type" => "application/json")
    [Integer(answer.code), JSON.parse(answer.body)]
  end

  def deliver(id = "e1", using: client)
    using.events.deliver("order_paid", recipient: { mobile_no: "+919812345678" }, event: { event_id: id })
  end

  # Reads events from the stream.
  def stream(query = "", headers = {})
    socket = TCPSocket.new("127.0.0.1", URI(sandbox.url).port)
    fields = { "Host" => "127.0.0.1", **headers }.map { |pair| "#{pair.join(": ")}\r\n" }.join
    socket.write("GET /inbox/stream#{query} HTTP/1.1\r\n#{fields}\r\n")
    head = socket.gets("\r\n\r\n")
    yield socket, head
  ensure
    socket.close
  end

  # The id and the data of the next event.
  def next_event(socket)
    id = nil
    while (line = socket.gets.chomp)
      id = line.delete_prefix("id: ") if line.start_with?("id: ")
      return [id, JSON.parse(line.delete_prefix("data: "))] if line.start_with?("data: ")
    end
  end

  describe "GET /inbox/stream" do
    it "tells what is new as it comes, and resumes" do
      expect(get("status")["live"]).to eq("sse")
      id = nil
      stream do |socket, head|
        expect(head).to match(%r{\AHTTP/1.1 200 OK\r\n.*content-type: text/event-stream\r\n}m)
        deliver("e1")
        id, changes = next_event(socket)
        expect(changes["messages"]).to match([a_hash_including("event_id" => "e1", "state" => "accepted")])
        post("faults", { kind: 500 })
        expect(next_event(socket)[1]).to include("messages" => [], "faults" => [a_hash_including("kind" => 500)])
      end
      deliver("e2")
      { "?since=#{id}" => {}, "" => { "Last-Event-ID" => id },
        "?since=0.0" => { "Last-Event-ID" => id } }.each do |query, headers|
        stream(query, headers) do |socket, _|
          expect(next_event(socket)[1]["messages"].map { |message| message["event_id"] }).to eq(%w[e2])
        end
      end
    end

    it "shows that it is alive, and ends with the server" do
      stub_const("SimpleConnect::Sandbox::Inbox::Api::HEARTBEAT", 0.02)
      stream do |socket, _|
        expect(Array.new(5) { socket.gets }).to eq(["retry: 1000\n", "\n", ":\n", "\n", ":\n"])
        sandbox.stop
        expect { socket.read }.not_to raise_error
      end
    end

    it "leaves the server's threads to others" do
      sockets = Array.new(20) do
        TCPSocket.new("127.0.0.1", URI(sandbox.url).port).tap do |socket|
          socket.write("GET /inbox/stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
        end
      end
      waiting = Array.new(20) { Thread.new { get("wait?q=e9&timeout=20") } }
      sockets.each { |socket| expect(socket.gets).to eq("HTTP/1.1 200 OK\r\n") }
      deliver("e9")
      expect(waiting.map { |thread| thread.value["message"]["event_id"] }).to all(eq("e9"))
    ensure
      sockets.each(&:close)
    end

    it "and waiting are limited" do
      stub_const("SimpleConnect::Sandbox::Inbox::Connections::LIMIT", 1)
      stream do |_, head|
        expect(head).to include("200 OK")
        expect(get("wait?q=x")).to eq("error" => "too many connections wait already")
        stream { |_, other| expect(other).to start_with("HTTP/1.1 503") }
      end
    end
  end

  describe "GET /inbox/wait" do
    it "waits, and ends in time" do
      waiting = Thread.new { get("wait?event_key=order_paid&timeout=20") }
      deliver
      expect(waiting.value["message"]).to include("event_id" => "e1")

      answer = Net::HTTP.get_response(uri("wait?event_key=order_sent&timeout=0.05"))
      expect([answer.code, answer.content_type, JSON.parse(answer.body)["error"]])
        .to eq(["408", "application/json", "no message matched within 0.05 s"])
      expect(answer["content-security-policy"]).to start_with("default-src 'none'")
    end
  end

  describe "faults" do
    it "are seen by our client" do
      { 500 => [500, nil], "reset" => [0, :reset], "close" => [0, :eof],
        "garbage" => [0, :malformed] }.each do |kind, seen|
        post("faults", { kind: })
        result = deliver(using: new_client)
        expect([kind, result.status_code, result.network_error]).to eq([kind, *seen])
      end
      attempts = get("messages/#{get("messages")["messages"].first["id"]}")["attempts"]
      expect(attempts.map { |attempt| attempt.values_at("status", "fault") })
        .to eq([[500, "500"], [nil, "reset"], [nil, "close"], [nil, "garbage"]])
    end

    it "include a timeout, which is shown at once" do
      post("faults", { kind: "timeout" })
      result = Thread.new { deliver(using: new_client(timeout: 0.5)) }
      attempts = get("wait?state=failed&timeout=5")["message"]["attempts"]
      expect(attempts).to match([a_hash_including("fault" => "timeout", "status" => nil)])
      expect(result.value.network_error).to eq(:timeout)
      expect(deliver.status_code).to eq(202)
    end

    it "that cut connections are left to clients, where a message is replayed" do
      deliver
      id = get("messages")["messages"].first["id"]
      post("faults", { kind: "reset" })
      expect(post("messages/#{id}/replay", {})[1]["status"]).to eq(200)
      expect(deliver(using: new_client).network_error).to eq(:reset)
    end

    it "have the request id of our result" do
      result = deliver
      attempt = get("messages/#{get("messages")["messages"].first["id"]}")["attempts"].first
      expect(attempt["request_id"]).to eq(result.request_id)
    end
  end

  describe "callbacks" do
    def received = receiver.requests.map { |request| [request.target, JSON.parse(request.body)] }

    it "are posted to the receiver, signed, and change the ticks" do
      deliver
      receiver.wait_for(1)
      id = get("messages")["messages"].first["id"]
      status, json = post("messages/#{id}/callback", { status: "read" })

      expect([status, json["receiver"]["status"], json["message"]["tick"]]).to eq([200, 204, "read"])
      expect(received.last).to match(
        ["/v/1/webhooks/message.status",
         { "event" => "message.status",
           "data" => { "message_id" => "wamid.sandbox.1", "status" => "read", "timestamp" => a_kind_of(String),
                       "recipient" => a_hash_including("mobile_no" => "+919812345678") } }]
      )
      request = receiver.requests.last
      expect(SimpleConnect::Signature.valid?(request.body, request.headers, secret: sandbox.webhook_secret)).to be(true)
      expect(client.events.detail("e1").data.message.status).to eq("read")
      expect(get("messages/#{id}")["callbacks"]).to match(
        [a_hash_including("status" => "read", "receiver_status" => 204, "fault" => nil, "ms" => a_value > 0)]
      )
    end

    it "are not for what was not accepted" do
      post("faults", { kind: 500 })
      deliver
      expect(post("messages/m2/callback", { status: "read" })[0]).to eq(404)
      id = get("messages")["messages"].first["id"]
      expect(post("messages/#{id}/callback", { status: "read" }))
        .to eq([422, { "error" => "only an accepted message has a status" }])
    end

    it "have incoming messages beside them, which can be replayed" do
      status, json = post("incoming", { mobile_no: "+919812345678", text: "When does it arrive? नमस्ते" })
      expect([status, json["receiver"]["status"]]).to eq([201, 204])
      expect(json["message"]).to include("kind" => "incoming", "state" => "accepted", "attempts_count" => 1,
                                         "preview_text" => "When does it arrive? नमस्ते",
                                         "recipient" => { "mobile_no" => "+919812345678" })
      target, body = received.last
      expect([target, body["event"]]).to eq(["/v/1/webhooks/message.incoming", "message.incoming"])
      expect(body["data"]).to include("text" => "When does it arrive? नमस्ते",
                                      "sender" => { "mobile_no" => "+919812345678" })

      id = json["message"]["id"]
      expect(post("messages/#{id}/replay", {})[1]).to include("status" => 204)
      expect(get("messages/#{id}")).to include("attempts_count" => 2,
                                               "code" => {
                                                 "curl" => nil, "ruby" => nil, "rspec" => nil
                                               })
      expect(received.last).to eq([target, body])
    end

    it "show a receiver that is not there" do
      deliver
      receiver.wait_for(1)
      receiver.stop
      id = get("messages")["messages"].first["id"]
      _, json = post("messages/#{id}/callback", { status: "failed" })
      expect(json["receiver"]).to include("status" => nil, "fault" => a_string_including("ECONNREFUSED"))
      expect(json["message"]["tick"]).to eq("failed")
    end
  end

  it "is served again after a stop" do
    deliver
    sandbox.stop
    sandbox.start
    waiting = Thread.new { get("wait?q=e2&timeout=20") }
    deliver("e2", using: new_client)
    expect(waiting.value["message"]["event_id"]).to eq("e2")
    expect(get("messages")["count"]).to eq(2)
  end
end
