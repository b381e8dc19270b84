# frozen_string_literal: true

require_relative "../support/libraries"

RSpec.describe "config.outbox", unchecked: true do
  let(:config) { SimpleConnect::Configuration.new(env: {}) }
  let(:outbox) { config.outbox }
  let(:key) { "k" * 32 }

  it "has defaults, and is the same object each time" do
    expect(config).not_to be_outbox
    expect(outbox).to have_attributes(base: "ActiveRecord::Base", allow_no_transaction: false, encrypt: false,
                                      park_after: 3600, keep_parked: 2_592_000, concurrency: 8, job: nil, queue: nil)
    expect(config.outbox).to equal(outbox)
    expect(config).to be_outbox
  end

  { base: [Object, "orders", nil], allow_no_transaction: [nil, "no"], encrypt: [1, nil], park_after: [0, "a day", nil],
    keep_parked: [-1, "ever"], concurrency: [0, 1.5, nil], job: [:resque, true, "my_job", :outbox], queue: ["", 7],
    encryption_key: ["short", nil, 7], previous_encryption_keys: ["a" * 32, ["short"], nil] }.each do |option, values|
    values.each do |value|
      it "does not take #{value.inspect} as #{option}" do
        expect { outbox.public_send("#{option}=", value) }
          .to raise_error(SimpleConnect::ConfigurationError, /\Aconfig\.outbox\.#{option} must be /)
      end
    end
  end

  it "takes the other values" do
    outbox.base = "OrdersRecord"
    outbox.job = "sidekiq"
    outbox.keep_parked = nil
    outbox.queue = :low
    expect(outbox).to have_attributes(base: "OrdersRecord", job: :sidekiq, keep_parked: nil, queue: :low)
    outbox.job = false
    expect(outbox.job).to be(false)
    config.job = "outbox"
    expect(config.job).to eq(:outbox)
  end

  it "shows no key, and says what to do without one" do
    secret = "the key of this spec, and 32 bytes long"
    outbox.encryption_key = secret
    expect([outbox.inspect, outbox.to_s, outbox.instance_values.to_s].join).not_to include("the key")
    expect { Marshal.dump(outbox) }.to raise_error(TypeError)
    expect { outbox.encryption_key = "hush" }.to raise_error(/\Aconfig(?!.*hush)/)
    expect { SimpleConnect::Configuration.new(env: {}).outbox.lane_keys }
      .to raise_error(SimpleConnect::ConfigurationError, /encryption_key is not set, and there is no Rails application/)
  end

  it "calls a Proc for the key when it is first used, and again after a reset" do
    calls = 0
    outbox.encryption_key = -> { "key number #{calls += 1}".ljust(32, ".") }
    expect(calls).to eq(0)
    first = outbox.lane_keys.of("default", mobile_no: "+91")
    expect(outbox.lane_keys.of("default", mobile_no: "+91")).to eq(first)
    config.reset
    expect(outbox.lane_keys.of("default", mobile_no: "+91")).not_to eq(first)
    outbox.encryption_key = -> { "short" }
    expect { outbox.lane_keys }.to raise_error(SimpleConnect::ConfigurationError, /encryption_key must be a String of/)
  end

  describe "the keys of lanes" do
    let(:lanes) do
      outbox.encryption_key = key
      outbox.lane_keys
    end

    it "are the same for a recipient of a client, however the number is written" do
      one = lanes.of("default", mobile_no: "+919812345678")
      expect(one).to match(/\A\h{32}:\h{32}\z/)
      expect(lanes.of("default", mobile_no: "+91 98123-45678")).to eq(one)
      others = [lanes.of("billing", mobile_no: "+919812345678"), lanes.of("default", mobile_no: "+919812345679"),
                lanes.of("default", lane: "+919812345678"), lanes.of("default", mobile_no: "none"),
                lanes.of("default", event_id: "+919812345678"),
                lanes.of("default", mobile_no: "+919812345678", event_id: "a")]
      expect([one, *others].uniq.size).to eq(7)
    end

    it "begin alike for all events of a recipient, under each key" do
      outbox.encryption_key = key
      outbox.previous_encryption_keys = ["p" * 32]
      first = outbox.lane_keys.prefixes(mobile_no: "+919812345678")
      now = [lanes.of("billing", mobile_no: "+919812345678"),
             lanes.of("default", mobile_no: "919812345678", event_id: "a")]
      outbox.encryption_key = "p" * 32
      outbox.previous_encryption_keys = []
      before = outbox.lane_keys.of("default", mobile_no: "+919812345678")
      expect([*now, before].map { |lane| lane[0, 32] }).to eq([first[0], first[0], first[1]])
    end
  end

  describe "bodies", skip: Libraries.missing("active_support") do
    let(:body) { %({"event":{"name":"order_paid","note":"नमस्ते"},"recipient":{"mobile_no":"+919812345678"}}) }

    it "are stored as they are" do
      expect(outbox.bodies.encrypt(body)).to equal(body)
      opened = outbox.bodies.decrypt(body.b)
      expect([opened, opened.encoding]).to eq([body, Encoding::UTF_8])
    end

    it "are encrypted where that is wanted, and opened also when it is not any more" do
      outbox.encryption_key = key
      outbox.encrypt = true
      sealed = outbox.bodies.encrypt(body)
      expect(sealed).not_to match(/order_paid|98123/)
      expect(outbox.bodies.encrypt(body)).not_to eq(sealed)
      outbox.encrypt = false
      opened = outbox.bodies.decrypt(sealed.b)
      expect([opened, opened.encoding]).to eq([body, Encoding::UTF_8])
    end

    it "keep what looks like ActiveSupport's own metadata" do
      outbox.encryption_key = key
      outbox.encrypt = true
      body = %({"_rails":{"message":"eA==","exp":null,"pur":"other"}})
      expect(outbox.bodies.decrypt(outbox.bodies.encrypt(body))).to eq(body)
    end

    it "are opened by the keys before, and by no other" do
      outbox.encrypt = true
      outbox.encryption_key = key
      sealed = outbox.bodies.encrypt(body)
      outbox.encryption_key = "n" * 32
      expect { outbox.bodies.decrypt(sealed) }
        .to raise_error(SimpleConnect::ConfigurationError, /\Ano key opens this event of the outbox: set /)
      outbox.previous_encryption_keys = ["o" * 32, key]
      expect(outbox.bodies.decrypt(sealed)).to eq(body)
    end
  end
end
