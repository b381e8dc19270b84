# frozen_string_literal: true

require "fileutils"
require "json"
require "open3"
require "pty"
require "rbconfig"
require "stringio"
require "tmpdir"
require "simple_connect/cli/import"
require_relative "support/command"
require_relative "support/scripted_server"

RSpec.describe SimpleConnect::CLI, "import" do
  root = File.expand_path("..", __dir__)
  command = [*Command::LINE, "import"]

  # Takes an event once for each event_id; `taken` has the bodies by it, and how often each came.
  def service(refuse: {})
    @taken = Hash.new { |hash, event_id| hash[event_id] = [] }
    step = lambda do |connection, request|
      event = JSON.parse(request.body)
      event_id = (event["event"].is_a?(Hash) ? event["event"] : event)["event_id"]
      status = refuse[event_id] || 202
      @taken[event_id] << event if status == 202
      duplicate = status == 202 && @taken[event_id].size > 1
      body = { status: duplicate ? "duplicate" : "accepted", event_id:, log_id: 1 }.to_json
      connection.io.write("HTTP/1.1 #{status} X\r\nContent-Length: #{body.bytesize}\r\n\r\n#{body}")
      true
    end
    ScriptedServer.open([step]) { |server| yield @server = server }
  end

  def environment
    { "SIMPLECONNECT_ENDPOINT_URL" => @server.endpoint, "SIMPLECONNECT_KEY_ID" => "k", "SIMPLECONNECT_SECRET" => "s" }
  end

  # What the command prints to both streams, and its exit code; in this process.
  def import(*arguments, input: StringIO.new, env: environment)
    out = StringIO.new
    err = StringIO.new
    code = described_class.new(["import", *arguments], out:, err:, env:, input:).run
    [out.string, err.string, code]
  end

  def write(name, *lines)
    File.binwrite(name, lines.map { |line| "#{line.is_a?(String) ? line : JSON.generate(line)}\n" }.join)
    name
  end

  def orders(count)
    Array.new(count) { |index| { event_key: "order_paid", recipient: { mobile_no: "+91" }, event: { n: index } } }
  end

  def failures(file) = File.readlines(file).map { |line| JSON.parse(line) }

  around { |example| Dir.mktmpdir { |dir| Dir.chdir(dir) { example.run } } }

  # A server that accepts each delivery once `held` has something for it.
  def serve_after(held)
    accept = lambda do |connection, _|
      held.pop
      connection.io.write("HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\n{}")
    end
    ScriptedServer.open([accept]) do |server|
      @server = server
      yield server
    end
  end

  it "delivers JSON lines, in every layout" do
    service do
      order = ->(**event) { JSON.generate(event_key: "order_paid", recipient: { mobile_no: "+91" }, event:) }
      file = write("orders.jsonl",
                   "\xEF\xBB\xBF#{order.call(event_id: "a", amount: "4")}",
                   "", { event_key: "order_paid", event_id: "b", amount: "5", language: "hi" },
                   ["order_paid", { recipient: { mobile_no: "+91" }, event: { event_id: "c" } }])
      out, err, code = import(file)

      expect([out, err, code]).to match([%r{\A3 delivered, 0 failed \(\d+\.\d s, [\d,]+/s\)\n\z}, "", 0])
      expect(@taken.values.flatten).to match_array(
        [{ "recipient" => { "mobile_no" => "+91", "name" => "" },
           "event" => a_hash_including("event_id" => "a", "amount" => "4", "name" => "order_paid") },
         a_hash_including("event_id" => "b", "event" => "order_paid", "amount" => "5", "language" => "hi"),
         { "recipient" => a_hash_including("mobile_no" => "+91"), "event" => a_hash_including("event_id" => "c") }]
      )
      expect(Dir.children(".")).to eq(["orders.jsonl"])
    end
  end

  it "delivers CSV, whose columns say what goes where" do
    service do
      file = write("orders.csv", "event_key,event_id,language,recipient.mobile_no,recipient.name,amount,event.note",
                   %(order_paid,a,,+91,"Rao, Asha",4.50,x), "order_paid,b,hi,+92,,,")
      expect(import(file).last).to eq(0)
      expect(@taken["a"]).to match([{ "recipient" => { "mobile_no" => "+91", "name" => "Rao, Asha" },
                                      "event" => a_hash_including("amount" => "4.50", "language" => "en") }])
      expect(@taken["b"].first["event"].keys).to match_array(%w[event_id language name occurred_at])
    end
  end

  it "delivers the flat layout where no column is the recipient's" do
    service do
      import("-", input: StringIO.new(+"event_id,event_key,amount\r\na,order_paid,4\r\n"))
      expect(@taken["a"]).to match([a_hash_including("event" => "order_paid", "amount" => "4")])
    end
  end

  it "keeps what fails, to be imported again" do
    service(refuse: refuse = { "b" => 422 }) do
      file = write("orders.jsonl", *%w[a b].map { |event_id| { event_key: "order_paid", event_id: } },
                   "not JSON", { event_key: "order_paid", recipient: {}, event: { event_id: "d" } }, 5,
                   "{\"event_key\": \"\xFF\"}".b)
      out, _, code = import(file)
      expect([out.lines.drop(1).sort, code]).to match(
        [[start_with("  1 × HTTP 422: "), start_with("  1 × must be {\"event_key\": "), start_with("  1 × not JSON"),
          "  1 × not UTF-8\n", "  1 × recipient.mobile_no is required\n",
          "The failed rows are in orders.jsonl.failures.jsonl: correct them, then import that file\n"], 1]
      )
      kept = failures("orders.jsonl.failures.jsonl")
      expect(kept.map { |line| line["row"] }).to match_array([2, 3, 4, 5, 6])
      expect(kept.find { |line| line["row"] == 3 }["failed"]).to eq("not JSON\n")

      expect(import(file)).to match(["", /orders.jsonl.failures.jsonl exists from another import/, 2])

      refuse.clear
      mended = kept.select { |line| [2, 4].include?(line["row"]) }
      mended.find { |line| line["row"] == 4 }["failed"]["recipient"]["mobile_no"] = "+91"
      expect(import(write("mended.jsonl", *mended)).last).to eq(0)
      expect(@taken.transform_values(&:size)).to eq("a" => 1, "b" => 1, "d" => 1)
    end
  end

  it "goes on with the rest of a CSV where one row is malformed" do
    service do
      write("orders.csv", "event_key,event_id", "order_paid,a", 'order_paid,"b"x', "order_paid,c", "order_paid,d,e",
            "order_paid,\xFF".b)
      expect(import("orders.csv", "--failures", "failed").first).to start_with("2 delivered, 3 failed")
      expect(failures("failed").to_h { |line| [line["row"], line["error"]] })
        .to match(3 => /quoted field/, 5 => "has 3 cells, but the header has 2", 6 => "not UTF-8")
    end
  end

  it "tells by the exit code when all that failed may go better another time" do
    service(refuse: { "a" => 429 }) do
      file = write("orders.jsonl", { event_key: "order_paid", event_id: "a" })
      expect(import(file)).to match([/\A0 delivered, 1 failed.*HTTP 429/m, "", 75])
      write(file, { event_key: "order_paid", event_id: "a" }, { event_key: "" })
      expect(import(file, "--failures", "others").last).to eq(1)
    end
  end

  it "stops if the service would reject the remaining rows too, and resumes after the cause is fixed" do
    service(refuse: refuse = { "b" => 401 }) do
      file = write("orders.jsonl", *%w[a b c].map { |event_id| { event_key: "order_paid", event_id: } })
      out, err, code = import(file, "--concurrency", "1")
      expect([out, err.lines, code]).to match(
        [/\A1 delivered, 0 failed/, [/\AEnded early, after 1 delivered, 0 failed; run the same command again to/,
                                     /\AThe service would reject the remaining rows too: HTTP 401: /], 1]
      )
      refuse.clear
      expect(import(file, "--concurrency", "1"))
        .to match([/\A2 delivered, 0 failed from line 2 on \(/, /\AResuming after line 1,/, 0])
      expect(@taken.transform_values(&:size)).to eq("a" => 1, "b" => 1, "c" => 1)
      expect(Dir.children(".")).to eq(["orders.jsonl"])
    end
  end

  it "stops where one row after the other fails for now, and repeats those when it goes on" do
    refuse = Hash.new(429)
    service(refuse:) do
      refuse["e0"] = 202
      file = write("orders.jsonl", *50.times.map { |n| { event_key: "k", event_id: "e#{n}" } })
      out, err, code = import(file, "--concurrency", "1")
      expect([out, code]).to match([/\A1 delivered, 0 failed/, 75])
      expect(err).to match(/again to resume\.\nThe last 10 rows failed the same way and may succeed later: HTTP 429: /)
      expect(@server.requests.size).to eq(11)
      expect(Dir.children(".")).to match_array(%w[orders.jsonl orders.jsonl.progress])

      refuse.default = 202
      refuse["e7"] = 429
      expect(import(file)).to match([/\A48 delivered, 1 failed from line 2 on/, /Resuming after line 1,/, 75])
      expect(failures("#{file}.failures.jsonl").map { |line| line["row"] }).to eq([8])
      expect(@taken.transform_values(&:size).values.uniq).to eq([1])
    end
  end

  it "counts a row that is malformed as done" do
    service do
      out = StringIO.new
      progress = described_class.const_get(:ProgressBar)
      allow(progress).to(receive(:new).and_wrap_original { |new, _, **rest| new.call(out, **rest, interval: 0) })
      import(write("orders.jsonl", "{no", "{no", { event_key: "k" }))
      expect(out.string.lines.map { |line| line[/\A.*?failed/] })
        .to eq(["1 done, 1 failed", "2 done, 2 failed", "3 done, 2 failed"])
    end
  end

  it "tells with --dry-run what cannot be delivered, and sends nothing" do
    write("orders.jsonl", *orders(2), { event_key: "" }, { event_key: "order_paid", n: "x" * 10 })
    out, err, code = import("orders.jsonl", "--dry-run", env: {})
    expect([out, err, code]).to match(
      [/\Aline 3: event_key is required\n3 can be delivered, 1 cannot \(/, "", 1]
    )
    expect(Dir.children(".")).to eq(["orders.jsonl"])
  end

  { "INT" => 130, "KILL" => nil, "TERM" => nil }.each do |signal, code|
    it "goes on after SIG#{signal} where it was, and loses and doubles nothing" do
      service do |server|
        write("orders.jsonl", *orders(600), "not JSON")
        pid = spawn(environment, *command, "orders.jsonl", out: File::NULL, err: File::NULL)
        server.wait_for(200)
        Process.kill(signal, pid)
        expect(Process.wait2(pid).last.exitstatus).to eq(code)
        FileUtils.rm_f("orders.jsonl.failures.jsonl") if @taken.size < 600

        before = @taken.size
        expect(import("orders.jsonl").last).to eq(1)
        expect(before).to be < 600
        # One id for each, and each id once for every n.
        expect(@taken.values.flatten.map { |event| event["event"]["n"] }.uniq.size).to eq(600)
        expect(@taken.size).to eq(600)
      end
    end
  end

  it "does not go on with another file of the same name" do
    service(refuse: { "b" => 401 }) do
      write("orders.jsonl", *%w[a b].map { |event_id| { event_key: "order_paid", event_id: } })
      import("orders.jsonl", "--concurrency", "1")
      write("orders.jsonl", { event_key: "order_paid", event_id: "z" }, { event_key: "order_paid", event_id: "b" })
      expect(import("orders.jsonl"))
        .to match(["", /orders.jsonl has changed up to line 1: .* remove orders.jsonl.progress/m, 2])
      File.truncate("orders.jsonl", 0)
      expect(import("orders.jsonl").last).to eq(2)
      expect(@taken.keys).to eq(["a"])
    end
  end

  it "does not import a file twice at a time" do
    service do
      File.open(write("orders.jsonl", *orders(1))) do |file|
        file.flock(File::LOCK_EX)
        expect(import("orders.jsonl")).to match(["", /another process is importing orders.jsonl/, 2])
      end
    end
  end

  it "says what it cannot read" do
    service do
      expect(import("none.csv")).to match(["", /none.csv: No such file or directory$/, 2])
      expect(import(".")).to match(["", /Is a directory/, 2])
      expect(import(write("orders.csv", "a,b",
                          "1,2"))).to match(["", /first line must name the columns, including event_key/, 2])
      expect(import("orders.csv", "--concurrency", "0")).to match(["", /--concurrency must be 1 or more/, 2])
      expect(import(write("list.jsonl", [{ event_key: "a" }, { event_key: "b" }])).first).to include("not Array")
      expect(import(write("none.jsonl")).first).to start_with("0 delivered, 0 failed")
    end
  end

  it "reads only as far as it delivers" do
    held = Queue.new
    serve_after(held) do |server|
      File.open(write("orders.jsonl", *orders(100)), "rb") do |file|
        importing = Thread.new { import("-", "--concurrency", "2", input: file) }
        server.wait_for(2)
        # Two that are under way, and the next.
        expect(file.pos).to eq(File.foreach("orders.jsonl").first(3).sum(&:bytesize))
        held.close
        expect(importing.value.first).to start_with("100 delivered")
      end
    end
  end

  it "takes the files that the README shows" do
    files = File.read("#{root}/README.md").scan(/^```(?:csv|json)\n(.*?)^```$/m).flatten
    service do
      files.each { |file| expect(import("-", input: StringIO.new(file))).to match([/\A\d delivered, 0 failed/, "", 0]) }
      expect(@taken.keys).to match_array(%w[payment_51 payment_52 payment_53])
    end
  end

  it "needs no more memory for a large file" do
    File.open("orders.jsonl", "w") do |file|
      2000.times { |n| file.puts(JSON.generate(event_key: "k", n:, x: "x" * 50_000)) }
    end
    script = 'require "simple_connect/cli"; SimpleConnect::CLI.new(ARGV).run; ' \
             'puts File.read("/proc/self/status")[/VmHWM:\s+(\d+)/, 1]'
    skip "there is no /proc" unless File.exist?("/proc/self/status")

    # Else Ruby collects garbage only when there are as many bytes of it as the file has.
    tidy = { "RUBY_GC_MALLOC_LIMIT_MAX" => "4000000", "RUBY_GC_OLDMALLOC_LIMIT_MAX" => "4000000" }
    out, = Open3.capture2(tidy, RbConfig.ruby, "-I", "#{root}/lib", "-e", script, "import", "orders.jsonl", "--dry-run")
    expect(out).to start_with("2,000 can be delivered, 0 cannot")
    expect(Integer(out.lines.last)).to be < File.size("orders.jsonl") / 1024 * 0.75
  end

  # Not every container has pseudo-terminals.
  def terminal?
    PTY.open { true }
  rescue RuntimeError, SystemCallError
    false
  end

  it "draws a bar on a terminal, and leaves nothing of it" do
    skip("this system gives no terminal") unless terminal?
    accept = lambda do |connection, _|
      sleep(0.005)
      connection.io.write("HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\n{}")
    end
    ScriptedServer.open([accept]) do |server|
      @server = server
      write("orders.jsonl", *orders(400))
      shown = +""
      PTY.spawn(environment, "stty cols 100; exec #{command.join(" ")} orders.jsonl") do |terminal, _, pid|
        loop { shown << terminal.readpartial(4096) }
      rescue Errno::EIO
        Process.wait(pid)
      end
      expect(shown).to match(%r{\[#* *\] [\d,]+ done, [\d,]+/s, \d+ %, \d+ s left})
      expect(shown.split("\r\e[K").last).to match(/\A400 delivered, 0 failed/)
    end
  end

  def csv(*lines, input: lines.join("\n"))
    out, err, code = import("-", "--failures", "failed", input: StringIO.new(input.b))
    [out.lines.first[/\A.*(?= \()/], err, code]
  end

  it "takes a carriage return at the end of a CSV row for a part of the line break" do
    service do
      expect(csv("event_key,event_id", "k,a\r", "k,b", "k,\"c\"\r\n").last).to eq(0)
      expect(csv("event_key,event_id\r", "k,d", "k,e").last).to eq(0)
      expect(csv(input: "event_key,event_id\rk,f\rk,g").last).to eq(0)
      expect(@taken.keys).to match_array(%w[a b c d e f g])
    end
  end

  it "keeps the line breaks within a quoted cell" do
    service do
      expect(csv("event_key,event_id,note", "k,a,\"x\r", "\"\"y\"\"", ",z\"\r", "k,b,").last).to eq(0)
      expect(@taken["a"]).to match([a_hash_including("note" => "x\r\n\"y\"\n,z")])
      expect(@taken.keys).to match_array(%w[a b])
    end
  end

  it "numbers the rows of a CSV by the lines of the file" do
    write("orders.csv", "", "event_key,x", "k,1", "", " ", "k,2,3", 'k,"a', 'b"', "k,4,5")
    expect(import("orders.csv", "--dry-run", env: {}).first)
      .to match(/\Aline 6: has 3 cells.*\nline 9: has 3 cells.*\n2 can/)
  end

  it "stops at a quoted cell that does not end, and goes on once it does" do
    service do
      lines = ["event_key,event_id,note", "k,a,x", "k,b,\"x"] + Array.new(5) { |n| "k,c#{n},x" }
      write("orders.csv", *lines)
      out, err, code = import("orders.csv")
      expect([out, code]).to eq(["", 2])
      expect(err).to match(/line 3: .*quote is never closed/)
      expect(@taken.keys - ["a"]).to be_empty

      lines[2] = "k,b,x"
      write("orders.csv", *lines)
      expect(import("orders.csv").last).to eq(0)
      expect(@taken.keys.size).to eq(7)
    end
  end

  it "holds no more of a CSV row in memory than a row may have" do
    read = 0
    endless = StringIO.new
    endless.define_singleton_method(:gets) do |separator, limit|
      next "event_key,note#{separator}".b if (read += 1) == 1

      raise "reads on and on" if read > 5_000_000 / limit.clamp(..1000)

      "k,\"#{"x" * 996}#{separator}".b.then { |line| read == 2 ? line : line.delete('"') }
    end
    service do
      expect(import("-", input: endless)).to match(["", /line 2: .*quote is never closed/, 2])
    end
  end

  it "refuses columns and members that stand for something else already" do
    service do
      {
        "event_key,event" => /column event .*the event key/,
        "event_key,event.event" => /column event.event .*the event key/,
        "event_key,recipient.mobile_no,name" => /column name .*recipient\.name/,
        "event_key,recipient.mobile_no,event.name" => /column event.name .*recipient\.name/,
        "event_key,recipient.mobile_no,recipient.phone" => /recipient.phone .*recipient.mobile_no/,
        "event_key,amount,amount" => /these columns mean the same: .*amount/,
        "event_key,amount,event.amount" => /these columns mean the same: .*amount/
      }.each do |header, message|
        expect(import("-", input: StringIO.new("#{header}\nk,a,b\n".b))).to match(["", message, 2]), header
      end
      file = write("orders.jsonl", { event_key: "k", event: "other" },
                   { event_key: "k", recipient: { mobile_no: "+91" }, event: { name: "Asha" } },
                   { event_key: "k", recipient: { mobile_no: "+91" }, event: { name: "k", event: "x" } })
      expect(import(file)).to match([/\A1 delivered, 2 failed.*event_key.*/m, "", 1])
      expect(@taken.values.flatten.map { |event| event["event"]["event"] }).to eq(["x"])
    end
  end

  it "says that the event key is missing, and not that another member has its place", unchecked: true do
    write("orders.jsonl", { event: "k", amount: 1 }, { recipient: { mobile_no: "+91" }, event: { name: "k" } })
    expect(import("orders.jsonl", "--dry-run", env: {}).first.lines.first(2).map(&:chomp))
      .to eq(["line 1: event_key is required", "line 2: event_key is required"])
  end

  it "reads JSON lines behind blank lines and spaces" do
    service do
      expect(csv("", "  ", " {\"event_key\":\"k\",\"event_id\":\"a\"}")).to eq(["1 delivered, 0 failed", "", 0])
      expect(@taken.keys).to eq(["a"])
    end
  end

  it "says what a file is that it cannot read" do
    service do
      { "\"event_key\"x,amount\nk,1\n" => /line 1: .*quoted field/,
        "\uFEFF{}\n".encode("UTF-16LE") => /UTF-16: save it as UTF-8/ }.each do |text, message|
        expect(import("-", input: StringIO.new(text.b))).to match(["", message, 2])
      end
      expect(import("#{"n" * 245}.jsonl")).to match(["", /simple_connect: n+.jsonl: No such file or directory$/, 2])
      write("n" * 250, { event_key: "k" })
      expect(import("n" * 250)).to match(["", /: File name too long$/, 2])
    end
  end

  it "says what a note is that it cannot read" do
    service do
      write("orders.jsonl", { event_key: "k" })
      ["", "50%", "\xFF", "{}", "[]", '{"run":1,"line":"2","digest":null}'].each do |note|
        File.write("orders.jsonl.progress", note)
        expect(import("orders.jsonl")).to match(["", /orders.jsonl.progress is damaged/, 2]), note
      end
      expect(@taken).to be_empty
    end
  end

  it "repeats no escape sequence of the service or the file" do
    escape = "\e]0;x\a\e[31m\u009b2J"
    [422, 401].each do |status|
      ScriptedServer.open([{ "status" => status, "body" => "gone#{escape}" }]) do |server|
        @server = server
        out, err, = import("-", "--failures", status.to_s, input: StringIO.new(+"{\"event_key\":\"k\"}\n"))
        expect(out + err).to include("gone\\e]0;x\\a\\e[31m").and(satisfy { |text| !text.match?(/(?!\n)[[:cntrl:]]/) })
      end
    end
    file = write("orders.jsonl", { event_key: "k", recipient: { mobile_no: "+91" }, escape => 1 })
    File.write("#{file}.progress", JSON.generate(run: "r", line: 1, digest: escape))
    expect(import(file, "--dry-run", env: {}).first).to include("\\e[31m").and(satisfy { |text| !text.include?("\e") })
  end

  it "shows what it writes to nobody else, and follows no link" do
    service(refuse: { "a" => 422, "b" => 401 }) do
      file = write("orders.jsonl", *%w[a b].map { |event_id| { event_key: "k", event_id: } })
      write("victim", "original")
      File.symlink("victim", "#{file}.progress.new")
      import(file, "--concurrency", "1")
      expect(File.read("victim")).to eq("original\n")
      expect(%w[failures.jsonl progress].map { |name| File.lstat("#{file}.#{name}").mode.to_s(8) }).to all(eq("100600"))

      FileUtils.rm(["#{file}.failures.jsonl", "#{file}.progress"])
      File.symlink("none", "#{file}.failures.jsonl")
      expect(import(file, "--concurrency", "1")).to match(["", /orders.jsonl.failures.jsonl is .*link/, 2])
      expect(File.exist?("none")).to be(false)
    end
  end

  it "takes a malformed row of a CSV after it is corrected in the file of failures" do
    service do
      write("orders.csv", "event_key,event_id,note", "k,a,x,y", "k,b,\"x\"y", "k,c,x")
      expect(import("orders.csv").last).to eq(1)
      kept = failures("orders.csv.failures.jsonl")
      expect(kept.first).to eq("row" => 2, "error" => "has 4 cells, but the header has 3", "failed" => "k,a,x,y\n",
                               "columns" => "event_key,event_id,note")
      kept.each { |line| line["failed"] = line["failed"].sub(",y", "").sub("y\n", "\n") }
      expect(import(write("repaired.jsonl", *kept)).last).to eq(0)
      expect(@taken.transform_values { |events| events.map { |event| event["note"] } })
        .to eq("a" => ["x"], "b" => ["x"], "c" => ["x"])
    end
  end

  it "keeps a row that failed once, though it is read again where the import goes on" do
    service(refuse: refuse = { "a" => 401 }) do
      file = write("orders.jsonl", { event_key: "k", event_id: "a" }, "not JSON", { event_key: "k", event_id: "c" })
      import(file)
      refuse.replace("c" => 422)
      out, = import(file)
      expect(failures("#{file}.failures.jsonl").map { |line| line["row"] }).to eq([2, 3])
      expect(out).to include("The failed rows are in orders.jsonl.failures.jsonl: correct them")
    end
  end

  it "numbers the files of what failed again" do
    service(refuse: { "a" => 422 }) do
      file = write("orders.csv", "event_key,event_id", "k,a")
      names = %w[orders.csv.failures.jsonl orders.csv.failures.2.jsonl orders.csv.failures.3.jsonl]
      [file, *names.first(2)].each { |each| import(each) }
      expect(Dir.children(".")).to match_array([file, *names])
      expect(failures(names.last).size).to eq(1)
    end
  end

  it "begins with a new line where the file of failures ends in half of one" do
    service(refuse: refuse = { "b" => 401 }) do
      file = write("orders.jsonl", *%w[a b].map { |event_id| { event_key: "k", event_id: } })
      import(file, "--concurrency", "1")
      File.write("#{file}.failures.jsonl", '{"row":1,"err')
      refuse["b"] = 422
      import(file)
      expect(File.readlines("#{file}.failures.jsonl")).to match(["{\"row\":1,\"err\n", /\A{"row":2.*}\n\z/])
    end
  end

  it "ends with 75 on a full disk, and goes on once there is room" do
    skip "there is no /dev/full" unless File.exist?("/dev/full")

    service(refuse: refuse = { "a" => 401 }) do
      file = write("orders.jsonl", *%w[a b].map { |event_id| { event_key: "k", event_id: } })
      import(file, "--concurrency", "1")
      refuse["a"] = 422
      expect(import(file, "--failures", "/dev/full")).to match(
        ["", %r{then run the same command again to resume\.\nsimple_connect: /dev/full: No space left on device$}, 75]
      )
      expect(import(file)).to match([/\A1 delivered, 1 failed/, "", 1])
      expect(failures("#{file}.failures.jsonl").map { |line| line["row"] }).to eq([1])
    end
  end

  it "says that the remaining rows would be rejected, even after transient failures" do
    service(refuse: { "a" => 429, "b" => 401 }) do
      file = write("orders.jsonl", *%w[a b c].map { |event_id| { event_key: "k", event_id: } })
      expect(import(file, "--concurrency", "1")).to match([/\A0 delivered, 0 failed/, /would reject.*HTTP 401/, 1])
    end
  end

  it "leaves nothing behind where it could not begin" do
    service do
      write("orders.csv", "key,event_id", "k,a")
      expect(import("orders.csv")).to match(["", /\Asimple_connect: orders.csv: line 1: the first line must name/, 2])
      expect(import(".").last).to eq(2)
      expect(Dir.children(".")).to eq(["orders.csv"])

      # Another run may have sent the first rows without an answer: their ids are needed again.
      File.write("orders.csv.progress", JSON.generate(run: "r", line: 0, digest: ""))
      expect(import("orders.csv").last).to eq(2)
      expect(File.exist?("orders.csv.progress")).to be(true)
    end
  end

  it "says if a file contains no rows" do
    service do
      expect(import(write("orders.csv", "event_key"))).to match([/\A0 delivered/, "orders.csv contains no rows.\n", 0])
    end
  end

  it "reads a pipe with a name as the standard input" do
    service do
      File.mkfifo("pipe")
      2.times do |time|
        feeding = Thread.new { File.write("pipe", orders(5).map { |order| "#{JSON.generate(order)}\n" }.join) }
        expect(import("pipe", *("--dry-run" if time.zero?))).to match([/\A5 (can be )?delivered, 0 /, "", 0])
        feeding.join
      end
      expect(@taken.size).to eq(5)
      expect(Dir.children(".")).to eq(["pipe"])
    end
  end

  it "says where a file became shorter while it was read" do
    held = Queue.new
    serve_after(held) do |server|
      write("orders.jsonl", *orders(1000))
      importing = Thread.new { import("orders.jsonl", "--concurrency", "2") }
      server.wait_for(2)
      File.truncate("orders.jsonl", 0)
      held.close
      message = /\AEnded early, after \d+ delivered, 0 failed; .*orders.jsonl became shorter while it was read/m
      expect(importing.value).to match(["", message, 2])
      expect(File.exist?("orders.jsonl.progress")).to be(true)
    end
  end
end

RSpec.describe "SimpleConnect::CLI::ProgressBar" do
  it "writes plain lines elsewhere" do
    out = StringIO.new
    progress = SimpleConnect::CLI.const_get(:ProgressBar).new(out, total: 2000, interval: 0)
    1500.times { |index| progress.advance(index / 1000, index + 1) }
    progress.clear
    expect(out.string.lines.size).to eq(1500)
    expect(out.string.lines.last).to match(%r{\A1,500 done, 1 failed, [\d,]+/s, 75 %, \d+ s left\n\z})
  end
end
