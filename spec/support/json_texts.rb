# frozen_string_literal: true

require "json"

# Texts that are JSON or nearly so, and what Ruby's own json says of them.
module JsonTexts
  ROOT = File.expand_path("../..", __dir__)
  # One code unit of UTF-16 that is no half of a pair, or the two of a pair.
  UNITS = /u(?![Dd][89A-Fa-f])\h{4}|u[Dd][89ABab]\h\h\\u[Dd][C-Fc-f]\h\h/
  # Where Ruby's json and this gem are known to differ, and why; decoding.json has what the gem does instead. Anything
  # else is a finding.
  DIFFERENCES = {
    "half a surrogate pair: json refuses it, or gives bytes that are not UTF-8" =>
      ->(text) { escapes(text).any? { |escape| escape.match?(/\A\\u\h{4}\z/) && !escape.match?(/\A\\#{UNITS}\z/o) } },
    "an escape that RFC 8259 does not have: json passes over its backslash" =>
      ->(text) { escapes(text).any? { |escape| !escape.match?(%r{\A\\(?:["\\/bfnrt]|u\h{4})}) } },
    "a comment that the end of the text ends: json takes it only with its line break" =>
      ->(text) { text.match?(%r{//[^\n]*\z}) }
  }.freeze
  PIECES = ["[", "]", "{", "}", ",", ":", "\"", "\\", "1", "0", "e", "E", "-", "+", ".", "/*", "*/", "//", "true",
            "false", "null", "NaN", "Infinity", "-Infinity", "\u00fc", "\u{1f600}", "\u2028", "\ufeff", "\\u",
            "\\ud83d", "\\ude00", "\\u0000", "\\u00fc", "\\n", "\n", "\r", "\t", " ", "\0", "\v", "\u00a0", "-0",
            "-0.0", "1e400", "0.1e-7", "12345678901234567890", "1#{"0" * 400}", "[[", "{\"a\":", "\"\"", "[]",
            "{}"].freeze
  # How many changes a text gets: mostly few, so that many are still JSON.
  CHANGES = [0, 1, 1, 1, 2, 2, 3, 8].freeze
  private_constant :ROOT, :UNITS, :PIECES, :CHANGES

  class << self
    # @return [Array<String>] the table's texts, and the seeds of the fuzz target
    def corpus
      table = JSON.parse(File.read("#{ROOT}/spec/conformance/own/decoding.json"))["texts"].map { |row| row["text"] }
      table + Dir["#{ROOT}/fuzz/seeds/json/*"].sort.map { |file| File.read(file, encoding: "UTF-8") }
    end

    # @return [Object] what JSON.parse says; `:invalid` where it refuses
    def by_json(text)
      # It warns of floats that are out of range.
      verbose = $VERBOSE
      $VERBOSE = nil
      JSON.parse(text)
    rescue JSON::ParserError
      :invalid
    ensure
      $VERBOSE = verbose
    end

    # @return [String, nil] why the two may differ
    def explanation(text) = DIFFERENCES.find { |_, holds| holds.call(text) }&.first

    # @param texts [Array<String>]
    # @return [String] one of them with up to eight changes
    def mutated(texts, random)
      text = texts.sample(random:).dup
      CHANGES.sample(random:).times { text = change(text, texts, random) }
      text
    end

    private

    def escapes(text) = text.scan(/\\(?:#{UNITS}|u\h{4}|.?)/mo)

    # Something is left out, put in, put in the place of something, doubled, or nested.
    def change(text, texts, random)
      return nested(text, random) if random.rand(8).zero?

      at = random.rand(text.size + 1)
      length = random.rand(random.rand(4).zero? ? 40 : 4)
      kept = random.rand(3).zero? ? text[at, length].to_s : ""
      put = [PIECES.sample(random:), PIECES.sample(random:), part(texts.sample(random:), random), kept, ""]
            .sample(random:)
      "#{text[0, at]}#{put}#{kept}#{text[(at + length)..]}"
    end

    def part(text, random)
      at = random.rand(text.size + 1)
      text[at, random.rand(60)].to_s
    end

    # From one level deeper to just beyond what is taken.
    def nested(text, random)
      levels = [1, 2, 98, 99, 100, 101].sample(random:)
      random.rand(2).zero? ? "#{"[" * levels}#{text}#{"]" * levels}" : "#{"{\"a\":" * levels}#{text}#{"}" * levels}"
    end
  end
end
