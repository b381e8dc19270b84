# frozen_string_literal: true

require "io/wait"
require "json"
require "net/http"
require "open3"
require "rbconfig"
require "simple_connect/webhooks"
require "socket"
require "stringio"
require "timeout"

# The app in Puma, on a real socket.
RSpec.describe SimpleConnect::Webhooks::App, skip: Libraries.missing("puma") do
  patience = Integer(ENV.fetch("PATIENCE", 60))

  let(:gate) { Queue.new }
  let(:app) do
    described_class.new(secret: "s3cret", max_body_bytes: 10_000).tap do |app|
      app.register("echo", version: "v1") { |payload, _| payload }
      app.register("hang", version: "v1") { gate.pop }
      app.register("bad", version: "v1") { raise "no" }
    end
  end

  # What Puma writes to standard error.
  let(:log) { StringIO.new }

  around do |example|
    stderr = $stderr
    $stderr = log
    server = SimpleConnect.const_get(:Server).new(app, "the app", "127.0.0.1", 0)
    $stderr = stderr
    @port = Integer(server.url[/\d+\z/])
    Timeout.timeout(patience) { example.run }
  ensure
    gate.close
    server&.stop
  end

  def connect
    socket = TCPSocket.new("127.0.0.1", @port)
    socket.setsockopt(Socket::IPPROTO_TCP, Socket::TCP_NODELAY, 1)
    socket
  end

  def head(path, body, length: body.bytesize, headers: SimpleConnect::Signature.sign(body, secret: "s3cret"))
    framing = length ? { "Content-Length" => length } : { "Transfer-Encoding" => "chunked" }
    fields = { "Host" => "x", "Content-Type" => "application/json", **framing, **headers }
    "POST #{path} HTTP/1.1\r\n#{fields.map { |name, value| "#{name}: #{value}\r\n" }.join}\r\n"
  end

  # The status and the JSON of the next answer. Yields where it is the last one on this connection.
  def answer(socket)
    status = socket.gets("\r\n")[/\AHTTP\S+ (\d+)/, 1].to_i
    length = nil
    while (line = socket.gets("\r\n")) && line != "\r\n"
      length = Integer(line[/\d+/]) if line.match?(/\Acontent-length:/i)
      yield if block_given? && line.match?(/\Aconnection: close/i)
    end
    [status, JSON.parse(socket.read(length))]
  end

  def ask(path, body, **options)
    socket = connect
    socket.write(head(path, body, **options) + body)
    answer(socket)
  ensure
    socket&.close
  end

  it "shows nobody the message and the backtrace of what escapes an app" do
    stderr = $stderr
    $stderr = log
    server = SimpleConnect.const_get(:Server).new(->(_) { raise "hush-hush" }, "the app", "127.0.0.1", 0)
    answer = Net::HTTP.get_response(URI(server.url))
    expect([answer.code, answer.body]).to match(["500", /\A(?!.*(hush-hush|server_spec))/m])
    expect(log.string).to include("hush-hush")
  ensure
    $stderr = stderr
    server&.stop
  end

  it "answers every status as JSON" do
    body = '{"n":1}'
    once = { headers: SimpleConnect::Signature.sign(body, secret: "s3cret") }
    answers = {
      200 => ask("/v/v1/webhooks/echo", body, **once),
      400 => ask("/webhooks/echo", "{}"), 401 => ask("/v/1/webhooks/echo", "{}", headers: {}),
      404 => ask("/v/v2/webhooks/echo", '{"n":2}'), 413 => ask("/v/v1/webhooks/echo", "{#{" " * 10_000}}"),
      500 => ask("/v/v1/webhooks/bad", '{"n":3}')
    }
    expect(answers.values.map(&:first)).to eq(answers.keys)
    expect(answers.values_at(200, 500).map(&:last)).to eq([{ "n" => 1 }, { "error" => "internal error" }])
    expect(ask("/v/v1/webhooks/echo", body, **once)).to eq([200, { "ok" => true, "duplicate" => true }])
    expect(log.string).to match(/\[SimpleConnect\] a webhook failed: .*: no \(RuntimeError\)/)

    socket = connect
    socket.write("GET /webhooks/echo HTTP/1.1\r\nHost: x\r\n\r\nGET /health HTTP/1.1\r\nHost: x\r\n\r\n")
    expect([answer(socket).first, answer(socket)]).to eq([405, [200, { "status" => "ok" }]])
  end

  it "refuses malformed JSON, arrays and empty bodies" do
    answers = ["", "{", "[1]", "nonsense"].map { |body| ask("/v/1/webhooks/echo", body) }
    expect(answers.map(&:first)).to eq([400] * 4)
  end

  it "takes chunked bodies, and refuses those that are too large" do
    bodies = ['{"n":1}', "{\"n\":\"#{"x" * 10_000}\"}"]
    answers = bodies.map do |body|
      socket = connect
      socket.write(head("/v/1/webhooks/echo", body, length: nil))
      body.scan(/.{1,999}/m) { |chunk| socket.write("#{chunk.bytesize.to_s(16)}\r\n#{chunk}\r\n") }
      socket.write("0\r\n\r\n")
      answer(socket)
    end
    expect(answers).to match([[200, { "n" => 1 }], [413, { "error" => "the body is larger than 10000 bytes" }]])
  end

  it "bears floods of headers" do
    headers = SimpleConnect::Signature.sign("{}", secret: "s3cret")
    many = { **(1..500).to_h { |n| ["X-Flood-#{n}", "x" * 50] }, **headers }
    expect(ask("/v/1/webhooks/echo", "{}", headers: many)).to eq([200, {}])

    socket = connect
    begin
      socket.write(head("/v/1/webhooks/echo", "{}", headers: (1..5000).to_h { |n| ["X-Flood-#{n}", "x" * 50] }))
      expect(socket.gets).to match(%r{\AHTTP/1\.1 4\d\d})
    rescue Errno::ECONNRESET, Errno::EPIPE
      # The server has had enough.
    end
    expect(ask("/v/1/webhooks/echo", "{ }")).to eq([200, {}])
  end

  it "is not held up by slow clients, nor by a handler that hangs" do
    hanging = connect.tap { |socket| socket.write("#{head("/v/1/webhooks/hang", "{}")}{}") }
    slow = Array.new(30) do |n|
      body = "{\"n\":#{n}}"
      connect.tap { |socket| socket.write(head("/v/1/webhooks/echo", body) + body[0, 3]) }
    end
    expect(ask("/v/1/webhooks/echo", '{"n":"quick"}')).to eq([200, { "n" => "quick" }])

    slow.each_with_index { |socket, n| socket.write("{\"n\":#{n}}"[3..]) }
    expect(slow.map { |socket| answer(socket) }).to eq(Array.new(30) { |n| [200, { "n" => n }] })
    gate << { late: true }
    expect(answer(hanging)).to eq([200, { "late" => true }])
  end

  # A verdict is wrong where one request is taken for another, whatever it was.
  # With every call checked, it would only take four times as long.
  it "gives no wrong verdict in 10,000 requests on 50 connections", unchecked: true do
    faults = {
      none: [200, nil], body: [401, "mismatch"], secret: [401, "mismatch"], unsigned: [401, "missing_signature"],
      old: [401, "too_old"], again: [200, nil]
    }
    wrong = Array.new(50) do |connection|
      Thread.new do
        random = Random.new(connection)
        last = socket = nil
        (0...200).filter_map do |number|
          fault = number.zero? ? :none : faults.keys.sample(random:)
          body = JSON.generate({ connection:, number: })
          secret = fault == :secret ? "other" : "s3cret"
          headers = SimpleConnect::Signature.sign(body, secret:, timestamp: Time.now - (fault == :old ? 400 : 0))
          headers = {} if fault == :unsigned
          body, headers = last if fault == :again
          last = [body, headers] if fault == :none
          sent = fault == :body ? body.sub(/\d/) { |digit| (Integer(digit) ^ 1).to_s } : body
          socket ||= connect
          socket.write(head("/v/1/webhooks/echo", sent, headers:) + sent)
          closing = nil
          status, json = answer(socket) { closing = socket }
          socket = closing.close if closing
          expected, reason = faults[fault]
          echo = { "connection" => connection, "number" => number }
          echo = { "ok" => true, "duplicate" => true } if fault == :again
          echoed = status == 200 ? json == echo : json["reason"] == reason
          [fault, status, json] unless status == expected && echoed
        end
      ensure
        socket&.close
      end
    end.flat_map(&:value)

    expect(wrong).to eq([])
  end

  puma_version = Libraries.missing("puma") ? 0 : Open3.capture2(RbConfig.ruby, "-e", <<~RUBY).first.to_i
    require "puma/const"
    print Puma::Const::PUMA_VERSION
  RUBY

  # Puma 5 has no such bound: it has read the body when it calls the app.
  it "has Puma refuse a body that says that it is too large, before it is sent",
     skip: ("Puma #{puma_version} has no http_content_length_limit" if puma_version < 6) do
    code = <<~RUBY
      require "simple_connect/webhooks"
      SimpleConnect::Webhooks::App.new(secret: "s3cret").run!(port: 0)
    RUBY
    Open3.popen3(RbConfig.ruby, "-I", File.expand_path("../../lib", __dir__), "-e", code) do |_, _, err, process|
      @port = Integer(err.gets[/:(\d+); Ctrl-C stops it\.$/, 1])
      socket = connect
      socket.write("#{head("/v/1/webhooks/echo", "{", length: 2_000_000)}{")
      # Puma looks at the length when more comes.
      socket.write(" ") until socket.wait_readable(0.1)
      expect(socket.gets).to start_with("HTTP/1.1 413")
      # What is just too large is refused by the app.
      expect(ask("/v/1/webhooks/echo", " " * 1_048_577).first).to eq(413)
    ensure
      Process.kill("TERM", process.pid)
    end
  end

  it "runs by itself, until TERM" do
    code = <<~RUBY
      require "simple_connect/webhooks"
      app = SimpleConnect::Webhooks::App.new(secret: "s3cret")
      app.register("echo", version: "v1") { |payload, _| payload }
      app.run!(port: 0)
      puts "stopped"
    RUBY
    Open3.popen3(RbConfig.ruby, "-I", File.expand_path("../../lib", __dir__), "-e", code) do |_, out, err, process|
      @port = Integer(err.gets[/\AListening on \S+:(\d+); Ctrl-C stops it\.$/, 1])
      expect(ask("/v/1/webhooks/echo", '{"n":1}')).to eq([200, { "n" => 1 }])
      Process.kill("TERM", process.pid)
      expect([out.read, err.read, process.value.exitstatus]).to eq(["stopped\n", "", 0])
    ensure
      Process.kill("KILL", process.pid) if process.alive?
    end
  end
end
