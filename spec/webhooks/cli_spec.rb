# frozen_string_literal: true

require "json"
require "open3"
require "stringio"
require "tempfile"
require "simple_connect/cli"
require "simple_connect/sandbox"
require "simple_connect/webhooks"
require_relative "../support/command"
require_relative "../support/scripted_server"

RSpec.describe SimpleConnect::CLI do
  secret = { "SIMPLECONNECT_WEBHOOK_SECRET" => "test-secret" }

  # What a command prints to both streams, and its exit code.
  define_method(:run) do |*arguments, env: secret, input: ""|
    out = StringIO.new
    err = StringIO.new
    code = described_class.new(arguments, out:, err:, env:, input: StringIO.new(input)).run
    [out.string, err.string, code]
  end

  # A receiver in a process of its own. Yields its URL; gives what it printed, and its exit code.
  define_method(:serve) do |*arguments, &block|
    Command.serve(secret, "webhooks", "serve", "--port", "0", *arguments) do |_, err, pid|
      line = err.gets
      expect(line).to match(%r{\AWebhooks are received at \S+/v/<version>/webhooks/<event>; Ctrl-C stops it\.$})
      block.call(line[%r{http://127\.0\.0\.1:\d+}])
      Process.kill("TERM", pid)
    end
  end

  describe "sign" do
    hex = "6899cb9baf5ff4b18f42b6541d13335825cb43ddd9d24afd3e43df43da4a9dc6"
    at = %w[--timestamp 1234567890]

    it "prints the headers of a file, or of what comes in" do
      headers = "X-SimpleConnect-Signature: sha256=#{hex}\nX-SimpleConnect-Timestamp: 1234567890\n"
      Tempfile.create do |file|
        File.write(file.path, '{"test":"data"}')
        expect(run("sign", file.path, *at)).to eq([headers, "", 0])
      end
      expect(run("sign", "-", *at, input: '{"test":"data"}')).to eq([headers, "", 0])
    end

    it "signs by every scheme, and now" do
      expect(run("sign", "-", "--scheme", "kiket", *at, input: '{"test":"data"}').first)
        .to eq("X-Kiket-Signature: #{hex}\nX-Kiket-Timestamp: 1234567890\n")
      out, = run("sign", "-", "--scheme", "simplyq", input: "{}")
      headers = out.lines.to_h { |line| line.chomp.split(": ", 2) }
      expect(SimpleConnect::Signature.valid?("{}", headers, secret: "test-secret", scheme: :simplyq)).to be(true)
    end

    it "does not touch bytes that are no text" do
      out, = Open3.capture2e({ **secret, "LC_ALL" => "C" }, *Command::LINE, "sign", "-", "--scheme", "kiket",
                             "--timestamp", "1700000000", stdin_data: "\xFF\x00\xFE".b)
      expect(out).to include("29df9d7b2477a838bcbb9d9e35a64ace0f48cb31586ebbd38006cb99bfd48594")
    end
  end

  describe "webhooks", skip: Libraries.missing("puma") do
    it "are sent to a receiver that prints them" do
      printed, errors, code = serve do |url|
        expect(run("webhooks", "send", "order.paid", "--url", "#{url}/", "name=Asha", "order:=7"))
          .to eq(["{\"ok\":true}\n", "", 0])
        expect(run("webhooks", "send", "a/b c", "--url", url, "--version", "2").last).to eq(0)
      end
      expect([errors, code]).to eq(["", 0])
      expect(printed.lines.map { |line| JSON.parse(line) }).to eq(
        [{ "event" => "order.paid", "version" => "v1", "payload" => { "name" => "Asha", "order" => 7 } },
         { "event" => "a/b c", "version" => "2", "payload" => {} }]
      )
    end

    it "are signed by the scheme that is asked for" do
      serve("--scheme", "kiket") do |url|
        expect(run("webhooks", "send", "a", "--url", url, "--scheme", "kiket").last).to eq(0)
        expect(run("webhooks", "send", "a", "--url", url)).to match(
          ["", /\Asimple_connect: HTTP 401: .*"reason":"missing_signature".* \(1 attempt\)$/, 1]
        )
      end
    end

    it "are sent to where the URL says, whatever is behind its path" do
      path = nil
      step = lambda do |connection, request|
        path = request.target
        connection.io.write("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n\xFF")
      end
      ScriptedServer.open([step]) do |server|
        url = "#{server.endpoint[%r{http://[^/]+}]}/hooks/?token=7#top"
        expect(run("webhooks", "send", "a", "--url", url)).to eq(["\uFFFD\n", "", 0])
        expect(path).to eq("/hooks/v/v1/webhooks/a?token=7")
      end
    end

    it "are told where they are refused" do
      _, errors, = serve do |url|
        expect(run("webhooks", "send", "a", "--url", url, env: { "SIMPLECONNECT_WEBHOOK_SECRET" => "x" }).last).to eq(1)
      end
      expect(errors).to match(%r{\ARejected with 401: POST /v/v1/webhooks/a: .*mismatch.*\n\z})
    end

    it "are received only as long as somebody reads them" do
      read, write = IO.pipe
      error, err = IO.pipe
      pid = spawn(secret, *Command::LINE, "webhooks", "serve", "--port", "0", out: write, err:)
      url = error.gets[%r{http://127\.0\.0\.1:\d+}]
      read.close
      write.close
      expect(run("webhooks", "send", "a", "--url", url).last).to eq(75)
      process = Process.detach(pid)
      expect(process.join(20)&.value&.exitstatus).to eq(0)
    ensure
      Process.kill("KILL", pid) if process&.alive?
      [read, write, error, err].each(&:close)
    end

    it "do not steer the terminal, and tell no secret" do
      printed, = serve { |url| run("webhooks", "send", "a\e[2J", "--url", url, "x=\u009b2J") }
      expect(printed).to match(/\\e\[2J|\\u001b\[2J/i)
      expect(printed).not_to match(/(?!\n)[[:cntrl:]]|test-secret/)
    end

    it "cannot be received where somebody else does" do
      serve do |url|
        taken = run("webhooks", "serve", "--port", url[/\d+\z/])
        expect(taken).to match(["", /\Asimple_connect: cannot listen on 127.0.0.1:\d+: Address already in use$/, 2])
      end
    end
  end

  it "ends with 75 where there is no receiver" do
    expect(run("webhooks", "send", "a", "--url", "http://127.0.0.1:1"))
      .to match(["", /\Asimple_connect: Errno::ECONNREFUSED: .* \(1 attempt\)$/, 75])
  end

  describe "a command that cannot be carried out" do
    {
      %w[webhooks] => /the command must be one of: .*webhooks serve, webhooks send/,
      %w[webhooks nonsense] => /the command must be one of/,
      %w[webhooks send] => /\Awrite: simple_connect webhooks send EVENT \[FIELD…\]/,
      %w[webhooks serve now] => /\Awrite: simple_connect webhooks serve /,
      %w[webhooks serve --port 65536] => /\A--port must be between/,
      %w[webhooks send a b] => /\A`b` is not a field/,
      %w[webhooks send a --url ftp://x] => /\A--url: .* is not an http or https URL/,
      %w[webhooks send ..] => /\Aevent must not be "\." or "\.\."/,
      %w[webhooks send a --secret hunter2] => /\Awebhooks send has no option --secret /,
      %w[sign] => /\Awrite: simple_connect sign FILE /,
      %w[sign /nonexistent] => %r{\A/nonexistent: No such file or directory$},
      %w[sign - --scheme md5] => /\Ascheme: must be one of .+, :simplyq, :standard_webhooks, not "md5"/,
      %w[sign - --timestamp -1] => /\Atimestamp: must be a Time, or the seconds since 1970/,
      %w[sandbox --callback-url ftp://x] => /\Astatus_callback_url: .* is not an http or https URL/
    }.each do |arguments, message|
      it "is explained: #{arguments.join(" ")}" do
        out, err, code = run(*arguments)
        expect([out, code]).to eq(["", 2])
        expect(err.delete_prefix("simple_connect: ")).to match(message)
        expect(err).not_to include("hunter2")
      end
    end

    [%w[sign -], %w[webhooks serve], %w[webhooks send a]].each do |arguments|
      it "is explained where there is no secret: #{arguments.join(" ")}" do
        expect(run(*arguments, env: {}))
          .to match(["", /\Asimple_connect: set SIMPLECONNECT_WEBHOOK_SECRET in the environment/, 2])
      end
    end
  end

  it "tries both halves on one machine", skip: Libraries.missing("puma") do
    printed, = serve do |url|
      env = { **secret, "SIMPLECONNECT_KEY_ID" => nil, "SIMPLECONNECT_SECRET" => nil }
      callbacks = ["--callback-url", "#{url}/v/1/webhooks/message.status"]
      ended = Command.serve(env, "sandbox", *callbacks) do |out, _, pid|
        exports = Array.new(4) { out.gets[/\Aexport (.*)/, 1].split("=", 2) }.to_h
        expect(exports["SIMPLECONNECT_WEBHOOK_SECRET"]).to eq("test-secret")
        expect(run("deliver", "order_paid", "--to", "+919812345678", env: exports).last).to eq(0)
        # It posts what waits before it ends.
        Process.kill("TERM", pid)
      end
      expect(ended.last).to eq(0)
    end
    message = a_hash_including("status" => "delivered", "message_id" => "wamid.sandbox.1")
    expect(JSON.parse(printed)).to match("event" => "message.status", "version" => "1",
                                         "payload" => { "event" => "message.status", "data" => message })
  end
end

RSpec.describe SimpleConnect::Sandbox, skip: Libraries.missing("puma") do
  # Yields a sandbox with a receiver for its callbacks, that waits for `gate`; gives what that received.
  def statuses(received = [], gate: Queue.new.close, secret: "sandbox-webhook-secret", **options, &block)
    # What comes twice is to be seen.
    app = SimpleConnect::Webhooks::App.new(secret:, replay_guard: false)
    app.register("message.status", version: "v1") do |payload, _|
      gate.pop
      received.push(payload) && nil
    end
    server = SimpleConnect.const_get(:Server).new(app, "the receiver", "127.0.0.1", 0)
    url = "#{server.url}/v/1/webhooks/message.status"
    SimpleConnect::Sandbox.start(status_callback_url: url, **options, &block)
    received
  ensure
    server&.stop
  end

  def client_of(sandbox)
    SimpleConnect::Client.new(endpoint_url: sandbox.endpoint_url, key_id: sandbox.key_id, secret: sandbox.secret)
  end

  it "posts what becomes of each event, once" do
    received = statuses do |sandbox|
      2.times { client_of(sandbox).events.deliver("a", recipient: { mobile_no: "+91" }, event: { event_id: "e1" }) }
      client_of(sandbox).events.deliver("a", recipient: { mobile_no: "+92" }, event: { event_id: "e2" })
    end
    expect(received.map { |payload| payload["data"].values_at("message_id", "status") })
      .to eq([%w[wamid.sandbox.1 delivered], %w[wamid.sandbox.2 delivered]])
  end

  it "posts what becomes of each message, by a secret of its own" do
    received = statuses(secret: "other", webhook_secret: "other") do |sandbox|
      messages = SimpleConnect::MessagesClient.new(base_url: sandbox.url, api_key: sandbox.api_key).messages
      messages.deliver(template_name: "t", recipients: [{ mobile_no: "+91" }, { mobile_no: "+92" }])
    end
    expect(received.map { |payload| payload["data"]["message_id"] }).to eq(%w[message-1 message-2])
  end

  it "stops when all is posted" do
    gate = Queue.new
    received = []
    statuses(received, gate:) do |sandbox|
      2.times { |n| client_of(sandbox).events.deliver("a", recipient: { mobile_no: "+9#{n}" }) }
      posted = Thread.new do
        sandbox.stop
        received.length
      end
      # That it waits is seen by its not being done; a sandbox that did not wait would be by then.
      expect(posted.join(0.2)).to be_nil
      gate.close
      expect(posted.value).to eq(2)
    ensure
      gate.close
    end
  end

  it "tells where a callback fails, and goes on" do
    sandbox = nil
    expect do
      statuses(secret: "other") do |started|
        sandbox = started
        client_of(sandbox).events.deliver("a", recipient: { mobile_no: "+91" })
        sandbox.stop
      end
    end.to output(/\A\[SimpleConnect\] a status callback failed: HTTP 401: .*mismatch/).to_stderr
    expect(sandbox.events.length).to eq(1)
    expect(sandbox.inspect).not_to include("sandbox-webhook-secret")
  end
end
