# frozen_string_literal: true

require "json"
require "psych"
require "simple_connect/webhooks"

RSpec.describe SimpleConnect::Outbound::Endpoint do
  url = "https://acme.example/hooks"

  def endpoint(**options) = described_class.new(url: "https://acme.example/hooks", **options)

  it "takes everything where nothing else is said" do
    expect(endpoint.to_h).to include(url:, version: nil, filter_types: [], topics: [], active: true, rate_limit: nil,
                                     headers: { headers: {} })
    expect([endpoint.valid?, endpoint.errors, endpoint.frozen?]).to eq([true, [], true])
  end

  it "has a uid and a secret of its own where none is given" do
    one, other = Array.new(2) { endpoint }
    expect([one.uid, other.uid]).to all(match(/\Aep_\h{24}\z/))
    expect([one.secret, other.secret]).to all(match(%r{\Aenps_[A-Za-z0-9+/]{32}\z}))
    expect([one.uid, one.secret]).not_to include(other.uid, other.secret)
  end

  it "has all that it was given" do
    options = { uid: "a-b_c.9", version: "1.0.0", filter_types: ["parcel.sent"], topics: %w[north coast], active: false,
                rate_limit: 10 }
    expect(endpoint(**options, secret: "s3cret").to_h).to include(options)
    expect(endpoint(secret: "s3cret").secret).to eq("s3cret")
  end

  it "has several secrets while one is being rotated, and shows none" do
    given = %w[hush-new hush-old]
    endpoint = endpoint(uid: "a", secret: given)
    given << "later"
    expect([endpoint.secret, endpoint.generated, endpoint.errors]).to eq([%w[hush-new hush-old], [], []])
    expect([endpoint.secret, *endpoint.secret]).to all(be_frozen)
    expect([endpoint.inspect, endpoint.to_h.inspect].grep(/hush/)).to eq([])
  end

  it "equals another of the same members, whatever application it belongs to" do
    options = { uid: "a", secret: %w[new old], headers: { sensitive: { "X-Token" => "hush" } } }
    one, other = Array.new(2) { endpoint(**options) }
    SimpleConnect::Outbound::Application.new(name: "Acme", endpoints: [one])
    expect([one == other, one.eql?(other), one.hash == other.hash]).to eq([true, true, true])
    others = [{ uid: "b" }, { secret: "new" }, { headers: { sensitive: { "X-Token" => "other" } } }, { active: false }]
    expect(others.map { |changes| endpoint(**options, **changes) }).not_to include(one)
    expect(one).not_to eq(one.to_h)
    expect(Array.new(2) { endpoint }.uniq.size).to eq(2)
  end

  it "takes latest for no version, and Symbols for texts" do
    expect(endpoint(version: "latest").version).to be_nil
    expect(endpoint(filter_types: %i[created], topics: %i[north])).to have_attributes(filter_types: %w[created],
                                                                                      topics: %w[north])
  end

  describe "#errors" do
    ten = (1..10).to_h { |number| ["X-#{number}", "v"] }

    fine = {
      uid: ["a", "A-b_c.9", "x" * 255], rate_limit: [1, 2**32], version: %w[1.0.0 ü], filter_types: [[], ["ü"]],
      headers: [nil, {}, { headers: ten, sensitive: ten.transform_keys { |name| "Y#{name}" } },
                { "headers" => { "User-Agent" => "acme", authorization: "Bearer x", "X-N" => 9, "X-B" => "b".b } },
                { sensitive: nil }]
    }
    fine.each do |option, values|
      values.each do |value|
        it("has none for #{option}: #{value.inspect[0, 60]}") { expect(endpoint(option => value).errors).to eq([]) }
      end
    end

    bad = {
      uid: { "" => /\Auid: must be a String of 1 to 255/, "a b" => /a b/, "é" => /uid/, ("x" * 256) => /uid/,
             "a\n" => /uid/, 7 => /not 7/, "\xFF" => /uid/ },
      url: { "acme.example" => /\Aurl: .*is not an http or https URL/, "ftp://acme.example" => /begin it with https/,
             "https://me:pw@acme.example" => /user name or password/, nil => /url/, "https://a\r\nb" => /url/,
             "https://\xFF" => /url/ },
      version: { "" => /version: must be a String, such as "1.0.0", not ""/, 1 => /not 1/, "1\n" => /version/ },
      filter_types: { "parcel.sent" => /filter_types: must be a list, such as \["parcel.sent"\]/, [nil] => /not nil/,
                      [""] => /filter_types/, ["\xFF"] => /filter_types/ },
      topics: { "north" => /topics: must be a list/, [7] => /not 7/ },
      active: { nil => /active: must be true or false, not nil/, "no" => /active/ },
      rate_limit: { 0 => /rate_limit: must be an Integer of 1 or more, the events a second, or nil .*, not 0/,
                    1.5 => /1.5/, "9" => /"9"/ },
      secret: { "" => /secret: must be a String, or several in an Array, and not blank/, " \n" => /secret/,
                7 => /secret/, [] => /secret/, ["new", ""] => /secret/, ["new", nil] => /secret/ },
      headers: {
        "X: 1" => /headers: must be a Hash such as \{ headers: .*, not String/,
        { "X-Tenant" => "9" } => /headers: must be a Hash such as/, { headers: ["X"] } => /headers: must be a Hash/,
        { headers: { "X" => nil } } => /headers: must be a Hash/,
        { headers: ten.merge("X-11" => "v") } => /headers: at most 10 in headers, not 11/,
        { sensitive: ten.merge("X-11" => "v") } => /at most 10 in sensitive, not 11/,
        { headers: { "X-A" => "1", "x-a" => "2" } } => /"x-a" is given twice/,
        { headers: { "X-A" => "1" }, sensitive: { "x-a" => "2" } } => /"x-a" is given twice/,
        { headers: { "Host" => "x" } } => /"Host" is set by this gem: leave it out/,
        { headers: { "X-Simplyq-Signature" => "x" } } => /"X-Simplyq-Signature" is set by this gem/,
        { headers: { "content-length" => "1" } } => /set by this gem/,
        { headers: { "X A" => "1" } } => /invalid header name "X A"/, { headers: { "" => "1" } } => /name/,
        { headers: { "X\xFF" => "1" } } => /name/, { headers: { "X:" => "1" } } => /name/,
        { headers: { "X\r\nY" => "1" } } => /name/,
        { headers: { "X-A" => "\xFF" } } => /headers: the value of "X-A" must be valid UTF-8/,
        { sensitive: { "X-A" => "s" * 8193 } } =>
          /\Aheaders: the value of "X-A" is too long: a sensitive value has at most 8192 bytes, not 8193\z/
      }
    }
    bad.each do |option, values|
      values.each do |value, message|
        it "says what is wrong with #{option}: #{value.inspect[0, 60]}" do
          endpoint = described_class.new(url:, **{ option => value })
          expect(endpoint.errors).to match([message])
          expect([endpoint.valid?, endpoint.frozen?]).to eq([false, true])
          expect { SimpleConnect::Outbound::Application.new(name: "Acme", endpoints: [endpoint]) }
            .to raise_error(SimpleConnect::ConfigurationError, /cannot be used: /)
        end
      end
    end

    ["\r", "\n", "\r\nX-Evil: 1", "\0", "\x7F"].each do |evil|
      %i[headers sensitive].each do |kind|
        it "refuse #{evil.inspect} in #{kind}, and do not show the value" do
          endpoint = endpoint(headers: { kind => { "X-A" => "s3cr3t#{evil}" } })
          message = 'headers: the value of "X-A" must not contain line breaks or other control characters'
          expect(endpoint.errors).to eq([message])
        end
      end
    end

    it "are all told at once" do
      expect(described_class.new(url: "x", uid: "", rate_limit: 0).errors.size).to eq(3)
    end
  end

  it "shows neither its secret nor its sensitive headers' values" do
    endpoint = endpoint(secret: "hush-hush", headers: { headers: { "X-Tenant" => "9" },
                                                        sensitive: { "x-depot-token" => "gate-7" } })
    expect(endpoint.headers).to eq(headers: { "X-Tenant" => "9" }, sensitive: true)
    shown = [endpoint.inspect, endpoint.to_s, endpoint.to_h.inspect,
             JSON.generate(endpoint.to_h)]
    expect(shown.grep(/hush-hush|gate-7/)).to eq([])
    expect { Marshal.dump(endpoint) }.to raise_error(TypeError, /cannot be dumped/)
    expect { Psych.dump(endpoint) }.to raise_error(TypeError, /cannot be dumped/)
  end

  describe "on finding its sensitive headers' values in an answer" do
    def lines(*values)
      endpoint(headers: { sensitive: values.each_with_index.to_h { |value, at| ["X-#{at}", value] } }).header_lines
    end

    it "takes them all out, also where they overlap" do
      expect(lines("s3cr3t", "r3t-hush").redact("a s3cr3t-hush, s3cr3ts3cr3t")).to eq("a [redacted], [redacted]")
    end

    # The least of several: whatever else the machine does only adds to it.
    def cpu(lines, text)
      Array.new(3) do
        start = Process.clock_gettime(Process::CLOCK_THREAD_CPUTIME_ID)
        lines.redact(text)
        Process.clock_gettime(Process::CLOCK_THREAD_CPUTIME_ID) - start
      end.min
    end

    it "takes no longer for long ones that are nearly there than for short ones that are everywhere" do
      short = lines("a" * 29, "a" * 30)
      long = lines("#{"a" * 8189}b", "#{"a" * 8190}b")
      text = "a" * 200_000
      expect(cpu(long, text)).to be < 5 * cpu(short, text)
    end
  end

  it "leaves what it was given as it was" do
    value = +"9"
    headers = { headers: { "X-Tenant" => value } }
    topics = [+"north"]
    endpoint = endpoint(headers:, topics:)
    expect([value, topics, topics[0], headers].none?(&:frozen?)).to be(true)
    topics[0] << "A"
    value << "9"
    expect([endpoint.topics, endpoint.headers]).to eq([["north"], { headers: { "X-Tenant" => "9" } }])
  end

  describe SimpleConnect::Outbound::Application do
    def application(**options) = described_class.new(name: "Acme", **options)

    it "refuses endpoints with the same uid" do
      twins = Array.new(2) { SimpleConnect::Outbound::Endpoint.new(url: "https://acme.example", uid: "twin") }
      expect { application(endpoints: twins) }.to raise_error(SimpleConnect::ConfigurationError, /several have twin\z/)
    end

    it "gives its rate limit to endpoints without one of their own" do
      own, other = [3, nil].map do |limit|
        SimpleConnect::Outbound::Endpoint.new(url: "https://acme.example", rate_limit: limit)
      end
      application = application(endpoints: [own, other], rate_limit: 100)
      expect([own, other].map { |endpoint| application.rate_limit_of(endpoint) }).to eq([3, 100])
    end

    it "finds an endpoint by its uid" do
      endpoint = SimpleConnect::Outbound::Endpoint.new(url: "https://acme.example", uid: "all")
      application = application(endpoints: [endpoint])
      expect([application.endpoint("all"), application.endpoint("none")]).to eq([endpoint, nil])
    end

    it "has its endpoints to itself" do
      one, other = %w[one other].map do |uid|
        SimpleConnect::Outbound::Endpoint.new(url: "https://acme.example", uid:, secret: "s")
      end
      expect(one.application).to be_nil
      first = application(uid: "first", endpoints: [one])
      expect(one.application).to be(first)
      expect { application(uid: "second", endpoints: [other, one]) }
        .to raise_error(SimpleConnect::ConfigurationError,
                        "endpoints: one belongs to the application first already, and cannot belong to second: " \
                        "build another Endpoint")
      # What was refused took none.
      expect([other.application, one.application]).to eq([nil, first])
      expect(application(uid: "second", endpoints: [one.dup, other]).endpoint("one")).to eq(one)
      # The same application once more, with an endpoint replaced.
      again = application(uid: "first", endpoints: [one])
      expect(one.application).to be(again)
    end

    it "refuses what cannot be used", unchecked: true do
      {
        { uid: "a b" } => /\Auid: /, { rate_limit: 0 } => /\Arate_limit: /,
        { retry_schedule: 7 } => /\Aretry_schedule: /,
        { endpoints: ["x"] } => /Endpoints, not String/, { endpoints: {} } => /must be a list of Endpoints, not Hash/
      }.each do |options, message|
        expect { application(**options) }.to raise_error(SimpleConnect::ConfigurationError, message)
      end
    end
  end

  describe SimpleConnect::Outbound::Event do
    it "is sent as JSON, or as the String that it is" do
      bodies = [{ user: 7, name: "é" }, '{"as": "it is"}', nil].map do |payload|
        described_class.new(event_type: "parcel.sent", payload:).body
      end
      expect(bodies).to eq(['{"user":7,"name":"é"}', '{"as": "it is"}', "null"])
    end

    it "has a uid of its own where none is given" do
      uids = Array.new(2) { described_class.new(event_type: "a", payload: {}).uid }
      expect(uids.uniq).to match([/\Aev_\h{24}\z/, /\Aev_\h{24}\z/])
    end

    it "can be made of what it is" do
      event = described_class.new(event_type: :created, payload: { a: 1 }, version: "1", topics: [:north], uid: "e")
      expect(event.to_h).to eq(event_type: "created", payload: '{"a":1}', version: "1", topics: ["north"], uid: "e")
      again = described_class.new(**event.to_h)
      expect([again.to_h, again, again.hash, again.eql?(event)]).to eq([event.to_h, event, event.hash, true])
      expect([described_class.new(**event.to_h, uid: "f"), event.to_h]).not_to include(event)
    end

    it "refuses what could not be sent", unchecked: true do
      {
        { event_type: "" } => /\Aevent_type: must be a String/, { event_type: "a\r\nX-Evil: 1" } => /event_type/,
        { uid: "a\0" } => /uid/, { version: 1 } => /version: .*such as "1.0.0", not 1/,
        { topics: "north" } => /topics: must/, { topics: ["\n"] } => /topics/,
        { payload: "\xFF" } => /payload: must be UTF-8/, { payload: "\xFF".b } => /payload: must be UTF-8/
      }.each do |options, message|
        expect { described_class.new(event_type: "a", payload: {}, **options) }.to raise_error(ArgumentError, message)
      end
    end

    it "does not show its payload" do
      expect(described_class.new(event_type: "a", payload: { password: "hush" }).inspect).not_to include("hush")
    end
  end
end
