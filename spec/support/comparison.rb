# frozen_string_literal: true

require "openssl"
require_relative "conformance"

# What a case was seen to do, held against what its table expects.
class Comparison
  # @param test_case [Hash]
  # @param run [Conformance]
  # @param seen [Conformance::Seen]
  def initialize(test_case, run, seen)
    @case = test_case
    @expected = test_case["expect"]
    @run = run
    @seen = seen
    @differences = []
  end

  # @return [Array<String>] empty where all is as expected
  def differences
    construct
    compare_lists("outcomes", @expected["outcomes"], @seen.outcomes) { |*pair| outcome(*pair) } if @expected["outcomes"]
    compare_lists("requests", @expected["requests"] || [], @seen.requests) { |*pair| request(*pair) }
    compare_lists("log", @expected["log"] || [], @seen.log) { |*pair| value(*pair) }
    policy
    timing
    output
    secrets
    @differences
  end

  private

  def differ(path, expected, actual)
    @differences << "#{path}: expected #{expected.inspect}, got #{actual.inspect}"
  end

  def compare_lists(path, expected, actual)
    return differ("#{path} (count)", expected, actual) if expected.size != actual.size

    expected.zip(actual).each_with_index { |(one, other), index| yield("#{path}[#{index}]", one, other) }
  end

  def construct
    expected = @expected["construct"]
    return differ("construct", nil, @seen.construct) if expected.nil? && @seen.construct

    raised("construct", expected["raised"], @seen.construct) if expected
  end

  def outcome(path, expected, actual)
    if expected.key?("raised") then raised(path, expected["raised"], actual[:raised])
    elsif actual[:raised] then differ(path, expected, actual[:raised])
    elsif expected.key?("result") then result(path, expected, actual[:value])
    elsif expected.key?("value") then value(path, expected["value"], actual[:value])
    end
  end

  def raised(path, expected, actual)
    return differ(path, expected, actual) unless actual.is_a?(Exception)

    value("#{path}.class", expected["class"], actual.class.name)
    ancestors = actual.class.ancestors.map(&:to_s).grep(/\ASimpleConnect/)
    value("#{path}.ancestors", expected["simple_connect_ancestors"], ancestors) if expected["simple_connect_ancestors"]
    value("#{path}.message", expected["message"], actual.message) if expected["message"]
  end

  def result(path, expected, actual)
    return differ(path, expected, actual) unless actual.is_a?(SimpleConnect::Result)

    expected["result"].each { |name, reading| value("#{path}.#{name}", reading, actual.public_send(name)) }
    return unless expected["encodings"]

    expected["encodings"].each do |name, encoding|
      value("#{path}.#{name}.encoding", encoding, actual.public_send(name)&.encoding&.name)
    end
  end

  def request(path, expected, actual)
    value("#{path}.method", expected["method"], actual.verb)
    value("#{path}.target", expected["target"], actual.target)
    text("#{path}.body", expected["body"], actual.body.to_s, actual)
    expected["headers"].each { |name, field| text("#{path}.headers.#{name}", field, actual.headers[name].to_s, actual) }
  end

  def policy
    { "sleeps" => @seen.sleeps, "delays_asked" => @seen.delays, "asked_retriable" => @seen.asked }.each do |name, list|
      value(name, @expected[name] || [], list) unless name == "asked_retriable" && @expected[name].nil?
    end
  end

  def timing
    close("elapsed_s", @expected["elapsed_s"], @seen.elapsed) if @expected["elapsed_s"]
    return unless @expected["gaps_s"]

    gaps = @seen.requests.map(&:at).each_cons(2).map { |before, after| after - before }
    compare_lists("gaps_s", @expected["gaps_s"], gaps) { |*pair| close(*pair) }
  end

  def close(path, expected, actual)
    differ(path, expected, actual) if (expected - actual).abs > 0.6
  end

  def output
    return unless @expected["output"]

    { "stdout" => @seen.stdout, "stderr" => @seen.stderr }.each do |name, printed|
      value(name, @expected["output"][name], printed)
    end
  end

  # Ours shows no secret anywhere, also where the published gem was seen to.
  def secrets
    arguments = @case.dig("client", "kwargs") || {}
    %w[secret api_key].each do |name|
      secret = arguments[name]
      next unless secret.is_a?(String) && secret.strip.length > 3

      shown = [@seen.log, @seen.stdout, @seen.stderr, @seen.outcomes, @seen.construct]
      differ("secret_seen_in", nil, name) if shown.any? { |place| place.inspect.include?(secret) }
    end
  end

  def value(path, expected, actual)
    case expected
    when String then actual.is_a?(String) ? text(path, expected, actual) : differ(path, expected, actual)
    when Array then array(path, expected, actual)
    when Hash then hash(path, expected, actual)
    else differ(path, expected, actual) unless expected.eql?(actual)
    end
  end

  def array(path, expected, actual)
    return differ(path, expected, actual) unless actual.is_a?(Array)

    compare_lists(path, expected, actual) { |*pair| value(*pair) }
  end

  def hash(path, expected, actual)
    if expected.key?("readers")
      value("#{path}.class", expected["class"], actual.class.name)
      expected["readers"].each { |name, reading| reader("#{path}.#{name}", reading, actual, name) }
    elsif expected.keys.first.to_s.start_with?("$")
      differ(path, expected, actual) unless same_notation?(*expected.first, actual)
    elsif !actual.is_a?(Hash) || actual.keys != expected.keys
      differ(path, expected, actual)
    else
      expected.each { |key, element| value("#{path}[#{key.inspect}]", element, actual[key]) }
    end
  end

  def reader(path, expected, object, name)
    value(path, expected, object.public_send(name))
  rescue NoMethodError
    differ(path, expected, "NoMethodError") unless expected == { "raised" => "NoMethodError" }
  end

  def same_notation?(kind, argument, actual)
    case kind
    when "$sym" then actual == argument.to_sym
    when "$time" then actual.is_a?(Time) && actual == Time.iso8601(argument)
    when "$float" then actual.is_a?(Float) && actual.to_s == argument
    when "$rational" then actual == Rational(argument)
    when "$repeat" then actual == argument[0] * argument[1]
    else raise ArgumentError, "no such notation in an expectation: #{kind}"
    end
  end

  # Only the class of a network error is the table's business; what follows is better than it was.
  def text(path, expected, actual, request = nil)
    pattern = expected.split(/(\{\{\w+\}\})/).map { |part| token(part, request) }.join
    differ(path, expected, actual) unless actual.b.match?(Regexp.new("\\A#{pattern}\\z".b, Regexp::NOENCODING))
  end

  def token(part, request)
    case part
    when "{{evt_id}}" then "evt_[0-9a-f]{16}"
    when "{{now}}" then "\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d(?:Z|[+-]\\d\\d:\\d\\d)"
    when "{{unix_now}}" then timestamps
    when "{{signature}}" then signature(request)
    when "{{version}}", "{{ruby}}" then "[\\d.]+"
    when "{{line}}" then "[^\\n]*"
    when "{{any}}" then "(?m:.*)"
    else Regexp.escape(part.gsub(":$port", ":#{@run.port}").gsub(":$dead_port", ":#{@run.dead_port}").b)
    end
  end

  def timestamps
    now = @case["clock"] ? Time.iso8601(@case["clock"]).to_i : Process.clock_gettime(Process::CLOCK_REALTIME).to_i
    # A case with waits of its own may have begun a while ago.
    (now - 12..now + 3).to_a.join("|").then { |choices| "(?:#{choices})" }
  end

  def signature(request)
    secret = @run.secret
    signed = "#{request.headers["x-simpleconnect-timestamp"]}.#{request.body}"
    Regexp.escape("sha256=#{OpenSSL::HMAC.hexdigest("SHA256", secret, signed)}")
  end
end
