# frozen_string_literal: true

require_relative "support/suite"

# Under the signatures nothing would be checked: the suites run in processes of their own.
RSpec.describe "simple_connect/minitest", unchecked: true do
  def suite(tests, *options, parallel: false)
    source = <<~RUBY
      require "simple_connect/minitest"
      SimpleConnect.test!
      #{Suite::CLIENT}
      class ApplicationTest < Minitest::Test
        #{"parallelize_me!" if parallel}
        #{tests}
      end
    RUBY
    Suite.minitest(source, *options)
  end

  def expect_fine(tests, count, *options, **suite_options)
    output, fine = suite(tests, *options, **suite_options)
    expect(fine).to be(true), output
    expect(output).to match(/^#{count} runs, [1-9]\d* assertions, 0 failures, 0 errors, 0 skips/)
  end

  # What Minitest says of an assertion that does not hold.
  def complaint(assertion)
    output, fine = suite("def test_it = (#{assertion})")
    expect(fine).to be(false), output
    output[/^ApplicationTest#test_it.*?:\n(.*?)\n\n/m, 1]
  end

  it "asserts what was delivered, how often and to whom" do
    tests = <<~'RUBY'
      def test_block
        assert_event_delivered("customer_payment_received", to: "+919812345678", with: { payment_amount: "450.00" }, times: 1) { pay! }
      end

      def test_so_far
        pay!
        pay!(id: 2)
        assert_event_delivered(:customer_payment_received, times: 2)
        assert_event_delivered(with: { event_id: "pp_2" }, times: 0..1)
      end

      def test_first_that_fits
        pay!
        pay!(id: 2, at: Time.at(0).utc)
        delivery = assert_event_delivered(/payment/, to: { name: "Lakshmi Nair" }, with: { payment_mode: /UPI|cash/, at: Time.at(0).utc })
        assert_equal "pp_2", delivery.event_id
      end

      def test_not
        refute_event_delivered
        pay!
        refute_event_delivered("customer_refunded")
        refute_event_delivered(to: "+1")
        refute_event_delivered { nil }
      end

      def test_none
        assert_nil assert_event_delivered(times: 0) { nil }
      end
    RUBY
    expect_fine(tests, 5)
  end

  it "shows field by field how what was delivered differs" do
    assertion = <<~'RUBY'
      assert_event_delivered("customer_payment_received", to: /\+92/, with: { payment_amount: "450.00", note: String }, times: 1) do
        CLIENT.events.deliver("other", event_id: "o")
        pay!(payment_amount: 400)
      end
    RUBY
    expect(complaint(assertion)).to eq(<<~'TEXT'.strip)
      Expected the block to deliver event "customer_payment_received" to /\+92/ with payment_amount: "450.00", note: String once, but it delivered:
        event "customer_payment_received" to "+919812345678", event_id "pp_1"
          - recipient mobile_no: /\+92/
          + recipient mobile_no: "+919812345678"
          - payment_amount: "450.00"
          + payment_amount: 400
          - note: String
          + note: nothing
        event "other", event_id "o"
    TEXT
  end

  it "tells what was delivered though it was not to be, and what was not" do
    expect(complaint("pay!; refute_event_delivered(/payment/)")).to eq(<<~TEXT.strip)
      Expected the test not to deliver event /payment/, but it did so once:
        event "customer_payment_received" to "+919812345678", event_id "pp_1"
    TEXT
    expect(complaint("assert_event_delivered")).to eq("Expected the test to deliver an event, but it delivered nothing")
  end

  it "begins each test anew, in whatever order" do
    tests = <<~'RUBY'
      4.times do |number|
        define_method(:"test_#{number}") do
          assert_empty SimpleConnect::Testing.deliveries
          assert_equal 202, pay!.status_code
          SimpleConnect::Testing.fail_with(422)
          assert_equal 422, pay!(id: 2).status_code
        end
      end
    RUBY
    [1, 2, 3].each { |seed| expect_fine(tests, 4, "--seed", seed.to_s) }
  end

  it "keeps tests apart that run at the same time" do
    tests = <<~'RUBY'
      Minitest.parallel_executor = Minitest::Parallel::Executor.new(4)
      ARRIVED = Queue.new
      LEFT = Queue.new

      # Returns when all four tests are here.
      def meet(queue)
        queue << true
        Timeout.timeout(20) { Thread.pass until queue.size == 4 }
      end

      4.times do |number|
        define_method(:"test_#{number}") do
          SimpleConnect::Testing.fail_with(400 + number)
          meet(ARRIVED)
          assert_equal(400 + number, pay!(id: number).status_code)
          meet(LEFT)
          assert_equal(["pp_#{number}"], SimpleConnect::Testing.deliveries.map(&:event_id))
        end
      end
    RUBY
    expect_fine("require \"timeout\"\n#{tests}", 4, parallel: true)
  end

  it "leaves test mode off where only a test turns it on" do
    source = <<~RUBY
      require "simple_connect/minitest"
      class ApplicationTest < Minitest::Test
        3.times do |number|
          define_method(:"test_\#{number}") do
            refute SimpleConnect::Testing.enabled?
            SimpleConnect.test!
          end
        end
      end
    RUBY
    output, fine = Suite.minitest(source)
    expect(fine).to be(true), output
  end

  it "comes with Rails' tests and with Minitest's specs" do
    source = <<~RUBY
      require "active_support"
      require "active_support/test_case"
      require "minitest/spec"
      require "simple_connect/minitest"
      SimpleConnect.test!
      #{Suite::CLIENT}
      class RailsTest < ActiveSupport::TestCase
        setup { pay! }
        test("one") { assert_event_delivered("customer_payment_received", times: 1) }
        test("other") { assert_event_delivered("customer_payment_received", times: 1) }
      end
      describe "an application" do
        it("pays") { assert_event_delivered { pay! } }
      end
    RUBY
    output, fine = Suite.minitest(source)
    expect(fine).to be(true), output
    expect(output).to include("3 runs, 3 assertions, 0 failures")
  end
end
