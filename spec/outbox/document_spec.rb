# frozen_string_literal: true

require "shellwords"
require_relative "../support/documented_code"
require_relative "../support/outbox_config"
require_relative "../support/rails_app"

RSpec.describe "docs/outbox.md", skip: DocumentedCode.missing || Libraries.missing("sqlite3"), unchecked: true do
  document = File.read(File.expand_path("../../docs/outbox.md", __dir__))
  tests, ruby = DocumentedCode.blocks(document).partition { |source, _| source.include?("TestCase") }
  shell = document.scan(/^```bash\n(.*?)^```$/m).flatten

  it "has Ruby that works" do
    tables = <<~RUBY
      require "active_record"
      require #{File.expand_path("../support/outbox_tables", __dir__).dump}
      ActiveRecord::Base.establish_connection(adapter: "sqlite3", database: ":memory:")
      OutboxTables.migrate(ActiveRecord::Base)
      SimpleConnect.configure do |config|
        config.client(:billing) { nil }
        config.outbox.encryption_key = "k" * 32
      end
    RUBY
    work = [<<~RUBY, 1]
      ids = %w[payment_42 invoice_1 invoice_2 order_7_paid]
      puts ids.map { |id| SimpleConnect.client.events.detail(id).status_code }.inspect
    RUBY
    expect(DocumentedCode.run([*ruby, work], tables)).to eq(["[200, 200, 200, 200]\n", true])
  end

  it "names each setting, and no other" do
    settings = SimpleConnect::Outbox::Settings.instance_methods(false).grep(/\w=\z/).map { |name| name[0..-2] }
    rows = document[/^## Settings\n(.*?)^## /m, 1].lines.grep(/\A\| `/)
    expect(rows.flat_map { |row| row.split("|")[1].scan(/`(\w+)`/).flatten }).to match_array(settings)
    expect(document.scan(/config\.outbox\.(\w+)/).flatten.uniq - settings).to eq([])
    config = SimpleConnect::Configuration.new(env: {}).outbox
    defaults = rows.to_h { |row| [row[/`(\w+)`/, 1], row.split("|")[3].strip] }
    shown = defaults.slice("base", "allow_no_transaction", "encrypt", "park_after", "concurrency")
    expect(shown.map { |name, value| [name, value.delete('`"')] })
      .to eq(shown.keys.map { |name| [name, config.public_send(name).to_s] })
    expect(defaults["keep_parked"]).to start_with(config.keep_parked.to_s)
  end

  describe "in a Rails application", skip: Libraries.missing("rails", "sqlite3", "puma") do
    it "leads from the generator to a delivery, to a process, and to tests" do
      require "simple_connect/sandbox"
      expect(shell.size).to eq(4)
      sandbox = SimpleConnect::Sandbox.start
      RailsApp.open do |app|
        env = { "DATABASE" => "#{app.directory}/db.sqlite3", "SIMPLECONNECT_ENDPOINT_URL" => sandbox.endpoint_url,
                "SIMPLECONNECT_KEY_ID" => sandbox.key_id, "SIMPLECONNECT_SECRET" => sandbox.secret }
        follow(app, shell[0], env)
        app.run(ruby[0].first, env)
        printed = follow(app, shell[1], env).last
        expected = document[/^```text\n(new .*?)^```$/m, 1]
        expect(printed.gsub(/[\d.]+ s ago/, "2.1 s ago")).to eq(expected)
        expect(ids(sandbox)).to eq(%w[payment_42])
        runs_as_process(app, shell[2], env, sandbox)
        runs_tests(app, tests.first.first, env)
      end
    ensure
      sandbox&.stop
    end

    def ids(sandbox) = sandbox.events.map { |event| event["event_id"] }

    # Runs commands of Rails.
    def follow(app, commands, env)
      commands.lines.map { |line| app.rails(*Shellwords.split(line).drop(1), env:) }
    end

    def runs_as_process(app, command, env, sandbox)
      log = { "LOG" => "#{app.directory}/relay.log", "LOG_LEVEL" => "info" }
      pid = app.spawn(RbConfig.ruby, *Shellwords.split(command), env: { **env, **log })
      app.run(<<~RUBY, env)
        ActiveRecord::Base.transaction do
          SimpleConnect.outbox.deliver("order_paid", { order: 8 }, event_id: "order_8")
        end
      RUBY
      sleep(0.05) until ids(sandbox).include?("order_8")
      Process.kill(:TERM, pid)
      expect(Process.wait2(pid).last.exitstatus).to eq(0)
      expect(app.files["relay.log"])
        .to match(/\] relay client=default event_key=order_paid event_id=order_8 outcome=done status=202 attempts=1/)
      doctor = app.run("SimpleConnect::CLI.new(%w[doctor], configuration: SimpleConnect.configuration).run", env)
      expect(doctor.scan(/^(\w+) +(outbox \w+|outbox) /)).to eq(
        [%w[green outbox], ["green", "outbox key"], ["green", "outbox job"], ["green", "outbox relay"],
         ["green", "outbox lag"], ["green", "outbox clients"], ["green", "outbox parked"]]
      )
    end

    def runs_tests(app, tests, env)
      app.write("test/payment_test.rb", "require_relative \"test_helper\"\n#{tests}")
      # Without Bundler, the command of Rails 6.1 lacks pathname.
      env = { **env, "RUBYOPT" => "#{RailsApp::CLEAN["RUBYOPT"]} -r pathname" }
      expect(app.rails("test", "test/payment_test.rb", env:)).to include("2 runs", "0 failures, 0 errors")
    end
  end
end
