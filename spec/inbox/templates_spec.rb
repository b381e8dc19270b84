# frozen_string_literal: true

require "pathname"
require "tmpdir"
require_relative "../support/inbox"

RSpec.describe SimpleConnect::Sandbox::Inbox do
  include_context "with an inbox"

  around { |example| Dir.mktmpdir { |dir| (@dir = dir) && example.run } }

  let(:path) { "#{@dir}/templates.yml" }
  let(:inbox_options) { { templates: path.tap { |file| File.write(file, templates) } } }
  let(:templates) { <<~YAML }
    - event_key: order_paid
      language: en
      header: "Receipt {{order.id}}"
      body: |
        Dear {{name}}, we got *{{ amount }}* for {{items}}.
        {{missing}} and {{missing}} again
      footer: Milkways, {{recipient.mobile_no}}
      buttons:
        - Call us
        - text: Order {{order.id}}
          url: https://shop.test/{{amount}}
    - event_key: order_paid
      language: hi
      body: "धन्यवाद {{1}}, {{2}} {{3}}"
      parameters: [name, amount]
    - event_key: order_update
      body: "Hello {{1}}, {{2}}"
      header: "{{1}}"
  YAML

  def preview = message["preview"]

  it "fills a template with the event's fields and the recipient" do
    deliver(event("order_paid", "e1", amount: "450.00", items: [1, "x"], "order.id": 7))
    expect(preview).to eq(
      "template" => true, "header" => "Receipt 7",
      "body" => "Dear Asha, we got *450.00* for [1,\"x\"].\n{{missing}} and {{missing}} again",
      "footer" => "Milkways, +919812345678", "unfilled" => ["{{missing}}"],
      "buttons" => [{ "text" => "Call us", "url" => nil, "phone" => nil },
                    { "text" => "Order 7", "url" => "https://shop.test/450.00", "phone" => nil }]
    )
    line = 'Dear Asha, we got *450.00* for [1,"x"]. {{missing}} and {{missing}} again'
    expect(messages.first["preview_text"]).to eq(line)
    expect(messages("q=we%20got").size).to eq(1)
  end

  it "does not fill what a field brings along" do
    deliver(event("order_paid", "e1", amount: "{{name}} {{missing}}", items: "", "order.id": nil))
    expect(preview["body"]).to start_with("Dear Asha, we got *{{name}} {{missing}}* for .")
    expect(preview["header"]).to eq("Receipt {{order.id}}")
    expect(preview["unfilled"]).to eq(["{{order.id}}", "{{missing}}"])
  end

  it "has one for each language, and takes the first for another" do
    { "hi" => "धन्यवाद Asha, 1 {{3}}", "hi_IN" => "धन्यवाद Asha, 1 {{3}}", "fr" => /\ADear Asha/, nil => /\ADear Asha/ }
      .each_with_index do |(language, body), index|
        deliver(event("order_paid", "e#{index}", amount: 1, language:))
        expect(preview["body"]).to match(body)
      end
  end

  it "fills the numbers of a template message with its parameters" do
    deliver_template({ mobile_no: "1", name: "Asha" }, body: { parameters: ["450.00", { type: "text", text: "two" }] },
                                                       header: { parameters: "odd" })
    expect(preview).to include("body" => "Hello 450.00, two", "header" => "{{1}}", "unfilled" => ["{{1}}"])
  end

  it "are listed" do
    expect(get("/inbox/status")["templates"]).to eq(
      [%w[order_paid en], %w[order_paid hi], ["order_update", nil]]
        .map { |key, language| { "event_key" => key, "language" => language } }
    )
  end

  describe "a file" do
    def refused(text)
      File.write(path, text)
      expect { described_class.new(SimpleConnect::Sandbox.new, templates: Pathname(path)) }
        .to raise_error(SimpleConnect::ConfigurationError) { |error| return error.message.sub(@dir, "") }
    end

    let(:inbox_options) { {} }

    {
      "a: b" => "must be a list: begin each template with `- event_key: …`", "" => /must be a list/,
      "- [" => /\Ais invalid: .* at line 2/, "- &a [*a]" => /is invalid|mapping/,
      "- !ruby/object:Object {}" => /is invalid/,
      "- 7" => "has a template 1 that is not a mapping: write `- event_key: …`",
      "- {event_key: a, body: b}\n- {event_key: c}" => "has no body in template 2",
      "- {body: b}" => "has no event_key in template 1", "- {event_key: a, body: ' '}" => "has no body in template 1",
      "- {event_key: a, body: b, bodies: c}" =>
        'has an unknown member in template 1: "bodies" ' \
        "(known: event_key, language, header, body, footer, buttons, parameters)",
      "- {event_key: a, body: [b]}" => "must have a text as body in template 1, not Array",
      "- {event_key: a, body: b, buttons: c}" => "must have a list as buttons in template 1, not String",
      "- {event_key: a, body: b, buttons: [{url: c}]}" => "has a button without text in template 1",
      "- {event_key: a, body: b, parameters: [{}]}" => "must have a text as parameters in template 1, not Hash",
      "- {event_key: a, body: b, language: en}\n- {event_key: a, body: c, language: en}" =>
        "has two templates for a, en",
      "- {event_key: a, body: \xFF}" => "is not UTF-8"
    }.each do |text, error|
      it "is refused: #{text.scrub.inspect}" do
        message = refused(text)
        expect(message).to start_with("templates: /templates.yml ")
        expect(message.delete_prefix("templates: /templates.yml ")).to match(error)
      end
    end

    it "must be there, and be a file", unchecked: true do
      { "#{@dir}/none.yml" => /cannot be read: No such file/, @dir => /cannot be read: Is a directory/,
        7 => /must be the path of a file, not 7/ }.each do |file, error|
        expect { described_class.new(SimpleConnect::Sandbox.new, templates: file) }
          .to raise_error(SimpleConnect::ConfigurationError, error)
      end
    end
  end
end
