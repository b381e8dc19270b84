# frozen_string_literal: true

require_relative "../support/rails_app"

RSpec.describe "rails g simple_connect:outbox", skip: Libraries.missing("rails", "sqlite3"), unchecked: true do
  around { |example| RailsApp.open(install: false) { |app| example.run(@app = app) } }

  let(:env) { { "DATABASE" => "#{@app.directory}/db.sqlite3" } }

  def files = @app.files.except("log/development.log", "db.sqlite3")

  it "adds a migration that rolls back, and an initializer, and nothing a second time" do
    before = files.keys
    expect(@app.rails("g", "simple_connect:outbox")).to include("bin/rails db:migrate")
    added = files.keys - before
    expect(added).to match([a_string_ending_with("_outbox.rb"), %r{\Adb/migrate/\d+_create_simple_connect_outbox\.rb}])
    kept = files
    expect(@app.rails("g", "simple_connect:outbox").scan(/skip  (\S+)/).flatten)
      .to eq(["db/migrate/…_create_simple_connect_outbox.rb", "config/initializers/simple_connect_outbox.rb"])
    expect(files).to eq(kept)
    tables = "puts ActiveRecord::Base.connection.tables.grep(/outbox/).size"
    @app.rails("db:migrate", env:)
    expect(@app.run(tables, env)).to eq("3\n")
    @app.rails("db:rollback", env:)
    expect(@app.run(tables, env)).to eq("0\n")
  end

  it "with --pretend changes nothing" do
    before = files
    expect(@app.rails("g", "simple_connect:outbox", "--pretend")).to include("create  db/migrate/")
    expect(files).to eq(before)
  end

  it "uses another database, and refuses one that is not configured" do
    @app.write("config/database.yml", <<~YAML)
      development:
        primary:
          adapter: sqlite3
          database: <%= ENV.fetch("DATABASE") %>
        orders:
          adapter: sqlite3
          database: <%= ENV.fetch("DATABASE") %>.orders
          migrations_paths: db/orders_migrate
    YAML
    @app.write("app/models/application_record.rb", <<~RUBY)
      class ApplicationRecord < ActiveRecord::Base
        self.abstract_class = true
      end
    RUBY
    before = files
    # Rails prints what a generator raises, and some versions exit as if it had not.
    printed = begin
      @app.rails("g", "simple_connect:outbox", "--database=other", env:)
    rescue RuntimeError => e
      e.message
    end
    expect(printed).to include("config/database.yml has no database other for development")
    expect(files).to eq(before)
    printed = @app.rails("g", "simple_connect:outbox", "--database=orders", env:)
    expect(printed).to match(%r{create  db/orders_migrate/.*create  app/models/orders_record.rb}m)
    expect(printed).to include("within a transaction of OrdersRecord")
    expect(@app.files["config/initializers/simple_connect_outbox.rb"])
      .to match(/^  config.outbox.base = "OrdersRecord"$/)
    @app.rails("db:migrate", env:)
    tables = "p [ActiveRecord::Base, OrdersRecord].map { |base| base.connection.tables.grep(/outbox/).size }"
    expect(@app.run(tables, env)).to eq("[0, 3]\n")
    expect(@app.rails("g", "simple_connect:outbox", "--database=orders", env:).scan(/skip  /).size).to eq(3)
  end

  it "explains every setting" do
    @app.rails("g", "simple_connect:outbox")
    initializer = @app.files["config/initializers/simple_connect_outbox.rb"]
    named = initializer.scan(/config\.outbox\.(\w+)/).flatten.uniq.map(&:to_sym)
    settings = SimpleConnect::Outbox::Settings.instance_methods(false).grep(/=\z/)
    expect(named.map { |name| :"#{name}=" } - settings).to eq([])
    expect(settings - named.map { |name| :"#{name}=" }).to eq([:allow_no_transaction=])
    turned_on = initializer.gsub(/^  # (config\.)/, '  \1')
    @app.write("turned_on.rb", turned_on)
    expect(Open3.capture2e(RbConfig.ruby, "-c", "#{@app.directory}/turned_on.rb").first).to eq("Syntax OK\n")
  end
end
