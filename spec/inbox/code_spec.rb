# frozen_string_literal: true

require "open3"
require "shellwords"
require "simple_connect/rspec"
require_relative "../support/inbox"
require_relative "../support/libraries"

# What the page copies does what the message did.
RSpec.describe SimpleConnect::Sandbox::Inbox, skip: Libraries.missing("puma") do
  include_context "with an inbox"

  # Also what a shell and Ruby would like to read differently.
  let(:fields) do
    { "amount" => "450.00", "note" => "it's \"$HOME\" `id` \\n \#{1 + 1} राम 💥 <b>\n",
      "a-b" => [1, nil, true, { "c d" => 2.5 }] }
  end
  let(:client) do
    SimpleConnect::Client.new(endpoint_url: sandbox.endpoint_url, key_id: sandbox.key_id, secret: sandbox.secret)
  end
  let(:messages_client) { SimpleConnect::MessagesClient.new(base_url: sandbox.url, api_key: sandbox.api_key) }

  before { sandbox.start }
  after { sandbox.stop }

  # As the page gets it, with this sandbox's address.
  def code = get("/inbox/messages/#{messages.first["id"]}", "HTTP_HOST" => sandbox.url.delete_prefix("http://"))["code"]

  def run_curl
    env = { "SIMPLECONNECT_SECRET" => sandbox.secret, "SIMPLECONNECT_API_KEY" => sandbox.api_key }
    out, err, status = Open3.capture3(env, "sh", "-c", code["curl"])
    expect([err, status.success?]).to eq(["", true])
    JSON.parse(out)
  end

  def run_ruby(snippet = code["ruby"])
    client = self.client
    messages = messages_client
    [client, messages] && eval(snippet, binding, __FILE__, __LINE__) # rubocop:disable Security/Eval
  end

  missing = %w[curl openssl].find { |tool| !system("command -v #{tool} > /dev/null") }

  {
    "with a recipient" => ->(it) { it.event("order_paid", "e1", **it.fields.transform_keys(&:to_sym)) },
    "in the flat layout" =>
      ->(it) { { "event" => "order_paid", "event_id" => "e1", "customer_mobile_no" => "+91", **it.fields } },
    "without fields" => ->(_) { { "event" => "order_paid", "event_id" => "e1" } }
  }.each do |name, make|
    it "repeats an event #{name}, as curl", skip: missing && "#{missing} is missing" do
      deliver(make.call(self))
      expect(run_curl).to include("duplicate" => true, "event_id" => "e1")
      expect(messages.size).to eq(1)
    end

    it "repeats an event #{name}, as Ruby" do
      deliver(make.call(self))
      first = message
      ask("DELETE", "/inbox")
      run_ruby(first["code"]["ruby"])
      same = %w[event_key event_id recipient fields state]
      expect(message.slice(*same)).to eq(first.slice(*same))
    end
  end

  it "repeats a template message, as Ruby" do
    deliver_template({ mobile_no: "+919812345678", name: "O'Neil" },
                     language_code: "hi", body: { parameters: ["{{1}}"] })
    expect(run_ruby.data).to be_any_queued
    same = %w[template_name recipient language state]
    expect(messages.map { |message| message.slice(*same) }.uniq.size).to eq(1)
  end

  it "repeats a template message, as curl", skip: missing && "#{missing} is missing" do
    deliver_template({ mobile_no: "+919812345678", name: "O'Neil" })
    expect(run_curl).to include("success" => true)
  end

  it "expects an event in RSpec" do
    deliver(event("order_paid", "e1", **fields.transform_keys(&:to_sym)))
    expect(code["rspec"]).to start_with(<<~RUBY.chomp)
      it "delivers order_paid" do
        expect { your_code }.to deliver_event("order_paid")
    RUBY
    chain = code["rspec"][/\.to (deliver_event.*)\nend/m, 1]
    SimpleConnect.test! do
      client = self.client
      recipient = { mobile_no: "+919812345678", name: "Asha" }
      delivery = -> { client.events.deliver("order_paid", recipient:, event: fields.transform_keys(&:to_sym)) }
      expect(&delivery).to eval(chain, binding, __FILE__, __LINE__) # rubocop:disable Security/Eval
    end
  end

  it "has no code of the sender's, whatever its names and keys are" do
    evil = "x: 1); system(\"echo pwned\"); p(y"
    message = { template_name: "t", evil => 1, "a b" => { evil => 1 }, recipients: [{ mobile_no: "1" }] }
    ask("POST", "/api/v1/whatsapp_messages", { messages: [message] })
    expect(code["ruby"]).to eq(<<~'RUBY')
      messages.messages.deliver(
        template_name: "t",
        "x: 1); system(\"echo pwned\"); p(y" => 1,
        "a b" => { "x: 1); system(\"echo pwned\"); p(y" => 1 },
        recipients: [{ mobile_no: "1" }]
      )
    RUBY

    # An escape sequence may end what a terminal takes for pasted text.
    deliver(event("\e[201~\n\#{1}\"", "e1"))
    expect(code["rspec"]).to start_with("it \"delivers \\e[201~\\n\\\#{1}\\\"\" do\n")
    expect(code["ruby"]).not_to include("\e")
    deliver("\e[201~\nno JSON")
    expect(code.compact.keys).to eq([])
  end

  it "quotes the line for a first event" do
    status = get("/inbox/status", "SCRIPT_NAME" => "/it's $HOME")
    expect(Shellwords.split(status["example"]).first)
      .to eq("SIMPLECONNECT_ENDPOINT_URL=#{status["urls"]["endpoint_url"]}")
  end

  it "has none for what cannot be repeated so" do
    deliver("no JSON")
    expect(code.compact.keys).to eq(%w[curl])
    deliver({ event: "a", event_id: "1", recipient: [1] })
    expect(code["ruby"]).to eq("client.events.deliver(\"a\", { event_id: \"1\", recipient: [1] })\n")
  end
end
