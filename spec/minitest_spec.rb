# frozen_string_literal: true

require_relative "support/suite"

# Under the signatures nothing would be checked: the suites run in processes of their own.
RSpec.describe "simple_connect/minitest", unchecked: true do
  def suite(tests, *options)
    source = <<~RUBY
      require "simple_connect/minitest"
      SimpleConnect.test!
      #{Suite::CLIENT}
      class ApplicationTest < Minitest::Test
        #{tests}
      end
    RUBY
    Suite.minitest(source, *options)
  end

  def expect_fine(tests, count, *options)
    output, fine = suite(tests, *options)
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

  it "takes no field for one that was not sent" do
    tests = <<~'RUBY'
      def test_it
        pay!
        CLIENT.events.deliver("a", x: 1)
        [Object, nil, ->(note) { note.size > 1 }, Not.new].each do |expected|
          refute_event_delivered(with: { note: expected })
          refute_event_delivered("a", to: { mobile_no: expected })
        end
      end
    RUBY
    expect_fine("Not = Class.new { def ===(other) = other != 1 }\n#{tests}", 1)
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

  apart = <<~'RUBY'
    require "timeout"
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
  # ActiveSupport's test case answers test_order itself; from 7.0 on its executor has one of Minitest's, or forks.
  ordered = "def self.test_order = :random"
  of_rails = <<~RUBY
    class OfRails < SimpleDelegator
      def parallelize_with = :threads
    end
    Minitest.parallel_executor = OfRails.new(Minitest.parallel_executor)
  RUBY
  {
    "" => "parallelize_me!\n#{apart}",
    ", whatever their order" => "parallelize_me!\n#{ordered}\n#{apart}",
    ", by an executor of Rails'" => "require \"delegate\"\nparallelize_me!\n#{ordered}\n#{apart}\n#{of_rails}"
  }.each do |how, tests|
    it "keeps tests apart that run at the same time on threads#{how}" do
      expect_fine(tests, 4)
    end
  end

  it "sees what other threads deliver where Rails' tests run in processes", skip: Libraries.missing("active_support") do
    source = <<~RUBY
      require "active_support"
      require "active_support/test_case"
      require "simple_connect/minitest"
      SimpleConnect.test!
      #{Suite::CLIENT}
      class RailsTest < ActiveSupport::TestCase
        parallelize(workers: 2)
        4.times do |number|
          test("asserts \#{number}") do
            Thread.new { pay!(id: number) }.join
            assert_event_delivered(with: { event_id: "pp_\#{number}" }, times: 1)
            assert_raises(Minitest::Assertion) { refute_event_delivered }
          end
        end
      end
    RUBY
    output, fine = Suite.minitest(source)
    expect(fine).to be(true), output
    expect(output).to include("4 runs", "0 failures, 0 errors, 0 skips")
  end

  # As Rails' executor runs a test, and as Minitest 6 no longer can.
  old = "takes Minitest 5" unless Gem::Specification.find_by_name("minitest").version < Gem::Version.new("6")

  it "sees what other threads deliver where Rails' executor forks", skip: old do
    tests = <<~'RUBY'
      parallelize_me!
      class Forking
        def start = nil
        def shutdown = nil
        def parallelize_with = :processes

        # What its forks do, one after the other.
        def <<((klass, name, reporter))
          reporter.synchronize { reporter.prerecord(klass, name) }
          result = Minitest.run_one_method(klass, name)
          reporter.synchronize { reporter.record(result) }
        end
      end
      Minitest.parallel_executor = Forking.new

      2.times do |number|
        define_method(:"test_#{number}") do
          Thread.new { pay!(id: number) }.join
          assert_event_delivered(with: { event_id: "pp_#{number}" }, times: 1)
        end
      end
    RUBY
    expect_fine(tests, 2)
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
