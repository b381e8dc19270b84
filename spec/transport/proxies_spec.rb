# frozen_string_literal: true

require "timeout"
require "uri"
require_relative "../support/certificates"
require_relative "../support/delivering"
require_relative "../support/environment"
require_relative "../support/tinyproxy"

# Promise 9, as far as it is about proxies, and promise 20.
RSpec.describe "The transport through a proxy (promise 9)" do
  include Delivering
  include Environment

  accepted = Delivering::ACCEPTED
  authority = Certificates.authority
  context = authority.issue("127.0.0.1").context

  # A client trusts the authority, and nothing of the machine's own environment counts.
  define_method(:through) { |proxy, server, **options| client_of(server, proxy:, ca_file: authority.file, **options) }

  around do |example|
    names = %w[http_proxy https_proxy no_proxy]
    with_environment((names + names.map(&:upcase)).to_h { |name| [name, nil] }) { example.run }
  end

  def serve(*script, **options, &block)
    ScriptedServer.open(script, **options, &block)
  end

  describe "tinyproxy" do
    it "delivers over plain HTTP" do
      Tinyproxy.open do |proxy|
        serve(accepted) do |server|
          expect(deliver(through(proxy.url, server))).to be_success
          expect(proxy.asked.pop).to eq("POST #{server.endpoint}")
          expect(server.requests.first.target).to eq("/api/v1/integrations/demo/events")
        end
      end
    end

    it "delivers over TLS, many times through one tunnel" do
      Tinyproxy.open do |proxy|
        serve(accepted, tls: context) do |server|
          client = through(proxy.url, server)
          3.times { expect(deliver(client)).to be_success }
          expect(proxy.asked.pop).to eq("CONNECT 127.0.0.1:#{server.port}")
          expect([proxy.asked.size, server.connections]).to eq([0, 1])
        end
      end
    end

    it "wants a user and a password, and the server never sees them" do
      Tinyproxy.open(user: "me", password: "password") do |proxy|
        [nil, context].each do |tls|
          serve(accepted, tls:) do |server|
            expect(deliver(through(URI(proxy.url("me:pass%77ord")), server))).to be_success
            expect(server.requests.first.headers).not_to include("proxy-authorization")
          end
        end
      end
    end

    it "refuses others, and it is said what to do" do
      Tinyproxy.open(user: "me", password: "right") do |proxy|
        serve(accepted, tls: context) do |server|
          ["me:wrong-password", nil].each do |credentials|
            result = deliver(through(proxy.url(credentials), server))
            expect([result.network_error, result.network_phase]).to eq(%i[proxy proxy])
            # Which one depends on the version of tinyproxy.
            expect(result.error.sub("answered 401", "answered 407"))
              .to eq("Net::HTTPClientException: proxy 127.0.0.1:#{proxy.port}: it answered 407 to CONNECT: the " \
                     "proxy's URL must contain the right user name and password")
            expect(result.inspect).not_to include("wrong-password")
          end
          expect(server.connections).to eq(0)
        end
        # Over plain HTTP its refusal is an answer as any other.
        serve(accepted) do |server|
          expect(deliver(through(proxy.url, server))).to have_attributes(status_code: 407, attempts: 1)
          expect(server.connections).to eq(0)
        end
      end
    end

    it "refuses to connect where a filter says so" do
      Tinyproxy.open(forbidden: "127.0.0.1") do |proxy|
        serve(accepted, tls: context) do |server|
          result = deliver(through(proxy.url, server))
          expect([result.network_error, result.network_phase]).to eq(%i[proxy proxy])
          expect(result.error).to end_with("proxy 127.0.0.1:#{proxy.port}: it answered 403 to CONNECT")
        end
      end
    end

    it "cannot reach the server" do
      port = TCPServer.open("127.0.0.1", 0) { |server| server.addr[1] }
      Tinyproxy.open do |proxy|
        result = deliver(through(proxy.url, "https://127.0.0.1:#{port}/events", retryable: quick))
        expect(result).to have_attributes(network_error: :proxy, network_phase: :proxy, attempts: 3)
        expect(result.error).to match(/proxy 127.0.0.1:#{proxy.port}: it answered 50\d to CONNECT\z/)
      end
    end
  end

  describe "that fails" do
    # The kind, phase and text of what a delivery through a proxy that behaves so comes to.
    define_method(:failure_through) do |behaviour, url: "https://app.example/events", **options|
      ScriptedServer.open(behaviour) do |proxy|
        result = deliver(through(proxy.url, url, **options))
        text = result.error.gsub(proxy.port.to_s, "PORT")
        [result.network_error, result.network_phase, text]
      end
    end

    def asked(connection)
      lines = []
      lines << connection.io.gets until lines.last == "\r\n"
      lines
    end

    established = "HTTP/1.1 200 Connection established\r\n\r\n"

    it "because it is not there" do
      port = TCPServer.open("127.0.0.1", 0) { |server| server.addr[1] }
      %w[http https].each do |scheme|
        result = deliver(through("http://127.0.0.1:#{port}", "#{scheme}://app.example/events"))
        expect([result.network_error, result.network_phase]).to eq(%i[refused connect])
        expect(result.error).to start_with("Errno::ECONNREFUSED: proxy 127.0.0.1:#{port}: the connection was refused")
      end
    end

    it "because its name cannot be resolved" do
      name = "#{"a" * 64}.example"
      result = deliver(through("http://#{name}:3128", "https://app.example/events"))
      expect([result.network_error, result.network_phase]).to eq(%i[dns resolve])
      expect(result.error).to match(/Error: proxy #{name}:3128: the name cannot be resolved/)
    end

    it "because it says nothing" do
      silent = ->(connection) { connection.wait_for_client_to_close }
      expect(failure_through(silent, open_timeout: 0.25)).to eq(
        [:timeout, :proxy,
         "Net::OpenTimeout: proxy 127.0.0.1:PORT: no tunnel through the proxy within 0.25 s (open_timeout)"]
      )
    end

    {
      "nothing" => ["", "EOFError: proxy 127.0.0.1:PORT: the connection was closed before an answer arrived"],
      "half an answer" => ["HTTP/1.1 200 Conn",
                           "EOFError: proxy 127.0.0.1:PORT: the connection was closed in the middle of the " \
                           "answer's head"],
      "nonsense" => ["SSH-2.0\r\n",
                     "Net::HTTPBadResponse: proxy 127.0.0.1:PORT: the answer is not HTTP (invalid HTTP version)"],
      "an endless head" => ["HTTP/1.1 200 OK\r\nX: #{"x" * 70_000}", "Net::HTTPBadResponse: proxy 127.0.0.1:PORT: " \
                                                                     "the answer's head is larger than 65536 bytes"],
      "an answer that is none to CONNECT" =>
        ["HTTP/1.1 302 Found\r\nLocation: http://login.example/\r\n\r\n",
         "Net::HTTPClientException: proxy 127.0.0.1:PORT: it answered 302 to CONNECT"]
    }.each do |what, (bytes, text)|
      it "because it answers #{what}" do
        behaviour = lambda do |connection|
          asked(connection)
          connection.io.write(bytes)
        end
        expect(failure_through(behaviour)).to eq([:proxy, :proxy, text])
      end
    end

    it "because it is gone once it has connected" do
      behaviour = lambda do |connection|
        asked(connection)
        connection.io.write(established)
        connection.io.readpartial(5000)
      end
      expect(failure_through(behaviour)).to eq(
        [:tls, :tls, "OpenSSL::SSL::SSLError: through the proxy 127.0.0.1:PORT, app.example:443: the connection was " \
                     "closed during the TLS handshake"]
      )
    end

    it "because it speaks for the server, past TLS" do
      forged = "HTTP/1.1 202 Accepted\r\nContent-Length: 20\r\n\r\n{\"event_id\":\"forged\"}"
      serve(accepted, tls: context) do |server|
        behaviour = lambda do |connection|
          asked(connection)
          connection.io.write(established + forged)
          relay(connection.io, TCPSocket.new("127.0.0.1", server.port))
        end
        expect(failure_through(behaviour, url: server.endpoint)).to eq(
          [:proxy, :proxy,
           "Net::HTTPBadResponse: proxy 127.0.0.1:PORT: it sent more data after its answer to CONNECT"]
        )
      end
    end

    # Carries bytes both ways until one side ends, or `stop` becomes readable.
    def relay(*sides, stop: nil)
      loop do
        ready, = IO.select([*sides, stop].compact)
        return if ready.include?(stop)

        ready.each { |side| (sides - [side]).first.write(side.readpartial(65_536)) }
      end
    rescue IOError, SystemCallError
      nil
    ensure
      sides.each(&:close)
    end

    it "because it dies while the server thinks" do
      serve({ "fault" => "silence" }, tls: context) do |server|
        stop, ring = IO.pipe
        seen = nil
        behaviour = lambda do |connection|
          seen = asked(connection)
          connection.io.write(established)
          relay(connection.io, TCPSocket.new("127.0.0.1", server.port), stop:)
        end
        failure = Thread.new { failure_through(behaviour, url: server.endpoint) }
        server.wait_for(1)
        ring.write(".")
        expect(failure.value).to eq(
          [:eof, :read, "EOFError: through the proxy 127.0.0.1:PORT, 127.0.0.1:#{server.port}: the connection was " \
                        "closed before the answer was complete; the server may have taken the request"]
        )
        place = "127.0.0.1:#{server.port}"
        expect(seen).to eq(["CONNECT #{place} HTTP/1.1\r\n", "Host: #{place}\r\n", "\r\n"])
      end
    end

    it "is not blamed for the server's certificate" do
      Tinyproxy.open do |proxy|
        serve(accepted, tls: authority.issue("app.example").context) do |server|
          places = "through the proxy 127.0.0.1:#{proxy.port}, 127.0.0.1:#{server.port}"
          expect(deliver(through(proxy.url, server)).error)
            .to start_with("OpenSSL::SSL::SSLError: #{places}: no trusted TLS connection: the server's certificate is")
        end
      end
    end
  end

  # The scripted server plays the proxy. The servers cannot be reached without it: no label of a name is that long.
  describe "that the environment names" do
    host = "#{"a" * 64}.example"

    around do |example|
      serve(accepted) do |server|
        @proxy = server
        example.run
      end
    end

    # Whether requests to `url` go through the proxy, within this environment.
    def proxied?(url, options = {}, **variables)
      seen = @proxy.requests.size
      with_environment(variables) { deliver(client_of(url, **options)) }
      @proxy.requests.size > seen
    end

    it "takes that of the scheme" do
      http = "http://#{host}/events"
      https = "https://#{host}/events"
      expect(proxied?(http, "http_proxy" => @proxy.url)).to be(true)
      expect(@proxy.requests.last.target).to eq(http)
      expect(proxied?(https, "https_proxy" => @proxy.url)).to be(true)
      expect([@proxy.requests.last.verb, @proxy.requests.last.target]).to eq(["CONNECT", "#{host}:443"])
      expect(proxied?(http, "https_proxy" => @proxy.url)).to be(false)
    end

    it "knows the names in upper case, prefers those in lower case, and takes an empty one for none" do
      url = "http://#{host}/events"
      expect(proxied?(url, "HTTP_PROXY" => @proxy.url)).to be(true)
      expect(proxied?("https://#{host}/events", "HTTPS_PROXY" => @proxy.url)).to be(true)
      expect(proxied?(url, "http_proxy" => @proxy.url, "HTTP_PROXY" => "http://127.0.0.1:9")).to be(true)
      expect(proxied?(url, "http_proxy" => "", "HTTP_PROXY" => @proxy.url)).to be(false)
    end

    it "takes no HTTP_PROXY from a request in a CGI script" do
      url = "http://#{host}/events"
      expect(proxied?(url, "REQUEST_METHOD" => "POST", "HTTP_PROXY" => @proxy.url)).to be(false)
      expect(proxied?(url, "REQUEST_METHOD" => "POST", "http_proxy" => @proxy.url)).to be(true)
    end

    it "sends its credentials, and to it alone" do
      proxied?("http://#{host}/events", "http_proxy" => @proxy.url.sub("//", "//me:hush@"))
      expect(@proxy.requests.last.headers["proxy-authorization"]).to eq("Basic #{["me:hush"].pack("m0")}")
      proxied?("https://#{host}/events", "https_proxy" => @proxy.url.sub("//", "//me:hush@"))
      expect(@proxy.requests.last.headers["proxy-authorization"]).to eq("Basic #{["me:hush"].pack("m0")}")
      expect(@proxy.requests.last.headers.keys).to eq(%w[host proxy-authorization])
    end

    {
      host => false, ".example" => false, "example" => false, "*.example" => false, "*" => false, "#{host}:80" => false,
      "other.example, EXAMPLE" => false, "#{host}:81" => true, "ample" => true, "" => true
    }.each do |list, proxied|
      it "#{proxied ? "is used" : "is passed by"} where no_proxy is #{list.inspect}" do
        url = "http://#{host}/events"
        %w[no_proxy NO_PROXY].each do |name|
          expect(proxied?(url, "http_proxy" => @proxy.url, name => list)).to be(proxied)
        end
      end
    end

    # To Linux 0.0.0.0 means this machine, and to the client it is an address like others.
    { "0.0.0.0" => false, "0.0.0.0/8" => false, "0.0.0.0:PORT" => false, "10.0.0.0/8, 0.0.0.0/31" => false,
      "0.0.0.0:1" => true, "10.0.0.0/8" => true, "0" => true }.each do |list, proxied|
      it "#{proxied ? "is used" : "is passed by"} for an address where no_proxy is #{list.inspect}" do
        serve(accepted) do |server|
          url = "http://0.0.0.0:#{server.port}/events"
          list = list.sub("PORT", server.port.to_s)
          expect(proxied?(url, "http_proxy" => @proxy.url, "no_proxy" => list)).to be(proxied)
          expect(server.requests.size).to eq(proxied ? 0 : 1)
        end
      end
    end

    it "is never used for this machine itself" do
      %w[127.0.0.1 localhost LOCALHOST [::1]].each do |name|
        serve(accepted, host: name == "[::1]" ? "::1" : "127.0.0.1") do |server|
          url = "http://#{name}:#{server.port}/events"
          expect(proxied?(url, "http_proxy" => @proxy.url)).to be(false)
          expect(server.requests.size).to eq(1)
        end
      end
    end

    it "is not used where the client has none, or another" do
      url = "http://#{host}/events"
      expect(proxied?(url, { proxy: false }, "http_proxy" => @proxy.url)).to be(false)
      environment = { "http_proxy" => "http://127.0.0.1:9", "no_proxy" => "*" }
      expect(proxied?(url, { proxy: @proxy.url }, **environment)).to be(true)
      # Told to, a client goes through the proxy even for this machine.
      expect(proxied?("http://127.0.0.1:9/events", { proxy: @proxy.url }, **environment)).to be(true)
    end
  end

  # 0.0.0.0 leads to this machine, too, and is no address of its own that goes past every proxy.
  describe "of the environment (promise 20)" do
    server_context = authority.issue("0.0.0.0").context
    before { @authority = authority.file }
    # Where a proxy is not asked, it tells so by saying nothing.
    around { |example| Timeout.timeout(30) { example.run } }

    # Delivers to this server within that environment.
    def deliver_within(server, **variables)
      with_environment(variables) do
        deliver(client_of(server.endpoint.sub("127.0.0.1", "0.0.0.0"), ca_file: @authority))
      end
    end

    define_method(:refusal) do |url, **variables|
      with_environment(variables) { client_of(url) }
      nil
    rescue SimpleConnect::ConfigurationError => e
      e.message
    end

    { "http" => nil, "https" => server_context }.each do |scheme, tls|
      %w[http_proxy HTTP_PROXY].each do |name|
        it "is that of #{name} for #{scheme} where there is no other" do
          Tinyproxy.open do |proxy|
            serve(accepted, tls:) do |server|
              expect(deliver_within(server, name => proxy.url)).to be_success
              asked = tls ? "CONNECT 0.0.0.0:#{server.port}" : "POST #{server.endpoint.sub("127.0.0.1", "0.0.0.0")}"
              expect(proxy.asked.pop).to eq(asked)
            end
          end
        end
      end

      it "is none for #{scheme} where there is no variable" do
        serve(accepted, tls:) do |server|
          expect(deliver_within(server)).to be_success
          expect(server.requests.first.target).to eq("/api/v1/integrations/demo/events")
        end
      end

      it "is taken by host and port for #{scheme}, as Net::HTTP takes it, where its URL begins with https://" do
        Tinyproxy.open(user: "me", password: "pass") do |proxy|
          serve(accepted, tls:) do |server|
            url = proxy.url("me:pass").sub("http:", "HTTPS:")
            expect(deliver_within(server, "http_proxy" => "#{url}/")).to be_success
            expect(proxy.asked.size).to eq(1)
          end
        end
      end

      it "is named by the errors of #{scheme}, with its variable" do
        Tinyproxy.open(forbidden: "0.0.0.0") do |proxy|
          serve(accepted, tls:) do |server|
            result = deliver_within(server, "HTTP_PROXY" => proxy.url)
            tls and expect(result.error).to start_with("Net::HTTPClientException: proxy 127.0.0.1:#{proxy.port} " \
                                                       "(HTTP_PROXY): it answered 403 to CONNECT")
            expect([result.success?, server.requests]).to eq([false, []])
          end
        end
        ScriptedServer.open([{ "fault" => "close" }]) do |server|
          result = with_environment("http_proxy" => server.url) { deliver(client_of("#{scheme}://0.0.0.0:9/events")) }
          expect(result.error).to include("127.0.0.1:#{server.port} (http_proxy)")
        end
      end

      %w[http_proxy HTTP_PROXY].each do |name|
        it "is told with #{name} where it cannot be used for #{scheme}" do
          ["socks5://127.0.0.1:1080", "http://127.0.0.1:port", "http://127.0.0.1\n", "caf\xE9"].each do |url|
            expect(refusal("#{scheme}://app.example/", name => url))
              .to start_with("#{name}: the proxy's URL is invalid")
            expect(refusal("#{scheme}://127.0.0.1/", name => url)).to be_nil
            expect(refusal("#{scheme}://app.example/", name => url, "no_proxy" => "app.example")).to be_nil
          end
        end
      end
    end

    %w[https_proxy HTTPS_PROXY].each do |name|
      it "is that of #{name} for https alone, whatever http_proxy says" do
        Tinyproxy.open do |http|
          Tinyproxy.open do |https|
            serve(accepted) { |server| deliver_within(server, name => https.url, "http_proxy" => http.url) }
            serve(accepted, tls: server_context) do |server|
              expect(deliver_within(server, name => https.url, "http_proxy" => http.url)).to be_success
            end
            expect([http.asked.pop, https.asked.pop]).to match([start_with("POST http://"), start_with("CONNECT ")])
            expect([http.asked.size, https.asked.size]).to eq([0, 0])
          end
        end
      end

      it "is told with #{name}" do
        expect(refusal("https://app.example/", name => "socks5://127.0.0.1:1080")).to start_with("#{name}: ")
        expect(refusal("http://app.example/", name => "socks5://127.0.0.1:1080")).to be_nil
      end
    end

    it "is none for https where https_proxy is empty" do
      Tinyproxy.open do |proxy|
        serve(accepted, tls: server_context) do |server|
          expect(deliver_within(server, "https_proxy" => "", "http_proxy" => proxy.url)).to be_success
          expect(proxy.asked.size).to eq(0)
        end
      end
    end

    it "has no part in what a proxy: that was given says" do
      serve({ "status" => 403 }) do |proxy|
        error = deliver(client_of("https://0.0.0.0:9/events", proxy: proxy.url)).error
        expect(error).to include("proxy 127.0.0.1:#{proxy.port}: it answered 403")
      end
    end
  end
end
