# frozen_string_literal: true

require "logger"
require "openssl"
require "rack"
require_relative "support/delivering"
require_relative "support/webmock"

# What WebMock asks of a library's adapter: the list that its own specs hold each adapter to, for our calls.
RSpec.describe "WebMock" do
  include Delivering
  include_context "with WebMock"

  let(:url) { "https://app.example/api/v1/integrations/demo/events" }
  let(:client) { client_of(url, retryable: policy) }
  let(:policy) { SimpleConnect::Retryable.new(sleep: ->(_) {}) }
  let(:accepted) { { status: 202, body: '{"status":"accepted","log_id":7,"event_id":"payment_42"}' } }
  let(:messages) do
    SimpleConnect::MessagesClient.new(base_url: "https://app.example", api_key: "k3y", retryable: policy)
  end

  def with_server(script = [Delivering::ACCEPTED], &) = ScriptedServer.open(script, &)

  def events(count) = (1..count).map do |id|
                        ["order_paid", { recipient: { mobile_no: "+91" }, event: { event_id: id } }]
                      end

  # Whatever is raised, also what is no StandardError.
  def raised
    yield
    nil
  rescue Exception => e # rubocop:disable Lint/RescueException -- WebMock's error is none
    e
  end

  def requests = WebMock::RequestRegistry.instance.requested_signatures.to_enum.flat_map { |request, n| [request] * n }

  describe "a request that nothing is declared for" do
    policies = {
      "the default policy" => -> { SimpleConnect::Retryable.new(sleep: ->(_) {}) },
      "a policy of one's own" => lambda do
        Class.new(SimpleConnect::Retryable) {}.new(sleep: ->(_) {})
      end
    }
    policies.each do |name, make|
      context "with #{name}" do
        let(:policy) { make.call }

        it "is refused at once, with what to declare" do
          expect(raised { deliver(client) }).to be_a(WebMock::NetConnectNotAllowedError).and have_attributes(
            message: match(/Unregistered request: POST #{url} with body '{"event":"customer_payment_received"/)
              .and(include("stub_request(:post, \"#{url}\")"))
          )
          expect(a_request(:post, url)).to have_been_made.once
        end
      end
    end

    calls = {
      "events.detail" => ->(test) { test.client.events.detail("payment_42") },
      "integrations.verify" => ->(test) { test.client.integrations.verify },
      "messages.deliver" => ->(test) { test.send_message(test.messages) },
      "messages.detail" => ->(test) { test.messages.messages.detail("m1") },
      "events.deliver_all" => ->(test) { test.client.events.deliver_all(test.events(5)) }
    }
    calls.each do |name, call|
      it "is refused in #{name}" do
        expect(raised { call.call(self) }).to be_a(WebMock::NetConnectNotAllowedError)
        expect(requests.size).to eq(1)
      end
    end

    it "goes to the server where connections are allowed" do
      with_server do |server|
        WebMock.allow_net_connect!
        expect(deliver(client_of(server))).to have_attributes(status_code: 202, attempts: 1)
        expect(server.requests.size).to eq(1)
        expect(a_request(:post, server.endpoint)).to have_been_made.once
      end
    end

    allowances = {
      "allow_localhost:" => ->(_) { { allow_localhost: true } },
      "a host" => ->(_) { { allow: "127.0.0.1" } },
      "a host and port" => ->(server) { { allow: "127.0.0.1:#{server.port}" } },
      "an origin" => ->(server) { { allow: server.url } },
      "a pattern" => ->(_) { { allow: %r{/integrations/demo/} } },
      "a callable" => ->(server) { { allow: ->(uri) { uri.port == server.port } } },
      "one of a list" => ->(server) { { allow: ["app.example", "127.0.0.1:#{server.port}"] } }
    }
    allowances.each do |name, options|
      it "goes to a server that #{name} allows, and to no other" do
        with_server do |server|
          WebMock.disable_net_connect!(**options.call(server))
          expect(deliver(client_of(server)).status_code).to eq(202)
          expect(raised { deliver(client_of("https://other.example/events")) })
            .to be_a(WebMock::NetConnectNotAllowedError)
        end
      end
    end

    it "can fail as ever where connections are allowed" do
      with_server([{ "fault" => "close" }]) do |server|
        WebMock.allow_net_connect!
        expect(deliver(client_of(server))).to have_attributes(status_code: 0, network_error: :eof)
      end
    end
  end

  describe "what it is shown of a request" do
    it "is the body that was signed, and the signature" do
      stub_request(:post, url).to_return(accepted)
      deliver(client, payment_mode: "UPI é")

      request = requests.first
      expect(JSON.parse(request.body)).to include("event_id" => "payment_42", "payment_mode" => "UPI é")
      expect(request.body).to have_attributes(encoding: Encoding::UTF_8, frozen?: false)
      signed = "#{request.headers["X-Simpleconnect-Timestamp"]}.#{request.body}"
      expect(request.headers["X-Simpleconnect-Signature"])
        .to eq("sha256=#{OpenSSL::HMAC.hexdigest("SHA256", Delivering::SECRET, signed)}")
    end

    it "is what goes out, header by header" do
      with_server do |server|
        WebMock.allow_net_connect!
        deliver(client_of(server))
        sent = server.requests.first
        expect(requests.first.headers.transform_keys(&:downcase)).to eq(sent.headers)
        expect(requests.first).to have_attributes(method: :post, body: sent.body)
      end
    end

    it "has no body, of a GET, and the whole path and query" do
      stub = stub_request(:get, "https://app.example/events/a%20b?x=1").to_return(status: 404)
      client_of("https://app.example/events?x=1").events.detail("a b")
      expect(stub).to have_been_requested.once
      expect(requests.first.body).to be_nil
    end

    it "has the API key, and a proxy's password it has not" do
      stub_request(:post, "http://app.example/api/v1/whatsapp_messages").to_return(status: 202)
      client = SimpleConnect::MessagesClient.new(base_url: "http://app.example", api_key: "k3y",
                                                 proxy: "http://user:word@proxy.example:3128")
      send_message(client)
      expect(requests.first.headers).to include("Authorization" => "Bearer k3y")
      expect(requests.first.headers.keys).not_to include("Proxy-Authorization")
    end

    it "can be changed there, and goes out as it was signed" do
      with_server do |server|
        WebMock.allow_net_connect!
        WebMock.globally_stub_request do |request|
          request.body.replace("spoilt")
          nil
        end
        deliver(client_of(server))
        expect(server.requests.first.body).to include("payment_42")
      end
    end

    it "is signed anew at each attempt" do
      now = Time.at(1_700_000_000)
      allow(Time).to receive(:now) { now += 1 }
      stub_request(:post, url).to_return(status: 503)
      client_of(url, retryable: policy).events.deliver("order_paid", order: 7, event_id: "e", occurred_at: "today")
      expect(requests.map { |request| request.headers["X-Simpleconnect-Timestamp"].to_i })
        .to match([1_700_000_001, 1_700_000_002, 1_700_000_003])
      expect(requests.map { |request| request.headers["X-Simpleconnect-Signature"] }.uniq.size).to eq(3)
    end
  end

  describe "a stub" do
    matching = {
      "the URL" => ->(test) { test.stub_request(:post, test.url) },
      "any method" => ->(test) { test.stub_request(:any, test.url) },
      "a URL with the port" => ->(test) { test.stub_request(:post, test.url.sub("example", "example:443")) },
      "a pattern of the URL" => ->(test) { test.stub_request(:post, %r{/integrations/demo/events\z}) },
      "a template of the URL" => lambda do |test|
        test.stub_request(:post, Addressable::Template.new("https://app.example/api/v1/integrations/{provider}/events"))
      end,
      "a URI object" => ->(test) { test.stub_request(:post, URI(test.url)) },
      "a callable" => ->(test) { test.stub_request(:post, ->(uri) { uri.host == "app.example" }) },
      "part of the body, parsed" => lambda do |test|
        body = test.hash_including("event" => "customer_payment_received", "payment_amount" => "450.00")
        test.stub_request(:post, test.url).with(body:)
      end,
      "a pattern of the body" => ->(test) { test.stub_request(:post, test.url).with(body: /"payment_42"/) },
      "headers, in any case" => lambda do |test|
        headers = { "x-simpleconnect-key-id": "wa_sec_demo", "Content-Type" => "application/json", "Accept" => "*/*" }
        test.stub_request(:post, test.url).with(headers:)
      end,
      "a pattern of a header" => lambda do |test|
        test.stub_request(:post, test.url).with(headers: { "X-SimpleConnect-Signature" => /\Asha256=\h{64}\z/ })
      end,
      "a block" => ->(test) { test.stub_request(:post, test.url).with { |request| request.body.include?("450.00") } }
    }
    matching.each do |name, declare|
      it "is found by #{name}" do
        stub = declare.call(self).to_return(accepted)
        expect(deliver(client)).to have_attributes(status_code: 202, attempts: 1)
        expect(stub).to have_been_requested.once
      end
    end

    other = {
      "method" => ->(test) { test.stub_request(:get, test.url) },
      "URL" => ->(test) { test.stub_request(:post, "#{test.url}/other") },
      "scheme" => ->(test) { test.stub_request(:post, test.url.sub("https", "http")) },
      "body" => ->(test) { test.stub_request(:post, test.url).with(body: test.hash_including("event_id" => "other")) },
      "header" => ->(test) { test.stub_request(:post, test.url).with(headers: { "X-SimpleConnect-Key-Id" => "other" }) }
    }
    other.each do |name, declare|
      it "is not found by another #{name}" do
        declare.call(self).to_return(accepted)
        expect(raised { deliver(client) }).to be_a(WebMock::NetConnectNotAllowedError)
      end
    end

    it "is found by a query, in any order" do
      stub = stub_request(:get, "https://app.example/events/e").with(query: { b: "2", a: "1" }).to_return(status: 404)
      client_of("https://app.example/events?a=1&b=2").events.detail("e")
      expect(stub).to have_been_requested
    end

    it "wins over the server where connections are allowed" do
      with_server do |server|
        WebMock.allow_net_connect!
        stub_request(:post, server.endpoint).to_return(status: 422)
        expect(deliver(client_of(server)).status_code).to eq(422)
        expect(server.connections).to eq(0)
      end
    end
  end

  describe "a declared answer" do
    it "becomes the result, as a server's would" do
      stub_request(:post, url).to_return(**accepted, headers: { "X-Request-Id" => "r1", "Set-Cookie" => %w[a=1 b=2] })
      result = deliver(client)
      expect(result).to have_attributes(success?: true, status_code: 202, attempts: 1, error: nil, request_id: "r1")
      expect(result.data).to have_attributes(event_id: "payment_42", log_id: 7)
      expect(result.headers).to eq("x-request-id" => "r1", "set-cookie" => "a=1, b=2")
      expect(result.response_body).to have_attributes(encoding: Encoding::UTF_8, to_s: accepted[:body])
      expect(result.elapsed).to be_between(0, 5)
    end

    it "is an empty 200 where nothing more is said" do
      stub_request(:post, url)
      expect(deliver(client)).to have_attributes(status_code: 200, response_body: "", data: nil, success?: true)
    end

    it "is a failure where the status says so" do
      stub_request(:post, url).to_return(status: [422, "Unprocessable"], body: '{"error":"unknown event"}')
      expect(deliver(client))
        .to have_attributes(status_code: 422, attempts: 1, error: 'HTTP 422: {"error":"unknown event"}')
    end

    it "that is no JSON is told of, once" do
      stub_request(:post, url).to_return(status: 200, body: "<html>")
      expect { deliver(client) }.to raise_error(SimpleConnect::MalformedResponseError, /<html>/)
      expect(a_request(:post, url)).to have_been_made.once
    end

    it "with a redirect names where it leads to" do
      stub_request(:post, url).to_return(status: 302, headers: { "Location" => "https://elsewhere.example/" })
      expect(deliver(client).error).to include("https://elsewhere.example/")
    end

    [nil, ""].each do |body|
      it "of 204 has no body, as a server's has none, also where #{body.inspect} is declared" do
        stub_request(:post, url).to_return(status: 204, body:)
        with_server([{ "status" => 204 }]) do |server|
          WebMock.disable_net_connect!(allow_localhost: true)
          expect([deliver(client), deliver(client_of(server))].map(&:response_body)).to eq([nil, nil])
        end
      end
    end

    it "may hold bytes that are no text" do
      stub_request(:post, url).to_return(status: 400, body: "\xFF\xFE".b)
      expect(deliver(client).response_body).to have_attributes(bytes: [0xFF, 0xFE], encoding: Encoding::UTF_8)
    end

    it "cannot forge a line of the head" do
      stub_request(:post, url).to_return(status: 400, headers: { "A" => "b\r\nC: d" })
      expect(deliver(client).headers.keys).to eq(%w[a])
    end

    forms = {
      "a block as body" => ->(body) { { status: 202, body: ->(_) { body } } },
      "a block" => ->(body) { ->(_) { { status: 202, body: } } },
      "a raw answer" => ->(body) { "HTTP/1.1 202 Accepted\r\nContent-Length: #{body.bytesize}\r\n\r\n#{body}" },
      "an IO with a raw answer" => ->(body) { StringIO.new("HTTP/1.1 202 Accepted\r\n\r\n#{body}") }
    }
    forms.each do |name, make|
      it "can be #{name}" do
        stub_request(:post, url).to_return(make.call(accepted[:body]))
        expect(deliver(client)).to have_attributes(status_code: 202, data: have_attributes(log_id: 7))
      end
    end

    it "can be a file" do
      stub_request(:post, url).to_return(status: 500, body: File.new(__FILE__))
      expect(deliver(client).response_body).to eq(File.read(__FILE__, encoding: "UTF-8"))
    end

    it "can be made of the request" do
      stub_request(:post, url).to_return do |request|
        { status: 202, body: JSON.generate(event_id: JSON.parse(request.body)["event_id"]) }
      end
      expect(deliver(client, event_id: "e7").data.event_id).to eq("e7")
    end

    it "can be a Rack app's" do
      stub_request(:post, url).to_rack(lambda do |env|
        event = JSON.parse(env["rack.input"].read)
        [202, { "content-type" => env["CONTENT_TYPE"] }, [JSON.generate(event_id: event["event_id"])]]
      end)
      result = deliver(client)
      expect([result.data.event_id, result.headers]).to eq(["payment_42", { "content-type" => "application/json" }])
    end

    it "serves each of the other calls" do
      stub_request(:get, "#{url}/e7").to_return(status: 404, body: '{"error":"no such event"}')
      stub_request(:get, url.sub(/events\z/, "status")).to_return(body: '{"integration":{"provider":"demo"}}')
      stub_request(:post, "https://app.example/api/v1/whatsapp_messages")
        .with(headers: { "Authorization" => "Bearer k3y" }).to_return(body: '{"messages":[{"message_id":"m1"}]}')
      stub_request(:get, "https://app.example/api/v1/whatsapp_messages/m1").to_return(body: '{"message_id":"m1"}')

      expect(client.events.detail("e7").data.message).to eq("no such event")
      expect(client.integrations.verify.data.provider).to eq("demo")
      expect(send_message(messages)).to be_success
      expect(messages.messages.detail("m1").data.message_id).to eq("m1")
    end
  end

  describe "a row of answers" do
    it "is walked through attempt by attempt" do
      stub = stub_request(:post, url).to_return(status: 500).times(2).then.to_return(accepted)
      expect(deliver(client)).to have_attributes(status_code: 202, attempts: 3)
      expect(stub).to have_been_requested.times(3)
    end

    it "is walked through by a policy of one's own" do
      own = Class.new do
        def call(retriable_if:)
          result = nil
          (1..4).each { |attempt| retriable_if.call(result = yield(attempt)) || break }
          result
        end
      end
      stub_request(:post, url).to_timeout.then.to_return({ status: 503 }, { status: 500 }, accepted)
      expect(deliver(client_of(url, retryable: own.new))).to have_attributes(status_code: 202, attempts: 4)
    end

    it "may mix answers and failures" do
      stub_request(:post, url).to_timeout.then.to_raise(Errno::ECONNRESET).then.to_return(accepted)
      expect(deliver(client)).to have_attributes(status_code: 202, attempts: 3)
    end

    it "repeats its last answer" do
      stub_request(:post, url).to_return([accepted, { status: 422 }])
      expect(Array.new(3) { deliver(client).status_code }).to eq([202, 422, 422])
    end

    it "ends where the delivery is settled" do
      stub_request(:post, url).to_return({ status: 422 }, accepted)
      expect(deliver(client)).to have_attributes(status_code: 422, attempts: 1)
    end
  end

  describe "to_timeout" do
    it "is our timeout, tried again" do
      stub = stub_request(:post, url).to_timeout
      expect(deliver(client)).to have_attributes(
        success?: false, status_code: 0, response_body: nil, attempts: 3, data: nil,
        error: "Net::OpenTimeout: execution expired", network_error: :timeout, network_phase: :connect
      )
      expect(stub).to have_been_requested.times(3)
    end

    it "is logged as a failure" do
      lines = StringIO.new
      stub_request(:post, url).to_timeout
      deliver(client_of(url, logger: Logger.new(lines)))
      expect(lines.string.scan(/\[SimpleConnect\] (.*)/).flatten)
        .to match([/\APOST app.example.*B signed body/, "POST failed: Net::OpenTimeout: execution expired"])
    end
  end

  describe "to_raise" do
    # What the published gem's users see: it rescues any StandardError that its HTTP library raises.
    failures = {
      Net::OpenTimeout => %i[timeout connect], Net::ReadTimeout => %i[timeout read],
      Net::WriteTimeout => %i[timeout write], Timeout::Error => %i[timeout read],
      Errno::ECONNREFUSED => %i[refused connect], Errno::EHOSTUNREACH => %i[unreachable connect],
      Errno::ENETUNREACH => %i[unreachable connect], Errno::ETIMEDOUT => %i[timeout connect],
      Errno::ECONNRESET => %i[reset read], Errno::ECONNABORTED => %i[reset read], Errno::EPIPE => %i[reset write],
      SocketError => %i[dns resolve], OpenSSL::SSL::SSLError => %i[tls tls], EOFError => %i[eof read],
      IOError => %i[io read], Net::HTTPBadResponse => %i[malformed read], StandardError => %i[io read],
      ArgumentError => %i[io read]
    }
    failures.each do |error, (kind, phase)|
      it "makes a failed result of #{error}" do
        stub_request(:post, url).to_raise(error)
        expect(deliver(client)).to have_attributes(
          status_code: 0, attempts: 3, error: match(/\A#{error}: .*Exception from WebMock/m), network_error: kind,
          network_phase: phase
        )
      end
    end

    it "keeps the text of an error, and of a String" do
      stub_request(:post, url).to_raise(Errno::ECONNREFUSED.new("connect(2)")).then.to_raise("broken")
      client = client_of(url)
      expect([deliver(client).error, deliver(client).error])
        .to eq(["Errno::ECONNREFUSED: Connection refused - connect(2)", "StandardError: broken"])
    end

    it "copes with a text that is no UTF-8" do
      stub_request(:post, url).to_raise(SocketError.new("\xE9chec".b))
      expect(deliver(client).error).to eq("SocketError: \uFFFDchec")
    end

    [Interrupt, NoMemoryError, Class.new(Exception)].each do |error| # rubocop:disable Lint/InheritException
      it "lets #{error.name || "another Exception"} through, at once" do
        stub_request(:post, url).to_raise(error)
        expect(raised { deliver(client) }).to be_a(error)
        expect(a_request(:post, url)).to have_been_made.once
      end
    end

    it "and raising in a block come to the same for network errors" do
      stub_request(:post, url).to_return { raise Errno::ECONNRESET }
      expect(deliver(client)).to have_attributes(attempts: 3, network_error: :reset)
    end

    mistakes = {
      "a block's mistake" => ->(stub) { stub.to_return { raise KeyError, "no such payment" } },
      "a file that is not there" => ->(stub) { stub.to_return { { body: File.read("/nowhere") } } },
      "a matcher's mistake" => ->(stub) { stub.with { raise KeyError, "no such payment" }.to_return(status: 202) }
    }
    mistakes.each do |name, spoil|
      it "is something else than #{name}, which reaches the test" do
        spoil.call(stub_request(:post, url))
        expect { deliver(client) }.to raise_error(StandardError, /no such payment|nowhere/)
      end
    end
  end

  describe "of several stubs" do
    it "the last one that fits counts" do
      stub_request(:post, url).to_return(status: 400)
      stub_request(:post, url).with(body: /payment_1\b/).to_return(status: 401)
      stub_request(:post, url).with(body: /payment_2\b/).to_return(status: 402)
      statuses = [1, 2, 3].map { |id| deliver(client, event_id: "payment_#{id}").status_code }
      expect(statuses).to eq([401, 402, 400])
    end

    it "one that was removed no longer counts" do
      stub_request(:post, url).to_return(status: 400)
      remove_request_stub(stub_request(:post, url).to_return(status: 401))
      expect(deliver(client).status_code).to eq(400)
    end

    it "none counts after a reset" do
      stub_request(:post, url)
      WebMock.reset!
      expect(raised { deliver(client) }).to be_a(WebMock::NetConnectNotAllowedError)
    end

    it "a global one comes before or after the others, as it was declared" do
      stub_request(:post, url).with(body: /payment_2\b/).to_return(status: 402)
      WebMock.globally_stub_request { |request| { status: 401 } if request.body.include?("payment_1") }
      WebMock.globally_stub_request(:after_local_stubs) { { status: 404 } }
      statuses = [1, 2, 3].map { |id| deliver(client, event_id: "payment_#{id}").status_code }
      expect(statuses).to eq([401, 402, 404])
    end
  end

  describe "expectations" do
    before { stub_request(:any, /app\.example/).to_return(status: 503) }

    it "count attempts" do
      deliver(client)
      expect(a_request(:post, url)).to have_been_made.times(3)
      expect(a_request(:post, url)).to have_been_made.at_least_twice
      expect(a_request(:post, url).with(body: /450/)).to have_been_made.at_most_times(3)
      expect(WebMock).to have_requested(:post, url).times(3)
      expect(a_request(:get, url)).not_to have_been_made
      assert_requested(:post, url, times: 3, headers: { "X-SimpleConnect-Key-Id" => "wa_sec_demo" })
      assert_not_requested(:post, url, body: /other/)
    end

    it "count those of deliver_all" do
      client.events.deliver_all(events(5), concurrency: 2)
      expect(a_request(:post, url)).to have_been_made.times(15)
    end

    it "fail with what was requested" do
      deliver(client_of(url))
      expect { expect(a_request(:get, url)).to have_been_made }
        .to raise_error(RSpec::Expectations::ExpectationNotMetError, /POST #{url} with body .* was made 1 time/m)
    end

    it "forget what came before a reset" do
      deliver(client)
      reset_executed_requests!
      expect(a_request(:post, url)).not_to have_been_made
    end
  end

  describe "deliver_all" do
    it "takes each delivery's answers from its stub" do
      stub_request(:post, url).to_return do |request|
        { status: 202, body: JSON.generate(event_id: JSON.parse(request.body)["event"]["event_id"]) }
      end
      stub_request(:post, url).with(body: /"event_id":"3"/).to_timeout.then.to_return(status: 422)
      results = client.events.deliver_all(events(4), concurrency: 2)
      expect(results.map { |result| [result.status_code, result.attempts] })
        .to eq([[202, 1], [202, 1], [422, 2], [202, 1]])
      expect(results.filter_map { |result| result.data&.event_id }).to eq(%w[1 2 4])
    end

    it "mixes stubbed and real deliveries" do
      with_server do |server|
        WebMock.disable_net_connect!(allow_localhost: true)
        stub_request(:post, server.endpoint).with(body: /"event_id":"[13]"/).to_return(status: 422)
        results = client_of(server).events.deliver_all(events(4))
        expect(results.map(&:status_code)).to eq([422, 202, 422, 202])
        expect(server.requests.size).to eq(2)
      end
    end
  end

  describe "after_request" do
    it "is called for each attempt that is stubbed, in order of declaration, with the request and the answer" do
      seen = []
      WebMock.after_request { |request, answer| seen << [:first, request.method, request.uri.to_s, answer.status] }
      WebMock.after_request do |request, answer|
        seen << [:second, request.body[/payment_\d+/], answer.headers, answer.body]
      end
      stub_request(:post, url).to_return(status: [503, "Busy"], headers: { "Retry-After" => "1" }, body: "later")
      deliver(client_of(url, retryable: quick(2)))
      once = [[:first, :post, url.sub("example", "example:443"), [503, "Busy"]],
              [:second, "payment_42", { "Retry-After" => "1" }, "later"]]
      expect(seen).to eq(once + once)
    end

    it "is called for real requests, with the whole answer" do
      answer = { "status" => 202, "reason" => "Accepted", "body" => '{"status":"é"}',
                 "headers" => { "X-Request-Id" => "r1", "Set-Cookie" => "a=1" } }
      with_server([answer]) do |server|
        seen = []
        WebMock.allow_net_connect!
        WebMock.after_request(real_requests_only: true) { |*pair| seen << pair }
        deliver(client_of(server))
        expect(seen.size).to eq(1)
        request, answer = seen.first
        expect(request.body).to eq(server.requests.first.body.force_encoding("UTF-8"))
        expect(answer).to have_attributes(status: [202, "Accepted"], body: '{"status":"é"}')
        expect(answer.headers).to include("X-Request-Id" => "r1", "Set-Cookie" => "a=1", "Content-Length" => "15")
      end
    end

    it "is given the very request that the stubs were asked about" do
      with_server do |server|
        WebMock.disable_net_connect!(allow_localhost: true)
        stub_request(:post, url)
        asked = []
        told = []
        WebMock.globally_stub_request do |request|
          asked << request
          nil
        end
        WebMock.after_request { |request, _| told << request }
        deliver(client)
        deliver(client_of(server))
        expect(asked.size).to eq(2)
        expect(asked.zip(told)).to all(satisfy { |one, other| one.equal?(other) })
      end
    end

    it "is not called for stubs where only real requests are asked for, nor for us where `except:` names us" do
      seen = []
      WebMock.after_request(real_requests_only: true) { seen << :real }
      WebMock.after_request(except: [:simple_connect]) { seen << :except_ours }
      WebMock.after_request(except: [:other]) { seen << :except_other }
      stub_request(:post, url)
      deliver(client)
      expect(seen).to eq([:except_other])
    end

    it "is not called where no answer came, nor after a reset" do
      with_server([{ "fault" => "close" }, { "fault" => "close" }, Delivering::ACCEPTED]) do |server|
        seen = []
        WebMock.allow_net_connect!
        WebMock.after_request { seen << :called }
        deliver(client_of(server))
        WebMock.reset_callbacks
        deliver(client_of(server))
        expect(seen).to eq([])
      end
    end

    it "raises what it raises" do
      stub_request(:post, url).to_return(accepted)
      WebMock.after_request { raise KeyError, "in the callback" }
      expect { deliver(client) }.to raise_error(KeyError, "in the callback")
      with_server do |server|
        WebMock.allow_net_connect!
        expect { deliver(client_of(server)) }.to raise_error(KeyError, "in the callback")
      end
    end

    it "records an answer that, declared, is the same again" do
      answer = { "status" => 422, "reason" => "Unprocessable", "body" => '{"error":"é"}',
                 "headers" => { "Set-Cookie" => "b=2\r\nSet-Cookie: a=1", "X-Request-Id" => "r1" } }
      with_server([answer]) do |server|
        recorded = nil
        WebMock.allow_net_connect!
        WebMock.after_request { |_, response| recorded ||= response }
        real = deliver(client_of(server))
        stub_request(:post, server.endpoint)
          .to_return(status: recorded.status, headers: recorded.headers, body: recorded.body)
        replayed = deliver(client_of(server))

        expect(server.requests.size).to eq(1)
        expect(replayed.with_data(nil)).to eq(real.with_data(nil))
        # WebMock sorts the values of a name.
        expect([real, replayed].map { |result| result.headers["set-cookie"].split(", ").sort }).to eq([%w[a=1 b=2]] * 2)
      end
    end
  end

  describe "enabling and disabling" do
    ours = :simple_connect
    nets = :net_http
    # We go with Net::HTTP, unless `except:` names us.
    states = {
      "enable!" => [-> { WebMock.enable! }, true],
      "disable!" => [-> { WebMock.disable! }, false],
      "enable!(except: :net_http)" => [-> { WebMock.enable!(except: nets) }, false],
      "disable!(except: :net_http)" => [-> { WebMock.disable!(except: nets) }, true],
      "enable!(except: :simple_connect)" => [-> { WebMock.enable!(except: [ours]) }, false],
      "disable!(except: :simple_connect)" => [-> { WebMock.disable!(except: [ours]) }, true],
      "enable!(except: both)" => [-> { WebMock.enable!(except: [nets, ours]) }, false],
      "disable!(except: both)" => [-> { WebMock.disable!(except: [nets, ours]) }, true],
      "enable!(except: :other)" => [-> { WebMock.enable!(except: [:other]) }, true],
      "disable!(except: :other)" => [-> { WebMock.disable!(except: [:other]) }, false]
    }
    states.each do |before, (first, _)|
      it "goes by the last word, also after #{before}" do
        stub_request(:post, "http://127.0.0.1:1/events").to_return(status: 422)
        client = client_of("http://127.0.0.1:1/events")
        seen = states.transform_values do |last, _|
          first.call
          last.call
          deliver(client).status_code == 422
        end
        expect(seen).to eq(states.transform_values(&:last))
      end
    end

    it "follows Net::HTTP's own adapter, too" do
      stub_request(:post, "http://127.0.0.1:1/events").to_return(status: 422)
      client = client_of("http://127.0.0.1:1/events")
      WebMock::HttpLibAdapters::NetHttpAdapter.disable!
      off = deliver(client).status_code
      WebMock::HttpLibAdapters::NetHttpAdapter.enable!
      expect([off, deliver(client).status_code]).to eq([0, 422])
    end

    it "shows nothing to WebMock while it is disabled" do
      with_server do |server|
        called = false
        stub_request(:post, server.endpoint).to_return(status: 422)
        WebMock.after_request { called = true }
        WebMock.disable!
        expect(deliver(client_of(server)).status_code).to eq(202)
        expect(a_request(:post, server.endpoint)).not_to have_been_made
        expect(called).to be(false)
      end
    end

    it "has an adapter for each library, of which ours is one" do
      stub_request(:post, url)
      deliver(client)
      expect(WebMock::HttpLibAdapterRegistry.instance.http_lib_adapters.keys).to include(:net_http, :simple_connect)
    end
  end

  describe "many threads" do
    it "are counted and answered one by one" do
      stub_request(:post, url).to_return do |request|
        { status: 202, body: JSON.generate(event_id: JSON.parse(request.body)["event_id"]) }
      end
      ids = Array.new(8) do |thread|
        Thread.new { Array.new(25) { |n| deliver(client, event_id: "e_#{thread}_#{n}").data.event_id } }
      end.map(&:value)
      expect(ids).to eq(Array.new(8) { |thread| Array.new(25) { |n| "e_#{thread}_#{n}" } })
      expect(a_request(:post, url)).to have_been_made.times(200)
    end

    it "each get what is raised" do
      client
      errors = Array.new(8) { Thread.new { raised { deliver(client) } } }.map(&:value)
      expect(errors).to all(be_a(WebMock::NetConnectNotAllowedError))
      expect(a_request(:post, url)).to have_been_made.times(8)
    end

    it "may be stubbed and real side by side" do
      with_server do |server|
        WebMock.disable_net_connect!(allow_localhost: true)
        stub_request(:post, url).to_return(status: 422)
        real = client_of(server)
        statuses = Array.new(8) do |n|
          Thread.new { Array.new(10) { deliver(n.even? ? client : real).status_code }.uniq }
        end
        expect(statuses.map(&:value)).to eq([[422], [202]] * 4)
        expect(server.requests.size).to eq(40)
      end
    end
  end
end
