# frozen_string_literal: true

require "fileutils"
require "net/http"
require "open3"
require "rbconfig"
require "tmpdir"
require_relative "../support/inbox"
require_relative "../support/libraries"
require_relative "../support/rack_process"

RSpec.describe SimpleConnect::Sandbox::Inbox do
  include_context "with an inbox"

  around { |example| Dir.mktmpdir { |dir| (@dir = dir) && example.run } }

  let(:path) { "#{@dir}/inbox/messages.jsonl" }
  let(:inbox_options) { { store: path } }

  # As another process has it.
  let(:other) { described_class.new(SimpleConnect::Sandbox.new, store: path) }

  # Asks this inbox instead.
  def within(app)
    mine = inbox
    allow(self).to receive(:inbox).and_return(app)
    yield
  ensure
    allow(self).to receive(:inbox).and_return(mine)
  end

  describe "a file" do
    it "is shared by processes: messages, duplicates, faults, secrets and clearing" do
      other
      deliver(event("order_paid", "e1", amount: "1"))
      within(other) do
        expect(messages).to match([a_hash_including("event_id" => "e1", "tick" => "delivered")])
        expect(deliver(event("order_paid", "e1"))).to match([200, a_hash_including("duplicate" => true, "log_id" => 1)])
        expect(deliver(event("order_paid", "e2"))).to match([202, a_hash_including("log_id" => 2)])
        ask("POST", "/inbox/faults", { kind: 503 })
      end
      expect(deliver(event("order_paid", "e3"))[0]).to eq(503)
      within(other) { expect(get("/inbox/status")["faults"]).to eq([]) }
      expect(messages.map { |message| message.values_at("event_id", "state") })
        .to eq([%w[e3 failed], %w[e2 accepted], %w[e1 duplicate]])

      secret = within(other) { ask("POST", "/inbox/rotate")[1]["secret"] }
      expect(deliver(event("order_paid", "e4"), secret:)[1]).not_to include("used_previous_secret")
      expect(sandbox.secret).to eq(secret)

      cursor = get("/inbox/messages")["cursor"]
      within(other) { ask("DELETE", "/inbox") }
      expect(get("/inbox/messages?since=#{cursor}")).to include("reset" => true, "messages" => [])
      expect(deliver(event("order_paid", "e1"), secret:)[0]).to eq(202)
    end

    it "wakes those who wait in another process" do
      theirs = Rack::MockRequest.new(other)
      waiting = Thread.new { theirs.get("/inbox/wait?q=e1&timeout=10", "HTTP_HOST" => "localhost") }
      deliver(event("order_paid", "e1"))
      expect(waiting.value.status).to eq(200)
    end

    it "is kept over restarts, and can be read by its owner only" do
      deliver(event)
      expect(File.stat(path).mode & 0o777).to eq(0o600)
      within(other) { expect(messages.size).to eq(1) }
      expect(File.read(path)).not_to include(sandbox.secret)
    end

    it "keeps sessions apart over rewriting and restarts" do
      session = ->(name) { { "HTTP_X_SIMPLECONNECT_SESSION" => name } }
      %w[a b].each { |name| deliver(event, **session.call(name)) }
      cursor = get("/inbox/messages")["cursor"]
      ask("DELETE", "/inbox", **session.call("b"))
      30.times { deliver(event("order_paid", "e1", note: "x" * 100_000)) }
      stores = [inbox, other].map { |app| app.instance_variable_get(:@store) }
      ["a", "b", nil].zip([2, nil, nil]).each do |name, position|
        expect(stores.map { |store| store.read { store.position(cursor, name) } }).to eq([position, position])
      end
      stores = stores.map { |store| store.read { store.cursor } }
      expect(stores.uniq.size).to eq(1)
    end

    it "is rewritten when most of it is outdated" do
      other
      30.times { deliver(event("order_paid", "e1", note: "x" * 100_000)) }
      ask("DELETE", "/inbox")
      20.times { |number| deliver(event("order_paid", "e#{number}", note: "x" * 100_000)) }
      ask("DELETE", "/inbox")
      deliver(event("order_paid", "last"))
      expect(File.size(path)).to be < 1_500_000
      within(other) { expect(messages.map { |message| message["event_id"] }).to eq(%w[last]) }
    end

    # A file system may give the number of the file that was removed to the next one.
    it "is taken for another file when it was rewritten, also if it looks the same" do
      3.times { |number| deliver(event("order_paid", "first#{number}")) }
      within(other) { expect(messages.size).to eq(3) }
      120.times do |number|
        deliver(event("order_paid", "e#{number}", note: "x" * 8_192))
        ask("DELETE", "/inbox") if number % 40 == 39 && number < 100
      end
      theirs = within(other) { messages.map { |message| message["event_id"] } }
      expect(theirs).to eq(messages.map { |message| message["event_id"] })
      expect(theirs.size).to eq(40)
      within(other) { expect(deliver(event("order_paid", "first0"))[0]).to eq(202) }
    end

    it "may be one of an earlier version, whose first line has no id" do
      message = { id: "m1", kind: "event", at: Time.now.utc.iso8601(3), state: "failed", attempts: [], seq: 1 }
      FileUtils.mkdir_p(File.dirname(path))
      File.write(path, "{\"simple_connect_inbox\":1}\n[\"start\",{\"seq\":0,\"generation\":0}]\n" \
                       "#{JSON.generate(["put", message])}\n")
      within(other) { expect(messages.map { |each| each["id"] }).to eq(%w[m1]) }
      deliver(event)
      within(other) { expect(messages.map { |each| each["id"] }).to eq([messages.first["id"], "m1"]) }
    end

    it "may be removed, cut off or damaged while it is in use" do
      deliver(event("order_paid", "e1"))
      File.write(path, '["put",{"id":"m9","seq":', mode: "a")
      other
      within(other) { expect(messages.map { |message| message["event_id"] }).to eq(%w[e1]) }
      deliver(event("order_paid", "e2"))
      within(other) { expect(messages.map { |message| message["event_id"] }).to eq(%w[e2 e1]) }

      File.write(path, "no JSON\n[1,2]\n[\"put\",{}]\n[\"leap\",{\"seq\":0}]\n", mode: "a")
      deliver(event("order_paid", "e3"))
      expect(messages.size).to eq(3)

      FileUtils.rm_r(File.dirname(path))
      expect(messages).to eq([])
      deliver(event("order_paid", "e4"))
      within(other) { expect(messages.map { |message| message["event_id"] }).to eq(%w[e4]) }
    end

    it "must be one of an inbox, and usable", unchecked: true do
      File.write("#{@dir}/other.txt", "something else\n")
      File.binwrite("#{@dir}/image.png", "\x89PNG\r\n\xFF\n")
      {
        "#{@dir}/image.png" => /image.png is another file/,
        "#{@dir}/other.txt" => /other.txt is another file/, "#{@dir}/other.txt/x" => %r{store: .*/x cannot be used: },
        @dir => /cannot be used: Is a directory/, "" => 'store: must be a path or :memory, not ""', 7 => /not 7/
      }.each do |store, error|
        expect { described_class.new(SimpleConnect::Sandbox.new, store:) }
          .to raise_error(SimpleConnect::ConfigurationError, error)
      end
      expect(File.read("#{@dir}/other.txt")).to eq("something else\n")
    end

    # Each forked process makes its own random requests; then all tell what they know.
    it "is the same for all processes, whatever they do at once" do
      script = <<~'RUBY'
        require "digest"
        require "rack"
        require "simple_connect/sandbox"
        def inbox
          sandbox = SimpleConnect::Sandbox.new
          [sandbox, SimpleConnect::Sandbox::Inbox.new(sandbox, store: ARGV[0])]
        end
        def known(inbox)
          store = inbox.instance_variable_get(:@store)
          store.read do
            ledgers = store.ledgers.map { |session, ledger| [session, ledger.events, ledger.messages] }
            Digest::SHA256.hexdigest(JSON.generate([store.messages, store.cursor, store.get("faults"), ledgers]))
          end
        end
        finished, finish = IO.pipe
        begun, begin_all = IO.pipe
        3.times do |number|
          fork do
            begin_all.close
            sandbox, app = inbox
            random = Random.new(number)
            requests = Rack::MockRequest.new(app)
            30.times do
              body = JSON.generate(event: "order_paid", event_id: "e#{random.rand(100)}", note: "x" * random.rand(60_000))
              headers = SimpleConnect::Signature.sign(body, secret: sandbox.secret)
              env = { **headers, "X-SimpleConnect-Key-Id" => sandbox.key_id }
              env = env.transform_keys { |name| "HTTP_#{name.upcase.tr("-", "_")}" }
              requests.post("/api/v1/integrations/sandbox/events", input: body, **env)
              requests.delete("/inbox", "HTTP_HOST" => "localhost") if random.rand < 0.02
              json = { "HTTP_HOST" => "localhost", "CONTENT_TYPE" => "application/json", input: '{"kind":500}' }
              requests.post("/inbox/faults", **json) if random.rand < 0.05
            end
            finish.write("x")
            begun.read
            puts known(app)
          end
        end
        begun.close
        finished.read(3)
        begin_all.close
        Process.waitall
        puts known(inbox.last)
      RUBY
      out, status = Open3.capture2e(RbConfig.ruby, "-I", File.expand_path("../../lib", __dir__), "-e", script, path)
      expect([out.lines.size, out.lines.uniq.size, status.success?]).to eq([4, 1, true]), out
    end

    it "is shared by Puma's workers", skip: Libraries.missing("puma") do
      config = <<~RUBY
        require "simple_connect/sandbox"
        inbox = SimpleConnect::Sandbox::Inbox.new(SimpleConnect::Sandbox.new, store: #{path.dump})
        run ->(env) { inbox.call(env).tap { |answer| answer[1]["x-worker"] = Process.pid.to_s } }
      RUBY
      files = { "config.ru" => config, "config/puma.rb" => "workers 2\npreload_app!\n" }
      RackProcess.open(files, "RACK_ENV" => "development") do |server|
        answers = Array.new(4) do |number|
          Array.new(10) do |index|
            Thread.new do
              client = SimpleConnect::Client.new(endpoint_url: "#{server.url}/api/v1/integrations/sandbox/events",
                                                 key_id: sandbox.key_id, secret: sandbox.secret)
              client.events.deliver("order_paid", event_id: "e#{number}_#{index % 5}")
            end
          end.map(&:value)
        end.flatten
        expect(answers.map(&:status_code).tally).to eq(202 => 20, 200 => 20)
        expect(answers.map { |answer| answer.data.log_id }.uniq.sort).to eq([*1..20])
        expect(answers.map { |answer| answer.headers["x-worker"] }.uniq.size).to eq(2)
        seen = JSON.parse(Net::HTTP.get(URI("#{server.url}/inbox/messages")))["messages"]
        expect(seen.map { |message| message["attempts_count"] }).to eq([2] * 20)
      end
    end
  end

  describe "SQLite", skip: Libraries.missing("sqlite3") do
    let(:inbox_options) { { store: :memory } }

    # In a process of its own, as it locks the file.
    def process(code)
      script = <<~RUBY
        require "simple_connect/sandbox"
        require "stringio"
        SimpleConnect::Sandbox::Inbox.send(:remove_const, :BOUND)
        SimpleConnect::Sandbox::Inbox::BOUND = 10
        sandbox = SimpleConnect::Sandbox.new
        inbox = SimpleConnect::Sandbox::Inbox.for_command(sandbox, store: #{path.dump})
        store = inbox.instance_variable_get(:@store)
        deliver = lambda do |id, secret = sandbox.secret|
          body = JSON.generate({ event: "order_paid", event_id: id })
          headers = SimpleConnect::Signature.sign(body, secret:).merge("X-SimpleConnect-Key-Id" => sandbox.key_id)
          env = headers.transform_keys { |name| "HTTP_\#{name.upcase.tr("-", "_")}" }
          inbox.call("REQUEST_METHOD" => "POST", "PATH_INFO" => "/api/v1/integrations/sandbox/events",
                     "rack.input" => StringIO.new(body), **env).first
        end
        ids = -> { store.read { store.messages.map { |message| message["event_id"] } } }
        #{code}
      RUBY
      Open3.capture2e(RbConfig.ruby, "-I", File.expand_path("../../lib", __dir__), "-e", script).first
    end

    before { FileUtils.mkdir_p(File.dirname(path)) }

    it "keeps messages, duplicates and the secret over restarts" do
      first = process(<<~RUBY)
        deliver.call("e1"); deliver.call("e2"); inbox.reset; p store.cursor
        store.write { store.clear("b") }; 13.times { |id| deliver.call("f\#{id}") }; deliver.call("f12")
        secret = inbox.rotate
        p ids.call.size, ids.call.first, store.messages.first["attempts_count"], store.cursor, secret
      RUBY
      cleared, size, id, attempts, cursor, secret = first.lines.map { |line| line.chomp.delete('"') }
      expect([size, id, attempts]).to eq(%w[10 f12 2])
      second = process(<<~RUBY)
        p ids.call.size, ids.call.first, store.messages.first["attempts_count"], store.cursor, sandbox.secret
        p(*["a", "b", nil].map { |session| store.position(#{cleared.dump}, session).nil? })
        p deliver.call("f12"), deliver.call("g1"), ids.call.first, ids.call.size
      RUBY
      expect(second.lines.map { |line| line.chomp.delete('"') })
        .to eq([size, id, attempts, cursor, secret, "false", "true", "true", "200", "202", "g1", "10"])
      expect(File.binread(path)).not_to include(sandbox.secret)
      expect(File.stat(path).mode & 0o777).to eq(0o600)
    end

    it "says that it is in use, or another one, or that the gem is missing" do
      held = process("system(RbConfig.ruby, '-I', $LOAD_PATH.first, '-r', 'simple_connect/sandbox', '-e', " \
                     "'SimpleConnect::Sandbox::Inbox.for_command(SimpleConnect::Sandbox.new, store: ARGV[0])', " \
                     "#{path.dump})")
      expect(held).to match(/messages.jsonl is in use by another process \(SimpleConnect::ConfigurationError\)/)

      File.delete(path)
      system(RbConfig.ruby, "-r", "sqlite3", "-e", "SQLite3::Database.new(ARGV[0]).execute('CREATE TABLE users (id)')",
             path)
      expect(process("")).to match(/messages.jsonl is another database, and none of an inbox/)
      FileUtils.rm_r(File.dirname(path))
      expect(process("")).to match(/messages.jsonl cannot be used: No such file or directory/)

      Dir.mkdir("#{@dir}/none")
      File.write("#{@dir}/none/sqlite3.rb", "raise LoadError, 'cannot load such file -- sqlite3'")
      out, = Open3.capture2e(RbConfig.ruby, "-I", "#{@dir}/none", "-I", File.expand_path("../../lib", __dir__),
                             File.expand_path("../../exe/simple_connect", __dir__), "sandbox", "--store", path)
      expect(out).to include('simple_connect: store: needs the gem sqlite3: add gem "sqlite3" to your Gemfile')
    end
  end
end
