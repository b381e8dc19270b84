# frozen_string_literal: true

require "simple_connect/webhooks"

RSpec.describe SimpleConnect::Outbound::RetrySchedule do
  started_at = Time.at(1_700_000_000)

  # The seconds from attempt 0 to each retry.
  def plan(schedule, most = 20)
    at = Time.at(1_700_000_000)
    (1..most).map { |number| schedule.next_at(at, number) }.take_while(&:itself).map { |time| time - at }
  end

  it "retries 30, 210, 810, 2610, 9810 and 38610 seconds after attempt 0" do
    schedule = described_class.new
    expect(plan(schedule)).to eq([30, 210, 810, 2610, 9810, 38_610])
    expect((1..7).map { |number| schedule.delay(number) }).to eq([30, 180, 600, 1800, 7200, 28_800, nil])
    expect(schedule.next_at(started_at, 0)).to eq(started_at)
  end

  {
    [:exponential_backoff, { max_retries: 2 }] => [30, 210],
    [:exponential_backoff, { max_retries: 8 }] => [30, 210, 810, 2610, 9810, 38_610, 67_410, 96_210],
    [:exponential_backoff, { wait: 10, max_retries: 4 }] => [10, 30, 70, 150],
    [:exponential_backoff, { wait: 0.5, max_retries: 3 }] => [0.5, 1.5, 3.5],
    [:exponential_backoff, { max_retries: 0 }] => [],
    [:fixed_wait, { wait: 60 }] => [60, 120, 180, 240, 300, 360],
    [:fixed_wait, { wait: 60, max_retries: 2 }] => [60, 120],
    [:exponential_backoff_with_deadline, { deadline: 810 }] => [30, 210, 810],
    [:exponential_backoff_with_deadline, { deadline: 809.9 }] => [30, 210],
    [:exponential_backoff_with_deadline, { deadline: 3600, max_retries: 2 }] => [30, 210],
    [:exponential_backoff_with_deadline, { deadline: 70, wait: 10, max_retries: 9 }] => [10, 30, 70],
    [:exponential_backoff_with_deadline, { deadline: 96_209 }] => [30, 210, 810, 2610, 9810, 38_610, 67_410],
    [:fixed_wait_with_deadline, { wait: 60, deadline: 200 }] => [60, 120, 180],
    [:fixed_wait_with_deadline, { wait: 60, deadline: 200, max_retries: 1 }] => [60],
    [:fixed_wait_with_deadline, { wait: 60, deadline: 59 }] => []
  }.each do |(strategy, options), expected|
    it "plans #{expected} for #{strategy} with #{options}" do
      schedule = described_class.new(strategy, **options)
      expect(plan(schedule)).to eq(expected)
      delays = expected.zip([0, *expected]).map { |total, before| total - before }
      expect((1..(expected.size + 1)).map { |number| schedule.delay(number) }).to eq([*delays, nil])
    end
  end

  it "sums its delays up, whatever they are" do
    random = Random.new(seed = Random.new_seed)
    100.times do
      wait = [nil, random.rand(1..100)].sample(random:)
      strategy = wait ? described_class::STRATEGIES.first(2).sample(random:) : :exponential_backoff
      schedule = described_class.new(strategy, wait:, max_retries: random.rand(20))
      delays = (1..25).map { |number| schedule.delay(number) }.take_while(&:itself)
      expect(delays.size).to eq(schedule.max_retries), "seed #{seed}"
      expect(plan(schedule, 25)).to eq(delays.size.times.map { |last| delays[0..last].sum }), "seed #{seed}"
    end
  end

  it "is a delay for a Retryable, which counts its attempts itself" do
    slept = []
    retryable = SimpleConnect::Retryable.new(max_attempts: 9, delay: described_class.new,
                                             sleep: ->(seconds) { slept << seconds })
    failed = SimpleConnect::Result.new(success: false)
    retryable.call(retriable_if: ->(_) { true }) { failed }
    expect(slept).to eq([30, 180, 600, 1800, 7200, 28_800, 28_800, 28_800])
  end

  it "gives back what it was built with" do
    options = { strategy: :fixed_wait_with_deadline, wait: 60, max_retries: 3, deadline: 3600 }
    expect(described_class.new(options[:strategy], **options.except(:strategy)).to_h).to eq(options)
    expect(described_class.new.to_h).to eq(strategy: :exponential_backoff, wait: nil, max_retries: 6, deadline: nil)
  end

  it "answers for numbers that nobody waits for" do
    schedule = described_class.new(:exponential_backoff_with_deadline, wait: 1, deadline: 1e18)
    expect(schedule.delay(10**9)).to be_nil
    expect(schedule.call(10**9)).to eq(2**64)
  end

  it "refuses what cannot be used", unchecked: true do
    {
      [:linear, {}] => /\Astrategy must be one of :exponential_backoff, .*, not :linear/,
      [:fixed_wait, {}] => /\Await: must be a positive number of seconds, such as 60, not nil/,
      [:fixed_wait, { wait: 0 }] => /wait: .*not 0/, [:fixed_wait, { wait: "60" }] => /not "60"/,
      [:fixed_wait, { wait: Float::INFINITY }] => /Infinity/,
      [:fixed_wait_with_deadline, { wait: 60 }] => /\Adeadline: must be a positive number of seconds/,
      [:fixed_wait, { wait: 60, deadline: 60 }] => /\Adeadline: is for :exponential_backoff_with_deadline/,
      [:exponential_backoff, { max_retries: -1 }] => /\Amax_retries: must be an Integer of 0 or more, not -1/,
      [:exponential_backoff, { max_retries: 1.5 }] => /max_retries/
    }.each do |(strategy, options), message|
      expect { described_class.new(strategy, **options) }.to raise_error(SimpleConnect::ConfigurationError, message)
    end
    expect { described_class.new.delay(0) }.to raise_error(ArgumentError, /1 or more, not 0/)
    expect { described_class.new.call("1") }.to raise_error(ArgumentError)
    expect { described_class.new.next_at(started_at, -1) }.to raise_error(ArgumentError, /0 or more/)
  end
end
