# frozen_string_literal: true

require_relative "support/delivering"
require_relative "support/scripted_server"

RSpec.describe SimpleConnect::Retryable, ".exponential" do
  include Delivering

  unavailable = { "status" => 503 }
  accepted = Delivering::ACCEPTED

  attr_reader :waits

  def policy(**options) = described_class.exponential(sleep: ->(seconds) { (@waits ||= []) << seconds }, **options)

  # Runs a policy over these answers, the last for ever; gives the number of attempts.
  def run(policy, *answers)
    attempts = 0
    policy.call(retriable_if: ->(_) { true }) do |attempt|
      expect(attempt).to eq(attempts += 1)
      answers.size > 1 ? answers.shift : answers.first
    end
    attempts
  end

  # As far as a policy looks at a Result.
  def answer(status_code, retry_after = nil)
    Struct.new(:success?, :status_code, :retry_after).new(status_code.between?(200, 299), status_code, retry_after)
  end

  def delivered(script, **options)
    ScriptedServer.open(script) { |server| return deliver(client_of(server, **options)) }
  end

  describe "another policy" do
    it "may need the deadline, and be given it" do
      given = []
      policy = Class.new do
        define_method(:call) do |retriable_if:, deadline:, &attempt|
          given << [retriable_if.class, deadline.class]
          attempt.call(1)
        end
      end.new
      expect(delivered([accepted], retryable: policy, total_timeout: 5)).to be_success
      expect(given).to eq([[Proc, Float]])
    end

    it "may return anything", unchecked: true do
      policy = Class.new { def call(retriable_if:) = retriable_if && :queued }.new
      expect(delivered([accepted], retryable: policy)).to eq(:queued)
    end
  end

  it "doubles its waits up to the longest" do
    expect(run(policy(max_attempts: 7, base: 0.5, max: 5, jitter: nil), answer(500))).to eq(7)
    expect(waits).to eq([0.5, 1.0, 2.0, 4.0, 5.0, 5.0])
  end

  it "waits a random part of that, each from 0 up to it" do
    random = Struct.new(:numbers) { def rand = numbers.shift }.new([0.0, 0.5, 0.999, 0.25])
    run(policy(max_attempts: 5, base: 1, max: 3, random:), answer(500))
    expect(waits).to eq([0.0, 1.0, 2.997, 0.75])
  end

  it "keeps its promises, whatever it is given" do
    random = Random.new(RSpec.configuration.seed)
    500.times do
      @waits = []
      base, max = Array.new(2) { random.rand(0.001..100.0) }
      max_attempts = random.rand(1..1200)
      retry_after = random.rand(0.0..(max * 2)) if random.rand < 0.3
      attempts = run(policy(max_attempts:, base:, max:, random:), answer(503, retry_after))

      if retry_after&.>(max)
        expect([attempts, waits]).to eq([1, []])
      else
        expect([attempts, waits.size]).to eq([max_attempts, max_attempts - 1])
        least = retry_after || 0
        longest = waits.each_index.map { |index| [[base * (2.0**index), max].min, least].max }
        expect(waits.zip(longest)).to all(satisfy { |wait, most| wait.between?(least, most) })
      end
    end
  end

  it "spreads its waits evenly" do
    many = policy(max_attempts: 2, base: 1, max: 1, random: Random.new(7))
    2000.times { run(many, answer(500)) }
    expect(waits.sum / 2000).to be_within(0.02).of(0.5)
    expect(waits.group_by { |wait| (wait * 4).floor }.transform_values(&:size).values).to all(be_within(80).of(500))
  end

  it "tries again after the statuses of its list alone" do
    given = { 429 => 3, 500 => 3, 599 => 3, 404 => 1, 408 => 1, 422 => 1, 302 => 1, 600 => 1 }
    expect(given.to_h { |status, _| [status, run(policy(max_attempts: 3), answer(status))] }).to eq(given)
    own = { 409 => 3, 520 => 3, 530 => 3, 429 => 1, 500 => 1 }
    statuses = [409, 520..]
    expect(own.to_h { |status, _| [status, run(policy(max_attempts: 3, statuses:), answer(status))] }).to eq(own)
  end

  it "ends with a success" do
    expect(run(policy, answer(503), answer(429), answer(202))).to eq(3)
    expect(run(policy(max_attempts: 1), answer(503))).to eq(1)
  end

  it "begins no attempt later than max_elapsed allows" do
    clock = 100.0
    allow(SimpleConnect.const_get(:Clock)).to receive(:now) { clock }
    sleeping = described_class.exponential(max_attempts: 9, base: 1, max: 60, jitter: nil, max_elapsed: 10,
                                           sleep: ->(seconds) { clock += seconds })
    attempts = run(sleeping, answer(500))
    # At 0, 1, 3 and 7; the next would be at 15.
    expect([attempts, clock]).to eq([4, 107.0])
  end

  it "waits no less than the server asks for, in seconds or until a date" do
    date = { "Date" => "Fri, 31 Dec 1999 23:59:29 GMT", "Retry-After" => "Fri, 31 Dec 1999 23:59:31 GMT" }
    script = [{ "status" => 429, "headers" => { "Retry-After" => "1.5" } }, { "status" => 503, "headers" => date },
              { "status" => 503, "headers" => { "Retry-After" => "0" } }, accepted]
    result = delivered(script, retryable: policy(base: 1, max: 30, jitter: nil))
    expect([result.success?, result.attempts, waits]).to eq([true, 4, [1.5, 2.0, 4.0]])
  end

  it "gives up at once where the server asks for more than the longest wait" do
    result = delivered([{ "status" => 429, "headers" => { "Retry-After" => "31" } }], retryable: policy(max: 30))
    expect([result.status_code, result.attempts, result.retry_after, waits]).to eq([429, 1, 31.0, nil])
  end

  it "tries again where no answer comes, but not where it is too large" do
    result = delivered([{ "fault" => "close" }, { "fault" => "reset" }, accepted], retryable: policy)
    expect([result.success?, result.attempts]).to eq([true, 3])
    result = delivered([{ "body" => "x" * 200 }], retryable: policy, max_response_bytes: 100)
    expect([result.network_error, result.attempts]).to eq([:too_large, 1])
  end

  it "gives the data of the answer, or says that it is malformed" do
    expect(delivered([unavailable, accepted], retryable: policy).data.log_id).to eq(7)
    refused = { "status" => 422, "body" => '{"error":"no"}' }
    expect(delivered([refused], retryable: policy).data.message).to eq("no")
    malformed = [{ "body" => "oops" }]
    expect { delivered(malformed, retryable: policy) }.to raise_error(SimpleConnect::MalformedResponseError)
  end

  it "gives up where the whole delivery's time would not last" do
    retryable = described_class.exponential(base: 60, max: 60, jitter: nil)
    result = nil
    expect(time { result = delivered([unavailable], retryable:, total_timeout: 5) }).to be < 4
    expect([result.status_code, result.attempts]).to eq([503, 1])
  end

  it "sends no more when the whole delivery's time is over" do
    retryable = described_class.exponential(max_attempts: 100, base: 0.1, max: 0.1, jitter: nil)
    result = nil
    expect(time { result = delivered([unavailable], retryable:, total_timeout: 0.55) }).to be < 3
    expect(result.attempts).to be_between(2, 6)
  end

  it "lets the others of deliver_all go on while one waits" do
    ScriptedServer.open([unavailable, accepted]) do |server|
      order = []
      retryable = described_class.exponential(base: 0.3, max: 0.3, jitter: nil)
      items = Array.new(8) { ["order_paid", { order: 7 }] }
      client_of(server, retryable:).events.deliver_all(items, concurrency: 2) do |result, _, index|
        order << [index, result.attempts]
      end
      # Of the first two, whichever came first got the 503.
      expect(order.last).to eq([0, 2]).or eq([1, 2])
      expect(order.map(&:last).sum).to eq(9)
    end
  end

  it "says what to write instead of what it cannot use", unchecked: true do
    {
      { max_attempts: 0 } => "max_attempts must be >= 1",
      { max_attempts: "5" } => 'max_attempts must be an Integer, such as 3, not "5"',
      { max_attempts: Float::NAN } => "max_attempts must be an Integer, such as 3, not NaN",
      { sleep: 1 } => "sleep: must respond to call, such as ->(n) { n }, not 1",
      { base: 0 } => "base: must be a positive number of seconds, such as 0.5, not 0",
      { max: -1 } => "max: must be a positive number of seconds, such as 0.5, not -1",
      { max_elapsed: "9" } => 'max_elapsed: must be a positive number of seconds, such as 0.5, not "9"',
      { jitter: :equal } => "jitter: must be :full, or nil for none, not :equal",
      { statuses: 500..599 } => "statuses: must be a list of statuses and Ranges of them, such as [429, 500..599], " \
                                "not 500..599",
      { statuses: ["5xx"] } => /\Astatuses: must be a list/,
      { statuses: ["a".."z"] } => /\Astatuses: must be a list/
    }.each do |options, message|
      expect { described_class.exponential(**options) }.to raise_error(ArgumentError, message)
    end
    expect { described_class.new(delay: 5) }
      .to raise_error(ArgumentError, "delay: must respond to call, such as ->(n) { n }, not 5")
  end
end
