# frozen_string_literal: true

require "json"
require "open3"
require "rbconfig"

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
    RUBY
    output, status = Open3.capture2e(RbConfig.ruby, "-I", File.expand_path("../lib", __dir__), stdin_data: script)
    expect([output.lines(chomp: true).uniq, status.success?]).to eq([["same"], true])
  end

  it "reads back what it generates, for 2,000 random values" do
    seed = Random.new_seed
    random = Random.new(seed)
    2000.times do
      json = codec.generate(random_value(random, 4))
      expect(codec.parse(json)).to eql(JSON.parse(json)), "seed #{seed}: #{json}"
    end
  end

  it "reads no text that is not JSON" do
    ["", " ", "{", "[1,]", '{"a":1,}', "{a:1}", "nul", "NaN", "-Infinity", "01", "+1", ".5", "1.", "\"\n\"", "'a'",
     "1 2", '"\\x"', "/* a", "[1 /* a ]"].each do |text|
      expect(codec.parse(text)).to eq(:invalid), text
    end
  end

  it "reads whatever bytes come without raising anything" do
    pieces = ["{", "}", "[", "]", ",", ":", "\"", "\\", "1", "e", "-", "/*", "*/", "\xff"]
    seed = Random.new_seed
    random = Random.new(seed)
    2000.times do
      text = Array.new(random.rand(12)) { pieces.sample(random:) }.join
      expect { codec.parse(text) }.not_to raise_error, "seed #{seed}: #{text.inspect}"
    end
  end

  it "gives the keys of an answer as the Strings that Ruby keeps once" do
    one, other = Array.new(2) { codec.parse('{"status":1}').keys.first }
    expect(one).to equal(other)
  end
end
