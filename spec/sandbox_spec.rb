# frozen_string_literal: true

require "json"
require "net/http"
require "open3"
require "openssl"
require "rack"
require "rbconfig"
require "socket"
require "timeout"
require "simple_connect/sandbox"

RSpec.describe SimpleConnect::Sandbox do
  events_path = "/api/v1/integrations/milkways/events"
  messages_path = "/api/v1/whatsapp_messages"

  # Signed here once more, so that neither side is believed.
  def signed(body = "", secret: "new", timestamp: Time.now.to_i, key_id: "wa_sec_1")
    {
      "HTTP_X_SIMPLECONNECT_KEY_ID" => key_id, "HTTP_X_SIMPLECONNECT_TIMESTAMP" => timestamp.to_s,
      "HTTP_X_SIMPLECONNECT_SIGNATURE" => "sha256=#{OpenSSL::HMAC.hexdigest("SHA256", secret, "#{timestamp}.#{body}")}"
    }
  end

  # Every answer passes Rack's own check of apps.
  def ask(verb, path, body = "", headers = signed(body))
    answer = Rack::MockRequest.new(Rack::Lint.new(sandbox)).request(verb, path, input: body.dup, **headers)
    [answer.status, JSON.parse(answer.body)]
  end

  define_method(:deliver) { |event, headers = nil| ask("POST", events_path, event.to_json, *headers) }

  let(:options) { { key_id: "wa_sec_1", secret: "new", previous_secret: "old", api_key: "sk_1" } }
  let(:sandbox) { described_class.new(**options) }
  let(:nested) do
    { recipient: { name: "Asha", mobile_no: "+919812345678" },
      event: { amount: "450.00", event_id: "pp_1", name: "order_paid", occurred_at: "2026-04-16T09:30:00+05:30",
               language: "hi" } }
  end
  let(:flat) do
    { event: "order_paid", event_id: "pp_1", occurred_at: "2026-04-16T09:30:00+05:30", language: "hi",
      name: "Asha", customer_mobile_no: "+919812345678" }
  end

  describe "events" do
    it "are taken in the nested layout" do
      expect(deliver(nested)).to eq([202, { "status" => "accepted", "log_id" => 1, "event_id" => "pp_1" }])
      expect(sandbox.events).to match(
        [a_hash_including(
          "log_id" => 1, "event_id" => "pp_1", "event_key" => "order_paid", "status" => "dispatched",
          "recipient" => { "name" => "Asha", "mobile_no" => "+919812345678" }, "language" => "hi",
          "payload" => { "amount" => "450.00" }, "occurred_at" => "2026-04-16T09:30:00+05:30",
          "error_text" => nil, "used_previous_secret" => false
        )]
      )
    end

    it "are taken in the flat layout" do
      expect(deliver(flat)).to eq([202, { "status" => "accepted", "log_id" => 1, "event_id" => "pp_1" }])
      expect(sandbox.events).to match(
        [a_hash_including(
          "event_key" => "order_paid", "language" => "hi", "recipient" => { "mobile_no" => "+919812345678" },
          "payload" => { "name" => "Asha", "customer_mobile_no" => "+919812345678" }
        )]
      )
    end

    it "are taken once for each event_id, whatever else they hold" do
      deliver(nested)
      expect(deliver(flat)).to eq(
        [200, { "status" => "accepted", "log_id" => 1, "event_id" => "pp_1", "duplicate" => true }]
      )
      expect(sandbox.events.length).to eq(1)
    end

    it "can be looked up, with the message that became of them" do
      deliver(nested)
      status, json = ask("GET", "#{events_path}/pp_1")
      row = sandbox.events.first

      expect([status, json["event_log"]]).to eq([200, row])
      expect(Time.iso8601(row["created_at"])).to be_within(60).of(Time.now)
      expect(json["message"]).to eq(
        "event" => "message.status",
        "data" => { "message_id" => "wamid.sandbox.1", "status" => "delivered", "timestamp" => row["updated_at"],
                    "recipient" => { "name" => "Asha", "mobile_no" => "+919812345678" } }
      )
    end

    it "are not found where there are none" do
      expect(ask("GET", "#{events_path}/pp_1")).to eq([404, { "error" => "not found" }])
    end

    {
      "[]" => "the body is not a JSON object",
      "" => /\Athe body is not JSON: /,
      "{\"event\":\"\xFF\"}" => "the body is not UTF-8",
      "#{'{"a":' * 99}1#{"}" * 99}" => /\Athe body is not JSON: nesting/,
      "{}" => "event is required",
      '{"recipient":{"mobile_no":"1"},"event":{"event_id":"1"}}' => "event.name is required",
      '{"recipient":{"mobile_no":"1"},"event":{"name":" "}}' => "event.name is required",
      '{"recipient":{"mobile_no":"1"},"event":{"name":"order_paid"}}' => "event_id is required",
      '{"recipient":{"name":"Asha"},"event":{"name":"order_paid","event_id":"1"}}' => "recipient.mobile_no is required",
      '{"event":{"name":"order_paid","event_id":"1"}}' => "recipient.mobile_no is required",
      '{"event":"order_paid"}' => "event_id is required",
      '{"event":"order_lost","event_id":"1"}' =>
        "Unknown event_key 'order_lost'. Must be one of: order_paid, order_sent"
    }.each do |body, message|
      it "are refused: #{body[0, 80].inspect}" do
        options[:event_keys] = %i[order_paid order_sent]

        expect(ask("POST", events_path, body)).to match([422, { "error" => message }])
        expect(sandbox.events).to eq([])
      end
    end

    it "are refused with numbers that could not be shown" do
      # Ruby warns of them, too.
      allow(Warning).to receive(:warn)

      expect(deliver(flat).first).to eq(202)
      expect(ask("POST", events_path, '{"event":"order_paid","event_id":"1","a":1e400}').first).to eq(422)
    end

    it "may be as deep as can still be read where they are shown" do
      body = "{\"event\":\"order_paid\",\"event_id\":\"1\",\"a\":#{"[" * 97}#{"]" * 97}}"

      expect(ask("POST", events_path, body).first).to eq(202)
      expect(ask("GET", "#{events_path}/1").first).to eq(200)
    end

    it "of more than a MiB are refused" do
      body = flat.merge(note: "").to_json
      body = flat.merge(note: "x" * ((1024 * 1024) - body.bytesize)).to_json

      expect(ask("POST", events_path, body).first).to eq(202)
      expect(ask("POST", events_path, "#{body} ")).to eq([413, { "error" => "the body is larger than 1048576 bytes" }])
    end
  end

  describe "status" do
    def flow(event_key)
      { "event_key" => event_key, "state" => "enabled", "enabled" => true, "needs_attention" => false,
        "template" => { "name" => event_key, "language" => "en", "status" => "approved" } }
    end

    it "shows the events that are known" do
      options[:event_keys] = %w[order_paid order_sent]

      expect(ask("GET", "/api/v1/integrations/milkways/status")).to eq(
        [200, { "integration" => { "provider" => "milkways", "status" => "connected" },
                "event_flows" => [flow("order_paid"), flow("order_sent")] }]
      )
    end

    it "shows the events that have come, where any is known" do
      3.times { |id| deliver(flat.merge(event: "e#{id % 2}", event_id: id.to_s)) }
      _, json = ask("GET", "/api/v1/integrations/milkways/status")

      expect(json["event_flows"]).to eq([flow("e0"), flow("e1")])
    end
  end

  describe "a signature" do
    it "is refused with another secret, body or timestamp" do
      stamp = Time.now.to_i
      [
        signed(flat.to_json, secret: "newer"), signed("#{flat.to_json} "),
        signed(flat.to_json).merge("HTTP_X_SIMPLECONNECT_TIMESTAMP" => (stamp - 100).to_s),
        # Neither spelling may be made even: what is signed is what came.
        signed(flat.to_json, timestamp: stamp).merge("HTTP_X_SIMPLECONNECT_TIMESTAMP" => "0#{stamp}"),
        signed(flat.to_json).transform_values { |value| value.delete_prefix("sha256=") },
        signed(flat.to_json).merge("HTTP_X_SIMPLECONNECT_SIGNATURE" => "")
      ].each { |headers| expect(deliver(flat, [headers])).to eq([401, { "error" => "Invalid signature" }]) }
      expect(sandbox.events).to eq([])
    end

    it "is refused with another key id" do
      expect(deliver(flat, [signed(flat.to_json, key_id: "wa_sec_2")])).to eq([401, { "error" => "Unknown key id" }])
    end

    it "is refused where it is nothing like one" do
      signed.each_key { |name| expect(deliver(flat, [signed(flat.to_json).merge(name => "\xFFé".b)]).first).to eq(401) }
    end

    it "with a blank previous secret is refused: there is none" do
      options[:previous_secret] = ""

      expect(deliver(flat, [signed(flat.to_json, secret: "")])).to eq([401, { "error" => "Invalid signature" }])
    end

    %w[Key-Id Timestamp Signature].each do |name|
      it "is refused without X-SimpleConnect-#{name}" do
        headers = signed(flat.to_json).reject { |key, _| key.end_with?(name.upcase.tr("-", "_")) }

        expect(deliver(flat, [headers])).to eq([401, { "error" => "Missing X-SimpleConnect-#{name}" }])
      end
    end

    it "is refused too early and too late" do
      now = Time.at(1_776_313_800, 999_999, :usec)
      allow(Time).to receive(:now).and_return(now)
      offsets = [-301, -300, 300, 301]

      answers = offsets.map { |offset| deliver(flat, [signed(flat.to_json, timestamp: now.to_i + offset)]) }
      stale = [401, { "error" => "Stale timestamp: it is off by 301 s, and 300 s are tolerated" }]
      expect(answers).to match([stale, [202, anything], [200, anything], stale])
    end

    it "is refused with a timestamp that is no whole number" do
      ["", "12.5", "-1", "1776313800\n", "0x10", "9" * 13].each do |timestamp|
        expect(deliver(flat, [signed(flat.to_json, timestamp:)])).to eq([401, { "error" => "Invalid timestamp" }])
      end
    end

    it "with the previous secret is flagged" do
      expect(deliver(flat, [signed(flat.to_json, secret: "old")])).to eq(
        [202, { "status" => "accepted", "log_id" => 1, "event_id" => "pp_1", "used_previous_secret" => true }]
      )
      expect(sandbox.events.first).to include("used_previous_secret" => true)
    end

    it "is asked for everywhere" do
      ["#{events_path}/pp_1", "/api/v1/integrations/milkways/status"].each do |path|
        expect(ask("GET", path, "", {}).first).to eq(401)
        expect(ask("GET", path, "", signed(secret: "newer")).first).to eq(401)
      end
    end
  end

  describe "messages" do
    let(:key) { { "HTTP_AUTHORIZATION" => "Bearer sk_1" } }

    it "are queued for each recipient with a number" do
      message = { message_type: "template", template_name: "order_update", message_group: "g1",
                  recipients: [{ mobile_no: "+919812345678" }, { name: "Asha" }, { mobile_no: 919_812_345_679 }] }
      status, json = ask("POST", messages_path, { messages: [message] }.to_json, key)

      expect(status).to eq(200)
      expect(json).to eq(
        "success" => true,
        "queued_messages" => [
          { "message_id" => "message-1", "recipient" => "+919812345678", "status" => "queued" },
          { "message_id" => "message-2", "recipient" => "919812345679", "status" => "queued" }
        ],
        "errors" => [{ "recipient" => { "name" => "Asha" }, "message" => "mobile_no is required" }]
      )
      same = { "status" => "delivered", "message_type" => "template", "template_name" => "order_update",
               "message_group" => "g1" }
      expect(sandbox.messages).to eq(
        [{ "message_id" => "message-1", "recipient" => { "mobile_no" => "+919812345678" }, **same },
         { "message_id" => "message-2", "recipient" => { "mobile_no" => 919_812_345_679 }, **same }]
      )
      expect(ask("GET", "#{messages_path}/message-1", "", key)).to eq(
        [200, { "message_id" => "message-1", "status" => "delivered", "message_group" => "g1",
                "recipient" => { "mobile_no" => "+919812345678" } }]
      )
    end

    it "are refused as a whole where nothing can be queued" do
      body = { messages: [{ template_name: "", recipients: [{ mobile_no: "1" }] }] }.to_json

      expect(ask("POST", messages_path, body, key)).to eq(
        [422, { "error" => "nothing queued", "success" => false, "queued_messages" => [],
                "errors" => [{ "recipient" => { "mobile_no" => "1" }, "message" => "template_name is required" }] }]
      )
    end

    {
      "{}" => "messages must be a non-empty array",
      '{"messages":[]}' => "messages must be a non-empty array",
      '{"messages":[{"template_name":"t","recipients":[{"mobile_no":"1"}]},{}]}' =>
        "recipients must be a non-empty array"
    }.each do |body, error|
      it "are refused as a whole: #{body}" do
        expect(ask("POST", messages_path, body, key)).to eq([422, { "error" => error }])
        expect(sandbox.messages).to eq([])
      end
    end

    # Each message has a copy of the members: 640 KB became 13 GB.
    it "are refused as a whole if that is too much" do
      members = (1..250).to_h { |number| ["k#{number}", 1] }
      message = { template_name: "t", **members, recipients: Array.new(400) { { mobile_no: "1" } } }
      error = "too many recipients for messages of this size: use several requests"
      expect(ask("POST", messages_path, { messages: [message] }.to_json, key)).to eq([413, { "error" => error }])
      expect(sandbox.messages).to eq([])
      message = { **message, recipients: Array.new(300) { { mobile_no: "1" } } }
      expect(ask("POST", messages_path, { messages: [message] }.to_json, key)[0]).to eq(200)
    end

    it "are not found where there are none" do
      expect(ask("GET", "#{messages_path}/message-1", "", key)).to eq([404, { "error" => "Message not found" }])
    end

    it "are refused without the key" do
      [{}, { "HTTP_AUTHORIZATION" => "Bearer \xFF".b }, { "HTTP_AUTHORIZATION" => "sk_1" }].each do |headers|
        [["POST", messages_path], ["GET", "#{messages_path}/message-1"]].each do |verb, path|
          expect(ask(verb, path, "", headers)).to eq([401, { "error" => "Invalid API key" }])
        end
      end
    end
  end

  it "has nothing elsewhere" do
    %W[/ /api/v1/integrations/events /api/v1/integrations/a/b/events #{events_path}/a/b /api/v1/x].each do |path|
      expect(ask("GET", path)).to eq([404, { "error" => "not found" }])
    end
  end

  it "names the verb to use" do
    answer = Rack::MockRequest.new(Rack::Lint.new(sandbox)).put(events_path)

    expect([answer.status, answer["allow"]]).to eq([405, "POST"])
    expect(JSON.parse(answer.body)).to eq("error" => "PUT is not allowed here: use POST")
    expect(Rack::MockRequest.new(Rack::Lint.new(sandbox)).head(events_path).status).to eq(405)
  end

  it "keeps of its requests only the last ones, 64 MiB of them" do
    body = "x" * (1024 * 1024)
    70.times { |number| ask("POST", "#{events_path}?#{number}", body, {}) }
    expect(sandbox.requests.sum { |request| request.body.bytesize }).to be_between(60 << 20, 64 << 20)

    sandbox.reset
    1_000.times { ask("GET", "#{events_path}/x", "", {}) }
    expect(sandbox.requests.size).to eq(1_000)
  end

  it "keeps the requests, and forgets all on reset" do
    body = flat.merge(name: "राम").to_json
    ask("POST", events_path, body, signed(body).merge("CONTENT_TYPE" => "application/json"))
    ask("GET", "#{messages_path}/x", "", { "HTTP_AUTHORIZATION" => "Bearer sk_1" })

    expect(sandbox.requests.map(&:to_a)).to match(
      [["POST", events_path, a_hash_including("content-type" => "application/json",
                                              "x-simpleconnect-key-id" => "wa_sec_1"), body, 202],
       ["GET", "#{messages_path}/x", a_hash_including("authorization" => "[redacted]"), "", 404]]
    )
    expect(sandbox.requests).to all(be_frozen)

    sandbox.fail_next(503)
    sandbox.reset
    expect([sandbox.requests, sandbox.events, sandbox.messages]).to eq([[], [], []])
    expect(deliver(flat)).to eq([202, { "status" => "accepted", "log_id" => 1, "event_id" => "pp_1" }])
  end

  describe "options" do
    {
      { key_id: " " } => "key_id is required",
      { secret: "" } => "secret is required",
      { api_key: nil } => "api_key is required",
      { tolerance: -1 } => "tolerance: must be a number of seconds, such as 300, not -1",
      { event_keys: 5 } => "event_keys: must be a list, such as %w[order_paid order_sent], not Integer"
    }.each do |option, message|
      it "are checked: #{option}", unchecked: true do
        expect { described_class.new(**option) }.to raise_error(SimpleConnect::ConfigurationError, message)
      end
    end

    {
      [302] => "fault must be a status from 400 to 599, :reset, :close or :garbage, not 302",
      [:rest] => "fault must be a status from 400 to 599, :reset, :close or :garbage, not :rest",
      [503, { times: 0 }] => "times: must be an Integer of 1 or more, not 0",
      [503, { delay: "1" }] => 'delay: must be a number of seconds, such as 2.5, not "1"',
      [503, { delay: Float::INFINITY }] => "delay: must be a number of seconds, such as 2.5, not Infinity",
      [] => "pass a fault, such as 503, or a delay:, such as 1.5"
    }.each do |(fault, keywords), message|
      it "of fail_next are checked: #{[fault, keywords].compact}", unchecked: true do
        expect { sandbox.fail_next(*fault, **keywords.to_h) }.to raise_error(ArgumentError, message)
      end
    end
  end

  it "shows no secret" do
    expect([sandbox.inspect, sandbox.to_s].join).not_to match(/new|old|sk_1/)
  end

  it "says which faults the server around it is not up to" do
    sandbox.fail_next(:reset)

    expect { deliver(flat) }.to raise_error(SimpleConnect::ConfigurationError, /fail_next\(:reset\).* under Puma/)
  end

  describe "served", skip: Libraries.missing("puma") do
    around do |example|
      described_class.start(**options) do |sandbox|
        @sandbox = sandbox
        example.run
      end
    end

    let(:sandbox) { @sandbox }
    let(:client) { new_client }

    def new_client(**others)
      SimpleConnect::Client.new(endpoint_url: sandbox.endpoint_url, key_id: "wa_sec_1", secret: "new",
                                retryable: SimpleConnect::Retryable.new(sleep: ->(_) {}), **others)
    end

    it "answers our client" do
      result = client.events.deliver("order_paid", recipient: { name: "Asha", mobile_no: "+919812345678" },
                                                   event: { event_id: "राम/1 ?+%", amount: "450.00" })
      expect([result.status_code, result.data.status, result.data.duplicate?]).to eq([202, "accepted", false])

      event = client.events.detail("राम/1 ?+%").data
      expect([event.event_key, event.dispatched?, event.payload]).to eq(["order_paid", true, { "amount" => "450.00" }])
      expect([event.message.status_callback?, event.message.status, event.message.recipient]).to eq(
        [true, "delivered", { "name" => "Asha", "mobile_no" => "+919812345678" }]
      )
      expect(event.message.timestamp).to eq(event.updated_at)

      verify = client.integrations.verify.data
      expect([verify.provider, verify.connected?]).to eq(["sandbox", true])
      expect(verify.event_flow(:order_paid)).to be_enabled
    end

    it "tells our client of the previous secret, and of a wrong one" do
      old, wrong = %w[old wrong].map { |secret| new_client(secret:).events.deliver("order_paid", event_id: "pp_1") }

      expect([old.status_code, old.data.used_previous_secret?]).to eq([202, true])
      expect(client.events.detail("pp_1").data).to be_used_previous_secret
      expect([wrong.status_code, wrong.data.message, wrong.attempts]).to eq([401, "Invalid signature", 1])
    end

    it "answers our messages client" do
      messages = SimpleConnect::MessagesClient.new(base_url: sandbox.url, api_key: "sk_1").messages
      sent = messages.deliver(template_name: "order_update", recipients: [{ mobile_no: "+919812345678" }])
      expect(sent.data).to be_any_queued

      detail = messages.detail(sent.data.queued_messages.first["message_id"]).data
      expect([detail.status, detail.recipient]).to eq(["delivered", { "mobile_no" => "+919812345678" }])
    end

    it "answers any client" do
      answer = Net::HTTP.get_response(URI("#{sandbox.endpoint_url}/pp_1"))

      expect([answer.code, answer.content_type, answer.body])
        .to eq(["401", "application/json", '{"error":"Missing X-SimpleConnect-Key-Id"}'])
    end

    it "counts each event once, whoever delivers it how often" do
      answers = Queue.new
      threads = Array.new(10) do |thread|
        Thread.new do
          # Of the 50, each thread shares the even ones with all others, and has the odd ones for itself.
          50.times do |n|
            answers << client.events.deliver("order_paid", event_id: n.even? ? "shared_#{n}" : "own_#{thread}_#{n}")
          end
        end
      end
      threads.each(&:join)
      results = Array.new(answers.size) { answers.pop }

      expect(results.map(&:status_code).tally).to eq(202 => 275, 200 => 225)
      expect(results.count { |result| result.data.duplicate? }).to eq(225)
      expect(sandbox.events.map { |event| event["log_id"] }).to eq([*1..275])
      expect(sandbox.requests.length).to eq(500)
    end

    describe "a fault" do
      {
        503 => [503, 'HTTP 503: {"error":"scripted by fail_next"}', nil],
        422 => [422, 'HTTP 422: {"error":"scripted by fail_next"}', nil],
        reset: [0, /\AErrno::ECONNRESET: /, :reset],
        close: [0, /\AEOFError: /, :eof],
        garbage: [0, /\ANet::HTTPBadResponse: /, :malformed]
      }.each do |fault, seen|
        it "is seen by our client, and the event is not taken: #{fault}" do
          sandbox.fail_next(fault)
          result = new_client(retryable: nil, max_attempts: 1).events.deliver("order_paid", event_id: "pp_1")

          expect([result.status_code, result.error, result.network_error]).to match(seen)
          expect(sandbox.events).to eq([])
          expect(sandbox.requests.map(&:status)).to eq([fault.is_a?(Integer) ? fault : nil])
        end
      end

      it "lasts for as many requests as were asked for, one after another" do
        sandbox.fail_next(:close, times: 2)
        sandbox.fail_next(502)
        results = Array.new(2) { new_client.events.deliver("order_paid", event_id: "pp_1") }

        expect(results.map { |result| [result.status_code, result.attempts] }).to eq([[502, 3], [202, 1]])
      end

      it "on an idle connection is taken for old age" do
        client.integrations.verify
        sandbox.fail_next(:reset)
        result = client.events.deliver("order_paid", event_id: "pp_1")

        expect([result.status_code, result.attempts]).to eq([202, 1])
      end

      it "can be a late answer, to an event that is taken" do
        sandbox.fail_next(delay: 60)
        hasty = new_client(timeout: 0.2, retryable: nil, max_attempts: 1)
        result = hasty.events.deliver("order_paid", event_id: "pp_1")
        expect(result.network_error).to eq(:timeout)

        # Which ends the delay.
        sandbox.stop
        expect(sandbox.events.map { |event| event["event_id"] }).to eq(["pp_1"])
      end

      it "can be late itself" do
        sandbox.fail_next(503, delay: 0.2)
        result = new_client(retryable: nil, max_attempts: 1).integrations.verify

        expect(result.status_code).to eq(503)
        expect(result.elapsed).to be >= 0.2
      end

      it "is late for so long also under a monotonic clock that a test has stopped" do
        allow(Process).to receive(:clock_gettime).and_return(1.0)
        sandbox.fail_next(503, delay: 0.2)
        expect(new_client(timeout: 10, retryable: nil, max_attempts: 1).integrations.verify.status_code).to eq(503)
      end
    end

    it "stops at once, answering what it holds up" do
      sandbox.fail_next(delay: 60)
      result = Thread.new { client.events.deliver("order_paid", event_id: "pp_1") }
      Timeout.timeout(10) do
        Thread.pass while sandbox.requests.empty?
        sandbox.stop
        expect(result.value.status_code).to eq(202)
      end
      expect { TCPSocket.open("127.0.0.1", sandbox.url[/\d+\z/]) }.to raise_error(Errno::ECONNREFUSED)
    end

    it "can be started again, but not twice" do
      expect { sandbox.start }
        .to raise_error(SimpleConnect::Error, "this sandbox is already started, at #{sandbox.url}")

      client.events.deliver("order_paid", event_id: "pp_1")
      2.times { sandbox.stop }
      expect(sandbox.start).to equal(sandbox)
      expect(new_client.events.deliver("order_paid", event_id: "pp_1").data).to be_duplicate
    end
  end

  describe "start", skip: Libraries.missing("puma") do
    it "needs no block" do
      sandbox = described_class.start
      result = SimpleConnect::Client.new(
        endpoint_url: sandbox.endpoint_url, key_id: sandbox.key_id, secret: sandbox.secret
      ).events.deliver("order_paid")

      expect(result.status_code).to eq(202)
    ensure
      sandbox&.stop
    end

    it "takes the address to listen on", if: Socket.ip_address_list.any?(&:ipv6_loopback?) do
      %w[::1 [::1]].each do |host|
        described_class.start(host:) do |sandbox|
          expect(sandbox.url).to match(%r{\Ahttp://\[::1\]:\d+\z})
          expect(Net::HTTP.get_response(URI(sandbox.endpoint_url)).code).to eq("405")
        end
      end
    end

    it "warns if other machines can reach it with the default credentials" do
      start = ->(host, **options) { described_class.start(host:, **options) { nil } }
      known = "[SimpleConnect] the sandbox listens on 0.0.0.0 with public default credentials: pass your own " \
              "secret: and api_key:\n"
      expect { start.call("0.0.0.0") }.to output(known).to_stderr
      expect { start.call("0.0.0.0", secret: "own") }.to output(known).to_stderr
      expect { start.call("0.0.0.0", secret: "own", api_key: "own") }.not_to output.to_stderr
      %w[127.0.0.1 127.1.2.3 localhost].each { |host| expect { start.call(host) }.not_to output.to_stderr }
    end

    it "gives what the block gives, and stops when that raises" do
      url = described_class.start(&:url)

      expect(url).to match(%r{\Ahttp://127\.0\.0\.1:\d+\z})
      expect { described_class.start { |sandbox| raise IOError, url = sandbox.url } }.to raise_error(IOError)
      expect { TCPSocket.open("127.0.0.1", url[/\d+\z/]) }.to raise_error(Errno::ECONNREFUSED)
    end

    it "leaves RACK_ENV as it was" do
      before = ENV.fetch("RACK_ENV", nil)
      [nil, "test"].each do |environment|
        ENV["RACK_ENV"] = environment
        described_class.start { expect(ENV.fetch("RACK_ENV", nil)).to eq(environment) }
      end
    ensure
      ENV["RACK_ENV"] = before
    end
  end

  it "has no URL before it is started" do
    expect { sandbox.endpoint_url }.to raise_error(SimpleConnect::Error, "the sandbox has no URL yet: call start first")
  end

  it "says that Puma is missing" do
    lib = File.expand_path("../lib", __dir__)
    # Without gems there is none.
    out, = Open3.capture2e({ "RUBYOPT" => nil }, RbConfig.ruby, "--disable-gems", "-I", lib, "-e", <<~RUBY)
      require "simple_connect/sandbox"
      begin
        SimpleConnect::Sandbox.start
      rescue LoadError => e
        print e.message
      end
    RUBY

    expect(out).to eq(
      'the sandbox is served by Puma, which is missing: add gem "puma" to your Gemfile, or run gem install puma'
    )
  end
end
