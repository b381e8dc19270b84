# frozen_string_literal: true

require "objspace"
require "time"
require "uri"
require_relative "../support/inbox"

RSpec.describe SimpleConnect::Sandbox::Inbox do
  include_context "with an inbox"

  def session(name) = { "HTTP_X_SIMPLECONNECT_SESSION" => name }

  describe "GET /inbox/messages" do
    it "lists what was delivered, the newest first" do
      deliver(event("order_paid", "e1", amount: "450.00"))
      deliver({ event: "order_sent", event_id: "e2", language: "hi", customer_mobile_no: "+919812345670" })

      json = get("/inbox/messages")
      expect(json).to include("count" => 2, "faults" => [], "cursor" => a_string_matching(/\A\d+\.\d+\z/))
      expect(json["messages"].map { |message| message.except("at", "id") }).to eq(
        [{ "kind" => "event", "event_key" => "order_sent", "template_name" => nil, "event_id" => "e2",
           "message_id" => "wamid.sandbox.2", "recipient" => { "name" => nil, "mobile_no" => "+919812345670" },
           "language" => "hi", "state" => "accepted", "tick" => "delivered", "attempts_count" => 1,
           "preview_text" => "customer_mobile_no: +919812345670" },
         { "kind" => "event", "event_key" => "order_paid", "template_name" => nil, "event_id" => "e1",
           "message_id" => "wamid.sandbox.1", "recipient" => { "name" => "Asha", "mobile_no" => "+919812345678" },
           "language" => nil, "state" => "accepted", "tick" => "delivered", "attempts_count" => 1,
           "preview_text" => "amount: 450.00" }]
      )
      expect(Time.iso8601(json["messages"].first["at"])).to be_within(60).of(Time.now)
    end

    it "has one entry for all attempts of an event, and shows each" do
      ask("POST", "/inbox/faults", { kind: 429, retry_after: 7 })
      expect(deliver(event)).to eq([429, { "error" => "scripted by the sandbox" }])
      expect(messages).to match([a_hash_including("state" => "failed", "tick" => nil, "message_id" => nil)])
      deliver(event(amount: "1"))
      deliver(event(amount: "2"))

      expect(messages).to match([a_hash_including("state" => "duplicate", "attempts_count" => 3, "tick" => "delivered",
                                                  "preview_text" => "amount: 1")])
      attempts = message["attempts"]
      expect(attempts.map { |attempt| attempt.values_at("status", "fault", "retry_after") })
        .to eq([[429, "429", 7], [202, nil, nil], [200, nil, nil]])
      expect(attempts.last["response_body"]).to eq(
        '{"status":"accepted","log_id":1,"event_id":"e1","duplicate":true}'
      )
      expect(attempts).to all(include("ms" => a_value >= 0, "request_id" => a_string_matching(/\Asandbox-\h{16}\z/),
                                      "verdict" => "The signature is valid."))
    end

    it "keeps events apart whose ids differ at their ends only" do
      %w[a b].each { |last| expect(deliver(event("order_paid", "#{"x" * 300}#{last}"))[0]).to eq(202) }
      deliver(event("order_paid", " e1"))
      deliver(event("order_paid", "e1"))
      expect(messages.map { |each| each["attempts_count"] }).to eq([1] * 4)
    end

    it "keeps a message accepted, whatever fails later" do
      deliver(event)
      ask("POST", "/inbox/faults", { kind: 503 })
      deliver(event)
      expect(messages.first).to include("state" => "accepted", "attempts_count" => 2)
    end

    it "shows what was refused, and why" do
      deliver(event, secret: "wrong")
      deliver({ event: "order_paid" })
      deliver("no JSON")
      expect(messages.map { |message| message.values_at("state", "event_key") })
        .to eq([["rejected", nil], %w[rejected order_paid], %w[rejected order_paid]])
      expect(message["attempts"].first["response_body"]).to match(/the body is not JSON/)
      expect(message["body"]).to eq("no JSON")
    end

    it "has a message for each recipient of a template message" do
      deliver_template({ mobile_no: "+919812345678", name: "Asha" }, { name: "Nobody" }, { mobile_no: "+919812345670" },
                       body: { parameters: ["450.00"] }, language_code: "hi")
      expect(messages.map { |message| message.values_at("kind", "template_name", "message_id", "state", "language") })
        .to eq([%w[template order_update message-2 accepted hi],
                ["template", "order_update", nil, "rejected", "hi"],
                %w[template order_update message-1 accepted hi]])
      refused = message(messages[1]["id"])
      expect(refused["attempts"]).to match([a_hash_including("status" => 200, "error" => "mobile_no is required")])
      expect(refused["preview"]["body"]).to eq("template: order_update\nbody: {\"parameters\":[\"450.00\"]}")
    end

    it "shows of a request with several recipients what belongs to each, and sends only that again" do
      ask("POST", "/inbox/faults", { kind: 500 })
      templates = [{ template_name: "a", recipients: [nil, { mobile_no: "1" }, { name: "x" }] },
                   { template_name: "b", recipients: [{ mobile_no: "1" }, { mobile_no: "1" }] }]
      2.times do
        ask("POST", "/api/v1/whatsapp_messages", { messages: templates },
            "HTTP_AUTHORIZATION" => "Bearer #{sandbox.api_key}")
      end
      listed = messages.reverse.map { |each| message(each["id"]) }
      expect(listed.map { |each| each.values_at("message_id", "state", "attempts_count") })
        .to eq([["message-1", "accepted", 2], [nil, "rejected", 2], ["message-2", "accepted", 2],
                ["message-3", "accepted", 2]])
      expect(listed.map { |each| each["body"] }).to eq(
        ['{"messages":[{"template_name":"a","recipients":[{"mobile_no":"1"}]}]}',
         '{"messages":[{"template_name":"a","recipients":[{"name":"x"}]}]}',
         '{"messages":[{"template_name":"b","recipients":[{"mobile_no":"1"}]}]}',
         '{"messages":[{"template_name":"b","recipients":[{"mobile_no":"1"}]}]}']
      )
      expect(listed.map { |each| JSON.parse(each["attempts"].last["response_body"]) }.first(2)).to eq(
        [{ "success" => true, "errors" => [],
           "queued_messages" => [{ "message_id" => "message-1", "recipient" => "1", "status" => "queued" }] },
         { "success" => true, "queued_messages" => [],
           "errors" => [{ "recipient" => { "name" => "x" }, "message" => "mobile_no is required" }] }]
      )
      ask("POST", "/inbox/messages/#{listed[1]["id"]}/replay")
      expect(messages.map { |each| each["attempts_count"] }).to eq([2, 2, 3, 2])
    end

    it "takes no member of a template message for the sandbox's own" do
      own = { message_id: 7, status: 8, event_id: "e", event_key: "k", log_id: nil, recipient: [], row: 1 }
      2.times { expect(deliver_template({ mobile_no: "1" }, **own)[0]).to eq(200) }
      expect(messages.map { |each| each.values_at("message_id", "state") }).to eq([%w[message-2 accepted],
                                                                                   %w[message-1 accepted]])
      expect(sandbox.messages.map { |each| each.values_at("message_id", "status", "recipient", "event_id") })
        .to eq([["message-1", "delivered", { "mobile_no" => "1" }, "e"],
                ["message-2", "delivered", { "mobile_no" => "1" }, "e"]])
      ask("DELETE", "/inbox")
      expect(sandbox.messages).to eq([])
    end

    it "takes a template message after a failure for the same, and after a success for another" do
      ask("POST", "/inbox/faults", { kind: 500 })
      3.times { deliver_template({ mobile_no: "+919812345678" }) }
      expect(messages.map { |message| message.values_at("state", "attempts_count") })
        .to eq([["accepted", 1], ["accepted", 2]])
    end

    it "filters, also several at once" do
      deliver(event("order_paid", "e1", note: "Kind regards"))
      deliver({ event: "order_sent", event_id: "e2", customer_mobile_no: "+911111111111" })
      deliver(event("order_paid", "e3"), secret: "wrong")
      deliver_template({ mobile_no: "+919812345678", name: "Ravi" })

      {
        "event_key=order_paid" => %w[e3 e1], "event_key=order_update" => [nil], "state=rejected" => %w[e3],
        "kind=template" => [nil], "recipient=%2B919812345678" => [nil, "e3", "e1"],
        "recipient=+91 98123-45678" => [nil, "e3", "e1"], "recipient=ravi" => [nil], "q=kind%20REGARDS" => %w[e1],
        "q=e2" => %w[e2], "q=1111" => %w[e2], "recipient=asha&state=accepted" => %w[e1],
        "event_key=" => [nil, "e3", "e2", "e1"],
        "q=nothing" => [], "limit=1" => [nil]
      }.each do |query, ids|
        expect([query, messages(query.tr(" ", "+")).map { |message| message["event_id"] }]).to eq([query, ids])
      end
    end

    it "gives what is new since a cursor, and says when to begin again" do
      deliver(event("order_paid", "e1"))
      first = get("/inbox/messages")["cursor"]
      expect(get("/inbox/messages?since=#{first}")).to include("messages" => [], "cursor" => first)
      expect(get("/inbox/messages?since=#{first}")).not_to include("reset")

      deliver(event("order_sent", "e2"))
      deliver(event("order_paid", "e1"))
      expect(messages("since=#{first}").map { |message| message["event_id"] }).to eq(%w[e2 e1])
      expect(messages("since=#{first}&event_key=order_sent").size).to eq(1)

      ask("DELETE", "/inbox")
      deliver(event("order_paid", "e3"))
      [first, "nonsense", "0.999", "9" * 40].each do |cursor|
        json = get("/inbox/messages?since=#{cursor}")
        expect([json["reset"], json["messages"].map { |message| message["event_id"] }]).to eq([true, %w[e3]])
      end
    end

    it "says to begin again with a cursor of an earlier run, but not to those who have seen nothing yet" do
      3.times { |number| deliver(event("order_paid", "e#{number}")) }
      cursor = get("/inbox/messages")["cursor"]
      another = described_class.new(SimpleConnect::Sandbox.new)
      allow(self).to receive(:inbox).and_return(another)
      empty = get("/inbox/messages")["cursor"]
      expect(get("/inbox/messages?since=#{cursor}")).to include("reset" => true, "messages" => [])
      4.times { |number| deliver(event("order_paid", "f#{number}")) }
      json = get("/inbox/messages?since=#{cursor}")
      expect([json["reset"], json["messages"].map { |each| each["event_id"] }]).to eq([true, %w[f3 f2 f1 f0]])
      json = get("/inbox/messages?since=#{empty}")
      expect([json["reset"], json["messages"].size]).to eq([nil, 4])
    end

    it "says with an ETag when nothing is new" do
      deliver(event)
      etag = request("GET", "/inbox/messages?q=x")["etag"]
      answer = request("GET", "/inbox/messages?q=x", "HTTP_IF_NONE_MATCH" => etag)
      expect([answer.status, answer.body, answer["etag"]]).to eq([304, "", etag])
      expect(request("GET", "/inbox/messages?q=y", "HTTP_IF_NONE_MATCH" => etag).status).to eq(200)
      ask("POST", "/inbox/faults", { kind: 500 })
      expect(request("GET", "/inbox/messages?q=x", "HTTP_IF_NONE_MATCH" => etag).status).to eq(200)
    end
  end

  describe "GET /inbox/messages/:id" do
    it "shows all there is" do
      deliver(event("order_paid", "e1", amount: "450.00"), "HTTP_COOKIE" => "secret=1", "HTTP_USER_AGENT" => "ours")
      shown = message
      expect(shown).to include("session" => nil, "fields" => { "amount" => "450.00" }, "callbacks" => [],
                               "body" => JSON.generate(event("order_paid", "e1", amount: "450.00")))
      expect(shown["preview"]).to eq("template" => false, "header" => nil, "body" => "amount: 450.00", "footer" => nil,
                                     "buttons" => [], "unfilled" => [])
      headers = shown["attempts"].first["request_headers"]
      expect(headers).to include("user-agent" => "ours", "x-simpleconnect-key-id" => "wa_sec_sandbox")
      expect(headers.keys).not_to include("cookie", "version")
    end

    it "shows no secret and no key" do
      deliver(event)
      deliver_template({ mobile_no: "1" })
      deliver_template({ mobile_no: "2" }, key: "sk_wrong")
      shown = messages.map { |each| message(each["id"]) } + [get("/inbox/status").except("example")]
      expect(shown.to_json).not_to match(/#{sandbox.secret}|#{sandbox.api_key}|#{sandbox.webhook_secret}|sk_wrong/)
    end

    it "says that there is none" do
      expect(ask("GET", "/inbox/messages/m9")).to eq(
        [404, { "error" => 'no message "m9": it may have been cleared, or dropped for newer ones' }]
      )
    end
  end

  describe "faults" do
    it "are planned, applied to deliveries in order, and shown until then" do
      expect(ask("POST", "/inbox/faults", { kind: 503, times: 2 })[0]).to eq(201)
      _, json = ask("POST", "/inbox/faults", { kind: "422" })
      planned = [{ "kind" => 503, "times" => 2, "retry_after" => nil },
                 { "kind" => 422, "times" => 1, "retry_after" => nil }]
      expect([json["faults"], get("/inbox/status")["faults"], get("/inbox/messages")["faults"]]).to all(eq(planned))

      # Looking is no delivery.
      ask("GET", "/api/v1/integrations/sandbox/status")
      expect(Array.new(4) { deliver(event)[0] }).to eq([503, 503, 422, 202])
      expect(get("/inbox/status")["faults"]).to eq([])
    end

    it "can be taken back" do
      ask("POST", "/inbox/faults", { kind: 503 })
      expect(ask("DELETE", "/inbox/faults")).to eq([200, { "faults" => [] }])
      expect(deliver(event)[0]).to eq(202)
    end

    it "send Retry-After" do
      ask("POST", "/inbox/faults", { kind: 429, retry_after: 12 })
      body = JSON.generate(event)
      expect(request("POST", "/api/v1/integrations/sandbox/events", body)["retry-after"]).to eq("12")
    end

    it "let an event seem known, or skip its message; template messages do not take these" do
      ask("POST", "/inbox/faults", { kind: "duplicate" })
      ask("POST", "/inbox/faults", { kind: "skipped" })
      expect(deliver_template({ mobile_no: "1" })[0]).to eq(200)
      expect(deliver(event("order_paid", "e1"))).to match([200, a_hash_including("duplicate" => true)])
      expect(deliver(event("order_paid", "e2"))[0]).to eq(202)
      expect(messages.first(2).map { |message| message.values_at("event_id", "state", "tick", "message_id") })
        .to eq([["e2", "skipped", nil, nil], ["e1", "duplicate", nil, nil]])
      expect(sandbox.events.map { |event| event["status"] }).to eq(%w[skipped])
    end

    it "of `fail_next` show up, too" do
      sandbox.fail_next(502)
      deliver(event)
      expect(message["attempts"]).to match([a_hash_including("status" => 502, "fault" => "502")])
    end

    {
      {} => /\Akind must be a status from 400 to 599, or timeout, reset, /, { kind: 302 } => /\Akind must be/,
      { kind: "explode" } => /\Akind must be/, { kind: [429] } => /\Akind must be/,
      { kind: 429, times: 0 } => "times must be an integer from 1 to 1000",
      { kind: 429, times: "2" } => "times must be an integer from 1 to 1000",
      { kind: 429, retry_after: -1 } => /\Aretry_after must be an integer from 0 to 86400/,
      { kind: "reset", retry_after: 1 } => /\Aretry_after must be .* with a status as kind/
    }.each do |fault, error|
      it("are checked: #{fault}") { expect(ask("POST", "/inbox/faults", fault)).to match([422, { "error" => error }]) }
    end

    it "cut connections only where the server can" do
      expect(ask("POST", "/inbox/faults", { kind: "reset" }))
        .to eq([422, { "error" => "this server cannot cut a connection: run it under Puma" }])
    end

    it "are bounded, in each session" do
      100.times { ask("POST", "/inbox/faults", { kind: 500 }, **session("left behind")) }
      101.times { |number| expect(ask("POST", "/inbox/faults", { kind: 500 })[0]).to eq(number < 100 ? 201 : 422) }

      store = inbox.instance_variable_get(:@store)
      store.write { store.set("faults", store.get("faults") * 5) }
      expect(ask("POST", "/inbox/faults", { kind: 500 }, **session("new"))).to match(
        [422, { "error" => /\A1000 faults are planned already, in all sessions: DELETE/ }]
      )
    end
  end

  describe "a session" do
    it "keeps parallel tests apart: messages, faults, duplicates and clearing" do
      ask("POST", "/inbox/faults", { kind: 500 }, **session("a"))
      expect(deliver(event, **session("b"))[0]).to eq(202)
      expect(deliver(event, **session("a"))[0]).to eq(500)
      expect(deliver(event, **session("a"))[0]).to eq(202)
      expect(deliver(event)[0]).to eq(202)

      expect(messages.size).to eq(3)
      expect(messages(**session("a")).map { |message| message["attempts_count"] }).to eq([2])
      id = messages(**session("b")).first["id"]
      expect(ask("GET", "/inbox/messages/#{id}", **session("a"))[0]).to eq(404)

      expect(ask("DELETE", "/inbox", **session("a"))).to match([200, a_hash_including("cleared" => 1)])
      expect([messages(**session("a")).size, messages.size]).to eq([0, 2])
      expect([deliver(event, **session("a"))[0], deliver(event, **session("b"))[0]]).to eq([202, 200])
      expect(sandbox.events.size).to eq(3)
    end

    it "may have a long name, or one that is not UTF-8" do
      names = ["#{"é" * 60} a", "#{"é" * 60} b", "\xE9", "\xE8", "x" * 100, "#{"x" * 100}y"].map(&:b)
      expect(names.map { |name| deliver(event, **session(name))[0] }).to eq([202] * 6)
      names.each { |name| expect([name, messages(**session(name)).size]).to eq([name, 1]) }
      expect(messages.map { |each| message(each["id"])["session"].bytesize }).to all(be <= 100)
      # Replaying keeps the session.
      messages.each { |each| expect(ask("POST", "/inbox/messages/#{each["id"]}/replay")[1]["status"]).to eq(200) }
      expect(messages.map { |each| each["attempts_count"] }).to eq([2] * 6)
    end

    it "keeps its cursors when another is cleared" do
      %w[a b].each { |name| deliver(event, **session(name)) }
      cursor = get("/inbox/messages", **session("a"))["cursor"]
      ask("DELETE", "/inbox", **session("b"))
      expect(get("/inbox/messages?since=#{cursor}", **session("a"))).to include("messages" => [], "count" => 1)
      expect(get("/inbox/messages?since=#{cursor}", **session("a"))).not_to include("reset")
      expect(ask("GET", "/inbox/wait?timeout=0&since=#{cursor}", **session("a"))[0]).to eq(408)
      # The page sees all sessions.
      expect(get("/inbox/messages?since=#{cursor}")).to include("reset" => true)
      expect(get("/inbox/messages?since=#{cursor}", **session("b"))).to include("reset" => true, "messages" => [])

      cursor = get("/inbox/messages", **session("a"))["cursor"]
      ask("DELETE", "/inbox")
      expect(get("/inbox/messages?since=#{cursor}", **session("a"))).to include("reset" => true, "messages" => [])
    end

    it "is remembered as cleared for a thousand others; then older cursors are too old for all" do
      deliver(event, **session("a"))
      first = get("/inbox/messages")["cursor"]
      ask("DELETE", "/inbox", **session("a"))
      reset = lambda do |name|
        get("/inbox/messages?since=#{first}", **session(name)).fetch("reset", false)
      end
      999.times { |number| ask("DELETE", "/inbox", **session("s#{number}")) }
      expect([reset.call("a"), reset.call("b")]).to eq([true, false])
      ask("DELETE", "/inbox", **session("last"))
      expect([reset.call("a"), reset.call("b")]).to eq([true, true])
    end
  end

  describe "DELETE /inbox" do
    it "forgets everything but the faults" do
      deliver(event)
      ask("POST", "/inbox/faults", { kind: 500 })
      expect(ask("DELETE", "/inbox")).to match([200, { "cleared" => 1, "cursor" => a_kind_of(String) }])
      expect([messages, sandbox.events, get("/inbox/status")["faults"].size]).to eq([[], [], 1])
    end

    it "is part of Sandbox#reset, which forgets the faults, too" do
      deliver(event)
      ask("POST", "/inbox/faults", { kind: 500 })
      sandbox.reset
      expect([messages, sandbox.events, get("/inbox/status")["faults"]]).to eq([[], [], []])
      expect(deliver(event)[0]).to eq(202)
    end
  end

  describe "GET /inbox/wait" do
    it "returns what has come, or says at once that nothing has" do
      deliver(event)
      expect(get("/inbox/wait?event_key=order_paid")["message"]).to include("event_id" => "e1",
                                                                            "attempts" => [anything])
      expect(ask("GET", "/inbox/wait?event_key=order_sent&timeout=0")).to match(
        [408, a_hash_including("error" => "no message matched within 0 s",
                               "seen" => [a_hash_including("event_key" => "order_paid")])]
      )
    end

    it "waits for what comes" do
      waiting = Thread.new { ask("GET", "/inbox/wait?event_key=order_paid&q=e7&timeout=10") }
      deliver(event("order_paid", "e6"))
      deliver(event("order_paid", "e7"))
      expect(waiting.value).to match([200, a_hash_including("message" => a_hash_including("event_id" => "e7"))])
    end

    it "waits for what is new since a cursor" do
      deliver(event)
      cursor = get("/inbox/messages")["cursor"]
      expect(ask("GET", "/inbox/wait?since=#{cursor}&timeout=0.01")[0]).to eq(408)
      deliver(event("order_paid", "e2"))
      expect(get("/inbox/wait?since=#{cursor}&timeout=0")["message"]["event_id"]).to eq("e2")
    end
  end

  describe "POST /inbox/rotate" do
    it "makes a new secret, and accepts the old one until the next" do
      old = sandbox.secret
      status, json = ask("POST", "/inbox/rotate")
      expect([status, json["key_id"], json["secret"]]).to eq([201, "wa_sec_sandbox", sandbox.secret])
      expect(deliver(event("order_paid", "e1"),
                     secret: json["secret"])).to match([202, hash_excluding("used_previous_secret")])
      expect(deliver(event("order_paid", "e2"),
                     secret: old)).to match([202, a_hash_including("used_previous_secret" => true)])
      expect(message["attempts"].first["verdict"])
        .to eq("The signature is valid, but made with the previous secret: switch to the new one.")

      ask("POST", "/inbox/rotate")
      expect(deliver(event("order_paid", "e3"), secret: old)[0]).to eq(401)
      expect(deliver(event("order_paid", "e4"), secret: json["secret"])[0]).to eq(202)
    end
  end

  describe "POST /inbox/messages/:id/replay" do
    it "delivers the same body again, signed again" do
      deliver(event, secret: "wrong")
      id = messages.first["id"]
      expect(ask("POST", "/inbox/messages/#{id}/replay")).to match(
        [200, { "status" => 202, "message" => a_hash_including("state" => "accepted", "attempts_count" => 2) }]
      )
      expect(ask("POST", "/inbox/messages/#{id}/replay")[1]).to include("status" => 200)
      expect(messages.size).to eq(1)
      deliver_template({ mobile_no: "1" })
      expect(ask("POST", "/inbox/messages/#{messages.first["id"]}/replay")[1]).to include("status" => 200)
      expect(messages.size).to eq(3)
    end
  end

  describe "GET /inbox/status" do
    it "says what a page needs" do
      expect(get("/inbox/status")).to match(
        "live" => "poll", "faults" => [], "key_id" => "wa_sec_sandbox", "secret_hint" => "sa… (14 characters)",
        "urls" => { "page" => "http://localhost/", "base_url" => "http://localhost",
                    "endpoint_url" => "http://localhost/api/v1/integrations/sandbox/events",
                    "messages_url" => "http://localhost/api/v1/whatsapp_messages" },
        "receiver" => nil, "count" => 0, "bound" => 1000, "templates" => [], "cursor" => "0.0",
        "example" => a_string_including("SIMPLECONNECT_SECRET=sandbox-secret simple_connect deliver order_paid --to"),
        "version" => SimpleConnect::VERSION
      )
    end

    context "with a secret of one's own" do
      let(:sandbox_options) { { secret: "hunter2" } }

      it "does not show it" do
        expect(get("/inbox/status")).to include("secret_hint" => "(7 characters)",
                                                "example" => a_string_including("SIMPLECONNECT_SECRET=… "))
        expect(get("/inbox/status").to_json).not_to include("hunter2")
      end
    end
  end

  describe "callbacks and incoming messages" do
    it "need a receiver" do
      deliver(event)
      error = { "error" => "there is no receiver: start the sandbox with --callback-url URL, or status_callback_url:" }
      expect(ask("POST", "/inbox/messages/#{messages.first["id"]}/callback", { status: "read" })).to eq([422, error])
      expect(ask("POST", "/inbox/incoming", { mobile_no: "+919812345678", text: "Hi" })).to eq([422, error])
    end

    {
      ["messages/m1/callback", { status: "opened" }] => "status must be one of: delivered, read, failed",
      ["incoming", { mobile_no: 7, text: "Hi" }] => "mobile_no must be a number, such as +919812345678",
      ["incoming", { mobile_no: "+919812345678", text: " " }] => "text is required",
      ["incoming", { mobile_no: "+919812345678", text: "x" * 4097 }] => "text must have at most 4096 characters"
    }.each do |(path, body), error|
      it("are checked: #{error}") { expect(ask("POST", "/inbox/#{path}", body)).to eq([422, { "error" => error }]) }
    end
  end

  it "keeps the last 1,000 messages, and forgets their events with them" do
    1_003.times { |number| deliver(event("order_paid", "e#{number}")) }
    ids = messages.map { |message| message["event_id"] }
    expect([ids.size, ids.first, ids.last, sandbox.events.size]).to eq([1_000, "e1002", "e3", 1_000])
    expect(sandbox.events.last["log_id"]).to eq(1_003)
  end

  it "keeps at most 64 MiB, and the last 50 attempts of a message" do
    stub_const("SimpleConnect::Sandbox::Inbox::Store::MAX_BYTES", 6_400_000)
    10.times { |number| deliver(event("order_paid", "e#{number}", note: "x" * 1_000_000)) }
    expect(messages.size).to eq(6)
    60.times { deliver(event) }
    expect([messages.first["attempts_count"], message["attempts"].size]).to eq([60, 50])
  end

  describe "a request with many recipients" do
    # What a journal would have to store.
    def kept = JSON.generate(inbox.instance_variable_get(:@store).snapshot).bytesize

    it "is kept without repeating it for each" do
      deliver_template(*Array.new(1_500) { |number| { mobile_no: number.to_s } })
      expect([messages.size, kept]).to match([1_000, a_value < 2_500_000])
      expect([messages.first["message_id"], sandbox.messages.size]).to eq(["message-1500", 1_000])
      expect(sandbox.messages.last["message_id"]).to eq("message-1500")
    end

    it "is kept for a few of them, if it has no valid key" do
      deliver_template(*Array.new(1_500) { |number| { mobile_no: number.to_s } }, key: "x", note: "x" * 50_000)
      expect([messages.size, kept]).to match([10, a_value < 1_200_000])
    end

    it "is kept for as many as fit, if each gets a long text or long header fields" do
      recipients = Array.new(300) { |number| { mobile_no: number.to_s } }
      deliver_template(*recipients, note: "x" * 500_000)
      expect([messages.size, sandbox.messages.size]).to eq([16, 16])
      ask("DELETE", "/inbox")
      ask("POST", "/api/v1/whatsapp_messages", { messages: [{ template_name: "t", recipients: }] },
          "HTTP_AUTHORIZATION" => "Bearer #{sandbox.api_key}", "HTTP_X_LONG" => "x" * 100_000)
      expect(messages.size).to be_between(70, 84)
    end
  end

  it "does not keep what was cleared or dropped, nor long texts for the list" do
    stub_const("SimpleConnect::Sandbox::Inbox::Store::MAX_BYTES", 2_000_000)
    polled = Array.new(40) do |number|
      deliver(event("order_paid", "e#{number}", note: "#{"kept once #{number}" * 5} #{" " * 60_000}"))
      messages.size
    end
    expect(polled.last).to be < 35
    lines = inbox.instance_variable_get(:@store).instance_variable_get(:@lines)
    expect([lines.size, lines.values.sum { |line| ObjectSpace.memsize_of(line) }])
      .to match([polled.last, a_value < 1_000 * polled.last])
    sandbox.reset
    expect([messages, lines.size]).to eq([[], 0])
    GC.start
    long = ObjectSpace.each_object(String).count { |text| text.bytesize > 50_000 && text.b.include?("kept once") }
    # The collector takes what the machine's stack has by chance for used.
    expect(long).to be < 10
  end

  describe "the sandbox's own API" do
    it "is served, too" do
      deliver(event)
      signature = SimpleConnect::Signature.sign("", secret: sandbox.secret)
      env = signature.merge("X-SimpleConnect-Key-Id" => sandbox.key_id).transform_keys do |name|
        "HTTP_#{name.upcase.tr("-", "_")}"
      end
      expect(ask("GET", "/api/v1/integrations/sandbox/events/e1", **env)).to match(
        [200, a_hash_including("message" => a_hash_including("data" => a_hash_including("status" => "delivered")))]
      )
      expect(ask("GET", "/nowhere")).to eq([404, { "error" => "not found" }])
    end
  end

  it "belongs to one sandbox, which is not started yet" do
    expect { described_class.new(sandbox) }.to raise_error(SimpleConnect::Error, /has an inbox already/)
  end
end
