# frozen_string_literal: true

require "json"
require "rack"
require "simple_connect/sandbox"

# An inbox as a Rack app, and requests to it. `sandbox_options` and `inbox_options` can be overridden.
RSpec.shared_context "with an inbox" do
  let(:sandbox_options) { {} }
  let(:inbox_options) { {} }
  let(:sandbox) { SimpleConnect::Sandbox.new(**sandbox_options) }
  let!(:inbox) { SimpleConnect::Sandbox::Inbox.new(sandbox, **inbox_options) }

  # Every answer passes Rack's own check of apps.
  def request(verb, path, body = nil, **env)
    if body
      body = JSON.generate(body) unless body.is_a?(String)
      env = { "CONTENT_TYPE" => "application/json", input: body.dup, **env }
    end
    Rack::MockRequest.new(Rack::Lint.new(inbox)).request(verb, path, "HTTP_HOST" => "localhost", **env)
  end

  # Status and JSON.
  def ask(...)
    answer = request(...)
    [answer.status, answer.body.empty? ? nil : JSON.parse(answer.body)]
  end

  def get(path, **env) = ask("GET", path, **env)[1]
  def messages(query = "", **env) = get("/inbox/messages?#{query}", **env)["messages"]
  def message(id = messages.first["id"]) = get("/inbox/messages/#{id}")

  def event(key = "order_paid", id = "e1", **fields)
    { recipient: { name: "Asha", mobile_no: "+919812345678" }, event: { name: key, event_id: id, **fields } }
  end

  # As a client signs it; other header fields as in Rack's env.
  def deliver(json, secret: sandbox.secret, **env)
    body = json.is_a?(String) ? json : JSON.generate(json)
    signature = SimpleConnect::Signature.sign(body, secret:).merge("X-SimpleConnect-Key-Id" => sandbox.key_id)
    signature = signature.transform_keys { |name| "HTTP_#{name.upcase.tr("-", "_")}" }
    ask("POST", "/api/v1/integrations/sandbox/events", body, **signature, **env)
  end

  def deliver_template(*recipients, key: sandbox.api_key, **message)
    body = { messages: [{ message_type: "template", template_name: "order_update", **message, recipients: }] }
    ask("POST", "/api/v1/whatsapp_messages", body, "HTTP_AUTHORIZATION" => "Bearer #{key}")
  end
end
