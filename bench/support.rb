# frozen_string_literal: true

require "erb"
require "etc"
require "fileutils"
require "json"
require "net/http"
require "openssl"
require "rbconfig"
require "securerandom"
require "socket"
require "time"
require "tmpdir"

# Builds the extension before anything is measured.
module Bench
  # Runs a Rake task with the current Ruby; the `rake` executable may use another one.
  def self.rake(task, **options)
    system({ "LC_ALL" => "C.UTF-8" }, RbConfig.ruby, "-S", "rake", task,
           chdir: File.expand_path("..", __dir__), exception: true, **options)
  end
end

Bench.rake("compile") unless ENV["BENCH_PINNED"]
$LOAD_PATH.unshift(File.expand_path("../lib", __dir__))
require "simple_connect"

# Shared by the benchmarks: a server, an event, and the contenders that deliver it.
module Bench
  KEY_ID = "wa_sec_bench"
  SECRET = "bench-secret"
  PATH = "/api/v1/integrations/bench/events"
  RECIPIENT = { name: "Asha Patil", mobile_no: "+919812345678" }.freeze
  # 330 bytes with the envelope.
  EVENT = {
    workshop_name: "Spoke and Co", collected_on: "2026-08-21", paid_by: "UPI", bicycle: "blue cargo bike",
    remaining_balance_of_rider: "0.00", event_id: "repair_118042"
  }.freeze

  # nginx with an http and an https port. Answers each delivery with a 202.
  class Server
    CONFIG = ERB.new(<<~CONF)
      daemon off; worker_processes 1; pid <%= dir %>/pid; error_log <%= dir %>/error.log;
      events { worker_connections 4096; }
      http {
        access_log off; keepalive_requests 1000000000; keepalive_timeout 600s;
        client_body_buffer_size 2m; client_max_body_size 4m; default_type application/json;
        client_body_temp_path <%= dir %>/body; proxy_temp_path <%= dir %>/proxy; fastcgi_temp_path <%= dir %>/fastcgi;
        uwsgi_temp_path <%= dir %>/uwsgi; scgi_temp_path <%= dir %>/scgi;
        server {
          listen 127.0.0.1:<%= port %> backlog=4096;
          listen 127.0.0.1:<%= tls_port %> ssl backlog=4096;
          ssl_certificate <%= dir %>/cert.pem; ssl_certificate_key <%= dir %>/key.pem;
          location / { return 202 '{"status":"accepted","log_id":7,"event_id":"repair_118042"}'; }
        }
      }
    CONF

    attr_reader :port, :tls_port, :dir

    def self.run
      server = new
      yield server
    ensure
      server&.stop
    end

    def initialize
      @dir = Dir.mktmpdir
      @port, @tls_port = Array.new(2) { TCPServer.open("127.0.0.1", 0) { |socket| socket.addr[1] } }
      certify
      File.write("#{dir}/nginx.conf", CONFIG.result(binding))
      @pid = Process.spawn("nginx", "-c", "#{dir}/nginx.conf", out: "#{dir}/out", err: "#{dir}/out")
      wait
    rescue Errno::ENOENT
      abort "bench: nginx is missing (Debian: apt install nginx-light)"
    end

    def url(tls) = tls ? "https://127.0.0.1:#{tls_port}" : "http://127.0.0.1:#{port}"

    def ca_file = "#{dir}/ca.pem"

    def stop
      Process.kill(:TERM, @pid)
      Process.wait(@pid)
      FileUtils.remove_entry(dir)
    end

    private

    # Creates a CA, and a certificate with a common kind of key: RSA, 2048 bits.
    def certify
      ca_key, key = Array.new(2) { OpenSSL::PKey::RSA.new(2048) }
      ca = certificate("/CN=bench CA", 1, ca_key, "basicConstraints" => "critical,CA:TRUE")
      ca.issuer = ca.subject
      ca.sign(ca_key, "SHA256")
      leaf = certificate("/CN=bench", 2, key, "subjectAltName" => "IP:127.0.0.1")
      leaf.issuer = ca.subject
      leaf.sign(ca_key, "SHA256")
      { "ca.pem" => ca, "cert.pem" => leaf, "key.pem" => key }.each do |name, object|
        File.write("#{dir}/#{name}", object.to_pem)
      end
    end

    def certificate(subject, serial, key, extensions)
      certificate = OpenSSL::X509::Certificate.new
      certificate.version = 2
      certificate.serial = serial
      certificate.subject = OpenSSL::X509::Name.parse(subject)
      certificate.public_key = key.public_key
      certificate.not_before = Time.now - 3600
      certificate.not_after = Time.now + 86_400
      factory = OpenSSL::X509::ExtensionFactory.new
      extensions.each { |name, value| certificate.add_extension(factory.create_extension(name, value)) }
      certificate
    end

    def wait
      TCPSocket.open("127.0.0.1", port).close
    rescue Errno::ECONNREFUSED
      abort "bench: nginx did not start:\n#{File.read("#{dir}/out")}" if Process.wait(@pid, Process::WNOHANG)
      sleep(0.01)
      retry
    end
  end

  # What the published gem does for an event besides sending: encodes and signs it, and parses the answer.
  module Published
    HEADERS = {
      "Content-Type" => "application/json", "User-Agent" => "simple_connect-client/0.4.2 ruby/#{RUBY_VERSION}",
      "X-SimpleConnect-Key-Id" => KEY_ID
    }.freeze

    def body(event)
      event = event.transform_keys(&:to_s)
      event["event_id"] ||= "evt_#{SecureRandom.hex(8)}"
      event["name"] = "customer_payment_received"
      event["occurred_at"] ||= Time.now.iso8601
      event["language"] ||= "en"
      recipient = RECIPIENT.transform_keys(&:to_s)
      JSON.generate({ "recipient" => { "name" => recipient["name"], "mobile_no" => recipient["mobile_no"] },
                      "event" => event })
    end

    def headers(body)
      timestamp = Time.now.to_i.to_s
      signature = OpenSSL::HMAC.hexdigest("SHA256", SECRET, "#{timestamp}.#{body}")
      HEADERS.merge("X-SimpleConnect-Timestamp" => timestamp, "X-SimpleConnect-Signature" => "sha256=#{signature}")
    end

    def accept(status, body)
      raise "status #{status}" unless status.to_i == 202

      JSON.parse(body)
    end
  end

  # This gem. Each contender is created for a server; `call` delivers an event, and `close` closes its connections.
  class Ours
    NAME = "simple_connect-client"

    def initialize(url, ca_file)
      @client = SimpleConnect::Client.new(endpoint_url: url + PATH, key_id: KEY_ID, secret: SECRET, ca_file:)
    end

    def call(event = EVENT)
      result = @client.events.deliver("customer_payment_received", recipient: RECIPIENT, event:)
      result.success? or raise result.error
    end

    def close = @client.close
  end

  # Like the published gem: a new connection for each delivery.
  class NewConnection
    include Published

    NAME = "Net::HTTP, a connection each"

    def initialize(url, ca_file)
      @uri = URI(url + PATH)
      @ca_file = ca_file
    end

    def call(event = EVENT)
      http = Net::HTTP.new(@uri.host, @uri.port)
      http.use_ssl = @uri.scheme == "https"
      http.ca_file = @ca_file if http.use_ssl?
      http.open_timeout = http.read_timeout = 10
      body = body(event)
      answer = http.request(Net::HTTP::Post.new(@uri, headers(body)), body)
      accept(answer.code, answer.body)
    end

    def close; end
  end

  # Net::HTTP with one persistent connection.
  class KeptAlive
    include Published

    NAME = "Net::HTTP, kept alive"

    def initialize(url, ca_file)
      @uri = URI(url + PATH)
      @http = Net::HTTP.new(@uri.host, @uri.port)
      @http.use_ssl = @uri.scheme == "https"
      @http.ca_file = ca_file if @http.use_ssl?
      @http.keep_alive_timeout = 600
      @http.start
    end

    def call(event = EVENT)
      body = body(event)
      answer = @http.request(Net::HTTP::Post.new(@uri, headers(body)), body)
      accept(answer.code, answer.body)
    end

    def close = @http.finish
  end

  # A pool of Net::HTTP connections.
  class NetHttpPersistent
    include Published

    NAME = "net-http-persistent"
    LIBRARY = "net/http/persistent"

    def initialize(url, ca_file)
      @uri = URI(url + PATH)
      @http = Net::HTTP::Persistent.new(name: "bench")
      @http.ca_file = ca_file
      @http.idle_timeout = 600
    end

    def call(event = EVENT)
      body = body(event)
      request = Net::HTTP::Post.new(@uri, headers(body))
      request.body = body
      answer = @http.request(@uri, request)
      accept(answer.code, answer.body)
    end

    def close = @http.shutdown
  end

  # excon with one persistent connection.
  class ExconPersistent
    include Published

    NAME = "excon, persistent"
    LIBRARY = "excon"

    def initialize(url, ca_file)
      @http = Excon.new(url, persistent: true, ssl_ca_file: ca_file)
    end

    def call(event = EVENT)
      body = body(event)
      answer = @http.post(path: PATH, headers: headers(body), body:)
      accept(answer.status, answer.body)
    end

    def close = @http.reset
  end

  # libcurl through Ethon, which pools handles.
  class TyphoeusRequest
    include Published

    NAME = "typhoeus"
    LIBRARY = "typhoeus"

    def initialize(url, ca_file)
      @url = url + PATH
      @ca_file = ca_file
    end

    def call(event = EVENT)
      body = body(event)
      answer = Typhoeus.post(@url, headers: { **headers(body), "Expect" => "" }, body:, cainfo: @ca_file)
      accept(answer.code, answer.body)
    end

    def close; end
  end

  # libcurl's easy interface, with one handle.
  class CurbHandle
    include Published

    NAME = "curb, reused handle"
    LIBRARY = "curb"

    def initialize(url, ca_file)
      @url = url + PATH
      @curl = Curl::Easy.new(@url)
      @curl.cacert = ca_file
    end

    def call(event = EVENT)
      body = body(event)
      @curl.headers = headers(body)
      @curl.http_post(body)
      accept(@curl.response_code, @curl.body_str)
    end

    def close = @curl.close
  end

  # An httpx session with persistent connections.
  class HttpxPersistent
    include Published

    NAME = "httpx, persistent"
    LIBRARY = "httpx"

    def initialize(url, ca_file)
      @url = url + PATH
      @http = HTTPX.plugin(:persistent).with(ssl: { ca_file: })
    end

    def call(event = EVENT)
      body = body(event)
      answer = @http.post(@url, headers: headers(body), body:)
      accept(answer.status, answer.body.to_s)
    end

    def close = @http.close
  end

  PEERS = [CurbHandle, TyphoeusRequest, ExconPersistent, NetHttpPersistent, HttpxPersistent, KeptAlive,
           NewConnection].freeze

  # Runs the script again on one core, with the server: on two cores, most of the time is the kernel waking the other.
  def self.pin
    return if ENV["BENCH_PINNED"]

    pin = ["taskset", "-c", (Etc.nprocessors - 1).to_s]
    pinned = system(*pin, "true", out: File::NULL, err: File::NULL)
    exec({ "BENCH_PINNED" => pinned ? "one core" : "not pinned" }, *(pin if pinned), RbConfig.ruby, $PROGRAM_NAME,
         *ARGV)
  end

  # @return [Array<Class>] this gem, and the peers whose library is installed
  def self.contenders
    [Ours, *PEERS.select do |peer|
      require peer::LIBRARY if peer.const_defined?(:LIBRARY)
      true
    rescue LoadError
      warn "bench: #{peer::NAME} is skipped, because #{peer::LIBRARY} is not installed"
      false
    end]
  end

  # @return [String] the request that this gem sends for the event
  def self.request
    listener = TCPServer.new("127.0.0.1", 0)
    thread = Thread.new do
      socket = listener.accept
      head = socket.gets("\r\n\r\n")
      body = socket.read(head[/content-length: (\d+)/i, 1].to_i)
      socket.write("HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")
      head + body
    end
    Ours.new("http://127.0.0.1:#{listener.addr[1]}", nil).call
    thread.value
  ensure
    listener.close
  end

  # Wall time and CPU time per call, in microseconds, and allocated Ruby objects per call.
  def self.measure(count, &)
    GC.start
    objects = GC.stat(:total_allocated_objects)
    cpu = Process.clock_gettime(Process::CLOCK_PROCESS_CPUTIME_ID)
    wall = Process.clock_gettime(Process::CLOCK_MONOTONIC)
    count.times(&)
    wall = Process.clock_gettime(Process::CLOCK_MONOTONIC) - wall
    cpu = Process.clock_gettime(Process::CLOCK_PROCESS_CPUTIME_ID) - cpu
    objects = GC.stat(:total_allocated_objects) - objects
    [wall * 1e6 / count, cpu * 1e6 / count, objects.fdiv(count)]
  end

  def self.median(numbers)
    sorted = numbers.sort
    (sorted[(sorted.size - 1) / 2] + sorted[sorted.size / 2]) / 2.0
  end

  # @return [String] Ruby version and CPU, for the head of a table
  def self.machine
    model = File.read("/proc/cpuinfo")[/^model name\s*: (.*)/, 1] if File.exist?("/proc/cpuinfo")
    ["Ruby #{RUBY_VERSION}", RUBY_PLATFORM, model, ENV.fetch("BENCH_PINNED", nil)].compact.join(", ")
  end

  def self.table(head, rows)
    rows = [head, *rows].map { |row| row.map(&:to_s) }
    widths = rows.transpose.map { |column| column.map(&:length).max }
    lines = rows.map { |row| "| #{row.zip(widths).map { |cell, width| cell.ljust(width) }.join(" | ")} |" }
    puts lines.insert(1, "|#{widths.map { |width| "-" * (width + 2) }.join("|")}|")
  end
end
