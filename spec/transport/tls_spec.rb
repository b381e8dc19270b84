# frozen_string_literal: true

require "json"
require "open3"
require "tempfile"
require "tmpdir"
require_relative "../support/certificates"
require_relative "../support/delivering"
require_relative "../support/environment"
require_relative "../support/namespace"

# Promise 9, as far as it is about TLS.
RSpec.describe "The transport over TLS (promise 9)" do
  include Delivering
  include Environment

  accepted = Delivering::ACCEPTED
  authority = Certificates.authority
  identity = authority.issue("127.0.0.1")
  versions = { "TLS 1.2" => OpenSSL::SSL::TLS1_2_VERSION, "TLS 1.3" => OpenSSL::SSL::TLS1_3_VERSION }

  define_method(:authority) { authority }

  def serve(*script, tls:, host: "127.0.0.1", &block)
    ScriptedServer.open(script, tls:, host:, &block)
  end

  def trusting(server, **options) = client_of(server, ca_file: authority.file, **options)

  describe "trusts" do
    it "whom ca_file names, for names and for addresses" do
      [%w[127.0.0.1 127.0.0.1], %w[::1 [::1]], %w[127.0.0.1 localhost]].each do |address, host|
        tls = authority.issue(host.delete("[]")).context
        serve(accepted, tls:, host: address) do |server|
          expect(deliver(client_of("https://#{host}:#{server.port}/events", ca_file: authority.file))).to be_success
        end
      end
    end

    it "whom SSL_CERT_FILE names, and ca_file beside it" do
      other = Certificates.authority("Another authority")
      serve(accepted, tls: identity.context) do |server|
        with_environment("SSL_CERT_FILE" => authority.file) do
          expect(deliver(client_of(server))).to be_success
          expect(deliver(client_of(server, ca_file: other.file))).to be_success
        end
        with_environment("SSL_CERT_FILE" => other.file) do
          expect(deliver(client_of(server)).network_error).to eq(:tls)
          expect(deliver(trusting(server))).to be_success
        end
      end
    end

    it "whom SSL_CERT_DIR names, which may be several folders" do
      Dir.mktmpdir do |empty|
        Dir.mktmpdir do |folder|
          File.write(File.join(folder, authority.hashed_name), File.read(authority.file))
          serve(accepted, tls: identity.context) do |server|
            { folder => true, "#{empty}:#{folder}" => true, empty => false }.each do |folders, trusted|
              with_environment("SSL_CERT_DIR" => folders) do
                expect(deliver(client_of(server)).success?).to be(trusted)
              end
            end
          end
        end
      end
    end

    it "the system's file and folder; each variable stands in for its own", skip: Namespace.unavailable do
      seen = Dir.mktmpdir do |folder|
        Namespace.run(<<~RUBY, mounts: { "/etc/ssl/certs" => folder })
          require "#{File.expand_path("../support/certificates", __dir__)}"
          require "tmpdir"
          in_file, in_folder, other = %w[file folder other].map { |name| Certificates.authority(name) }
          File.write("/etc/ssl/certs/ca-certificates.crt", File.read(in_file.file))
          File.write("/etc/ssl/certs/\#{in_folder.hashed_name}", File.read(in_folder.file))
          empty = Dir.mktmpdir
          cases = [{}, { "SSL_CERT_FILE" => other.file }, { "SSL_CERT_DIR" => empty },
                   { "SSL_CERT_FILE" => other.file, "SSL_CERT_DIR" => empty }]
          cases.map do |variables|
            ENV.update({ "SSL_CERT_FILE" => nil, "SSL_CERT_DIR" => nil, **variables })
            [in_file, in_folder, other].map do |authority|
              ScriptedServer.open([ACCEPTED], tls: authority.issue("127.0.0.1").context) do |server|
                deliver(client_of(server)).success?
              end
            end
          end
        RUBY
      end
      # Who is in the file (which lies in the folder, too), in the folder, and in the file of the variable.
      expect(seen).to eq([[true, true, false], [true, true, true], [true, false, false], [false, false, true]])
    end

    it "nobody where there is no certificate, and says what to do" do
      Dir.mktmpdir do |empty|
        { "#{empty}/none.pem" => "it cannot be read: No such file",
          "/dev/null" => "it contains no certificate in PEM format" }
          .each do |file, reason|
            with_environment("SSL_CERT_FILE" => file, "SSL_CERT_DIR" => empty) do
              serve(accepted, tls: identity.context) do |server|
                result = deliver(client_of(server))
                expect([result.network_error, result.network_phase]).to eq(%i[tls tls])
                expect(result.error).to include("no CA certificates found: SSL_CERT_FILE (#{file}): #{reason}")
              end
            end
          end
      end
    end

    versions.each do |name, version|
      it "a certificate that is itself trusted, as openssl req -x509 makes it (#{name})" do
        own = Certificates.own("127.0.0.1")
        tls = own.context(min_version: version, max_version: version)
        serve(accepted, tls:) do |server|
          expect(deliver(client_of(server, ca_file: own.file))).to be_success
          with_environment("SSL_CERT_FILE" => own.file) { expect(deliver(client_of(server))).to be_success }
          # Not merely because it says so itself.
          expect(deliver(trusting(server)).network_error).to eq(:tls)
        end
      end

      it "nobody who only looks like such a certificate (#{name})" do
        own = Certificates.own("127.0.0.1")
        leaf = Certificates.own("127.0.0.1", extensions: [Certificates.names("127.0.0.1")])
        {
          "another name" => [Certificates.own("localhost"), nil, /certificate is for another host/],
          "expired" => [Certificates.own("127.0.0.1", to: -60), nil, /has expired/],
          "not valid yet" => [Certificates.own("127.0.0.1", from: 3600), nil, /not valid yet/],
          "another of the same subject" => [Certificates.own("127.0.0.1"), own, /is a CA certificate/],
          "a server's of the same subject" => [leaf, own, /is not signed by a trusted authority/]
        }.each do |what, (served, trusted, explanation)|
          serve(accepted, tls: served.context(min_version: version, max_version: version)) do |server|
            result = deliver(client_of(server, ca_file: (trusted || served).file))
            expect(result.error).to match(explanation), "#{what}: #{result.error}"
            expect(server.requests).to be_empty
          end
        end
      end
    end
  end

  describe "does not trust" do
    strangers = {
      "a certificate of an unknown authority" =>
        [lambda {
           Certificates.authority("Nobody").issue("127.0.0.1")
         }, /is not signed by a trusted authority .* ca_file:/],
      "a certificate that vouches for itself" =>
        [-> { Certificates.self_signed("127.0.0.1") }, /is not signed by a trusted authority .* ca_file:/],
      "a certificate for another host" =>
        [-> { authority.issue("app.example") }, /the server's certificate is for another host/],
      "a certificate for another address" =>
        [-> { authority.issue("127.0.0.2") }, /the server's certificate is for another host/],
      "a certificate that has expired" =>
        [-> { authority.issue("127.0.0.1", to: -60) }, /the server's certificate has expired or is not valid/],
      "a certificate that is not valid yet" =>
        [-> { authority.issue("127.0.0.1", from: 3600) }, /the server's certificate has expired or is not valid/]
    }

    strangers.each do |what, (make, explanation)|
      it "#{what}, and sends nothing" do
        serve(accepted, tls: make.call.context) do |server|
          result = deliver(trusting(server))
          expect([result.network_error, result.network_phase]).to eq(%i[tls tls])
          expect(result.error).to match(explanation)
            .and start_with("OpenSSL::SSL::SSLError: 127.0.0.1:#{server.port}: no trusted TLS connection: ")
          server.closed.pop
          expect(server.requests).to be_empty
        end
      end
    end

    it "anybody merely because it was told to", unchecked: true do
      expect { client_of("https://127.0.0.1/events", verify: false) }.to raise_error(ArgumentError, /verify/)
    end
  end

  describe "speaks" do
    versions.each do |name, version|
      it name do
        spoken = []
        answer = lambda do |connection, _|
          spoken << connection.io.ssl_version
          connection.io.write("HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\n{}")
        end
        serve(answer, tls: identity.context(min_version: version, max_version: version)) do |server|
          expect(deliver(trusting(server))).to be_success
          expect(spoken).to eq([name.sub(" ", "v")])
        end
      end
    end

    it "nothing older" do
      old = identity.context(min_version: OpenSSL::SSL::TLS1_VERSION, max_version: OpenSSL::SSL::TLS1_1_VERSION)
      old.ciphers = "ALL:@SECLEVEL=0"
      serve(accepted, tls: old) do |server|
        result = deliver(trusting(server))
        expect([result.network_error, result.network_phase]).to eq(%i[tls tls])
        expect(result.error).to match(/the server offers neither TLS 1.2 nor 1.3/)
      end
    end

    it "and says so where the other side does not" do
      # A server of plain HTTP answers a TLS hello with what it answers to any nonsense.
      ScriptedServer.open(->(connection) { connection.io.write("HTTP/1.1 400 Bad Request\r\n\r\n") }) do |server|
        result = deliver(client_of("https://127.0.0.1:#{server.port}/events", ca_file: authority.file))
        expect([result.network_error, result.network_phase]).to eq(%i[tls tls])
        expect(result.error).to match(/does not speak TLS on this port: .* the URL should begin with https/)
      end
    end

    it "and says so where it should and the URL is that of plain HTTP" do
      # What rustls, Go and others answer there; OpenSSL merely closes.
      alert = "\x15\x03\x01\x00\x02\x02\x46".b
      ScriptedServer.open([{ "fault" => "raw", "bytes" => alert }]) do |server|
        result = deliver(client_of(server))
        expect(result).to have_attributes(network_error: :malformed, error: /is TLS: the URL should begin with https/)
      end
      serve(accepted, tls: identity.context) do |server|
        result = deliver(client_of("http://127.0.0.1:#{server.port}/events"))
        expect(result.network_error).to eq(:eof).or eq(:reset)
      end
    end
  end

  describe "gives up on a handshake" do
    {
      "that nobody answers" => [->(connection) { connection.wait_for_client_to_close }, :timeout, :tls,
                                /\ANet::OpenTimeout: \S+: no TLS connection within 0.25 s \(open_timeout\)\z/],
      "that ends early" => [->(connection) { connection.io.readpartial(5000) }, :tls, :tls,
                            /\AOpenSSL::SSL::SSLError: \S+: the connection was closed during the TLS handshake\z/],
      "that is reset" => [->(connection) { connection.io.readpartial(5000) && connection.reset }, :reset, :tls,
                          /\AErrno::ECONNRESET: \S+: the connection was reset\z/]
    }.each do |what, (behaviour, kind, phase, text)|
      it what do
        ScriptedServer.open(behaviour) do |server|
          url = "https://127.0.0.1:#{server.port}/events"
          result = deliver(client_of(url, ca_file: authority.file, open_timeout: 0.25))
          expect([result.network_error, result.network_phase]).to eq([kind, phase])
          expect(result.error).to match(text)
          expect(server.closed.pop).to eq(0)
        end
      end
    end
  end

  describe "takes an end" do
    bytes = { length: "HTTP/1.1 202 OK\r\nContent-Length: 2\r\n\r\n{}", until_close: "HTTP/1.1 202 OK\r\n\r\n{}" }

    it "without a word for a cut, unless the answer was complete" do
      bytes.each do |framing, answer|
        serve({ "fault" => "raw", "bytes" => answer }, tls: identity.context) do |server|
          result = deliver(trusting(server))
          expect(result.network_error).to eq({ length: nil, until_close: :eof }[framing])
          expect(result).to be_success if framing == :length
        end
      end
    end

    it "that is announced for the end of the answer" do
      announced = lambda do |connection, _|
        connection.io.write(bytes[:until_close])
        connection.io.close
        false
      end
      serve(announced, tls: identity.context) do |server|
        expect(deliver(trusting(server))).to have_attributes(success: true, response_body: "{}")
      end
    end
  end

  describe "while a connection is idle" do
    versions.each do |name, version|
      it "notices its end (#{name})" do
        go = Queue.new
        ending = lambda do |connection, _|
          connection.io.write("HTTP/1.1 202 OK\r\nContent-Length: 2\r\n\r\n{}")
          go.pop
          connection.io.close
          false
        end
        serve(ending, accepted, tls: identity.context(min_version: version, max_version: version)) do |server|
          client = messages_client_of(server, ca_file: authority.file)
          expect(send_message(client)).to be_success
          await_news_from(server) { go << true }
          expect(send_message(client)).to have_attributes(success: true, attempts: 1)
          expect(server.requests.map(&:connection)).to eq([0, 1])
        end
      end
    end

    it "gives no stale answer" do
      go = Queue.new
      unasked = lambda do |connection, _|
        connection.io.write("HTTP/1.1 202 OK\r\nContent-Length: 2\r\n\r\n{}")
        go.pop
        connection.io.write("HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n")
      end
      serve(unasked, accepted, tls: identity.context) do |server|
        client = trusting(server)
        expect(deliver(client)).to be_success
        await_news_from(server) { go << true }
        expect(deliver(client).status_code).to eq(202)
        expect(server.requests.map(&:connection)).to eq([0, 1])
      end
    end

    # OpenSSL's own server speaks when it is told to: here a change of keys. A late session ticket is of the same kind.
    it "does not mind what TLS says on its own account" do
      port = TCPServer.open("127.0.0.1", 0) { |server| server.addr[1] }
      command = %W[openssl s_server -accept 127.0.0.1:#{port} -cert #{identity.file_with_key} -tls1_3]
      Open3.popen2e(*command) do |input, output, process|
        output.each_line.find { |line| line.include?("ACCEPT") }
        client = client_of("https://127.0.0.1:#{port}/events", ca_file: authority.file)
        own_ports = Array.new(3) do
          delivery = Thread.new { deliver(client) }
          output.each_line.find { |line| line.start_with?("POST ") }
          input.write("HTTP/1.1 202 OK\r\nContent-Length: 2\r\n\r\n{}")
          expect(delivery.value).to be_success
          socket = sockets_to(port).fetch(0)
          input.write("K\n")
          expect(socket.wait_readable(10)).to be_truthy
          socket.local_address.ip_port
        end
        expect(own_ports.uniq.size).to eq(1)
      ensure
        Process.kill(:TERM, process.pid)
      end
    end
  end

  versions.each do |name, version|
    it "resumes the session when it connects again (#{name})" do
      reused = []
      answer = lambda do |connection, _|
        reused << connection.io.session_reused?
        connection.io.write("HTTP/1.1 202 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}")
        false
      end
      serve(answer, tls: identity.context(min_version: version, max_version: version)) do |server|
        client = trusting(server)
        3.times { expect(deliver(client)).to be_success }
        expect(reused).to eq([false, true, true])
      end
    end
  end

  describe "carries" do
    large = "x" * (8 * 1024 * 1024)

    versions.each do |name, version|
      it "large bodies both ways (#{name})" do
        answer = "{\"message\":\"#{"y" * ((1024 * 1024) - 14)}\"}"
        step = { "status" => 422, "body" => answer }
        serve(step, tls: identity.context(min_version: version, max_version: version)) do |server|
          client = trusting(server)
          2.times do
            result = deliver(client, note: large)
            expect([result.status_code, result.response_body == answer]).to eq([422, true])
          end
          expect(server.requests.map { |request| request.body.include?(large) }).to eq([true, true])
          expect(server.connections).to eq(1)
        end
      end

      # With TLS 1.2 it comes together with the end of the handshake.
      it "an answer that is there before the request (#{name})" do
        hasty = lambda do |connection|
          connection.io.write("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")
          connection.wait_for_client_to_close
        end
        context = identity.context(min_version: version, max_version: version)
        ScriptedServer.open(hasty, tls: context) do |server|
          expect(deliver(trusting(server, read_timeout: 3)).status_code).to eq(503)
        end
      end
    end

    it "nothing further to a server that does not read" do
      over = Queue.new
      ScriptedServer.open(->(_) { over.pop }, tls: identity.context) do |server|
        result = deliver(trusting(server, write_timeout: 0.3), note: large)
        expect([result.network_error, result.network_phase]).to eq(%i[timeout write])
        over << true
      end
    end
  end

  # Promise 19.
  describe "keeps up with whom to trust (promise 19)" do
    newcomer = Certificates.authority("One that comes later")
    context = newcomer.issue("127.0.0.1").context

    # A client that nobody can convince, until the block has changed what it trusts.
    def expect_trust_after(client, tls)
      serve(Delivering::ACCEPTED, tls:) do |server|
        client = client.call(server)
        expect(deliver(client).network_error).to eq(:tls)
        yield
        expect(deliver(client)).to be_success
      end
    end

    it "where ca_file changes, in place or by another file in its place" do
      Dir.mktmpdir do |folder|
        file = "#{folder}/ca.pem"
        [->(text) { File.write(file, text) }, lambda do |text|
          File.write("#{file}.new", text)
          File.rename("#{file}.new", file)
        end].each do |write|
          File.write(file, File.read(authority.file))
          expect_trust_after(->(server) { client_of(server, ca_file: file) }, context) do
            write.call(File.read(newcomer.file))
          end
        end
      end
    end

    it "where the file of SSL_CERT_FILE changes, or comes to be" do
      Dir.mktmpdir do |folder|
        file = "#{folder}/ca.pem"
        2.times do
          with_environment("SSL_CERT_FILE" => file, "SSL_CERT_DIR" => folder) do
            expect_trust_after(->(server) { client_of(server) }, context) { File.write(file, File.read(newcomer.file)) }
          end
          File.write(file, File.read(authority.file))
        end
      end
    end

    it "where a certificate is added to a folder" do
      Dir.mktmpdir do |folder|
        with_environment("SSL_CERT_DIR" => folder) do
          expect_trust_after(->(server) { client_of(server) }, context) do
            File.write(File.join(folder, newcomer.hashed_name), File.read(newcomer.file))
          end
        end
      end
    end

    it "and holds on to what it had where ca_file is broken, or gone" do
      Dir.mktmpdir do |folder|
        file = "#{folder}/ca.pem"
        File.write(file, File.read(authority.file))
        serve(accepted, tls: identity.context) do |server|
          clients = Array.new(2) { client_of(server, ca_file: file) }
          [-> { File.write(file, File.read(newcomer.file)[0, 200]) }, -> { File.delete(file) }].each do |spoil|
            spoil.call
            expect(deliver(clients.shift)).to be_success
          end
        end
      end
    end

    it "and does not remember that it could not be read" do
      with_environment("SSL_CERT_FILE" => authority.file) do
        serve(accepted, tls: nil) do |plain|
          serve(accepted, tls: identity.context) do |server|
            seen = in_a_child do
              # Whoever delivers first closes the pipes that this process has inherited, and keeps its own.
              clients = [client_of(plain), client = client_of(server)]
              deliver(clients.first)
              # One for the socket, none for the file.
              held = no_descriptors_but(1)
              without = deliver(client).error
              # Those that garbage has are as good.
              held.pop(20).each(&:close)
              20.times { File.open("/dev/null") }
              [without, deliver(client).error]
            end
            expect(seen).to match(
              [/\AErrno::EMFILE: .*SSL_CERT_FILE \(#{authority.file}\): it cannot be read: Too many open files/, nil]
            )
          end
        end
      end
    end

    def in_a_child
      reader, writer = IO.pipe
      pid = fork do
        reader.close
        writer.write(JSON.generate(yield))
        writer.close
        exit!(0)
      end
      writer.close
      JSON.parse(reader.read)
    ensure
      reader.close
      Process.wait(pid)
    end

    # Holds all descriptors but so many, also those that garbage had.
    def no_descriptors_but(free)
      Process.setrlimit(:NOFILE, 200, Process.getrlimit(:NOFILE).last)
      held = []
      2.times { open_all(held) && GC.start }
      open_all(held).pop(free).each(&:close)
      held
    end

    def open_all(files)
      loop { files << File.open("/dev/null") }
    rescue Errno::EMFILE
      files
    end
  end

  describe "of a file that is named" do
    other = Certificates.authority("Another authority")
    pem = authority.certificate.to_pem
    rubbish = "-----BEGIN CERTIFICATE-----\n#{["no certificate"].pack("m")}-----END CERTIFICATE-----\n"
    openssls_own = pem.gsub("CERTIFICATE", "TRUSTED CERTIFICATE")

    def in_file(text)
      Tempfile.create("ca") do |file|
        file.binmode
        file.write(text)
        file.close
        yield file.path
      end
    end

    {
      "with text around it" => "Whom we trust:\n\n#{pem}# the end\n",
      "with a byte order mark and line breaks of Windows" => "\uFEFF#{pem.gsub("\n", "\r\n")}",
      "under its old name, without a line break at the end" => pem.gsub("CERTIFICATE", "X509 CERTIFICATE").chomp,
      "behind a key and another certificate" => "#{identity.key.to_pem}#{other.certificate.to_pem}#{pem}"
    }.each do |what, text|
      it "takes a certificate #{what}" do
        in_file(text) do |file|
          serve(accepted, tls: identity.context) do |server|
            expect(deliver(client_of(server, ca_file: file))).to be_success
            with_environment("SSL_CERT_FILE" => file) { expect(deliver(client_of(server))).to be_success }
          end
        end
      end
    end

    {
      "two without a line break between them" =>
        [other.certificate.to_pem.chomp + pem, /line \d+: the section from line 1 must end with -----END CERTIFICATE/],
      "rubbish within the dashes" =>
        [other.certificate.to_pem + rubbish, /line \d+: this section is not a certificate/],
      "what is no base64" => [pem.sub("MII", "M!I"), /line 1: this section is not valid base64/],
      "a certificate that is cut short" => [pem.lines.first(4).join, /line 1: this section is cut short/],
      "the end of one" => [pem.lines.last(4).join, /line 4: this section has no BEGIN line/],
      "one in another's midst" => [pem.lines.first(4).join + pem, /line 5: the section from line 1 must end with/],
      "\\n for line breaks" => [pem.gsub("\n", "\\n"), /line 1: -----BEGIN …----- must be alone on its line/],
      "DER" => [authority.certificate.to_der, /it is in DER format: convert it to PEM with openssl x509 -inform DER/],
      "OpenSSL's own format" => [openssls_own, /line 1: TRUSTED CERTIFICATE is OpenSSL's own format/],
      "a key alone" => [identity.key.to_pem, /it contains no certificate in PEM format/]
    }.each do |what, (text, problem)|
      it "refuses #{what}, and tells the place" do
        in_file(text) do |file|
          expect { client_of("https://127.0.0.1/", ca_file: file) }.to raise_error(
            SimpleConnect::ConfigurationError, /\Aca_file: cannot read certificates from #{file}: #{problem}/
          )
          # Of SSL_CERT_FILE all is taken that can be; the rest is told where it may matter.
          serve(accepted, tls: identity.context) do |server|
            with_environment("SSL_CERT_FILE" => file) do
              expect(deliver(client_of(server)).error).to match(/SSL_CERT_FILE \(#{file}\): #{problem}/)
              expect(deliver(trusting(server))).to be_success
            end
          end
        end
      end
    end

    it "tells variable, path and reason where SSL_CERT_FILE or SSL_CERT_DIR cannot be read" do
      serve(accepted, tls: identity.context) do |server|
        with_environment("SSL_CERT_FILE" => "/nowhere/ca.pem") do
          expect(deliver(client_of(server)).error).to match(
            %r{no trusted TLS .*SSL_CERT_FILE \(/nowhere/ca.pem\): it cannot be read: No such file .*pass its}
          )
        end
        with_environment("SSL_CERT_DIR" => "/nowhere") do
          expect(deliver(client_of(server)).error).to include("SSL_CERT_DIR (/nowhere): it cannot be read: No such")
        end
      end
    end
  end

  describe "refuses in plain words" do
    rsa = OpenSSL::PKey::RSA.new(2048)
    tls12 = OpenSSL::SSL::TLS1_2_VERSION
    {
      "a certificate with a common name only" =>
        [{ extensions: [] }, {}, /has no host name: it has no subjectAltName, and the common name is ignored/],
      "X.509 version 1" => [{ extensions: [], version: 0 }, {}, /uses X.509 version 1: issue it as version 3/],
      "ECDSA with SHA-512" =>
        [{ digest: "SHA512" }, {},
         /signature algorithm of the server's certificate is not supported: sign it with RSA/],
      "a P-521 key" => [{ key: OpenSSL::PKey::EC.generate("secp521r1") }, {},
                        /the server and this client have no TLS parameters in common/],
      "TLS 1.2 with CBC alone" => [{ key: rsa }, { max_version: tls12, ciphers: "ECDHE-RSA-AES128-SHA256" },
                                   /have no TLS parameters in common: .* TLS 1.2 with ECDHE and AES-GCM/],
      "the exchange of keys by RSA" =>
        [{ key: rsa }, { max_version: tls12, ciphers: "AES128-GCM-SHA256" },
         /the server and this client have no TLS parameters in common/],
      "to show a certificate (TLS 1.2)" =>
        [{}, { max_version: tls12, verify_mode: 3 }, /or the server requires a client certificate, which/],
      "to show a certificate (TLS 1.3)" =>
        [{}, { verify_mode: 3 }, /the server requires a client certificate, which this client cannot send/],
      "3,000 names" =>
        [{ extensions: [Certificates.names(*Array.new(3000) { |i| "host-#{i}.example" })] }, {},
         /is for another host \(.*host-1\.example.*…\)/]
    }.each do |what, (certificate, settings, explanation)|
      it what do
        context = authority.issue("127.0.0.1", **certificate).context
        settings.each { |name, value| context.public_send("#{name}=", value) }
        serve(accepted, tls: context) do |server|
          result = deliver(trusting(server))
          expect([result.network_error, result.network_phase]).to eq(%i[tls tls])
          expect(result.error).to match(explanation)
          expect(result.error.size).to be < 450
          expect(result.error).not_to include("may have taken the request")
          expect(server.requests).to be_empty
        end
      end
    end
  end
end
