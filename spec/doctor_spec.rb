# frozen_string_literal: true

require "fileutils"
require "json"
require "logger"
require "open3"
require "socket"
require "stringio"
require "time"
require "tmpdir"
require "simple_connect/cli"
require "simple_connect/sandbox"
require_relative "support/certificates"
require_relative "support/command"
require_relative "support/environment"
require_relative "support/namespace"
require_relative "support/scripted_server"
require_relative "support/tinyproxy"

# Each fault is planted for real.
RSpec.describe "simple_connect doctor", unchecked: true do
  include Environment

  secret = "a secret of these specs, long enough"

  around do |example|
    # What surrounds these specs is not to be found.
    without = %w[http_proxy HTTP_PROXY https_proxy HTTPS_PROXY no_proxy NO_PROXY SSL_CERT_FILE SSL_CERT_DIR]
    with_environment(without.to_h { |name| [name, nil] }) do
      Dir.mktmpdir do |directory|
        @gemfile = "#{directory}/Gemfile"
        example.run
      end
    end
  end

  define_method(:environment) do |endpoint_url, **more|
    { "SIMPLECONNECT_ENDPOINT_URL" => endpoint_url, "SIMPLECONNECT_KEY_ID" => "wa_sec_sandbox",
      "SIMPLECONNECT_SECRET" => secret, "BUNDLE_GEMFILE" => @gemfile, **more.transform_keys(&:to_s) }
  end

  def status(flows: [], status: "connected", date: Time.now)
    body = { "integration" => { "provider" => "demo", "status" => status }, "event_flows" => flows }
    { "status" => 200, "headers" => { "Date" => date.httpdate }, "body" => JSON.generate(body) }
  end

  # What was printed, with and without --json, and the exit code.
  def examine(env, *arguments, configuration: nil)
    out = StringIO.new
    err = StringIO.new
    code = SimpleConnect::CLI.new(["doctor", *arguments], out:, err:, env:, configuration:).run
    raise err.string unless err.string.empty?

    [out.string, code]
  end

  # The checks, by their names, and the exit code.
  def checks(env, **options)
    out, code = examine(env, "--json", **options)
    [by_name(out), code]
  end

  def by_name(json) = JSON.parse(json)["checks"].to_h { |check| [check["name"], check] }

  def check(level, seen, advice = nil) = a_hash_including("level" => level, "seen" => seen, "advice" => advice)

  def configured(**options)
    SimpleConnect::Configuration.new(env: {}).tap do |config|
      { key_id: "k", secret: "s" * 20, **options }.each { |name, value| config.public_send("#{name}=", value) }
    end
  end

  def closed_port = TCPServer.open("127.0.0.1", 0) { |server| server.addr[1] }

  it "is green where all is well, sends nothing but one GET, and asks for nothing twice" do
    ScriptedServer.open([status(flows: [{ "event_key" => "order_paid", "enabled" => true }])]) do |server|
      out, code = examine(environment(server.endpoint))

      expect(code).to eq(0)
      expect(out).to match(/^green   endpoint_url  #{server.endpoint} \(SIMPLECONNECT_ENDPOINT_URL in the env/)
      expect(out).to match(/^green   verify        demo is connected$/)
      expect(out).to match(/^green   clock         \d seconds? (behind|ahead of) the server's$/)
      expect(out).to match(/^green   event flows   1 of 1 enabled$/)
      expect(out).to match(/^green   extension     version #{SimpleConnect::VERSION}, Ruby #{RUBY_VERSION}, /)
      expect(out).to end_with("12 green, 0 yellow, 0 red\n")
      expect(server.requests.map { |request| [request.verb, request.target] })
        .to eq([["GET", "/api/v1/integrations/demo/status"]])
    end
  end

  it "shows of secrets a fingerprint, and nothing of those that are short" do
    ScriptedServer.open([status]) do |server|
      env = environment("#{server.endpoint}?token=in-a-query", SIMPLECONNECT_BASE_URL: server.url,
                                                               SIMPLECONNECT_API_KEY: "short-api-key")
      outs = [examine(env).first, examine(env, "--json").first]

      expect(outs).to all(include("its SHA-256 begins with #{Digest::SHA256.hexdigest(secret)[0, 8]} (SIMPLECONNECT_"))
      expect(outs).to all(include("set; too short to show a fingerprint (SIMPLECONNECT_API_KEY in the environment)"))
      expect(outs.join).not_to match(/#{secret}|short-api-key|in-a-query|#{Digest::SHA256.hexdigest(secret)[0, 9]}/)
    end
  end

  it "prints one JSON object with --json" do
    ScriptedServer.open([status]) do |server|
      out, code = examine(environment(server.endpoint), "--json")
      json = JSON.parse(out)

      expect([out.lines.size, code, json.keys, json["level"]]).to eq([1, 0, %w[level checks], "green"])
      expect(json["checks"]).to all(match("name" => String, "level" => a_string_matching(/\A(green|skipped)\z/),
                                          "seen" => String, "advice" => nil))
      expect(json["checks"].map { |check| check["name"] }).to eq(
        ["endpoint_url", "key_id", "secret", "extension", "lockfile", "proxy", "dns", "tcp", "tls", "client", "clock",
         "verify", "event flows"]
      )
    end
  end

  describe "on a terminal" do
    def terminal = StringIO.new.tap { |io| io.define_singleton_method(:tty?) { true } }

    it "has colours, unless NO_COLOR is set" do
      coloured, plain = [{}, { "NO_COLOR" => "1" }].map do |env|
        out = terminal
        SimpleConnect::CLI.new(["doctor"], out:, env: { "BUNDLE_GEMFILE" => @gemfile, **env }).run
        out.string
      end
      expect(coloured).to start_with("\e[31mred     \e[0mendpoint_url  not set\n")
      expect(plain).to start_with("red     endpoint_url  not set\n")
      expect(plain).not_to include("\e")
    end

    it "is not steered by what the service says" do
      ScriptedServer.open([status(status: "\e[2Jgone")]) do |server|
        out = terminal
        SimpleConnect::CLI.new(["doctor"], out:, env: environment(server.endpoint)).run
        expect(out.string).to include("demo is \\e[2Jgone")
      end
    end
  end

  it "finds a wrong key", skip: Libraries.missing("puma") do
    SimpleConnect::Sandbox.start do |sandbox|
      checks, code = checks(environment(sandbox.endpoint_url))

      expect(code).to eq(1)
      # The sandbox sends the Date that this takes.
      expect(checks["clock"]["level"]).to eq("green")
      expect(checks["verify"]).to match(check("red", /\AHTTP 401/, /\Athe key id or the secret is wrong/))
      expect(checks["event flows"]).to match(check("skipped", "not checked: verify failed"))
      expect(sandbox.requests.map(&:verb)).to eq(["GET"])
    end
  end

  it "finds a wrong URL" do
    ScriptedServer.open([{ "status" => 404 }]) do |server|
      expect(checks(environment(server.endpoint)).first["verify"])
        .to match(check("red", "HTTP 404", /\Aendpoint_url is wrong/))
    end
  end

  it "finds what is no answer of the service" do
    ScriptedServer.open([{ "status" => 200, "body" => "<html>" }]) do |server|
      expect(checks(environment(server.endpoint)).first["verify"])
        .to match(check("red", "the response is not the service's", /\Acheck endpoint_url/))
    end
  end

  it "finds a clock that is off" do
    { 100 => ["yellow", /\A(99|10\d) seconds behind the server's\z/, 0],
      -300 => ["red", /\A(29\d|30\d) seconds ahead of the server's\z/, 1] }.each do |by, (level, seen, expected)|
      ScriptedServer.open([status(date: Time.now + by)]) do |server|
        checks, code = checks(environment(server.endpoint))

        expect(code).to eq(expected)
        expect(checks["clock"]).to match(check(level, seen, /\Aset this machine's clock/))
        expect(checks["verify"]["level"]).to eq("green")
      end
    end
  end

  it "puts a refused signature down to the clock where that is off" do
    ScriptedServer.open([{ "status" => 401, "headers" => { "Date" => (Time.now - 400).httpdate } }]) do |server|
      expect(checks(environment(server.endpoint)).first["verify"])
        .to match(check("red", "HTTP 401", "set the clock first, then run doctor again"))
    end
  end

  it "finds a name that has no address", skip: Namespace.unavailable(mounts: false) do
    env = { **environment("https://app.invalid/api/v1/integrations/demo/events"), "RUBYOPT" => nil }
    out, _, status = Open3.capture3(env, *Namespace.command(*Command::LINE, "doctor", "--json"))
    checks = by_name(out)

    expect(status.exitstatus).to eq(1)
    expect(checks["dns"]).to match(check("red", /\Aapp.invalid has no address: /, /\Acheck the name/))
    expect(checks.values_at("tcp", "tls", "verify")).to all(match(check("skipped", "not checked: dns failed")))
    expect(checks["client"]["level"]).to eq("green")
  end

  it "finds a service that cannot be reached" do
    port = closed_port
    checks, code = checks(environment("http://127.0.0.1:#{port}/events"))

    expect(code).to eq(1)
    expect(checks["tcp"]).to match(check("red", "no connection to 127.0.0.1:#{port}: Connection refused",
                                         /\Anothing listens there/))
    expect(checks.values_at("tls", "clock", "verify")).to all(match(check("skipped", "not checked: tcp failed")))
  end

  it "gives up on a service that is silent" do
    stub_const("SimpleConnect::Doctor::LIMIT", 1)
    ScriptedServer.open([{ "fault" => "silence" }]) do |server|
      checks, code = checks(environment(server.endpoint))

      expect(code).to eq(1)
      expect(checks["verify"]).to match(check("red", /read_timeout|total_timeout|no answer/i, "see the checks above"))
      expect(server.requests.size).to eq(1)
    end
  end

  describe "of TLS" do
    def served(identity, **options)
      ScriptedServer.open([status], tls: identity.context) do |server|
        return checks({ "BUNDLE_GEMFILE" => @gemfile },
                      configuration: configured(endpoint_url: server.endpoint, ca_file: identity.file, **options))
      end
    end

    day = Certificates::DAY

    it "is green with a certificate that is good for long" do
      authority = Certificates.authority
      identity = authority.issue("127.0.0.1", to: 40 * day)
      ScriptedServer.open([status], tls: identity.context) do |server|
        configuration = configured(endpoint_url: server.endpoint, ca_file: authority.file)
        checks, code = checks({ "BUNDLE_GEMFILE" => @gemfile }, configuration:)

        expect(code).to eq(0)
        expect(checks["tls"]).to match(check("green", /\ATLSv1.3, CN=127.0.0.1, 39 days left\z/))
        expect(checks["ca_file"]["seen"]).to eq("#{authority.file} (the configuration)")
      end
    end

    it "finds a certificate that is about to expire" do
      checks, code = served(Certificates.own("127.0.0.1", to: (5 * day) + 60))

      expect(code).to eq(0)
      expect(checks["tls"]).to match(check("yellow", "TLSv1.3, CN=127.0.0.1, 5 days left",
                                           "have the certificate of 127.0.0.1 renewed"))
      expect(checks["verify"]["level"]).to eq("green")
    end

    it "finds one that has expired, one of another host, and one without a trusted authority" do
      expired, code = served(Certificates.own("127.0.0.1", from: -2 * day, to: -60))
      expect(code).to eq(1)
      expect(expired["tls"]).to match(check("red", /, expired: a certificate has expired\z/, /\Ahave it renewed/))
      expect(expired["verify"]).to match(check("skipped", "not checked: tls failed"))

      other, = served(Certificates.own("other.example", to: 40 * day))
      expect(other["tls"]).to match(check("red", /the certificate is not for 127.0.0.1\z/, /\Acheck the host/))

      another = Certificates.authority("another")
      unknown, = served(Certificates.self_signed("127.0.0.1"), ca_file: another.file)
      expect(unknown["tls"]).to match(check("red", /no trusted authority has signed/, /pass .* as ca_file\z/))
    end

    it "finds a server that speaks no TLS" do
      ScriptedServer.open([status]) do |server|
        checks, = checks(environment(server.endpoint.sub("http:", "https:")))
        expect(checks["tls"])
          .to match(check("red", "no TLS: the connection was closed during the handshake", /\Acheck the port/))
      end
      ScriptedServer.open(->(connection) { connection.io.write("HTTP/1.1 400 Bad Request\r\n\r\n") }) do |server|
        checks, = checks(environment(server.endpoint.sub("http:", "https:")))
        expect(checks["tls"]["seen"]).to match(/does not use TLS|the connection/)
      end
    end

    it "finds a server of another version" do
      identity = Certificates.own("127.0.0.1")
      ScriptedServer.open([status], tls: identity.context(max_version: OpenSSL::SSL::TLS1_1_VERSION)) do |server|
        checks, = checks(environment(server.endpoint))
        expect(checks["tls"]["seen"]).to match(/\Ano TLS: the (server accepts none|connection was closed)/)
      end
    end
  end

  describe "of a proxy" do
    def through(status)
      ScriptedServer.open([{ "status" => status, "then" => "close" }]) do |proxy|
        with_environment("https_proxy" => "http://me:pass-word@127.0.0.1:#{proxy.port}") do
          out, code = examine(environment("https://app.invalid/api/v1/integrations/demo/events"), "--json")
          return [out, by_name(out), code, proxy]
        end
      end
    end

    it "finds one that refuses" do
      out, checks, code, proxy = through(403)

      expect(code).to eq(1)
      expect(checks["proxy"]).to match(check("green", "127.0.0.1:#{proxy.port} (https_proxy)"))
      expect(checks["tunnel"]).to match(check("red", "the proxy answered 403 to CONNECT", /\Alet the proxy connect/))
      expect(checks.values_at("tls", "verify")).to all(match(check("skipped", "not checked: tunnel failed")))
      expect(proxy.requests.map { |request| [request.verb, request.target] }).to eq([["CONNECT", "app.invalid:443"]])
      expect(proxy.requests.first.headers["proxy-authorization"]).to eq("Basic #{["me:pass-word"].pack("m0")}")
      expect(out).not_to match(/pass-word|#{["me:pass-word"].pack("m0")}/)
    end

    it "goes through one that connects" do
      identity = Certificates.own("127.0.0.1", to: 40 * Certificates::DAY)
      ScriptedServer.open([status], tls: identity.context) do |server|
        Tinyproxy.open(user: "me", password: "secret") do |proxy|
          configuration = configured(endpoint_url: server.endpoint, ca_file: identity.file,
                                     proxy: proxy.url("me:secret"))
          checks, code = checks({ "BUNDLE_GEMFILE" => @gemfile }, configuration:)

          expect([code, checks["verify"]["level"]]).to eq([0, "green"])
          expect(checks["tunnel"]).to match(check("green", "the proxy connects to 127.0.0.1:#{server.port}"))
          expect(checks["proxy"]).to match(check("green", "127.0.0.1:#{proxy.port} (proxy in the configuration)"))
        end
      end
    end

    it "finds one that wants a password" do
      expect(through(407)[1]["tunnel"]["advice"]).to eq("write user and password in the proxy's URL")
    end

    it "finds a URL that cannot be used, without showing it" do
      configuration = configured(endpoint_url: "https://app.invalid/events", proxy: "http://me:pass/word@proxy:1")
      out, code = examine({}, "--json", configuration:)

      expect(code).to eq(1)
      expect(by_name(out)["proxy"])
        .to match(check("red", "the URL in proxy in the configuration cannot be used", /\Awrite it like/))
      expect(out).not_to include("pass/word")
    end

    it "goes past it as the clients do", skip: Namespace.unavailable(mounts: false) do
      entries = ["", "*", "192.0.2.7", "192.0.2.0/24", "192.0.3.0/24", "192.0.2.7:80", "192.0.2.7:443", "10.0.0.0/8",
                 "app.invalid", ".invalid", "*.invalid", "invalid:443", "APP.invalid.", "pp.invalid", "192.0.2.7/x",
                 "x, app.invalid y", "[2001:db8::7]", "2001:db8::7", "[2001:db8::7]:443", "[2001:db8::7]:80",
                 "2001:db8::/32"]
      hosts = %w[192.0.2.7 app.invalid [2001:db8::7] 127.0.0.1 localhost]
      # Nothing listens: the error names whom the client would have asked.
      differing = Namespace.run(<<~RUBY)
        require "simple_connect/doctor"
        ENV["https_proxy"] = "127.0.0.1:9"
        route = SimpleConnect.module_eval("Doctor").module_eval("Route")
        #{entries.inspect}.product(#{hosts.inspect}).reject do |entry, host|
          ENV["no_proxy"] = entry
          url = "https://\#{host}:443/events"
          client = SimpleConnect::Client.new(endpoint_url: url, key_id: "k", secret: "s", max_attempts: 1)
          client.integrations.verify.error.include?("127.0.0.1:9") == route.new(url, nil).proxied?
        end
      RUBY
      expect(differing).to eq([])
    end
  end

  describe "of the installation" do
    def locked(*platforms)
      File.write("#{@gemfile}.lock", "GEM\n  specs:\n    simple_connect-client (0.5.0)\n\nPLATFORMS\n" \
                                     "#{platforms.map { |name| "  #{name}\n" }.join}\nDEPENDENCIES\n  x\n")
      checks({ "BUNDLE_GEMFILE" => @gemfile }).first["lockfile"]
    end

    it "finds a lockfile that lacks this platform" do
      allow(Gem::Platform).to receive(:local).and_return(Gem::Platform.new("aarch64-linux"))
      expect(locked("arm64-darwin-23", "x86_64-linux"))
        .to match(check("red", %r{/Gemfile.lock is for arm64-darwin-23, x86_64-linux, but not for aarch64-linux},
                        /\Arun: bundle lock --add-platform aarch64-linux(-gnu)?\z/))
      expect(locked("arm64-darwin", "aarch64-linux")["level"]).to eq("green")
      expect(locked("aarch64-linux-gnu")["level"]).to eq("green")
      expect(locked("aarch64-linux-musl")["level"]).to eq("red")
      expect(locked("ruby")).to match(check("yellow", /needs Rust\z/, /bundle lock --add-platform aarch64-linux/))
    end

    it "finds a lockfile with which Bundler installs the gem for glibc on musl" do
      stub_const("RUBY_PLATFORM", "aarch64-linux-musl")
      allow(Gem::Platform).to receive(:local).and_return(Gem::Platform.new("aarch64-linux-musl"))
      [%w[aarch64-linux], %w[aarch64-linux-gnu x86_64-linux-musl], %w[aarch64-linux ruby]].each do |platforms|
        expect(locked(*platforms))
          .to match(check("red", /but not for aarch64-linux-musl: Bundler may install the gem for glibc, which does/,
                          "run: bundle lock --add-platform aarch64-linux-musl, then install into an empty folder"))
      end
      expect(locked("x86_64-linux")["seen"]).to end_with("a frozen bundle cannot be installed here")
      expect(locked("ruby")).to match(check("yellow", /needs Rust\z/, /bundle lock --add-platform aarch64-linux-musl/))
      expect(locked("aarch64-linux", "aarch64-linux-musl")["level"]).to eq("green")
    end

    # The checks of a gem whose only library, for `ruby`, is an empty file; `preload` runs before them.
    def checks_with_library_for(ruby, port, preload: "")
      Dir.mktmpdir do |directory|
        %w[lib exe].each { |part| FileUtils.cp_r("#{Command::ROOT}/#{part}", directory) }
        FileUtils.rm_rf("#{directory}/lib/simple_connect_client")
        library = "#{directory}/lib/simple_connect_client/#{ruby}/simple_connect_client.#{RbConfig::CONFIG["DLEXT"]}"
        FileUtils.mkdir_p(File.dirname(library))
        FileUtils.touch(library)
        File.write("#{directory}/preload.rb", preload)
        env = { **environment("http://127.0.0.1:#{port}/events"), "RUBYOPT" => nil, "RUBYLIB" => nil }
        out, err, status = Open3.capture3(env, RbConfig.ruby, "-I", "#{directory}/lib", "-r", "#{directory}/preload.rb",
                                          "#{directory}/exe/simple_connect", "doctor", "--json")
        expect([err, status.exitstatus]).to eq(["", 1])
        by_name(out)
      end
    end

    it "finds a gem for glibc on musl, and says how to install the other" do
      checks = checks_with_library_for(RUBY_VERSION[/\A\d+\.\d+/], closed_port, preload: <<~'RUBY')
        Object.send(:remove_const, :RUBY_PLATFORM)
        RUBY_PLATFORM = "aarch64-linux-musl"
        module Kernel
          alias_method :require_any, :require
          def require(path)
            return require_any(path) unless path.end_with?(".#{RbConfig::CONFIG["DLEXT"]}") && path.include?("simple_connect")

            raise LoadError, "Error loading shared library ld-linux-aarch64.so.1: No such file or directory"
          end
        end
      RUBY
      expect(checks["extension"]).to match(check("red", /cannot be loaded on .*musl.*: Error loading shared library/,
                                                 /\AThis gem is for glibc. Run `bundle lock --add-platform aarch64-/))
    end

    it "finds an extension that was built for another Ruby, and checks the network all the same" do
      checks = checks_with_library_for("9.9", closed_port)

      expect(checks["extension"]).to match(check("red", /\Abuilt for Ruby 9.9, not for Ruby #{RUBY_VERSION}, /,
                                                 /gem pristine simple_connect-client\z/))
      expect(checks["tcp"]["level"]).to eq("red")
      expect(checks["verify"]).to match(check("skipped", "not checked: the extension is not loaded"))
    end
  end

  it "finds an event flow that needs attention" do
    flows = [{ "event_key" => "order_paid", "enabled" => true },
             { "event_key" => "order_sent", "needs_attention" => true }]
    ScriptedServer.open([status(flows:)]) do |server|
      checks, code = checks(environment(server.endpoint))

      expect(code).to eq(0)
      expect(checks["event flows"]).to match(check("yellow", "order_sent: needs attention", /template/))
    end
  end

  describe "of Sidekiq's Redis", skip: Libraries.missing("sidekiq") do
    # Says that it is of this version.
    def redis(version)
      server = TCPServer.new("127.0.0.1", 0)
      thread = Thread.new do
        loop do
          client = server.accept
          while (line = client.gets)
            words = Array.new(line[1..].to_i) { client.read(client.gets[1..].to_i + 2).chomp }
            info = "redis_version:#{version}\r\n"
            client.write(words[0].casecmp?("info") ? "$#{info.bytesize}\r\n#{info}\r\n" : "+OK\r\n")
          end
        end
      end
      yield "redis://:redis-password@127.0.0.1:#{server.addr[1]}/0"
    ensure
      thread&.kill&.join
      server&.close
    end

    # In a process that has loaded Sidekiq.
    def checked(url, version: nil)
      code = <<~RUBY
        require "sidekiq"
        require "simple_connect/cli"
        #{"Sidekiq.send(:remove_const, :VERSION); Sidekiq::VERSION = #{version.dump}" if version}
        Sidekiq.configure_client { |config| config.redis = { url: ARGV[0] } }
        exit SimpleConnect::CLI.new(%w[doctor --json]).run
      RUBY
      out, err, = Open3.capture3({ "RUBYOPT" => nil }, RbConfig.ruby, "-I", "#{Command::ROOT}/lib", "-e", code, url)
      expect(out + err).not_to include("redis-password")
      by_name(out)["redis"]
    end

    it "finds one that is too old for Sidekiq" do
      redis("4.0.14") do |url|
        expect(checked(url, version: "6.5.12"))
          .to match(check("green", "version 4.0.14; Sidekiq 6.5.12 takes 4.0.0 or later"))
        expect(checked(url, version: "7.3.9"))
          .to match(check("red", "version 4.0.14; Sidekiq 7.3.9 takes 6.2.0 or later", "use a newer Redis"))
      end
      redis("3.2.12") { |url| expect(checked(url)).to match(check("red", /\Aversion 3.2.12; /, "use a newer Redis")) }
    end

    it "finds one that is not there" do
      expect(checked("redis://:redis-password@127.0.0.1:#{closed_port}/0"))
        .to match(check("red", /\ASidekiq's Redis did not answer: /, /\Asee REDIS_URL/))
    end
  end

  describe "of a configuration" do
    it "says where each setting comes from, also of a client by name" do
      ScriptedServer.open([status]) do |server|
        configuration = configured(endpoint_url: server.endpoint, timeout: 3, logger: Logger.new(IO::NULL),
                                   headers: { "X-Token" => "a-header's-value" })
        configuration.client(:billing) { |client| client.secret = -> { "another secret of these specs" } }
        configuration.client(:billing) { |client| client.key_id = "of_billing" }
        out, code = examine({ "BUNDLE_GEMFILE" => @gemfile }, "--client", "billing", configuration:)

        expect(code).to eq(0)
        expect(out).to match(/^green   key_id +of_billing \(config.client\(:billing\)\)$/)
        expect(out).to match(/^green   timeout +3 \(the configuration\)$/)
        expect(out).to match(/^green   logger +Logger \(the configuration\)$/)
        expect(out).to match(/^green   headers +X-Token \(the configuration\)$/)
        expect(out).not_to match(/another secret|a-header's-value|ssssss/)
      end
    end

    it "finds what raises, what does not belong together, and what is missing, and goes on" do
      configuration = configured(endpoint_url: "http://127.0.0.1:#{closed_port}/e", secret: -> { raise KeyError, "pw" })
      out, code = examine({}, "--json", configuration:)
      expect(code).to eq(1)
      expect(by_name(out)["secret"]).to match(check("red", "reading it raised KeyError", /config.secret/))
      expect(by_name(out)["tcp"]["level"]).to eq("red")
      expect(out).not_to include("pw")

      configuration = SimpleConnect::Configuration.new(env: { "SIMPLECONNECT_SECRET" => "s",
                                                              "SIMPLECONNECT_KEY_ID" => "k" })
      configuration.key_id = "k"
      checks, = checks({}, configuration:)
      expect(checks["endpoint_url"])
        .to match(check("red", "not set", "set config.endpoint_url or SIMPLECONNECT_ENDPOINT_URL"))

      configuration.endpoint_url = "http://127.0.0.1:#{closed_port}/e"
      checks, = checks({}, configuration:)
      expect(checks["client"]).to match(check("red", /key_id is set in the configuration, but secret in the env/,
                                              String))
    end

    it "asks through a client that config.clients builds" do
      ScriptedServer.open([status]) do |server|
        configuration = SimpleConnect::Configuration.new(env: {})
        configuration.clients do
          SimpleConnect::Client.new(endpoint_url: server.endpoint, key_id: "k", secret: "s")
        end
        out, code = examine({}, "--json", "--client", "tenant", configuration:)

        expect([code, by_name(out)["verify"]["level"]]).to eq([0, "green"])
        expect(by_name(out)["settings"]["seen"]).to eq("not checked: config.clients builds this client")
      end
    end

    it "needs no delivery's settings where only messages are sent" do
      ScriptedServer.open([status]) do |server|
        env = { "SIMPLECONNECT_BASE_URL" => server.url, "SIMPLECONNECT_API_KEY" => "k" }
        checks, code = checks(env)

        expect([code, checks["tcp"]["level"], server.requests]).to eq([0, "green", []])
        expect(checks["verify"]["seen"]).to eq("not checked: a MessagesClient has no integration")
      end
    end

    it "refuses a client that nobody has configured, with 2" do
      [["--client needs an application", nil],
       ["no client is configured as :billing", configured]].each do |text, config|
        err = StringIO.new
        code = SimpleConnect::CLI.new(%w[doctor --client billing], err:, configuration: config).run
        expect([code, err.string]).to match([2, a_string_including(text)])
      end
    end
  end

  it "writes nothing but the JSON where a client logs to standard output" do
    ScriptedServer.open([status]) do |server|
      code = <<~RUBY
        require "logger"
        require "simple_connect/cli"
        SimpleConnect.configure do |config|
          config.endpoint_url = ARGV[0]
          config.logger = Logger.new($stdout)
          config.debug = true
        end
        SimpleConnect::CLI.new(%w[doctor --json], configuration: SimpleConnect.configuration).run
      RUBY
      env = { **environment(server.endpoint), "RUBYOPT" => nil }
      out, err, = Open3.capture3(env, RbConfig.ruby, "-I", "#{Command::ROOT}/lib", "-e", code, server.endpoint)
      expect([out.lines.size, err, by_name(out)["verify"]["level"]]).to eq([1, "", "green"])
    end
  end

  it "warns of white space around a secret" do
    checks, = checks(environment("http://127.0.0.1:#{closed_port}/e", SIMPLECONNECT_SECRET: "#{secret}\n"))
    expect(checks["secret"]).to match(check("yellow", /begins or ends with white space\z/, /\Aremove the white space/))
  end

  it "is a task of Rails, which takes the same options and has the same exit codes", skip: Libraries.missing("rake") do
    run = lambda do |server, *arguments|
      code = <<~RUBY
        require "rake"
        require "simple_connect"
        task(:environment) { SimpleConnect.configure { |config| config.endpoint_url = #{server.dump} } }
        load "#{Command::ROOT}/lib/simple_connect/rails/tasks.rake"
        Rake.application.run
      RUBY
      env = { **environment("http://127.0.0.1:1/"), "RUBYOPT" => nil }
      Open3.capture3(env, RbConfig.ruby, "-I", "#{Command::ROOT}/lib", "-e", code, "--", "simple_connect:doctor",
                     *arguments)
    end
    ScriptedServer.open([status]) do |server|
      out, _, status = run.call(server.endpoint)
      expect([status.exitstatus, out]).to match([0, /^green   endpoint_url  #{server.endpoint} \(the configuration\)$/])
      out, _, status = run.call("http://127.0.0.1:#{closed_port}/e", "--", "--json")
      expect([status.exitstatus, by_name(out)["tcp"]["level"]]).to eq([1, "red"])
      _, err, status = run.call(server.endpoint, "--", "--client=billing")
      expect([status.exitstatus, err]).to match([2, /no client is configured as :billing/])
    end
  end
end
