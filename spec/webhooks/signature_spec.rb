# frozen_string_literal: true

require "json"
require "openssl"
require "rack"
require "simple_connect/webhooks"

begin
  require "action_dispatch"
rescue LoadError => e
  # As with Debian's experimental packages of Ruby 3.4.
  no_rails = "there is no Rails for this Ruby: #{e.message}"
end

RSpec.describe SimpleConnect::Signature do
  table = JSON.parse(File.read(File.expand_path("../conformance/own/signatures.json", __dir__)))
  names = %w[Id Signature Timestamp]
  schemes = { simple_connect: "X-SimpleConnect", kiket: "X-Kiket", simplyq: "X-Simplyq" }
            .transform_values { |prefix| names.to_h { |name| [name, "#{prefix}-#{name}"] } }
            .merge(standard_webhooks: names.to_h { |name| [name, "webhook-#{name.downcase}"] })
  bytes = ->(value) { value.is_a?(Hash) ? value["$bytes"].unpack1("m") : value }

  # As Ruby's own OpenSSL signs; the engine is not asked.
  def self.by_openssl(scheme, key, timestamp, body)
    separator = scheme == :simplyq ? "" : "."
    id = "msg_7." if scheme == :standard_webhooks
    mac = OpenSSL::HMAC.digest("SHA256", key, "#{id}#{timestamp}#{separator}".b + body.b)
    { simple_connect: "sha256=#{mac.unpack1("H*")}", kiket: mac.unpack1("H*"), simplyq: [mac].pack("m0"),
      standard_webhooks: "v1,#{[mac].pack("m0")}" }.fetch(scheme)
  end

  # The secret with this key.
  def self.secret(scheme, key) = scheme == :standard_webhooks ? "whsec_#{[key].pack("m0")}" : key

  # The id that `by_openssl` signs, where the scheme has one.
  def self.message(scheme) = scheme == :standard_webhooks ? { id: "msg_7" } : {}

  define_method(:headers_of) do |scheme, signature, timestamp, id = self.class.message(scheme)[:id]|
    schemes.fetch(scheme).values.zip([id, signature, timestamp]).to_h.compact
  end

  def reason_of(...)
    described_class.verify!(...)
    nil
  rescue SimpleConnect::SignatureVerificationError => e
    e.reason
  end

  table["answers"].each do |answer|
    scheme = answer["scheme"].to_sym
    body = bytes[answer["body"]]
    timestamp = answer["timestamp"]

    it "gives the known answer of #{scheme} for #{body.inspect} at #{timestamp}, and takes it" do
      signed = described_class.sign(body, secret: answer["secret"], scheme:, timestamp:, id: answer["id"])

      expect(signed).to eq(headers_of(scheme, answer["signature"], timestamp.to_s, answer["id"]))
      expect(described_class.verify!(body, signed, secret: answer["secret"], scheme:, now: timestamp)).to eq(0)
    end
  end

  table["verdicts"].each do |row|
    scheme = row["scheme"].to_sym
    verdict = row["reason"]&.to_sym || row["secret"]

    it "finds #{verdict} with #{scheme}: #{row["name"]}" do
      body = bytes[row["body"]]
      headers = headers_of(scheme, bytes[row["signature"]], bytes[row["timestamp"]], bytes[row["id"]])
      options = { secret: row["secrets"], scheme:, tolerance: row["tolerance"], now: row["now"] }

      if verdict.is_a?(Symbol)
        expect(reason_of(body, headers, **options)).to eq(verdict)
        expect(described_class.valid?(body, headers, **options)).to be(false)
      else
        expect(described_class.verify!(body, headers, **options)).to eq(verdict)
        expect(described_class.valid?(body, headers, **options)).to be(true)
      end
    end
  end

  it "has every reason in its table, for every scheme" do
    reasons = table["verdicts"].group_by { |row| row["scheme"] }
    expect(reasons.transform_values { |rows| rows.filter_map { |row| row["reason"] }.uniq.sort }).to eq(
      "simple_connect" => %w[malformed_timestamp mismatch missing_signature missing_timestamp too_new too_old],
      "kiket" => %w[malformed_timestamp mismatch missing_signature missing_timestamp too_new too_old],
      "simplyq" => %w[mismatch missing_signature missing_timestamp too_new too_old],
      "standard_webhooks" => %w[malformed_id malformed_timestamp mismatch missing_id missing_signature missing_timestamp
                                too_new too_old]
    )
  end

  schemes.each_key do |scheme|
    it "signs by #{scheme} as Ruby's OpenSSL does, and refuses whatever has a bit flipped" do
      seed = Random.new_seed
      random = Random.new(seed)
      200.times do
        key = "sec-#{random.bytes(random.rand(150))}"
        secret = self.class.secret(scheme, key)
        body = random.bytes(1 + random.rand(300))
        timestamp = random.rand(10**12)
        signature = self.class.by_openssl(scheme, key, timestamp, body)
        options = { scheme:, now: timestamp, tolerance: 10**12 }

        signed = described_class.sign(body, secret:, scheme:, timestamp:, **self.class.message(scheme))
        expect(signed).to eq(headers_of(scheme, signature, timestamp.to_s)), "seed #{seed}"
        expect(described_class.verify!(body, signed, secret:, **options)).to eq(0), "seed #{seed}"

        flip = lambda do |text|
          place = random.rand(text.bytesize)
          text.dup.tap { |copy| copy.setbyte(place, copy.getbyte(place) ^ (1 << random.rand(8))) }
        end
        expect(reason_of(flip[body], signed, secret:, **options)).to eq(:mismatch), "body, seed #{seed}"
        other = self.class.secret(scheme, flip[key])
        expect(reason_of(body, signed, secret: other, **options)).to eq(:mismatch), "secret, seed #{seed}"
        expect(reason_of(body, headers_of(scheme, flip[signature], timestamp.to_s), secret:, **options))
          .to eq(:mismatch), "signature, seed #{seed}"
        other = timestamp.to_s.tap { |digits| digits.setbyte(-1, digits.getbyte(-1) ^ 1) }
        expect(reason_of(body, headers_of(scheme, signature, other), secret:, **options))
          .to eq(:mismatch), "timestamp, seed #{seed}"
      end
    end
  end

  it "takes no scheme's signature for another's, but that of simple_connect for kiket's" do
    schemes.keys.product(schemes.keys).each do |signed, asked|
      sent = described_class.sign("{}", secret: "c2Vj", scheme: signed, timestamp: 7, **self.class.message(signed))
      signature, timestamp = sent.values_at(*schemes[signed].values_at("Signature", "Timestamp"))
      headers = headers_of(asked, signature, timestamp)
      taken = described_class.valid?("{}", headers, secret: "c2Vj", scheme: asked, now: 7)
      expect(taken).to eq(signed == asked || [signed, asked] == %i[simple_connect kiket]), "#{signed} as #{asked}"
    end
  end

  describe "with Standard Webhooks" do
    options = { secret: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", scheme: :standard_webhooks }

    it "gives a message an id of its own where none is passed" do
      ids = Array.new(2) { described_class.sign("{}", **options)["webhook-id"] }
      expect(ids).to all(match(/\Amsg_\h{24}\z/))
      expect(ids.uniq.size).to eq(2)
    end

    it "signs with all of several secrets, and each of them is enough" do
      both = described_class.sign("{}", **options, secret: %w[whsec_bmV3 whsec_b2xk], timestamp: 7)
      expect(both["webhook-signature"]).to match(/\Av1,\S{44} v1,\S{44}\z/)
      %w[whsec_bmV3 whsec_b2xk b2xk].each do |secret|
        expect(described_class.verify!("{}", both, **options, secret:, now: 7)).to eq(0)
      end
    end

    it "refuses a secret that is not base64, without showing it" do
      ["whsec_hunter2!", "hunter two", "whsec_", "\xFF", "whsec_abc-def_"].each do |secret|
        expect { described_class.sign("{}", **options, secret:) }.to raise_error(
          SimpleConnect::ConfigurationError,
          "secret: with the scheme :standard_webhooks, it must be whsec_ and base64, such as " \
          "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
        )
      end
    end

    it "refuses an id that could be exchanged with the body, or cannot be a header; and any for other schemes" do
      ["", "a.b", "a b", "a\n", "é", "x" * 256].each do |id|
        expect { described_class.sign("{}", **options, id:) }
          .to raise_error(ArgumentError, /\Aid: must be a String of 1 to 255 visible ASCII characters without a dot/)
      end
      expect { described_class.sign("{}", secret: "s", id: "msg_7") }
        .to raise_error(ArgumentError, "id: is only for the scheme :standard_webhooks")
    end

    it "names its headers in errors, and finds them in a Rack env" do
      signed = SimpleConnect::Webhooks::TestHelpers.signed_env("{}", **options, id: "msg_7")
      expect(described_class.verify!("{}", signed, **options)).to eq(0)
      signed.delete("HTTP_WEBHOOK_ID")
      expect { described_class.verify!("{}", signed, **options) }.to raise_error do |error|
        expect(error.to_h).to eq(error: "webhook-id is missing", reason: :missing_id)
      end
    end

    it "tells requests apart by their ids, and knows a copy" do
      app = SimpleConnect::Webhooks::App.new(**options)
      app.register("order.paid", version: "1") { { taken: true } }
      answers = %w[msg_7 msg_7 msg_8].map do |id|
        env = SimpleConnect::Webhooks::TestHelpers.signed_env("{}", **options, id:, timestamp: Time.now)
        Rack::MockRequest.new(app).post("/v/1/webhooks/order.paid", input: "{}", **env).body
      end
      expect(answers).to eq(['{"taken":true}', '{"ok":true,"duplicate":true}', '{"taken":true}'])
    end
  end

  it "has a window of 300 seconds in both directions, unless told otherwise" do
    headers = described_class.sign("{}", secret: "s", timestamp: 1_700_000_000)
    reasons = [-301, -300, -299, 299, 300, 301].map do |age|
      reason_of("{}", headers, secret: "s", now: Time.at(1_700_000_000 + age))
    end
    expect(reasons).to eq([:too_new, nil, nil, nil, nil, :too_old])
    expect(reason_of("{}", headers, secret: "s", now: 1_700_086_400, tolerance: 86_400)).to be_nil
    expect(reason_of("{}", headers, secret: "s", now: 0, tolerance: Float::INFINITY)).to be_nil
  end

  it "takes and gives the present time by default" do
    headers = described_class.sign("{}", secret: "s")
    expect(Integer(headers["X-SimpleConnect-Timestamp"])).to be_within(5).of(Time.now.to_i)
    expect(described_class.verify!("{}", headers, secret: "s")).to eq(0)
  end

  # With simplyq nothing stands between timestamp and body.
  it "refuses a digit that was moved from the body into the timestamp, as that is far in the future" do
    signature = described_class.sign("1{}", secret: "s", scheme: :simplyq, timestamp: 1_700_000_000).values.first
    moved = headers_of(:simplyq, signature, "17000000001")

    expect(reason_of("{}", moved, secret: "s", scheme: :simplyq, now: 1_700_000_000)).to eq(:too_new)
  end

  it "tells which of several secrets has signed, and signs with all where there is room" do
    old = described_class.sign("{}", secret: "old", timestamp: 7)
    expect(described_class.verify!("{}", old, secret: %w[new old], now: 7)).to eq(1)

    both = described_class.sign("{}", secret: %w[new old], scheme: :simplyq, timestamp: 7)
    expect(both["X-Simplyq-Signature"].split(",").length).to eq(2)
    expect(%w[new old].map { |secret| described_class.verify!("{}", both, secret:, scheme: :simplyq, now: 7) })
      .to eq([0, 0])
    expect(described_class.sign("{}", secret: %w[new old], timestamp: 7))
      .to eq(described_class.sign("{}", secret: "new", timestamp: 7))
  end

  describe "finds the headers in" do
    signed = SimpleConnect::Signature.sign("{}", secret: "s", timestamp: 7)
    signature, timestamp = signed.values
    env = { "HTTP_X_SIMPLECONNECT_SIGNATURE" => signature, "HTTP_X_SIMPLECONNECT_TIMESTAMP" => timestamp }

    {
      "a Hash" => signed,
      "a Hash in lower case" => signed.transform_keys(&:downcase),
      "a Hash in upper case" => signed.transform_keys(&:upcase),
      "a Hash with underscores" => signed.transform_keys { |name| name.tr("-", "_") },
      "a Hash of Symbols" => signed.transform_keys { |name| name.downcase.tr("-", "_").to_sym },
      "a Hash of lists, as Net::HTTP has it" => signed.transform_keys(&:downcase).transform_values { |value| [value] },
      "a Rack env" => { "rack.input" => nil, 7 => 8, **env },
      "Rack's own headers" => (defined?(Rack::Headers) ? Rack::Headers : Rack::Utils::HeaderHash).new.merge(signed)
    }.each do |name, headers|
      it(name) { expect(described_class.verify!("{}", headers, secret: "s", now: 7)).to eq(0) }
    end

    it "the headers of Rails", skip: no_rails do
      headers = ActionDispatch::Request.new(Rack::MockRequest.env_for("/", env)).headers
      expect(described_class.verify!("{}", headers, secret: "s", now: 7)).to eq(0)
    end
  end

  it "raises its one error, whatever the network sends" do
    random = Random.new(1)
    headers = Array.new(300) { headers_of(:simplyq, random.bytes(random.rand(60)), random.bytes(random.rand(14))) }
    headers << { "\xFF" => "\xFF", nil => nil } << { "X-Simplyq-Signature" => [nil, 1], "X-Simplyq-Timestamp" => 7 }

    expect(headers.map { |each| reason_of(random.bytes(20), each, secret: "s", scheme: :simplyq) }).to all(be_a(Symbol))
    expect(reason_of(nil, {}, secret: "s")).to eq(:missing_signature)
  end

  it "says what is wrong, and what has come only by its reason" do
    headers = described_class.sign("{}", secret: "hunter2", timestamp: 7)

    expect { described_class.verify!("{}", headers, secret: "hunter2", now: 1000) }.to raise_error do |error|
      expect(error).to be_a(SimpleConnect::Error)
      expect(error.to_h).to eq(error: "X-SimpleConnect-Timestamp is more than 300 s old", reason: :too_old)
    end
  end

  describe "a programmer's mistake" do
    {
      { secret: nil } => "secret is required, and must not be blank",
      { secret: " \t" } => "secret is required, and must not be blank",
      { secret: [] } => "secret is required",
      { secret: ["s", ""] } => "secret is required, and must not be blank",
      { secret: 7 } => "secret: must be a String, or several in an Array, not Integer",
      { secret: "s", scheme: :md5 } =>
        "scheme: must be one of :simple_connect, :kiket, :simplyq, :standard_webhooks, not :md5",
      { secret: "s", tolerance: -1 } => "tolerance: must be a number of seconds, such as 300, not -1",
      { secret: "s", tolerance: "5" } => 'tolerance: must be a number of seconds, such as 300, not "5"',
      { secret: "s", tolerance: Float::NAN } => "tolerance: must be a number of seconds, such as 300, not NaN"
    }.each do |options, message|
      it "is a ConfigurationError: #{options}", unchecked: true do
        expect { described_class.verify!("{}", {}, **options) }
          .to raise_error(SimpleConnect::ConfigurationError, message)
        next if options.key?(:tolerance)

        expect { described_class.sign("{}", **options) }.to raise_error(SimpleConnect::ConfigurationError, message)
      end
    end

    it "is an ArgumentError where it is in a call", unchecked: true do
      not_text = /\Abody must be the raw body as a String, such as request.body.read, not Hash/
      expect { described_class.sign({}, secret: "s") }.to raise_error(ArgumentError, not_text)
      expect { described_class.verify!({}, {}, secret: "s") }.to raise_error(ArgumentError, not_text)
      expect { described_class.verify!("", [], secret: "s") }.to raise_error(ArgumentError, /\Aheaders must be a Hash/)
      [-1, 10**12, "7", Float::NAN, nil].each do |timestamp|
        expect { described_class.sign("{}", secret: "s", timestamp:) }
          .to raise_error(ArgumentError, /\Atimestamp: must be a Time, or the seconds since 1970, not /)
      end
    end
  end

  it "keeps its secrets to itself" do
    keys = SimpleConnect.const_get(:SigningKeys).of("hunter2", :kiket)

    expect(keys.inspect).not_to include("hunter2")
    expect { Marshal.dump(keys) }.to raise_error(TypeError)
  end
end

RSpec.describe "SimpleConnect::Webhooks.construct_event" do
  it "gives a request once where a guard remembers it" do
    guard = SimpleConnect::Webhooks::ReplayGuard.new
    now = Time.now
    construct = lambda do |body, secret: "s", **options|
      headers = SimpleConnect::Signature.sign(body, secret:, timestamp: now)
      SimpleConnect::Webhooks.construct_event(body, headers, secret: %w[s t], replay_guard: guard, **options)
    end
    expect([construct['{"a":1}'], construct['{"a":2}']].map(&:to_h)).to eq([{ "a" => 1 }, { "a" => 2 }])
    %w[s t].each do |secret|
      expect { construct.call('{"a":1}', secret:) }
        .to raise_error(SimpleConnect::ReplayError, "this request was received before")
    end
    # What is not believed, or is no event, is not remembered.
    2.times { expect { construct["{"] }.to raise_error(SimpleConnect::MalformedPayloadError) }
    2.times { expect { construct.call("{}", secret: "x") }.to raise_error(SimpleConnect::SignatureVerificationError) }
    expect(guard.size).to eq(2)
  end

  describe "with a block" do
    let(:guard) { SimpleConnect::Webhooks::ReplayGuard.new }
    let(:headers) { SimpleConnect::Signature.sign('{"a":1}', secret: "s") }

    def handle(guard: self.guard, &block)
      SimpleConnect::Webhooks.construct_event('{"a":1}', headers, secret: "s", replay_guard: guard, &block)
    end

    it "gives the event, and what the block gives; a copy comes only where the work failed" do
      expect { handle { raise KeyError } }.to raise_error(KeyError)
      expect(catch(:out) { handle { throw :out, 7 } }).to eq(7)
      Thread.new { handle { Thread.exit } }.join
      expect(handle { |event| event["a"] + 1 }).to eq(2)
      expect { handle { raise } }.to raise_error(SimpleConnect::ReplayError, "this request was received before")
    end

    it "says so to a copy of what is under way" do
      inner = nil
      handle do
        handle { nil }
      rescue SimpleConnect::ReplayError => e
        inner = e
      end
      expect(inner).to be_under_way
    end

    it "takes a guard that has first_time? alone, and none at all" do
      keys = []
      first_times = Object.new
      first_times.define_singleton_method(:first_time?) { |key| !keys.include?(key) && keys.push(key) }
      first_times.define_singleton_method(:forget) { |key| keys.delete(key) }
      expect { handle(guard: first_times) { raise KeyError } }.to raise_error(KeyError)
      expect(handle(guard: first_times) { 7 }).to eq(7)
      expect { handle(guard: first_times) { 7 } }.to raise_error(SimpleConnect::ReplayError)
      expect(Array.new(2) { handle(guard: nil) { |event| event["a"] } }).to eq([1, 1])
    end
  end

  def construct(body, **options)
    headers = SimpleConnect::Signature.sign(body, secret: "s")
    SimpleConnect::Webhooks.construct_event(body, headers, secret: "s", **options)
  end

  it "gives the payload of a request that is believed" do
    event = construct('{"order":{"items":[{"sku":"é"}]},"paid":false}'.b)

    expect([event[:paid], event["order"], event.dig(:order, "items", 0, :sku), event["none"]])
      .to eq([false, { "items" => [{ "sku" => "é" }] }, "é", nil])
    expect(event.to_h).to eq(event.data)
    expect(event).to eq(SimpleConnect::Webhooks::InboundEvent.new(event.to_h))
    expect(event.inspect).to eq("#<SimpleConnect::Webhooks::InboundEvent order, paid>")
  end

  it "believes nothing else, however well formed" do
    headers = SimpleConnect::Signature.sign("{}", secret: "other")
    expect { SimpleConnect::Webhooks.construct_event("{}", headers, secret: "s") }
      .to raise_error(SimpleConnect::SignatureVerificationError, /does not match/)
    expect { construct("{", tolerance: 300, now: Time.now + 600) }
      .to raise_error(SimpleConnect::SignatureVerificationError)
  end

  { "" => "not JSON", "{" => "not JSON", "[]" => "not an object", "null" => "not an object", "7" => "not an object",
    "\xFF" => "not UTF-8", "{\"a\":\"\xFF\"}" => "not UTF-8", "{} {}" => "not JSON" }.each do |body, complaint|
    it "refuses #{body.inspect} that is believed" do
      expect { construct(body) }.to raise_error(SimpleConnect::MalformedPayloadError, /#{complaint}/)
    end
  end
end
