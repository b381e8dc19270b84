# frozen_string_literal: true

begin
  # WebMock loads every HTTP library that it finds, and their warnings are not ours.
  verbose = $VERBOSE
  $VERBOSE = nil
  require "webmock"
  require "webmock/rspec/matchers"
ensure
  $VERBOSE = verbose
end

WebMock::AssertionFailure.error_class = RSpec::Expectations::ExpectationNotMetError

# WebMock for the time of each example: enabled, and with nothing allowed. The other specs go without.
RSpec.shared_context "with WebMock" do
  include WebMock::API
  include WebMock::Matchers

  before do
    WebMock.enable!
    WebMock.disable_net_connect!
  end

  after do
    WebMock.reset!
    WebMock.reset_callbacks
    WebMock::StubRegistry.instance.global_stubs.clear
    WebMock.allow_net_connect!
    WebMock.disable!
  end
end
