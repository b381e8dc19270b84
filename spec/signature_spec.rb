# frozen_string_literal: true

require "openssl"
require_relative "support/scripted_server"

RSpec.describe "Signatures" do
  it "are OpenSSL's, for random secrets and bodies" do
    seed = Random.new_seed
    random = Random.new(seed)
    ScriptedServer.open([{ "status" => 202, "body" => "{}" }]) do |server|
      50.times do
        secret = "s#{random.bytes(random.rand(150))}"
        client = SimpleConnect::Client.new(endpoint_url: server.endpoint, key_id: "k", secret:)
        client.events.deliver("order_paid", note: random.bytes(random.rand(300)).unpack("C*").pack("U*"))
        request = server.requests.last
        signed = "#{request.headers["x-simpleconnect-timestamp"]}.#{request.body}"
        expect(request.headers["x-simpleconnect-signature"])
          .to eq("sha256=#{OpenSSL::HMAC.hexdigest("SHA256", secret, signed)}"), "seed #{seed}"
      end
    end
  end
end
