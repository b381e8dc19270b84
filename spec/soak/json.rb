# frozen_string_literal: true

require_relative "../support/json_texts"

# The decoder beside Ruby's own json, on as many texts as a minute takes. `rake json` runs this.
#
# A finding shows its text and a seed. `JSON_SEED=… rake json` begins with that text.
RSpec.describe "The JSON decoder" do
  it "gives what JSON.parse gives, or what is known to differ" do
    codec = SimpleConnect.const_get(:Codec)
    corpus = JsonTexts.corpus
    first = Integer(ENV.fetch("JSON_SEED") { Random.new_seed % (2**48) })
    explained = Hash.new(0)
    taken = total = 0
    until_then = Process.clock_gettime(Process::CLOCK_MONOTONIC) + Float(ENV.fetch("JSON_SECONDS", 60))
    while Process.clock_gettime(Process::CLOCK_MONOTONIC) < until_then
      text = JsonTexts.mutated(corpus, Random.new(first + total))
      read = codec.parse(text)
      expected = JsonTexts.by_json(text)
      unless read.eql?(expected)
        why = JsonTexts.explanation(text)
        expect(read).to eql(expected), "JSON_SEED=#{first + total}: #{text.inspect}" unless why
        explained[why] += 1
      end
      taken += 1 unless read == :invalid
      total += 1
    end
    puts "#{total} texts from seed #{first}, #{taken} of them JSON"
    explained.each { |difference, count| puts "#{count}: #{difference}" }
    expect(taken).to be > total / 20
  end
end
