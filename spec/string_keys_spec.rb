# frozen_string_literal: true

require "json"
require_relative "support/delivering"

RSpec.describe "Arguments that were JSON, such as a job's" do
  include Delivering

  def arguments(**changes)
    JSON.parse(JSON.generate({ recipient: { name: "Asha", mobile_no: "+919812345678" },
                               event: { event_id: "e", occurred_at: "t", name: "A name", amount: "1" }, **changes }))
  end

  def sent(**options)
    serve(Delivering::ACCEPTED) do |server|
      yield client_of(server, **options).events
      server.requests.map { |request| JSON.parse(request.body) }
    end
  end

  nested = { "recipient" => { "name" => "Asha", "mobile_no" => "+919812345678" },
             "event" => { "event_id" => "e", "occurred_at" => "t", "amount" => "1", "name" => "order_paid",
                          "language" => "en" } }
  indifferent = Class.new(Hash) { def fetch(key, *default) = super(key.to_s, *default) }

  forms = {
    "as keywords" => ->(events, arguments) { events.deliver("order_paid", **arguments) },
    "by position" => ->(events, arguments) { events.deliver("order_paid", arguments) },
    "by position, with Symbols" => lambda do |events, arguments|
      events.deliver("order_paid", arguments.transform_keys(&:to_sym))
    end,
    "as pairs" => ->(events, arguments) { events.deliver("order_paid", arguments.to_a) },
    "in both ways" => lambda do |events, arguments|
      events.deliver("order_paid", arguments.slice("recipient"), **arguments.slice("event"))
    end,
    "half as a Symbol" => lambda do |events, arguments|
      events.deliver("order_paid", **arguments.slice("event"), recipient: arguments["recipient"])
    end,
    "in a Hash that takes either" => lambda do |events, arguments|
      events.deliver("order_paid", indifferent.new.merge!(arguments))
    end,
    "through deliver!" => ->(events, arguments) { events.deliver!("order_paid", arguments) },
    "through deliver_all" => ->(events, arguments) { events.deliver_all([["order_paid", arguments]]) }
  }
  forms.each do |form, deliver|
    [nil, :nested].each do |envelope|
      # What checks signatures takes Strings as keywords for another position.
      unchecked = form == "in both ways"
      it "are sent in the nested layout: #{form}, with envelope: #{envelope.inspect}", unchecked: do
        expect(sent(envelope:) { |events| deliver.call(events, arguments) }).to eq([nested])
      end
    end
  end

  it "are held against event_keys:" do
    sent(event_keys: %w[order_sent]) do |events|
      expect { events.deliver("order_paid", arguments) }.to raise_error(SimpleConnect::UnknownEventError)
    end
  end

  it "are refused where fields stand beside them", unchecked: true do
    sent do |events|
      message = "with recipient:, put everything else into event:, including event_id; write " \
                "deliver(event_key, recipient: { … }, event: { … })"
      expect { events.deliver("order_paid", arguments(event_id: "x")) }.to raise_error(ArgumentError, message)
      expect { events.deliver("order_paid", arguments, event_id: "x") }.to raise_error(ArgumentError, message)
    end
  end

  it "are refused without a recipient, instead of being sent without the event key" do
    bare = { "event" => { "event_id" => "e" } }
    forms = [->(events) { events.deliver("a", bare) }, ->(events) { events.deliver("a", **bare) },
             ->(events) { events.deliver("a", event: { event_id: "e" }) }]
    sent do |events|
      expect(forms.map { |form| refusal { form.call(events) } })
        .to all(start_with("recipient: is required if event: is a Hash"))
      expect(events.deliver_all([["a", bare]]).first.error).to start_with("ArgumentError: recipient: is required")
    end
    sent(envelope: :flat) do |events|
      expect(forms.map { |form| refusal { form.call(events) } })
        .to all(eq("event: must not be a Hash: this client was built with envelope: :flat"))
    end
  end

  def refusal
    yield
    "not refused"
  rescue ArgumentError => e
    e.message
  end

  it "remain fields where they are no Hashes" do
    flat = { "recipient" => "Asha", "event_id" => "e", "occurred_at" => "t", "language" => "hi", "n" => { "a" => 1 } }
    bodies = sent do |events|
      events.deliver("order_paid", flat)
      events.deliver("order_paid", **flat)
    end
    expect(bodies).to eq([{ "event" => "order_paid", **flat }] * 2)
  end
end
