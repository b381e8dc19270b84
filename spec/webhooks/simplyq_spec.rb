# frozen_string_literal: true

require "simple_connect/simplyq"
require_relative "../support/documented_code"

RSpec.describe SimpleConnect::Simplyq::Webhook do
  secret = "flour-and-water"
  body = '{"rolls":12}'

  def signed(body, secret, at: Time.now)
    headers = SimpleConnect::Signature.sign(body, secret:, scheme: :simplyq, timestamp: at)
    { signatures: headers["X-Simplyq-Signature"], timestamp: headers["X-Simplyq-Timestamp"] }
  end

  it "works by the call forms of Simplyq's library, and fails where it should", skip: DocumentedCode.missing do
    source = File.read(File.expand_path("../fixtures/call_forms/simplyq.rb", __dir__))
    outcomes = [secret, "another"].map do |signing|
      DocumentedCode.run([[source, 1]], <<~RUBY)
        require "simple_connect/simplyq"
        require "stringio"
        Simplyq = SimpleConnect::Simplyq
        ENV["BAKERY_SECRET"] = #{secret.dump}
        body = #{body.dump}
        fields = SimpleConnect::Signature.sign(body, secret: #{signing.dump}, scheme: :simplyq)
                                         .transform_keys { |name| name.downcase.tr("-", "_") }
        ORDER = Struct.new(:body, :fields).new(StringIO.new(body), fields)
      RUBY
    end
    expect(outcomes).to match([["", true], [a_string_including("SignatureVerificationError"), false]])
  end

  it "has the error and the tolerance where Simplyq's library has them" do
    expect { described_class.verify_signature(body, secret:, **signed(body, "another")) }
      .to raise_error(SimpleConnect::Simplyq::SignatureVerificationError)
    expect(described_class::DEFAULT_TOLERANCE).to eq(300)
  end

  describe ".verify_signature" do
    it "is true for what is signed, by one of several signatures or secrets" do
      good = signed(body, secret)
      other = signed(body, "other")[:signatures]
      [
        good, { **good, signatures: "#{other}, #{good[:signatures]}" },
        { **good, signatures: [other, good[:signatures]] }, { **good, timestamp: Integer(good[:timestamp]) }
      ].each do |received|
        expect(described_class.verify_signature(body, secret:, **received)).to be(true)
      end
      expect(described_class.verify_signature(body, secret: ["new", secret], **good)).to be(true)
    end

    it "raises for anything else, and says why" do
      good = signed(body, secret)
      {
        { **good, signatures: nil } => :missing_signature, { **good, timestamp: nil } => :missing_timestamp,
        { **good, timestamp: "soon" } => :malformed_timestamp,
        { **good, signatures: signed(body, "other")[:signatures] } => :mismatch,
        signed(body, secret, at: Time.now - 302) => :too_old, signed(body, secret, at: Time.now + 302) => :too_new
      }.each do |received, reason|
        expect { described_class.verify_signature(body, secret:, **received) }
          .to raise_error(SimpleConnect::SignatureVerificationError) { |error| expect(error.reason).to eq(reason) }
      end
    end

    it "takes another tolerance" do
      old = signed(body, secret, at: Time.now - 302)
      expect(described_class.verify_signature(body, secret:, tolerance: 400, **old)).to be(true)
    end
  end

  describe ".construct_event" do
    it "gives the event" do
      expect(described_class.construct_event(body, secret:, **signed(body, secret))["rolls"]).to eq(12)
    end

    it "raises where it is not signed, or no JSON" do
      expect { described_class.construct_event(body, secret:, **signed(body, "other")) }
        .to raise_error(SimpleConnect::SignatureVerificationError)
      expect { described_class.construct_event("[]", secret:, **signed("[]", secret)) }
        .to raise_error(SimpleConnect::MalformedPayloadError)
    end
  end
end
