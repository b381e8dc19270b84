# frozen_string_literal: true

require "json"
require "logger"
require "psych"
require "simple_connect/kiket"
require "stringio"
require_relative "support/delivering"
require_relative "support/libraries"
require_relative "support/subprocess"

# Promise 12 where the server sends back what it was sent.
RSpec.describe "A server that reflects the request (promise 12)" do
  include Delivering

  token = "t0ken-of-the-specs"
  key = "k3y-of-the-extension"

  define_method(:those_that_tell) { |*texts| texts.flatten.grep(/#{token}|#{key}/) }

  # Answers with each field that came, in its head and in its body.
  def reflecting(status, &block)
    step = lambda do |connection, request|
      body = JSON.generate({ queued_messages: [], echo: request.headers })
      fields = request.headers.map { |name, value| "X-Echo-#{name}: #{value}\r\n" }.join
      connection.io.write("HTTP/1.1 #{status} Hm\r\n#{fields}Content-Length: #{body.bytesize}\r\n\r\n#{body}")
      true
    end
    ScriptedServer.open([step], &block)
  end

  [200, 302, 422, 503].each do |status|
    it "with a #{status} puts no API key into results, errors and logs" do
      reflecting(status) do |server|
        lines = StringIO.new
        client = SimpleConnect::MessagesClient.new(base_url: server.url, api_key: token, max_attempts: 1, debug: true,
                                                   logger: Logger.new(lines))
        result = send_message(client)
        error = begin
          client.messages.detail!("m")
        rescue SimpleConnect::DeliveryError => e
          [e.message, e.full_message, e.inspect, Marshal.dump(e)]
        end
        expect(result.response_body).to include("Bearer [redacted]")
        expect(result.headers["x-echo-authorization"]).to eq("Bearer [redacted]")
        told = [result.inspect, result.error.to_s, result.headers.inspect, Marshal.dump(result), lines.string,
                error.inspect]
        expect(those_that_tell(*told)).to eq([])
        expect(server.requests.first.headers["authorization"]).to eq("Bearer #{token}")
      end
    end
  end

  it "puts neither token nor key into what Kiket's API is told to have said" do
    reflecting(422) do |server|
      client = SimpleConnect::Kiket::Client.new(server.url, workspace_token: token, extension_api_key: key)
      expect { client.for_version("v1").get("/x") }.to raise_error(SimpleConnect::Kiket::RequestError) { |error|
        told = [error.message, error.full_message, error.result.inspect, error.result.headers.inspect]
        expect(told.join).to include("[redacted]")
        expect(those_that_tell(*told)).to eq([])
      }
      expect(server.requests.first.headers)
        .to include("authorization" => "Bearer #{token}", "x-kiket-api-key" => key, "x-kiket-event-version" => "v1")
    end
  end

  it "leaves answers alone where the key is a mere word" do
    reflecting(200) do |server|
      client = SimpleConnect::MessagesClient.new(base_url: server.url, api_key: "queued", max_attempts: 1)
      expect(send_message(client).data.queued_messages).to eq([])
    end
  end

  it "is not needed: a client of Kiket's API shows its secrets to nobody, and cannot be dumped", unchecked: true do
    client = SimpleConnect::Kiket::Client.new("http://127.0.0.1:9", workspace_token: token, extension_api_key: key)
    [client, client.for_version("v1")].each do |one|
      expect(one.to_s).to eq("#<SimpleConnect::Kiket::Client http://127.0.0.1:9>")
      expect(those_that_tell(one.inspect, one.to_json, JSON.generate([one]))).to eq([])
      expect { Psych.dump(one) }.to raise_error(TypeError, /cannot be dumped/)
      expect { Marshal.dump(one) }.to raise_error(TypeError, /cannot be dumped/)
      expect(one.instance_variables.map do |name|
               one.instance_variable_get(name).inspect
             end.grep(/#{token}|#{key}/)).to eq([])
    end
  end

  it "is not needed: nor is a client of Kiket's API JSON under Rails", skip: Libraries.missing("active_support/all") do
    json = Subprocess.run do
      require "active_support/all"
      SimpleConnect::Kiket::Client.new("http://127.0.0.1:9", workspace_token: token,
                                                             extension_api_key: key).as_json.to_s
    end
    expect(those_that_tell(json)).to eq([])
  end

  it "names the option of Kiket's that cannot be sent" do
    { workspace_token: "a\nb", extension_api_key: "a\nb" }.each do |option, value|
      expect { SimpleConnect::Kiket::Client.new("http://127.0.0.1:9", option => value) }
        .to raise_error(SimpleConnect::ConfigurationError, /\A#{option}/)
    end
  end
end
