# frozen_string_literal: true

require "json"
require "open3"
require "rbconfig"
require_relative "support/json_texts"

# Requests' bodies and answers' data.
RSpec.describe "Codec" do
  let(:codec) { SimpleConnect.const_get(:Codec) }

  # A random value of all kinds that JSON knows, `depth` levels deep at the most.
  def random_value(random, depth)
    case random.rand(depth.positive? ? 10 : 7)
    when 0 then [nil, true, false].sample(random:)
    when 1 then random.rand(-(2**70)..2**70)
    when 2 then random.rand(-1000..1000)
    when 3 then random.rand * (10**random.rand(-20..20))
    when 4 then random_text(random).to_sym
    when 5, 6 then random_text(random)
    when 7, 8 then Array.new(random.rand(4)) { random_value(random, depth - 1) }
    else random_hash(random, depth)
    end
  end

  # JSON's own generator refuses keys that differ only as objects.
  def random_hash(random, depth)
    keys = Array.new(random.rand(4)) { random_key(random) }.uniq(&:to_s)
    keys.to_h { |key| [key, random_value(random, depth - 1)] }
  end

  def random_text(random)
    Array.new(random.rand(12)) { [random.rand(32..126), random.rand(0..31), 0x939, 0x1f600, 0x2028].sample(random:) }
         .pack("U*")
  end

  def random_key(random)
    [random_text(random), random_text(random).to_sym, random.rand(100), nil, 1.5].sample(random:)
  end

  # What a script prints, in a Ruby of its own.
  def run(script)
    output, status = Open3.capture2e(RbConfig.ruby, "-I", File.expand_path("../lib", __dir__), stdin_data: script)
    expect(status).to be_success, output
    output.lines(chomp: true)
  end

  it "generates what JSON.generate does, for 2,000 random values" do
    seed = Random.new_seed
    random = Random.new(seed)
    2000.times do
      value = random_value(random, 4)
      expect(codec.generate(value)).to eq(JSON.generate(value)), "seed #{seed}: #{value.inspect}"
    end
  end

  it "generates UTF-8, frozen" do
    text = codec.generate({ "a" => "ü" })
    expect([text.encoding, text.valid_encoding?, text.frozen?]).to eq([Encoding::UTF_8, true, true])
  end

  it "takes strings of other encodings as JSON does" do
    ["h\u00e9".encode("ISO-8859-1"), "h\u00e9".encode("UTF-16LE"), "plain".b, "plain".encode("US-ASCII")].each do |text|
      expect(codec.generate([text])).to eq(JSON.generate([text]))
    end
  end

  it "takes whatever a symbol may hold" do
    # Ruby keeps those that stand in a source elsewhere than those that are made later.
    written = [:"nul\0", :"\0", :"\n", :"", :ह]
    made = ["made\0", "made\n", "h\u00e9".encode("ISO-8859-1")].map(&:to_sym)
    [*written, *made].each do |symbol|
      expect(codec.generate({ symbol => symbol })).to eq(JSON.generate({ symbol => symbol }))
    end
  end

  it "leaves values that know better to their own to_json" do
    money = Class.new { def to_json(*) = '{"paise":45000}' }
    text = Class.new(String) { def to_json(*) = '"shouted"' }
    expect(codec.generate({ "a" => money.new, "b" => [text.new("quiet")] }))
      .to eq('{"a":{"paise":45000},"b":["shouted"]}')
  end

  describe "a to_json" do
    def check(*values)
      values.each { |value| expect(codec.generate(value)).to eq(JSON.generate(value)) }
    end

    it "gets the generator's state, as from JSON.generate" do
      money = Class.new { def to_json(state) = 45.0.to_json(state) }.new
      probe = Class.new { def to_json(state, *) = "\"#{state.class} #{state.depth}\"" }.new
      check(money, probe, [probe], { "a" => money })
      # From json 2.9 on, JSON.generate itself counts the arrays in a Hash otherwise.
      expect(codec.generate([probe, { "a" => [probe, { "b" => probe }] }]).scan(/\d+/)).to eq(%w[1 3 4])
      event = codec.flat_event("e", "i", "t", "en", { "a" => [probe] }, { b: probe })
      expect(JSON.parse(event).values_at("a", "b")).to eq([["#{JSON::State} 2"], "#{JSON::State} 1"])
    end

    it "counts as deep as it nests" do
      nested = Class.new { def to_json(*state) = [[1]].to_json(*state) }.new
      value = Array.new(98).inject(nested) { |inner| [inner] }
      check(value)
      expect { JSON.generate([value]) }.to raise_error(JSON::NestingError)
      expect { codec.generate([value]) }.to raise_error(JSON::NestingError)
    end

    it "may do without any argument" do
      plain = Object.new
      plain.define_singleton_method(:to_json) { "7" }
      expect(codec.generate([plain])).to eq("[7]")
    end

    it "is found behind method_missing" do
      require "delegate"
      check([SimpleDelegator.new({ "a" => 1 })], SimpleDelegator.new(7))
    end

    it "may give binary text that is UTF-8, and nothing else that is not" do
      packed = ->(bytes) { Class.new { define_method(:to_json) { |*| bytes } }.new }
      check([packed["\"caf\xC3\xA9\"".b]], packed["7".b])
      ["\"\xFF\"".b, "\"\xFF\"", "\"\xE9\"".dup.force_encoding("ISO-8859-1")].each do |bytes|
        expect { codec.generate([packed[bytes]]) }.to raise_error(TypeError, /to_json of .* returned text that is not/)
      end
      expect { codec.generate([packed[7]]) }.to raise_error(TypeError)
    end
  end

  it "survives what a to_json does to the list it stands in" do
    list = [nil, 1, 2, 3]
    list[0] = Object.new.tap { |odd| odd.define_singleton_method(:to_json) { |*| list.clear && "0" } }
    expect(codec.generate(list)).to eq("[0]")
  end

  it "makes 1,000 different event ids in 1,000 calls" do
    ids = Array.new(1000) { codec.flat_event("e", nil, "t", "en", {}, {})[/"event_id":"(\w+)"/, 1] }
    expect(ids.uniq.size).to eq(1000)
    expect(ids).to all(match(/\Aevt_\h{16}\z/))
  end

  it "generates as ActiveSupport has it where it is loaded" do
    script = <<~RUBY
      require "active_support"
      require "active_support/json"
      require "active_support/core_ext"
      require "simple_connect"
      codec = SimpleConnect.const_get(:Codec)
      values = [Time.utc(2026, 4, 16, 4), BigDecimal("450.50"), Date.new(2026, 4, 16), Float::NAN,
                { a: 1 }.with_indifferent_access, ActiveSupport::SafeBuffer.new("safe"), 5.minutes]
      values.each { |value| puts codec.generate([value]) == [value].to_json ? "same" : codec.generate([value]) }
      # Their own to_json gets nothing, or what it cannot do without.
      own = Class.new { def to_json(*options) = { at: Time.utc(2026, 4, 16, 4) }.to_json(*options) }.new
      wants = Class.new { def to_json(state) = 45.0.to_json(state) }.new
      { own => own.to_json, wants => "45.0" }.each do |value, json|
        puts codec.generate([value]) == "[\#{json}]" ? "same" : codec.generate([value])
      end
    RUBY
    expect(run(script).uniq).to eq(["same"])
  end

  it "reads back what it generates, for 2,000 random values" do
    seed = Random.new_seed
    random = Random.new(seed)
    2000.times do
      json = codec.generate(random_value(random, 4))
      expect(codec.parse(json)).to eql(JSON.parse(json)), "seed #{seed}: #{json}"
    end
  end

  describe "reading" do
    table = JSON.parse(File.read(File.expand_path("conformance/own/decoding.json", __dir__)))["texts"]

    table.each do |row|
      text, differs = row.values_at("text", "differs")
      it "#{row.key?("value") ? "takes" : "refuses"} #{text.inspect}" do
        expect(codec.parse(text)).to eql(row.fetch("value", :invalid))
        expect(JsonTexts.by_json(text)).to eql(row.fetch("value", :invalid)) unless differs
      end
    end

    # JSON, in which up to three places have become others.
    def random_json(random)
      pieces = %w([ ] { } , : " \\ 1 0 e - . /* */ // null true NaN ü \u \ud83d \ude00 \u00fc)
      pieces.push("\n", "\t", " ", "\0")
      text = JSON.generate(random_value(random, 4), ascii_only: random.rand(2).zero?)
      random.rand(4).times { text[random.rand(text.size + 1), random.rand(3)] = pieces.sample(random:) }
      text
    end

    it "gives what JSON.parse gives, for 3,000 random texts" do
      seed = Random.new_seed
      random = Random.new(seed)
      3000.times do
        text = random_json(random)
        read = codec.parse(text)
        expect(read).to eql(JsonTexts.by_json(text)), "seed #{seed}: #{text.inspect}" unless JsonTexts.explanation(text)
      end
    end

    it "takes whatever bytes come, and gives valid UTF-8" do
      seed = Random.new_seed
      random = Random.new(seed)
      2000.times do
        text = random_json(random).b
        random.rand(4).times { text.setbyte(random.rand(text.bytesize), random.rand(256)) }
        read = codec.parse(text)
        expect(JSON.generate(read)).to be_valid_encoding, "seed #{seed}: #{text.inspect}" unless text.match?(/\d[eE]/)
      end
    end

    it "puts a replacement character for what is not UTF-8" do
      expect(codec.parse("{\"\xFF\":\"a\xED\xA0\x80\"}")).to eq("\u{fffd}" => "a\u{fffd}\u{fffd}\u{fffd}")
    end

    it "takes 100 levels, and no more" do
      [%w([ ]), ["{\"a\":", "}"]].each do |opening, closing|
        deep = [100, 101].map { |levels| "#{opening * levels}1#{closing * levels}" }
        expect(codec.parse(deep[0])).to eq(JSON.parse(deep[0]))
        expect(codec.parse(deep[1])).to eq(:invalid)
      end
    end

    # The least of several: whatever else the machine does only adds to it.
    def cpu(text)
      Array.new(3) do
        start = Process.clock_gettime(Process::CLOCK_THREAD_CPUTIME_ID)
        codec.parse(text)
        Process.clock_gettime(Process::CLOCK_THREAD_CPUTIME_ID) - start
      end.min
    end

    it "takes no longer for what is nested deeply, and refuses what is too deep at once" do
      flat = "[#{Array.new(200_000, "1234").join(",")}]"
      expect(cpu("#{"[" * 98}#{flat}#{"]" * 98}")).to be < 4 * cpu(flat)
      expect(cpu("[" * flat.size)).to be < cpu(flat)
    end

    it "loses hold of nothing while garbage is collected at every chance" do
      script = <<~'RUBY'
        require "json"
        require "simple_connect"
        codec = SimpleConnect.const_get(:Codec)
        own = Class.new { def to_json(state) = { "own" => [1.5] }.to_json(state) }
        text = JSON.generate([{ "a\n" => [1.5, 2**70, "x" * 40, { "b" => ["\u00fc\n" * 9, nil, []] }] }] * 3)
        expected = JSON.parse(text)
        values = [own.new, expected, { own: own.new }]
        written = JSON.generate(values)
        GC.stress = true
        got = [codec.parse(text), codec.generate(values), codec.parse("[[[\"abcabcabcabcabcabcabcabcabc\"], 1")]
        GC.stress = false
        puts got == [expected, written, :invalid]
      RUBY
      expect(run(script)).to eq(["true"])
    end
  end

  it "gives the keys of an answer as the Strings that Ruby keeps once" do
    one, other = Array.new(2) { codec.parse('{"status":1}').keys.first }
    expect(one).to equal(other)
  end
end
