# frozen_string_literal: true

require "json"
require "net/http"
require "open3"
require "shellwords"
require "stringio"
require "timeout"
require "tmpdir"
require "simple_connect/cli"
require "simple_connect/sandbox"
require_relative "support/command"
require_relative "support/scripted_server"

RSpec.describe SimpleConnect::CLI, skip: Libraries.missing("puma") do
  def environment(endpoint_url, secret: "sandbox-secret")
    { "SIMPLECONNECT_ENDPOINT_URL" => endpoint_url, "SIMPLECONNECT_KEY_ID" => "wa_sec_sandbox",
      "SIMPLECONNECT_SECRET" => secret }
  end

  # What a process of its own prints to both streams, and its exit code.
  define_method(:run) do |*arguments, env: environment(@sandbox.endpoint_url)|
    out, err, status = Open3.capture3(env, *Command::LINE, *arguments)
    [out, err, status.exitstatus]
  end

  around do |example|
    SimpleConnect::Sandbox.start(previous_secret: "old", event_keys: %w[order_paid order_sent]) do |sandbox|
      @sandbox = sandbox
      example.run
    end
  end

  describe "deliver" do
    it "delivers to a number" do
      out, err, code = run("deliver", "order_paid", "--to", "+919812345678", "--name", "Asha", "--event-id", "pp_1",
                           "--language", "hi", "amount=450.00", "note=a=b:=c", "count:=2", 'items:=[{"sku":null}]')

      expect([out, err, code]).to eq(["accepted: event_id pp_1, log_id 1\n", "", 0])
      expect(JSON.parse(@sandbox.requests.last.body)).to include(
        "recipient" => { "name" => "Asha", "mobile_no" => "+919812345678" },
        "event" => a_hash_including("event_id" => "pp_1", "language" => "hi", "name" => "order_paid")
      )
      expect(@sandbox.events.last["payload"]).to eq(
        "amount" => "450.00", "note" => "a=b:=c", "count" => 2, "items" => [{ "sku" => nil }]
      )
    end

    it "delivers the flat layout where there is no number" do
      expect(run("deliver", "order_paid", "--event-id", "pp_1", "amount=450.00").last).to eq(0)
      expect(JSON.parse(@sandbox.requests.last.body)).to include(
        "event" => "order_paid", "event_id" => "pp_1", "language" => "en", "amount" => "450.00"
      )
    end

    it "tells a duplicate" do
      run("deliver", "order_paid", "--event-id", "pp_1")
      expect(run("deliver", "order_paid", "--event-id", "pp_1"))
        .to eq(["accepted: event_id pp_1, log_id 1, duplicate: ignored\n", "", 0])
    end

    it "takes arguments for UTF-8 in the locale that cron has" do
      env = environment(@sandbox.endpoint_url).merge("LC_ALL" => "C")

      expect(run("deliver", "order_paid", "name=राम", env:).last).to eq(0)
      expect(@sandbox.events.last["payload"]).to eq("name" => "राम")
      expect(run("deliver", "order_paid", "name=\xFF", env:))
        .to match(["", /\Asimple_connect: this argument is not UTF-8: "name=\\xFF"/, 2])
    end

    it "tells that the secret is the previous one" do
      expect(run("deliver", "order_paid", "--event-id", "pp_1", env: environment(@sandbox.endpoint_url, secret: "old")))
        .to eq(["accepted: event_id pp_1, log_id 1\nsigned with the previous secret: switch to the new one\n", "", 0])
    end

    it "says what the service refused, with 1" do
      expect(run("deliver", "order_lost")).to eq(
        ["", "simple_connect: HTTP 422: Unknown event_key 'order_lost'. Must be one of: order_paid, order_sent " \
             "(1 attempt)\n", 1]
      )
    end
  end

  it "shows the status of an event" do
    run("deliver", "order_paid", "--to", "+919812345678", "--event-id", "a/b c", "amount=450.00")
    out, err, code = run("detail", "a/b c")

    expect([err, code]).to eq(["", 0])
    expect(out).to match(%r{^event_id     a/b c\nevent_key    order_paid\nstatus       dispatched\noccurred_at  2})
    expect(out).to match(/^payload      {"amount":"450\.00"}\nmessage      wamid\.sandbox\.1, delivered, 2\S+Z\n\z/)
    expect(run("detail", "pp_2")).to eq(["", "simple_connect: HTTP 404: not found (1 attempt)\n", 1])
  end

  it "verifies" do
    expect(run("verify")).to eq([<<~TEXT, "", 0])
      sandbox: connected
        order_paid  enabled, template order_paid (en, approved)
        order_sent  enabled, template order_sent (en, approved)
    TEXT
  end

  it "prints the result as one JSON object" do
    out, err, code = run("deliver", "order_paid", "--event-id", "pp_1", "--json")
    json = JSON.parse(out)

    expect([out.lines.length, err, code]).to eq([1, "", 0])
    expect(json).to include("success" => true, "status_code" => 202, "error" => nil, "attempts" => 1)
    expect(json["data"]).to eq("status" => "accepted", "log_id" => 1, "event_id" => "pp_1")

    out, err, code = run("detail", "pp_2", "--json")
    expect([err, code]).to eq(["simple_connect: HTTP 404: not found (1 attempt)\n", 1])
    expect(JSON.parse(out)).to include("success" => false, "status_code" => 404, "data" => { "error" => "not found" })
  end

  it "prints one JSON object whatever the answer is" do
    ScriptedServer.open([{ "status" => 404, "body" => "<\xFF>" }]) do |server|
      out, err, code = run("verify", "--json", env: environment(server.endpoint))

      expect(JSON.parse(out)).to include("response_body" => "<\uFFFD>", "data" => nil)
      expect([err, code]).to eq(["simple_connect: HTTP 404: <\uFFFD> (1 attempt)\n", 1])
    end
  end

  it "ends with 130 where it is interrupted" do
    ScriptedServer.open([{ "fault" => "silence" }]) do |server|
      ended = Command.serve(environment(server.endpoint), "verify") do |_, _, pid|
        server.wait_for(1)
        Process.kill("INT", pid)
      end
      expect(ended).to eq(["", "", 130])
    end
  end

  it "ends with 75 where the service or the network failed in all attempts" do
    @sandbox.fail_next(503, times: 3)
    nowhere = environment("http://127.0.0.1:#{TCPServer.open("127.0.0.1", 0) { |server| server.addr[1] }}/events")
    # Side by side, as each waits between its attempts.
    broken, missing = [environment(@sandbox.endpoint_url), nowhere].map { |env| Thread.new { run("verify", env:) } }

    expect(broken.value).to eq(["", "simple_connect: HTTP 503: scripted by fail_next (3 attempts)\n", 75])
    expect(missing.value).to match(["", /\Asimple_connect: Errno::ECONNREFUSED: .*\(3 attempts\)\n\z/, 75])
  end

  it "ends with 75 where the service asks to come back later" do
    [408, 425, 429].each do |status|
      ScriptedServer.open([{ "status" => status }]) do |server|
        expect(run("verify", env: environment(server.endpoint)).last).to eq(75)
      end
    end
  end

  it "ends with the same code where nobody reads what it prints" do
    read, write = IO.pipe
    read.close
    pid = spawn(*Command::LINE, "nonsense", out: write, err: write)
    expect(Process.wait2(pid).last.exitstatus).to eq(2)
  ensure
    write.close
  end

  it "ends with 70 where the answer to a success is malformed" do
    ScriptedServer.open([{ "body" => "<html>" }, { "status" => 204 }]) do |server|
      env = environment(server.endpoint)

      expect(run("verify", env:)).to eq(["", "simple_connect: Unparseable JSON body: <html>\n", 70])
      expect(run("verify", env:)).to eq(["", "simple_connect: HTTP 204 without a body\n", 70])
    end
  end

  it "ends with 70 where the answer is too large to be read" do
    ScriptedServer.open([{ "body" => "x" * 2_000_000 }]) do |server|
      expect(run("deliver", "k", env: environment(server.endpoint))).to match(["", /larger than 1048576 bytes/, 70])
    end
  end

  it "ends with 1 where the integration is not connected" do
    ScriptedServer.open([{ "body" => '{"integration":{"provider":"p","status":"paused"}}' }]) do |server|
      expect(run("verify", env: environment(server.endpoint))).to eq(["p: paused\n", "", 1])
    end
  end

  it "lets no answer steer the terminal" do
    ScriptedServer.open([{ "status" => 422, "body" => "{\"error\":\"\\u001b[2J\xFFgone\"}" }]) do |server|
      expect(run("verify", env: environment(server.endpoint))[1])
        .to eq("simple_connect: HTTP 422: \\e[2J\uFFFDgone (1 attempt)\n")
    end
  end

  describe "the secret" do
    it "is no option, and is not repeated where it was given as one" do
      [["--secret", "hunter2"], ["--secret=hunter2"], ["-shunter2"]].each do |arguments|
        out, err, code = run("deliver", "order_paid", *arguments)

        expect([out, code]).to eq(["", 2])
        expect(err).to match(/\Asimple_connect: deliver has no option --?s(ecret)? /)
        expect(err).not_to include("hunter2")
      end
    end

    it "is never printed" do
      env = environment(@sandbox.endpoint_url, secret: "hunter2")
      [%w[verify], %w[verify --json], %w[deliver order_paid], %w[help], %w[nonsense]].each do |arguments|
        expect(run(*arguments, env:).first(2).join).not_to include("hunter2")
      end
    end
  end

  it "names the variables that are missing" do
    env = environment(@sandbox.endpoint_url).merge("SIMPLECONNECT_KEY_ID" => nil, "SIMPLECONNECT_SECRET" => "")

    expect(run("verify", env:)).to eq(
      ["", "simple_connect: set SIMPLECONNECT_KEY_ID, SIMPLECONNECT_SECRET in the environment " \
           "(simple_connect help shows how to use it)\n", 2]
    )
  end

  describe "a command that cannot be carried out" do
    def complaint_of(*arguments)
      out = StringIO.new
      err = StringIO.new
      code = described_class.new(arguments, out:, err:, env: environment(@sandbox.endpoint_url)).run
      expect([out.string, code, @sandbox.requests]).to eq(["", 2, []])
      err.string.delete_prefix("simple_connect: ").delete_suffix(" (simple_connect help shows how to use it)\n")
    end

    commands = "deliver, detail, verify, doctor, import, sandbox, sign, webhooks serve, webhooks send, help"
    {
      %w[send] => "the command must be one of: #{commands}",
      %w[deliver] => "write: simple_connect deliver KEY [FIELD…]",
      %w[detail] => "write: simple_connect detail EVENT_ID",
      %w[detail a b] => "write: simple_connect detail EVENT_ID",
      %w[verify now] => "write: simple_connect verify",
      ["deliver", ""] => "event_key is required",
      %w[deliver k amount] => "`amount` is not a field: write name=text, or name:=JSON",
      %w[deliver k =1] => "`=1` is not a field: write name=text, or name:=JSON",
      %w[deliver k n:=one] => "`n:=one` is not JSON after the := (for a string, write n=one)",
      ["deliver", "k", "n=\xFF"] => 'this argument is not UTF-8: "n=\xFF"',
      %w[deliver k --name Asha] => "--name needs --to",
      ["deliver", "k", "--to", " "] => "--to needs a number, such as +919812345678",
      %w[deliver k event=other] => "`event` is the event's key, which is k: give the field another name",
      %w[deliver k --to +91 name=Asha] => "`name` is the event's key, which is k: write --name for the recipient's",
      %w[deliver k event_id=e1 --event-id e2] => "event_id is given twice",
      %w[deliver k language=en --language hi] => "language is given twice",
      %w[deliver k a=1 a:=2] => "a is given twice",
      %w[verify -v] => "verify has no option -v",
      %w[deliver k --version] => "deliver has no option --version",
      %w[deliver k --*-completion-bash=x] => "deliver has no option --*-completion-bash",
      %w[deliver k --to] => "missing argument: --to",
      %w[deliver k --port 1] => "deliver has no option --port",
      %w[detail ..] => 'event_id must not be "." or ".."',
      %w[sandbox --port http] => "invalid argument: --port http",
      %w[sandbox --port 65536] => "--port must be between 0 and 65535"
    }.each do |arguments, message|
      it("is explained: #{arguments.inspect}") { expect(complaint_of(*arguments)).to eq(message) }
    end

    it "is explained where a value cannot be JSON" do
      expect(run("deliver", "k", "n:=1e400")).to match(["", /\Asimple_connect: .*Infinity not allowed in JSON/, 2])
    end

    it "is explained where the URL is none" do
      expect(run("verify", env: environment("ftp://app.example/events"))).to match(
        ["", /\Asimple_connect: endpoint_url: "ftp:.* is not an http or https URL/, 2]
      )
    end
  end

  it "helps, and tells its version" do
    help = run("help")
    expect(help).to match([/\AUsage: simple_connect COMMAND\n.*SIMPLECONNECT_ENDPOINT_URL.*^  75   /m, "", 0])
    expect(run("--help")).to eq(help)
    expect(run).to eq(["", help.first, 2])
    expect([run("--version"), run("-v")]).to all(eq(["simple_connect-client #{SimpleConnect::VERSION}\n", "", 0]))
  end

  it "helps with one command" do
    deliver = run("help", "deliver")
    expect(deliver).to match([/\A  deliver KEY .*\n(    .*\n){5}\z/, "", 0])
    expect(run("deliver", "--help")).to eq(deliver)
    webhooks = [/\A  webhooks serve .*^  webhooks send /m, "", 0]
    expect([run("webhooks", "--help"), run("webhooks", "send", "-h"), run("help", "webhooks")]).to all(match(webhooks))
    expect(run("verify", "-h")).to match([/^  verify /, "", 0])
    expect(run("help", "nonsense")).to match(["", /the command must be one of/, 2])
  end

  describe "sandbox" do
    define_method(:sandbox) do |*arguments, env: {}, &block|
      env = { "SIMPLECONNECT_KEY_ID" => nil, "SIMPLECONNECT_SECRET" => nil, **env }
      Command.serve(env, "sandbox", *arguments) do |out, err, pid|
        exports = Array.new(3) { Shellwords.split(out.gets) }
        exports = exports.to_h { |_, pair| pair.split("=", 2) }
        url = exports["SIMPLECONNECT_ENDPOINT_URL"][%r{\Ahttp://[^/]+/}]
        expect(err.gets).to eq("The sandbox is running; Ctrl-C stops it. Its inbox is at #{url}\n")
        block.call(exports, pid)
      end
    end

    %w[TERM INT].each do |signal|
      it "serves what it exports, until #{signal}" do
        ended = sandbox do |exports, pid|
          expect(run("deliver", "any_event", "--event-id", "pp_1", env: exports))
            .to eq(["accepted: event_id pp_1, log_id 1\n", "", 0])
          run("verify", env: { **exports, "SIMPLECONNECT_SECRET" => "x" })
          Process.kill(signal, pid)
        end
        expect(ended).to eq(["", "POST /api/v1/integrations/sandbox/events: 202, any_event\n" \
                                 "GET /api/v1/integrations/sandbox/status: 401\n", 0])
      end
    end

    it "prints one line for each request, whatever its body is" do
      answers = nil
      _, printed, = sandbox do |exports, pid|
        url = exports["SIMPLECONNECT_ENDPOINT_URL"]
        json = { "Content-Type" => "application/json" }
        bodies = ["[" * 100_000, "\xFF", "{\"event\":\"a\\nb\"}", "{\"event\":\"\xFF\"}"]
        answers = bodies.map { |body| Net::HTTP.post(URI(url), body, json).code }
        Process.kill("TERM", pid)
      end
      expect(answers).to eq(%w[401 401 401 401])
      expect(printed.lines.map { |line| line[/: (.*)\n/, 1] }).to eq(["401", "401", "401, a\\nb", "401, \uFFFD"])
    end

    it "takes the key id and the secret of the environment, and a host and a port" do
      port = TCPServer.open("localhost", 0) { |server| server.addr[1] }
      env = { "SIMPLECONNECT_KEY_ID" => "k", "SIMPLECONNECT_SECRET" => "it's secret" }
      sandbox("--host", "localhost", "--port", port.to_s, env:) do |exports, pid|
        expect(exports).to eq(
          env.merge("SIMPLECONNECT_ENDPOINT_URL" => "http://localhost:#{port}/api/v1/integrations/sandbox/events")
        )
        expect(run("verify", env: exports).last).to eq(0)
        Process.kill("TERM", pid)
      end
    end

    it "leaves nothing behind in a process that goes on" do
      out, write = IO.pipe
      ended = Thread.new { described_class.new(["sandbox"], out: write, err: StringIO.new, env: {}).run }
      port = out.gets[/:(\d+)/, 1]
      Process.kill("TERM", Process.pid)

      expect(ended.value).to eq(0)
      expect { TCPSocket.open("127.0.0.1", port) }.to raise_error(Errno::ECONNREFUSED)
      expect(trap("TERM", "DEFAULT")).to eq("DEFAULT")
    end

    it "serves an inbox, which it keeps over restarts, with templates, and opens it",
       skip: Libraries.missing("sqlite3") do
      Dir.mktmpdir do |dir|
        File.write("#{dir}/templates.yml", "- event_key: order_paid\n  body: Thank you for {{amount}}\n")
        File.write("#{dir}/xdg-open", "#!/bin/sh\necho \"$@\" > #{dir}/opened\n", perm: 0o755)
        File.mkfifo("#{dir}/opened")
        options = ["--open", "--templates", "#{dir}/templates.yml", "--store", "#{dir}/inbox.sqlite3"]
        2.times do |time|
          sandbox(*options, env: { "PATH" => "#{dir}:#{ENV.fetch("PATH")}" }) do |exports, pid|
            page = exports["SIMPLECONNECT_ENDPOINT_URL"][%r{\Ahttp://[^/]+/}]
            run("deliver", "order_paid", "amount=450.00", env: exports) if time.zero?
            expect(File.read("#{dir}/opened")).to eq("#{page}\n")
            messages = JSON.parse(Net::HTTP.get(URI("#{page}inbox/messages")))["messages"]
            expect(messages).to match([a_hash_including("preview_text" => "Thank you for 450.00")])
            Process.kill("TERM", pid)
          end
        end
      end
    end

    it "says what is wrong with templates and with a store" do
      Dir.mktmpdir do |dir|
        File.write("#{dir}/other", "no database, but something else that must not be overwritten " * 20)
        expect(run("sandbox", "--templates", "#{dir}/missing.yml")).to eq(
          ["", "simple_connect: templates: #{dir}/missing.yml cannot be read: No such file or directory " \
               "(simple_connect help shows how to use it)\n", 2]
        )
        expect(run("sandbox", "--store", "#{dir}/other")).to match(
          ["", %r{\Asimple_connect: store: #{dir}/other cannot be used: file is not a database}, 2]
        )
      end
    end

    it "says where it cannot listen" do
      taken = @sandbox.url[/\d+\z/]
      expect(run("sandbox", "--port", taken))
        .to eq(["", "simple_connect: cannot listen on 127.0.0.1:#{taken}: Address already in use\n", 2])
    end
  end
end
