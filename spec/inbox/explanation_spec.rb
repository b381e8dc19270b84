# frozen_string_literal: true

require "openssl"
require "time"
require_relative "../support/inbox"

# What the page says about a signature.
RSpec.describe SimpleConnect::Sandbox::Inbox do
  include_context "with an inbox"

  let(:sandbox_options) { { key_id: "k1", secret: "new secret", previous_secret: "old secret" } }
  let(:json) { '{"event":"order_paid","event_id":"e1","amount":450.00,"name":"राम/7"}' }
  let(:now) { Time.now.to_i }

  def mac(text, secret = "new secret") = OpenSSL::HMAC.hexdigest("SHA256", secret, text)
  def signed(text = "#{now}.#{json}", secret = "new secret") = "sha256=#{mac(text, secret)}"

  # The last attempt, delivered with these values.
  def explained(key_id: "k1", timestamp: now.to_s, signature: signed, body: json)
    headers = { "HTTP_X_SIMPLECONNECT_KEY_ID" => key_id, "HTTP_X_SIMPLECONNECT_TIMESTAMP" => timestamp,
                "HTTP_X_SIMPLECONNECT_SIGNATURE" => signature }.compact
    ask("POST", "/api/v1/integrations/sandbox/events", body, **headers)
    message["attempts"].last
  end

  it "is explained step by step" do
    attempt = explained(signature: signed("#{now}.#{json}", "wrong"))
    steps = attempt["signature"]
    verdict = "The signature does not match: the secret is another one, or the body or the timestamp was changed " \
              "after signing."

    expect(attempt.values_at("status", "verdict")).to eq([401, verdict])
    expect(steps.map { |step| step.values_at("step", "ok") }).to eq(
      [["key_id", true], ["timestamp", true], ["signed_text", nil], ["expected", nil], ["got", false],
       ["verdict", false]]
    )
    values = steps.to_h { |step| step.values_at("step", "value") }
    expect(values).to include("key_id" => "k1", "signed_text" => "#{now}.#{json}", "expected" => signed,
                              "got" => signed("#{now}.#{json}", "wrong"), "verdict" => verdict)
    expect(values["timestamp"]).to match(/\A#{now}, #{Time.at(now).utc.iso8601}, [01] s before it came\z/)
    expect(JSON.generate(attempt)).not_to include("new secret")
  end

  it "is explained when it is valid" do
    expect(explained).to include("status" => 202, "verdict" => "The signature is valid.",
                                 "signature" => all(satisfy { |step| step["ok"] != false }))
    expect(explained(signature: signed("#{now}.#{json}", "old secret"))).to include(
      "verdict" => "The signature is valid, but made with the previous secret: switch to the new one.",
      "signature" => include(a_hash_including("step" => "expected", "value" => signed("#{now}.#{json}", "old secret")))
    )
  end

  it "shows the beginning of a long text" do
    attempt = explained(body: JSON.generate({ event: "e", event_id: "1", note: "x" * 5000 }))
    expect(attempt["signature"][2]["value"]).to match(/\A\d+\.\{"event".{350,400}x… \(\d{4} bytes\)\z/)
  end

  {
    "without the key id" => [{ key_id: nil }, "The header X-SimpleConnect-Key-Id is missing."],
    "with another key id" => [{ key_id: "k2" }, "The key id is another one than the sandbox's, k1."],
    "without a timestamp" => [{ timestamp: nil }, "The header X-SimpleConnect-Timestamp is missing."],
    "without a signature" => [{ signature: nil }, "The header X-SimpleConnect-Signature is missing."],
    "with letters" => [{ timestamp: "now" }, "The timestamp must be the seconds since 1970, in 1 to 12 digits."],
    "of half the length" => [{ signature: "sha256=abc" },
                             "The signature must be sha256= and 64 hex digits, in lower case."]
  }.each do |name, (values, verdict)|
    it("is explained #{name}") { expect(explained(**values)).to include("status" => 401, "verdict" => verdict) }
  end

  it "is explained with a timestamp in milliseconds, too old, and in the future" do
    stamp = (now * 1000).to_s
    expect(explained(timestamp: stamp, signature: signed("#{stamp}.#{json}"))["verdict"])
      .to eq("The timestamp is in milliseconds. Write it in seconds.")
    { -400 => "400 s before it came", 400 => "400 s after it came" }.each do |offset, words|
      stamp = now + offset
      attempt = explained(timestamp: stamp.to_s, signature: signed("#{stamp}.#{json}"))
      expect(attempt["verdict"]).to match(/\AThe timestamp is off by (399|40[01]) s, and 300 s are tolerated\. /)
      expect(attempt["signature"][1]["value"].sub(/399|401/, "400")).to end_with(words)
    end
  end

  {
    "It lacks the prefix sha256=." => ->(it) { it.mac("#{it.now}.#{it.json}") },
    "It is in upper case. Write the hex digits in lower case." =>
      ->(it) { "sha256=#{it.mac("#{it.now}.#{it.json}").upcase}" },
    "It is in base64. Write it as hex digits." =>
      ->(it) { "sha256=#{[[it.mac("#{it.now}.#{it.json}")].pack("H*")].pack("m0")}" },
    "It is in base64, without sha256=. Write sha256= and hex digits." =>
      ->(it) { [[it.mac("#{it.now}.#{it.json}")].pack("H*")].pack("m0") },
    "Only the body is signed. Sign the timestamp, a dot and the body." => ->(it) { it.signed(it.json) },
    "The dot between the timestamp and the body is missing." => ->(it) { it.signed("#{it.now}#{it.json}") },
    "The body lost the line break at its end after it was signed." => ->(it) { it.signed("#{it.now}.#{it.json}\n") },
    "The secret has a line break at its end." => ->(it) { it.signed("#{it.now}.#{it.json}", "new secret\n") },
    "Other JSON was signed than was sent: the body was parsed and written again. Sign the bytes that you send." =>
      ->(it) { it.signed("#{it.now}.#{it.json.gsub(/(?<=[":,\d])([,:])(?=["\d])/, '\1 ').sub("450.00", "450.0")}") }
  }.each do |mistake, signature|
    it "tells a usual mistake: #{mistake}" do
      expect(explained(signature: signature.call(self))["verdict"]).to eq("The signature does not match. #{mistake}")
    end
  end

  it "tells a line break that was added after signing" do
    expect(explained(body: "#{json}\n")["verdict"])
      .to eq("The signature does not match. The body got a line break at its end after it was signed.")
  end

  it "of a template message is an API key" do
    [["sk_1", "The API key is another one than the sandbox's.", "[redacted]", false],
     [sandbox.api_key, "The API key is valid.", "[redacted]", true]].each do |key, verdict, value, okay|
      deliver_template({ mobile_no: "1" }, key:)
      attempt = message["attempts"].last
      expect(attempt["verdict"]).to eq(verdict)
      expect(attempt["signature"].first).to eq("step" => "api_key", "title" => "API key", "value" => value,
                                               "ok" => okay)
    end
    ask("POST", "/api/v1/whatsapp_messages", { messages: [{ template_name: "t", recipients: [{ mobile_no: "2" }] }] })
    expect(message["attempts"].last["verdict"]).to eq("The header Authorization: Bearer <API key> is missing.")
  end
end
