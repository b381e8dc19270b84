# frozen_string_literal: true

require "simple_connect"

RSpec.describe "What an answer means for an event of the outbox", unchecked: true do
  outcome = SimpleConnect::Outbox.const_get(:Outcome)

  { 200 => :done, 202 => :done, 429 => :hold_back, 503 => :hold_back,
    301 => :pause, 302 => :pause, 401 => :pause, 402 => :pause, 403 => :pause, 404 => :pause, 405 => :pause,
    407 => :pause, 410 => :pause,
    408 => :postpone, 425 => :postpone, 500 => :postpone, 502 => :postpone, 504 => :postpone, 599 => :postpone,
    400 => :park, 409 => :park, 413 => :park, 422 => :park, 418 => :park, 451 => :park, 600 => :park }
    .each do |status, todo|
    it "is #{todo} for HTTP #{status}" do
      result = SimpleConnect::Result.new(success: status < 300, status_code: status)
      expect(outcome.of(result)).to have_attributes(todo:, status:, error: todo == :done ? nil : "http_#{status}")
    end
  end

  { %i[refused connect] => :hold_back, %i[unreachable connect] => :hold_back, %i[dns resolve] => :hold_back,
    %i[tls tls] => :hold_back, %i[proxy proxy] => :hold_back, %i[timeout connect] => :hold_back,
    %i[timeout read] => :postpone, %i[timeout write] => :postpone, %i[reset read] => :postpone,
    %i[eof read] => :postpone, %i[malformed read] => :postpone, %i[too_large read] => :done }.each do |failure, todo|
    it "is #{todo} for #{failure.join(" at ")}" do
      result = SimpleConnect::Result.failed(1, 0.1, "an error", *failure, false)
      expect(outcome.of(result)).to have_attributes(todo:, error: todo == :done ? nil : failure.first.to_s)
    end
  end

  it "is postpone for what a custom policy returns instead of a result, or without a cause" do
    expect([outcome.of(nil), outcome.of(SimpleConnect::Result.new(success: false))].map(&:todo)).to eq(%i[postpone] * 2)
  end

  it "is hold_back where the application's code that builds the client raises, whatever it is" do
    sender = SimpleConnect::Outbox.const_get(:Sender).new
    event = Struct.new(:client).new("default")
    [IOError, NotImplementedError].each do |error|
      allow(SimpleConnect).to receive(:client).and_raise(error)
      expect(sender.call(event, "{}", nil)).to have_attributes(todo: :hold_back, error: error.name)
    end
  end

  it "is done for a response that is lost after the service has taken the request" do
    expect(outcome.of(SimpleConnect::Result.failed(1, 0.1, "an error", :eof, :read, true)).todo).to eq(:done)
  end
end
