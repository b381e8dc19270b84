# frozen_string_literal: true

require_relative "support/suite"

# Under the signatures nothing would be checked: the suites run in processes of their own.
RSpec.describe "simple_connect/rspec", unchecked: true do
  def suite(examples, *options)
    source = <<~RUBY
      require "simple_connect/rspec"
      SimpleConnect.test!
      #{Suite::CLIENT}
      RSpec.describe "an application" do
        #{examples}
      end
    RUBY
    Suite.rspec(source, *options)
  end

  # What RSpec says of an expectation that is not met.
  def complaint(expectation)
    output, fine = suite("example { #{expectation} }")
    expect(fine).to be(false), output
    output[/^ *(expected.*?)\n *# /m, 1].gsub(/^ {7}/, "").strip
  end

  def expect_fine(examples, count, *options)
    output, fine = suite(examples, *options)
    expect(fine).to be(true), output
    expect(output).to include("#{count} examples, 0 failures")
  end

  it "tells what was delivered, how often and to whom" do
    examples = <<~'RUBY'
      example { expect { pay! }.to deliver_event }
      example { expect { pay! }.to deliver_event(:customer_payment_received) }
      example do
        expect { pay! }.to deliver_event("customer_payment_received")
          .to_recipient("+919812345678").with(payment_amount: "450.00").once
      end
      example { expect { pay!; pay!(id: 2) }.to deliver_event("customer_payment_received").twice }
      example { expect { 3.times { pay! } }.to deliver_event.exactly(3).times }
      example { expect { 3.times { pay! } }.to deliver_event.at_least(2).times.and deliver_event.at_most(3).times }
      example { expect { nil }.to deliver_event.at_most(1).times }
      example { expect { pay! }.not_to deliver_event("customer_refunded") }
      example { expect { pay! }.not_to deliver_event.with(payment_amount: "400.00") }
      example { pay!; expect { nil }.not_to deliver_event }
      example { expect { pay! }.to deliver_event.to_recipient(name: "Lakshmi Nair") }
      example { expect { CLIENT.events.deliver("a", user_mobile_no: "+1") }.to deliver_event.to_recipient("+1") }
      example do
        SimpleConnect::Testing.fail_with(:refused)
        expect { pay! }.to deliver_event.once
      end
    RUBY
    expect_fine(examples, 13)
  end

  it "takes matchers for any value, and values as they read from JSON" do
    examples = <<~'RUBY'
      example { expect { pay! }.to deliver_event(a_string_starting_with("customer_")) }
      example { expect { pay! }.to deliver_event(/payment/).to_recipient(/\A\+91/) }
      example { expect { pay! }.to deliver_event.with(payment_amount: a_string_ending_with(".00"), payment_mode: anything) }
      example { expect { pay! }.to deliver_event.with(payment_amount: ->(amount) { amount.to_f > 400 }) }
      example { expect { pay!(n: 3) }.to deliver_event.with(n: 1..5, event_id: "pp_1", language: "en") }
      example { expect { pay!(tags: [:a, { x: 1 }]) }.to deliver_event.with(tags: [:a, { x: a_kind_of(Integer) }]) }
      example { expect { pay!(tags: %w[a b]) }.to deliver_event.with(tags: array_including("b")) }
      example { expect { pay!(at: Time.at(0).utc) }.to deliver_event.with("at" => Time.at(0).utc) }
      example { expect { pay!(note: nil) }.to deliver_event.with(note: nil) }
      example { expect { pay! }.not_to deliver_event.with(note: nil) }
      example { expect { pay!(tags: [1, 2]) }.not_to deliver_event.with(tags: [1]) }
      example { expect { pay!(a: { x: 1, y: 2 }) }.not_to deliver_event.with(a: { x: 1 }) }
    RUBY
    expect_fine(examples, 12)
  end

  it "takes no field for one that was not sent" do
    examples = <<~'RUBY'
      RSpec::Matchers.define_negated_matcher :not_include, :include

      { anything: -> { anything }, "a class": -> { Object }, truthy: -> { be_truthy }, nil: -> { be_nil }, "no x": -> { not_include("x") },
        "a lambda": -> { ->(note) { note.size > 1 } }, satisfied: -> { satisfy { |note| note > 1 } } }.each do |name, expected|
        example("a field: #{name}") { expect { pay! }.not_to deliver_event.with(note: instance_exec(&expected)) }
        example("a member: #{name}") { expect { pay!(a: {}) }.not_to deliver_event.with(a: { note: instance_exec(&expected) }) }
        example("a number: #{name}") do
          expect { CLIENT.events.deliver("a", x: 1) }.not_to deliver_event.to_recipient(instance_exec(&expected))
        end
        example("of a recipient: #{name}") { expect { pay! }.not_to deliver_event.to_recipient(city: instance_exec(&expected)) }
      end
      example { expect { pay!; pay!(n: 7) }.to deliver_event.with(n: ->(n) { n > 5 }).once }
      example { expect { pay!(note: nil) }.to deliver_event.with(note: anything) }
    RUBY
    expect_fine(examples, 30)
  end

  it "goes together with other matchers" do
    examples = <<~'RUBY'
      RSpec::Matchers.define_negated_matcher :deliver_no_event, :deliver_event

      example do
        expect { pay!; pay!(id: 2) }.to deliver_event.with(event_id: "pp_1").and deliver_event.with(event_id: "pp_2")
      end
      example { expect { pay! }.to deliver_event("b").or deliver_event("customer_payment_received") }
      example { expect { pay! }.to deliver_event("customer_payment_received").and deliver_no_event("b") }
      example { expect { pay! }.to deliver_event.and(change { SimpleConnect::Testing.deliveries.size }.by(1)) }
      example { pay!; expect(SimpleConnect::Testing.deliveries).to contain_exactly(have_attributes(event_id: "pp_1")) }
    RUBY
    expect_fine(examples, 5)
  end

  it "shows field by field how what was delivered differs" do
    said = complaint(<<~'RUBY')
      expect do
        CLIENT.events.deliver("other", event_id: "o")
        pay!(payment_amount: "400.00")
      end.to deliver_event("customer_payment_received").to_recipient(/\+92/)
        .with(payment_amount: "450.00", payment_mode: "UPI", note: a_kind_of(String)).once
    RUBY
    expect(said).to eq(<<~'TEXT'.strip)
      expected the block to deliver event "customer_payment_received" to /\+92/ with payment_amount: "450.00", payment_mode: "UPI", note: a kind of String once, but it delivered:
        event "customer_payment_received" to "+919812345678", event_id "pp_1"
          - recipient mobile_no: /\+92/
          + recipient mobile_no: "+919812345678"
          - payment_amount: "450.00"
          + payment_amount: "400.00"
            payment_mode: "UPI"
          - note: a kind of String
          + note: nothing
        event "other", event_id "o"
    TEXT
  end

  it "tells how often there was what is expected" do
    expect(complaint("expect { pay! }.to deliver_event(:customer_payment_received).twice")).to eq(<<~TEXT.strip)
      expected the block to deliver event "customer_payment_received" twice, but it did so once:
        event "customer_payment_received" to "+919812345678", event_id "pp_1"
    TEXT
    expect(complaint("expect { nil }.to deliver_event.at_least(2).times"))
      .to eq("expected the block to deliver an event at least twice, but it delivered nothing")
    many = complaint("expect { 12.times { |id| pay!(id:) } }.to deliver_event.at_most(3).times").lines
    expect(many.first).to end_with("to deliver an event at most 3 times, but it did so 12 times:\n")
    expect([many.size, many.last]).to eq([12, "  and 2 more"])
  end

  it "tells what was delivered though it was not to be" do
    expect(complaint("expect { pay! }.not_to deliver_event")).to eq(<<~TEXT.strip)
      expected the block not to deliver an event, but it did so once:
        event "customer_payment_received" to "+919812345678", event_id "pp_1"
    TEXT
    said = complaint('expect { pay! }.to deliver_event("a").and deliver_event("b")')
    expect(said).to include("expected the block to deliver event \"a\", but it delivered:")
      .and include("expected the block to deliver event \"b\", but it delivered:")
  end

  it "says what to write instead" do
    output, = suite(<<~RUBY)
      example { expect { pay! }.not_to deliver_event.once }
      example { expect(5).to deliver_event }
      example { expect { pay! }.to deliver_event.with("450.00") }
      example do
        SimpleConnect::Testing.disable!
        expect { nil }.to deliver_event
      end
    RUBY
    expect(output).to include("not_to deliver_event takes no number of times",
                              "deliver_event takes a block: write expect { … }.to deliver_event",
                              "with takes a Hash of fields, such as with(payment_amount: \"450.00\"), not String",
                              "test mode is off: call SimpleConnect.test! first", "4 examples, 4 failures")
  end

  it "begins each example anew, in whatever order" do
    examples = <<~RUBY
      5.times do |number|
        example do
          expect(SimpleConnect::Testing.deliveries).to eq([])
          expect(pay!.status_code).to eq(202)
          SimpleConnect::Testing.fail_with(422)
          expect(pay!.status_code).to eq(422)
          SimpleConnect::Testing.disable! if number.odd?
        end
        example { expect(SimpleConnect::Testing.messages + SimpleConnect::Testing.deliveries).to eq([]) }
      end
    RUBY
    %w[defined rand:1 rand:2].each { |order| expect_fine(examples, 10, "--order", order) }
  end

  it "leaves test mode off where only an example turns it on" do
    source = <<~RUBY
      require "simple_connect/rspec"
      RSpec.describe "an application" do
        3.times do
          example do
            expect(SimpleConnect::Testing).not_to be_enabled
            SimpleConnect.test!
          end
        end
      end
    RUBY
    output, fine = Suite.rspec(source)
    expect(fine).to be(true), output
  end
end
