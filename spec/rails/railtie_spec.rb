# frozen_string_literal: true

require "json"
require_relative "../support/rails_app"
require_relative "../support/scripted_server"

RSpec.describe "In a Rails application", skip: Libraries.missing("rails", "sqlite3"), unchecked: true do
  around { |example| RailsApp.open { |app| example.run(@app = app) } }

  it "boots without a secret in each environment, and the first use says what is missing" do
    %w[development test production].each do |environment|
      printed = @app.run(<<~RUBY, { "RAILS_ENV" => environment })
        p SimpleConnect.client
        begin
          SimpleConnect.client.events
        rescue SimpleConnect::ConfigurationError => e
          puts e.message[/looked in .*/]
        end
      RUBY
      expect(printed).to eq(<<~TEXT)
        #<SimpleConnect::Client of the configuration>
        looked in the configuration, the environment, credentials.#{environment}.simple_connect, credentials.simple_connect
      TEXT
    end
  end

  # Whoever loads them in an initializer keeps later ones from configuring them.
  it "loads none of Rails' base classes as it boots" do
    @app.write("config/initializers/aaa.rb", <<~RUBY)
      %i[active_job active_record action_controller action_controller_base action_controller_api].each do |name|
        ActiveSupport.on_load(name) { puts "\#{name} was loaded by \#{caller.grep(/simple_connect/).first}" }
      end
    RUBY
    @app.write("config/initializers/zzz.rb", <<~RUBY)
      Rails.application.config.active_job.queue_name_prefix = "late"
      Rails.application.config.active_record.table_name_prefix = "late_"
    RUBY
    ours = "puts ActiveJob::Base.queue_name_prefix, ActiveRecord::Base.table_name_prefix"
    printed = @app.run(ours, { "RAILS_ENV" => "development" })
    expect(printed.lines.grep(/was loaded by/).grep_v(/by $/)).to eq([])
    expect(printed).to end_with("late\nlate_\n")
  end

  it "has the credentials, where neither Ruby nor the environment says otherwise" do
    @app.write("config/initializers/credentials.rb", <<~RUBY)
      Rails.application.credentials.config.update(
        simple_connect: { endpoint_url: "http://127.0.0.1:1/e", key_id: "general", secret: "s" },
        production: { simple_connect: { key_id: "special", secret: "s" } }
      )
    RUBY
    show = "puts SimpleConnect.client.tap(&:events).inspect"
    expect(@app.run(show)).to include('key_id="general"')
    expect(@app.run(show, { "RAILS_ENV" => "production" })).to include('key_id="special"')
    env = { "SIMPLECONNECT_KEY_ID" => "env", "SIMPLECONNECT_SECRET" => "s" }
    expect(@app.run(show, env)).to include('key_id="env"')
    @app.write("config/initializers/zzz.rb", <<~RUBY)
      Rails.application.config.simple_connect.key_id = "ruby"
      SimpleConnect.configure { |config| config.secret = -> { "s" } }
    RUBY
    expect(@app.run(show, env)).to include('key_id="ruby"')
  end

  it "names credentials that cannot be read, and goes on" do
    @app.run('Rails.application.encrypted("config/credentials.yml.enc", key_path: "config/master.key").tap { |file| ' \
             'File.write("config/master.key", ActiveSupport::EncryptedFile.generate_key); file.write("a: 1") }')
    @app.write("config/master.key", "0" * 32)
    printed = @app.run("begin; SimpleConnect.client.events; rescue => e; puts e.message; end")
    expect(printed).to match(/looked in .*, credentials, which cannot be read \(ActiveSupport::\w+::InvalidMessage\)$/)
  end

  it "writes to Rails' logger, or to none" do
    ScriptedServer.open([{ "status" => 202, "body" => "{}" }]) do |server|
      env = { "SIMPLECONNECT_ENDPOINT_URL" => server.endpoint, "SIMPLECONNECT_KEY_ID" => "k",
              "SIMPLECONNECT_SECRET" => "s", "LOG_LEVEL" => "info" }
      deliver = 'SimpleConnect.client.events.deliver("order_paid", order: 7)'
      expect(@app.run(deliver, env)).to match(/\[SimpleConnect\] POST .*\[SimpleConnect\] Response 202/m)
      @app.write("config/initializers/zzz.rb", "SimpleConnect.configuration.logger = false")
      expect(@app.run(deliver, env)).to eq("")
    end
  end

  it "filters parameters that may be secrets" do
    filter = "puts ActiveSupport::ParameterFilter.new(Rails.application.config.filter_parameters)" \
             ".filter(api_key: 1, webhook_secret: 2, secret: 3, secretary: 4, simple_connect_secret: 5).to_json"
    expect(JSON.parse(@app.run(filter))).to eq(
      "api_key" => "[FILTERED]", "webhook_secret" => "[FILTERED]", "secret" => "[FILTERED]", "secretary" => 4,
      "simple_connect_secret" => "[FILTERED]"
    )
  end

  it "loads what production needs before it forks" do
    loaded = 'puts $LOADED_FEATURES.grep(%r{simple_connect/(webhooks/app|outbound/dispatcher|testing|sandbox)\.rb}) ' \
             '.map { |path| File.basename(path) }.sort.join(" ")'
    expect(@app.run(loaded, { "RAILS_ENV" => "production" })).to eq("app.rb dispatcher.rb\n")
    expect(@app.run(loaded, { "RAILS_ENV" => "development" })).to eq("\n")
  end

  it "has a task for each of its commands" do
    expect(@app.rails("-T", "simple_connect")).to include("rails simple_connect:doctor")
  end

  it "has a doctor that goes by the application's configuration" do
    answer = { "status" => 200, "body" => '{"integration":{"provider":"demo","status":"connected"}}' }
    ScriptedServer.open([answer]) do |server|
      @app.write("config/initializers/zzz.rb", <<~RUBY)
        SimpleConnect.configure { |config| config.client(:billing) { |client| client.endpoint_url = "#{server.endpoint}" } }
      RUBY
      env = { "SIMPLECONNECT_ENDPOINT_URL" => server.endpoint, "SIMPLECONNECT_KEY_ID" => "k",
              "SIMPLECONNECT_SECRET" => "a secret of this spec" }
      printed = @app.rails("simple_connect:doctor", env:)
      expect(printed).to match(/^green   endpoint_url +\S+ \(SIMPLECONNECT_ENDPOINT_URL in the environment\)$/)
      expect(printed).to match(/^green   verify +demo is connected$/)
      expect(printed).not_to match(/a secret/)
      printed = @app.rails("simple_connect:doctor", "--", "--json", "--client=billing", env:)
      expect(JSON.parse(printed)["checks"].first["seen"]).to end_with(" (config.client(:billing))")
      expect { @app.rails("simple_connect:doctor") }.to raise_error(/red +endpoint_url +not set$/)
    end
  end

  describe "rails g simple_connect:install" do
    it "adds what it says, and nothing a second time" do
      files = @app.files
      expect(files.keys).to include("config/initializers/simple_connect.rb", "app/jobs/customer_payment_job.rb")
      expect(files["test/test_helper.rb"])
        .to include(%(require "rails/test_help"\nrequire "simple_connect/minitest"\n\nSimpleConnect.test!\n))
      printed = @app.rails("g", "simple_connect:install")
      expect(printed.scan(/skip  (\S+)/).flatten).to eq(
        %w[config/initializers/simple_connect.rb app/jobs/customer_payment_job.rb test/test_helper.rb]
      )
      expect(@app.files.except("log/development.log")).to eq(files.except("log/development.log"))
    end

    it "keeps what is there, and with --pretend changes nothing" do
      RailsApp.open(install: false) do |app|
        before = app.files
        expect(app.rails("g", "simple_connect:install", "--pretend")).to include("create  config/initializers/")
        expect(app.files.except("log/development.log")).to eq(before)
        app.write("config/initializers/simple_connect.rb", "# mine\n")
        app.write("spec/rails_helper.rb", "require 'rspec/rails'\n")
        app.rails("g", "simple_connect:install")
        expect(app.files["config/initializers/simple_connect.rb"]).to eq("# mine\n")
        expect(app.files["spec/rails_helper.rb"])
          .to start_with("require 'rspec/rails'\nrequire \"simple_connect/rspec\"\n\nSimpleConnect.test!\n")
      end
    end

    it "turns on test mode, which needs no other settings" do
      @app.write("test/delivery_test.rb", <<~RUBY)
        require_relative "test_helper"

        class DeliveryTest < ActiveSupport::TestCase
          test "delivers" do
            CustomerPaymentJob.perform_now(42, "Lakshmi Nair", "+919812345678", "450.00")
            assert_event_delivered("customer_payment_received", to: "+919812345678", times: 1)
          end

          test "retries as long as the service asks" do
            ActiveJob::Base.queue_adapter = :test
            SimpleConnect::Testing.fail_with(429, headers: { "Retry-After" => 400 })
            CustomerPaymentJob.perform_now(43, "Lakshmi Nair", "+919812345678", "450.00")
            due = ActiveJob::Base.queue_adapter.enqueued_jobs.last.fetch(:at)
            assert_operator due, :>=, Time.now.to_f + 390
          end
        end
      RUBY
      # Without Bundler, the command of Rails 6.1 lacks pathname.
      env = { "RUBYOPT" => "#{RailsApp::CLEAN["RUBYOPT"]} -r pathname" }
      expect(@app.rails("test", "test/delivery_test.rb", env:)).to include("2 runs", "0 failures, 0 errors")
    end

    it "says what to do where a helper is not as usual" do
      @app.write("test/test_helper.rb", "# empty\n")
      expect(@app.rails("g", "simple_connect:install"))
        .to include('test/test_helper.rb: add require "simple_connect/minitest" and SimpleConnect.test!')
    end

    it "explains every option of a client" do
      initializer = @app.files["config/initializers/simple_connect.rb"]
      named = initializer.scan(/config\.(\w+)/).flatten.uniq.map(&:to_sym)
      known = SimpleConnect::Configuration.instance_methods
      expect(named - known).to eq([])
      expect(named).to include(:endpoint_url, :key_id, :secret, :event_keys, :timeout, :total_timeout, :max_attempts,
                               :retryable, :logger, :proxy, :ca_file, :headers, :base_url, :api_key, :client, :job,
                               :queue, :give_up_after, :on_rejected, :on_unauthorized, :on_exhausted)
      # With all of it turned on, it still is Ruby.
      turned_on = initializer.gsub(/^  # (config\.|  billing\.|end)/, '  \1')
      @app.write("turned_on.rb", turned_on)
      expect(Open3.capture2e(RbConfig.ruby, "-c", "#{@app.directory}/turned_on.rb").first).to eq("Syntax OK\n")
    end
  end
end
