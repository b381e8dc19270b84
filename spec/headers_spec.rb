# frozen_string_literal: true

require "logger"
require "simple_connect/testing"
require "stringio"
require_relative "support/delivering"
require_relative "support/webmock"

RSpec.describe "headers:" do
  include Delivering

  trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

  # What the server gets of these fields.
  def sent(server, *names)
    server.requests.map { |request| request.headers.values_at(*names) }
  end

  Delivering.over_each_wire(self, "with a real server") do
    it "go out with each request of a client, and what `with` says beside them" do
      serve(Delivering::ACCEPTED) do |server|
        client = client_of(server, headers: { "X-Tenant" => "9", "traceparent" => "none" })
        deliver(client)
        deliver(client.with(headers: { "Traceparent" => trace }))
        deliver(client.with(headers: { "X-Tenant" => 10 }).with(total_timeout: 5).with(headers: { "X-More" => :yes }))
        deliver(client)
        expect(sent(server, "x-tenant", "traceparent", "x-more"))
          .to eq([["9", "none", nil], ["9", trace, nil], %w[10 none yes], ["9", "none", nil]])
        expect(server.connections).to eq(1)
      end
    end

    it "go out with each attempt, by whatever policy, and leave the signature as it is" do
      serve({ "status" => 503 }, { "status" => 503 }, Delivering::ACCEPTED) do |server|
        own = Class.new(SimpleConnect::Retryable) {}.new(max_attempts: 2, sleep: ->(_) {})
        [quick(2), own].each { |retryable| deliver(client_of(server, retryable:, headers: { "X-Tenant" => "9" })) }
        expect(sent(server, "x-tenant")).to eq([["9"]] * 3)
        server.requests.each do |request|
          timestamp, signature = request.headers.values_at("x-simpleconnect-timestamp", "x-simpleconnect-signature")
          mac = OpenSSL::HMAC.hexdigest("SHA256", Delivering::SECRET, "#{timestamp}.#{request.body}")
          expect(signature).to eq("sha256=#{mac}")
        end
      end
    end

    it "go out with every call of both clients" do
      serve(Delivering::ACCEPTED) do |server|
        client = client_of(server).with(headers: { "X-Tenant" => "9" })
        client.events.deliver_all([["order_paid", { order: 7 }]] * 2)
        client.events.detail("e")
        client.integrations.verify
        messages = messages_client_of(server, headers: { "X-Tenant" => "9" })
        send_message(messages)
        send_message(messages.with(headers: { "x-tenant" => "10" }))
        expect(sent(server, "x-tenant").flatten).to eq(["9"] * 5 + ["10"])
      end
    end
  end

  it "are those of the environment's client, too" do
    serve(Delivering::ACCEPTED) do |server|
      client = SimpleConnect::Client.from_env({}, endpoint_url: server.endpoint, key_id: "k", secret: "s",
                                                  headers: { "X-Tenant" => "9" })
      deliver(client.with(headers: { "X-More" => "1" }))
      expect(sent(server, "x-tenant", "x-more")).to eq([%w[9 1]])
    end
  end

  describe "before anything is sent" do
    let(:client) { client_of("https://app.example/api/v1/integrations/demo/events") }

    def refusal(headers)
      [-> { client.with(headers:) },
       -> { client_of("https://app.example/x", headers:) },
       -> { SimpleConnect::MessagesClient.new(base_url: "https://app.example", api_key: "k", headers:) }].map do |make|
        make.call
        nil
      rescue SimpleConnect::ConfigurationError => e
        e.message
      end => [message, *others]
      expect(others).to all(eq(message))
      message
    end

    %w[Content-Type content-length Host Connection TRANSFER-ENCODING Accept-Encoding Accept Authorization Expect TE
       Proxy-Authorization X-SimpleConnect-Key-Id x-simpleconnect-anything].each do |name|
      it "refuse #{name}, which is the gem's" do
        expect(refusal({ name => "1" })).to eq("headers: #{name.inspect} is set by this gem: leave it out")
      end
    end

    it "can name the test that a sandbox keeps apart" do
      expect do
        SimpleConnect::Client.new(endpoint_url: "https://app.example/events", key_id: "k", secret: "s",
                                  headers: { "X-SimpleConnect-Session" => "7" })
      end.not_to raise_error
    end

    it "refuse User-Agent with the option that there is for it" do
      expect(refusal({ "user-agent" => "1" }))
        .to eq('headers: "user-agent" is set by this gem: pass user_agent: instead')
    end

    it "refuse what is no header's name, and do not show a value", unchecked: true do
      { { "X Tenant" => "s3cr3t" } => /\Aheaders: invalid header name "X Tenant"/,
        { "" => "s3cr3t" } => /\Aheaders: invalid header name ""/,
        { "X\r\nY" => "s3cr3t" } => /\Aheaders: invalid header name "X\\r\\nY"/,
        { "X" => "s3cr3t\r\nHost: other" } => /\Aheaders: the value of "X" must not contain line breaks/,
        { "X" => "s3cr3t\0" } => /\Aheaders: the value of "X" must not contain line breaks/,
        { "X" => "s3cr3t\xff" } => /\Aheaders: the value of "X" must be valid UTF-8/,
        { "X" => nil } => /\Aheaders: the value of "X" must be a String, not NilClass\z/,
        { "X" => ["s3cr3t"] } => /\Aheaders: the value of "X" must be a String, not Array\z/,
        { "X" => "s3cr3t", "x" => "2" } => /\Aheaders: "x" is given twice\z/,
        [%w[X s3cr3t]] => /\Aheaders: must be a Hash, such as .*, not Array\z/ }.each do |headers, message|
        expect(refusal(headers)).to match(message).and exclude("s3cr3t")
      end
    end

    it "are at most 20, together" do
      fields = ->(numbers) { numbers.to_h { |number| ["X-#{number}", "1"] } }
      twenty = client.with(headers: fields.call(1..20))
      expect { twenty.with(headers: fields.call(1..20)) }.not_to raise_error
      expect { twenty.with(headers: { "Y" => "1" }) }
        .to raise_error(SimpleConnect::ConfigurationError, "headers: must have at most 20 fields, not 21")
      expect(refusal(fields.call(1..21))).to eq("headers: must have at most 20 fields, not 21")
    end

    it "may be none" do
      expect([nil, {}].map { |headers| client.with(headers:) }).to all(be_a(SimpleConnect::Client))
    end
  end

  it "are in a debug log once each, however the client was changed" do
    serve(Delivering::ACCEPTED) do |server|
      log = StringIO.new
      client = client_of(server, headers: { "X-Gateway" => "a" }, debug: true, logger: Logger.new(log))
      changed = client.with(timeout: 5).with(headers: { "X-Tenant" => "b" }).with(max_attempts: 1)
      changed.events.deliver_all([["order_paid", { n: 1 }]])
      expect(%w[X-Gateway X-Tenant].map { |name| log.string.scan("#{name}: [redacted]").size }).to eq([1, 1])
    end
  end

  it "show in no inspect, and with debug: by their names alone" do
    serve(Delivering::ACCEPTED) do |server|
      log = StringIO.new
      client = client_of(server, headers: { "X-Gateway" => "s3cr3t" }, debug: true, logger: Logger.new(log))
      short = client.with(headers: { "traceparent" => "t0ken" })
      deliver(short)
      shown = [client, client.events, short].map(&:inspect).join
      expect(shown + log.string).not_to match(/s3cr3t|t0ken/)
      expect(log.string).to include("\n         X-Gateway: [redacted]\n         traceparent: [redacted]\nBody: {")
      log.truncate(0)
      deliver(client)
      expect(log.string).to include("X-Gateway: [redacted]").and exclude("traceparent")
    end
  end

  it "are seen in test mode" do
    SimpleConnect.test! do
      deliver(client_of("https://app.example/x").with(headers: { "X-Tenant" => "9" }))
      expect(SimpleConnect::Testing.deliveries.last.requests.first.headers).to include("x-tenant" => "9")
    end
  end

  describe "with WebMock" do
    include_context "with WebMock"

    it "are seen by it" do
      stub = WebMock.stub_request(:post, "https://app.example/x")
                    .with(headers: { "Traceparent" => trace, "X-Tenant" => "9" }).to_return(status: 202, body: "{}")
      client = client_of("https://app.example/x", headers: { "X-Tenant" => "9" })
      expect(deliver(client.with(headers: { "traceparent" => trace }))).to be_success
      expect(stub).to have_been_requested.once
    end
  end

  RSpec::Matchers.define_negated_matcher :exclude, :include
end
