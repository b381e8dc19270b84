# frozen_string_literal: true

require "json"
require "simple_connect/webhooks"

RSpec.describe SimpleConnect::Outbound::Router do
  table = JSON.parse(File.read(File.expand_path("../conformance/own/routing.json", __dir__)))

  def endpoint(**options) = SimpleConnect::Outbound::Endpoint.new(url: "https://acme.example/hooks", **options)

  def event(type, **options) = SimpleConnect::Outbound::Event.new(event_type: type, payload: {}, **options)

  # Each rule by itself, and then every combination of them.
  table["active"].product(table["versions"]).each do |active, version|
    it "goes by the table, active #{active["endpoint"]}, version #{version["endpoint"].inspect} and " \
       "#{version["event"].inspect}" do
      table["types"].product(table["topics"]).each do |types, topics|
        endpoint = endpoint(active: active["endpoint"], version: version["endpoint"], filter_types: types["endpoint"],
                            topics: topics["endpoint"])
        event = event(types["event"], version: version["event"], topics: topics["event"])
        expected = [active, version, types, topics].all? { |rule| rule["matches"] }
        row = [active, version, types, topics].inspect
        expect(endpoint.matches?(event)).to be(expected), row
        expect(described_class.new([endpoint]).route(event)).to eq(expected ? [endpoint] : []), row
      end
    end
  end

  it "finds what a look at each endpoint would find, in their order" do
    seed = Random.new_seed
    random = Random.new(seed)
    some = ->(from, most) { from.sample(random.rand(most + 1), random:) }
    versions = [nil, "latest", "1.0.0", "2.0.0"]
    texts = %w[parcel.sent parcel.packed north coast North é]
    endpoints = Array.new(300) do
      endpoint(active: random.rand(10).positive?, version: versions.sample(random:), filter_types: some[texts, 3],
               topics: some[texts, 3])
    end
    router = described_class.new(endpoints)
    200.times do
      event = event(texts.sample(random:), version: versions.sample(random:), topics: some[texts, 4])
      expect(router.route(event)).to eq(endpoints.select { |endpoint| endpoint.matches?(event) }), "seed #{seed}"
    end
  end

  it "compares texts whatever encoding they came in" do
    router = described_class.new([endpoint(topics: ["é".encode("ISO-8859-1")], filter_types: ["parcel.é"])])
    expect(router.route(event("parcel.é".encode("UTF-16LE"), topics: ["é"])).size).to eq(1)
    expect(router.route(event("parcel.e\u0301", topics: ["é"])).size).to eq(0)
  end

  it "is not disturbed by what becomes of the list it was made of" do
    endpoints = [endpoint(uid: "one")]
    router = described_class.new(endpoints)
    endpoints.clear
    GC.start
    expect(router.route(event("a")).map(&:uid)).to eq(["one"])
  end

  it "may be shared by threads" do
    router = described_class.new(Array.new(50) { |number| endpoint(topics: ["t#{number % 5}"]) })
    found = Array.new(4) do |topic|
      Thread.new { Array.new(200) { router.route(event("a", topics: ["t#{topic}"])).map(&:topics).uniq }.uniq }
    end
    expect(found.map(&:value)).to eq(Array.new(4) { |topic| [[["t#{topic}"]]] })
  end

  it "refuses endpoints that cannot be used, and what is no event", unchecked: true do
    expect { described_class.new([endpoint(rate_limit: 0)]) }
      .to raise_error(SimpleConnect::ConfigurationError, /\Athe endpoint ep_\h+ cannot be used: rate_limit: /)
    expect { described_class.new([]).route("parcel.sent") }.to raise_error(ArgumentError, /Event, not String/)
  end
end
