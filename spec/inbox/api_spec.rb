# frozen_string_literal: true

require "json"
require "rack"
require "simple_connect/sandbox"

RSpec.describe SimpleConnect::Sandbox::Inbox do
  let(:options) { {} }
  let(:sandbox_options) { {} }
  let(:sandbox) { SimpleConnect::Sandbox.new(**sandbox_options) }
  let!(:inbox) { described_class.new(sandbox, **options) }

  # Every answer passes Rack's own check of apps.
  def ask(verb, path, body = nil, **env)
    if body
      env = { "CONTENT_TYPE" => "application/json", input: body.is_a?(String) ? body : JSON.generate(body),
              **env }
    end
    answer = Rack::MockRequest.new(Rack::Lint.new(inbox)).request(verb, path, "HTTP_HOST" => "localhost", **env)
    [answer.status, answer.body.empty? ? nil : JSON.parse(answer.body), answer]
  end

  def get(path, **env) = ask("GET", path, **env)[1]

  def deliver(key = "order_paid", id = "e1", secret: sandbox.secret, session: nil, **fields)
    body = JSON.generate(recipient: { name: "Asha", mobile_no: "+919812345678" },
                         event: { name: key, event_id: id, **fields })
    headers = SimpleConnect::Signature.sign(body, secret:).merge("X-SimpleConnect-Key-Id" => sandbox.key_id)
    headers["X-SimpleConnect-Session"] = session if session
    env = headers.transform_keys { |name| "HTTP_#{name.upcase.tr("-", "_")}" }
    ask("POST", "/api/v1/integrations/sandbox/events", body, **env).first(2)
  end

  describe "messages" do
    it "are those that were delivered, the newest first" do
      deliver("order_paid", "e1", amount: "450.00")
      deliver("order_sent", "e2")

      messages = get("/inbox/messages")["messages"]
      expect(messages.map { |message| message["event_key"] }).to eq(%w[order_sent order_paid])
      expect(messages.last).to include(
        "kind" => "event", "event_id" => "e1", "recipient" => { "name" => "Asha", "mobile_no" => "+919812345678" },
        "state" => "accepted", "tick" => "delivered", "attempts_count" => 1, "preview_text" => "amount: 450.00",
        "message_id" => "wamid.sandbox.1"
      )
    end

    it "have one entry for all attempts of an event" do
      ask("POST", "/inbox/faults", { kind: 429, retry_after: 7 })
      expect(deliver.first).to eq(429)
      expect(get("/inbox/messages")["messages"].first).to include("state" => "failed", "tick" => nil)
      deliver

      expect(get("/inbox/messages")["messages"]).to match(
        [a_hash_including("state" => "accepted", "attempts_count" => 2, "tick" => "delivered")]
      )
      message = get("/inbox/messages/#{get("/inbox/messages")["messages"][0]["id"]}")
      expect(message["attempts"]).to match(
        [a_hash_including("status" => 429, "fault" => "429", "retry_after" => 7),
         a_hash_including("status" => 202, "fault" => nil, "verdict" => "The signature is valid.")]
      )
    end
  end
end
