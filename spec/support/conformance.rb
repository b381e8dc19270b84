# frozen_string_literal: true

require "bigdecimal"
require "date"
require "json"
require "set"
require "tempfile"
require "time"
require "uri"
require_relative "scripted_server"
require_relative "certificates"

# Runs the cases of spec/conformance: README.md there explains their notation.
class Conformance
  DIRECTORY = File.expand_path("../conformance", __dir__)

  # @return [Hash{String => Array<Hash>}] the cases by area
  def self.areas(glob = "*.json")
    Dir[File.join(DIRECTORY, glob)].sort.each_with_object({}) do |file, areas|
      table = JSON.parse(File.read(file))
      areas[table["area"]] = table["cases"] if table.key?("cases")
    end
  end

  FLOATS = { "NaN" => Float::NAN, "Infinity" => Float::INFINITY, "-Infinity" => -Float::INFINITY }.freeze

  # How values are written that JSON has none of.
  NOTATIONS = {
    "$sym" => ->(_, name) { name.to_sym },
    "$time" => ->(_, text) { Time.iso8601(text) },
    "$date" => ->(_, text) { Date.iso8601(text) },
    "$datetime" => ->(_, text) { DateTime.iso8601(text) },
    "$decimal" => ->(_, text) { BigDecimal(text) },
    "$rational" => ->(_, text) { Rational(text) },
    "$float" => ->(_, name) { FLOATS.fetch(name) },
    "$symkeys" => ->(run, hash) { hash.to_h { |key, element| [key.to_sym, run.decode(element)] } },
    "$pairs" => ->(run, pairs) { pairs.to_h { |key, element| [run.decode(key), run.decode(element)] } },
    "$set" => ->(run, elements) { run.decode(elements).to_set },
    "$uri" => ->(run, text) { URI(run.decode(text, expand: true)) },
    "$bytes" => ->(_, base64) { base64.unpack1("m") },
    "$utf8_bytes" => ->(_, base64) { base64.unpack1("m").force_encoding("UTF-8") },
    "$encoded" => ->(_, encoded) { encoded["text"].encode(encoded["as"]) },
    "$repeat" => ->(_, (text, count)) { text * count },
    "$concat" => ->(run, parts) { parts.map { |part| run.decode(part) }.join },
    "$nested_array" => ->(_, depth) { (depth - 1).times.inject([]) { |inner, _| [inner] } },
    "$object" => ->(run, methods) { run.object(methods) },
    "$logger" => ->(run, kind) { run.logger(kind) },
    "$retryable" => ->(run, options) { run.retryable(options) },
    "$own_policy" => ->(run, attempts) { run.own_policy(attempts) }
  }.freeze

  # Levels and texts, as a recorder among the loggers writes them down.
  class Recorder
    def initialize(lines, raises: false)
      @lines = lines
      @raises = raises
    end

    %i[info warn].each do |level|
      define_method(level) do |text|
        @lines << [level.to_s, text]
        raise "the logger is broken" if @raises
      end
    end
  end

  # Knows `info` alone.
  class InfoOnly
    def initialize(lines)
      @lines = lines
    end

    def info(text)
      @lines << ["info", text]
    end
  end

  # Runs its block for each of some attempt numbers and asks about each result.
  class OwnPolicy
    def initialize(attempts, asked)
      @attempts = attempts
      @asked = asked
    end

    def call(retriable_if:)
      @attempts.map { |attempt| yield(attempt).tap { |result| @asked << retriable_if.call(result) } }.last
    end
  end

  # What a case was seen to do.
  Seen = Struct.new(:construct, :outcomes, :log, :sleeps, :delays, :asked, :requests, :elapsed, :stdout, :stderr)

  def initialize(test_case)
    @case = test_case
    @seen = Seen.new(nil, [], [], [], [], [], [], nil, "", "")
  end

  # @yieldparam seen [Seen] within the environment of the case: readers may depend on the time zone
  def run
    tls = Certificates.self_signed(@case["tls"]) if @case["tls"]
    ScriptedServer.open(server_script, tls: tls&.context, host: @case["listen"] || "127.0.0.1") do |server|
      @server = server
      @ca_file = tls&.file
      within_environment do
        within_output { perform }
        @seen.requests = server.requests
        yield @seen
      end
    end
  end

  # @return [Integer] where nothing listens
  def dead_port
    @dead_port ||= TCPServer.open("127.0.0.1", 0) { |server| server.addr[1] }
  end

  # @return [Integer]
  def port = @server.port

  # @return [String] what the client signs with
  def secret = decode(@case["client"]["kwargs"]["secret"]).to_s

  def decode(value, expand: false)
    case value
    when String then expand ? self.expand(value) : value
    when Array then value.map { |element| decode(element, expand:) }
    when Hash
      kind, argument = value.first
      return NOTATIONS.fetch(kind).call(self, argument) if kind.to_s.start_with?("$")

      value.transform_values { |element| decode(element, expand:) }
    else value
    end
  end

  def retryable(options)
    arguments = {}
    arguments[:max_attempts] = options["max_attempts"] if options["max_attempts"]
    if options.key?("delay")
      delays = options["delay"]
      arguments[:delay] = lambda do |attempt|
        @seen.delays << attempt
        decode(delays.is_a?(Array) ? delays[attempt - 1] : delays)
      end
    end
    arguments[:sleep] = sleeper(options["sleep"]) if options["sleep"]
    SimpleConnect::Retryable.new(**arguments)
  end

  def own_policy(attempts) = OwnPolicy.new(attempts, @seen.asked)

  def object(methods)
    Object.new.tap do |object|
      methods.each { |name, value| object.define_singleton_method(name) { |*| value } }
    end
  end

  def logger(kind)
    case kind
    when "recorder" then Recorder.new(@seen.log)
    when "raises" then Recorder.new(@seen.log, raises: true)
    when "info_only" then InfoOnly.new(@seen.log)
    when "no_methods" then Object.new
    else raise ArgumentError, "no such logger: #{kind}"
    end
  end

  private

  def server_script
    @case["server"]&.map do |step|
      step.to_h { |key, value| [key, %w[body bytes headers].include?(key) ? decode(value) : value] }
    end
  end

  def within_environment
    variables = (@case["env"] || {}).transform_values { |value| expand(value) }
    variables["TZ"] = "IST-5:30"
    names = variables.keys | %w[http_proxy https_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY]
    before = names.to_h { |name| [name, ENV.fetch(name, nil)] }
    names.each { |name| ENV[name] = variables[name] }
    yield
  ensure
    before.each { |name, value| ENV[name] = value }
  end

  def within_output
    files = [$stdout, $stderr].map { |stream| [stream, stream.dup, Tempfile.new] }
    files.each { |stream, _, file| stream.reopen(file.path) }
    yield
  ensure
    files.each { |stream, original, _| stream.reopen(original) }
    @seen.stdout, @seen.stderr = files.map { |_, _, file| File.read(file.path) }
    files.each do |_, original, file|
      original.close
      file.close!
    end
  end

  def perform
    started = Process.clock_gettime(Process::CLOCK_MONOTONIC)
    client = build
    (@case["calls"] || []).each { |call| @seen.outcomes << outcome(call, client) } unless @seen.construct
    @seen.elapsed = Process.clock_gettime(Process::CLOCK_MONOTONIC) - started
  end

  def build
    return unless @case["client"]

    SimpleConnect.const_get(@case["client"]["class"]).new(**keywords(@case["client"]["kwargs"], expand: true))
  rescue StandardError => e
    @seen.construct = e
    nil
  end

  def outcome(call, client)
    value = value_of(call, client)
    @result = value if value.is_a?(SimpleConnect::Result)
    @object = value.is_a?(SimpleConnect::Result) ? value.data : value unless call["ruby"] || call["run_policy"]
    { value: }
  rescue StandardError => e
    { raised: e }
  end

  def value_of(call, client)
    return evaluate(call["ruby"], client) if call["ruby"]
    return run_policy(call["run_policy"]) if call["run_policy"]

    invoke(call, client)
  end

  def invoke(call, client)
    receiver = case call["on"]
               when "events", "integrations", "messages" then client.public_send(call["on"])
               when "client" then client
               when "result" then @result
               when "object" then @object
               else call["on"].split("::").inject(SimpleConnect) { |scope, name| scope.const_get(name) }
               end
    receiver.public_send(call["method"], *(call["args"] || []).map { |value| decode(value) },
                         **keywords(call["kwargs"] || {}))
  end

  # The tables are ours: their expressions are code of this suite.
  def evaluate(expression, client)
    scope = binding
    { client:, result: @result, data: @object }.each { |name, value| scope.local_variable_set(name, value) }
    scope.eval(expression)
  end

  def run_policy(run)
    numbers = []
    asked = []
    outcomes = run["outcomes"].dup
    retriable = lambda do |outcome|
      asked << outcome.name
      run["retriable"]
    end
    returned = retryable(run["policy"]).call(retriable_if: retriable) do |attempt|
      numbers << attempt
      success = outcomes.size > 1 ? outcomes.shift : outcomes.first
      Struct.new(:name, :success?).new("outcome #{attempt}", success)
    end
    { "attempts" => numbers, "asked_retriable" => asked, "returned" => returned.name }
  end

  def sleeper(kind)
    lambda do |seconds|
      @seen.sleeps << seconds
      sleep(seconds) if kind == "real"
      raise kind["raises"] if kind.is_a?(Hash)
    end
  end

  def keywords(hash, expand: false)
    pairs = hash["$pairs"] || hash.to_a
    pairs.to_h { |name, value| [decode(name).to_sym, decode(value, expand:)] }
  end

  def expand(text)
    text.gsub("$base", @server.url).gsub("$endpoint", @server.endpoint).gsub("$dead", "http://127.0.0.1:#{dead_port}")
        .gsub("$port", port.to_s).gsub("$ca_file", @ca_file.to_s)
  end
end
