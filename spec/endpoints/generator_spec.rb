# frozen_string_literal: true

require_relative "../support/libraries"
require_relative "../support/rails_app"

RSpec.describe "rails g simple_connect:endpoints", skip: Libraries.missing("rails", "sqlite3") do
  it "adds tables that work with Rails' own key, once, and that go again" do
    RailsApp.open(install: false) do |app|
      expect(app.rails("g", "simple_connect:endpoints")).to include("create_simple_connect_endpoints.rb")
      migrations = app.files.keys.grep(/create_simple_connect_endpoints/)
      expect(app.rails("g", "simple_connect:endpoints")).to match(/skip.*exists/)
      expect(app.files.keys.grep(/create_simple_connect_endpoints/)).to eq(migrations)
      expect(migrations.size).to eq(1)

      env = { "DATABASE" => "shop.sqlite3" }
      app.rails("db:migrate", env:)
      printed = app.run(<<~RUBY, env)
        shop = SimpleConnect::Endpoints::Application.create!(uid: "shop", name: "Shop")
        shop.endpoints.create!(uid: "acme", url: "https://acme.example", secret: "s3cret")
        print SimpleConnect::Endpoints.find_application("shop").endpoint("acme").secret
      RUBY
      expect(printed).to end_with('["s3cret"]')
      # Rails' key generator has another digest from `load_defaults 7.0` on.
      printed = app.run(<<~RUBY, env)
        def (Rails.application).key_generator(*) = ActiveSupport::KeyGenerator.new("another", iterations: 1)
        print SimpleConnect::Endpoints.find_application("shop").endpoint("acme").secret
      RUBY
      expect(printed).to end_with('["s3cret"]')
      expect(app.rails("simple_connect:rotate_encryption_key", env:)).to include("1 endpoint")
      app.rails("db:rollback", env:)
      expect(app.run("print ActiveRecord::Base.connection.tables.grep(/simple_connect/)", env)).to eq("[]")
    end
  end

  it "takes another database" do
    RailsApp.open(install: false) do |app|
      app.write("config/database.yml", <<~YAML)
        development:
          primary: { adapter: sqlite3, database: db/one.sqlite3 }
          hooks: { adapter: sqlite3, database: db/two.sqlite3, migrations_paths: db/hooks }
      YAML
      app.write("app/models/application_record.rb", <<~RUBY)
        class ApplicationRecord < ActiveRecord::Base
          self.abstract_class = true
        end
      RUBY
      # Rails prints what a generator raises, and some versions exit as if it had not.
      refused = begin
        app.rails("g", "simple_connect:endpoints", "--database=other")
      rescue RuntimeError => e
        e.message
      end
      expect(refused).to include("config/database.yml has no database other for development")
      printed = app.rails("g", "simple_connect:endpoints", "--database=hooks")
      expect(printed).to include('config.endpoints.base = "HooksRecord"')
      expect(app.files.keys.grep(%r{\Adb/hooks/\d+_create_simple_connect_endpoints.rb\z}).size).to eq(1)
      app.rails("db:migrate")
      tables = "p [ActiveRecord::Base, HooksRecord].map { |each| each.connection.tables.grep(/simple_connect/).size }"
      expect(app.run(tables)).to eq("[0, 5]\n")
    end
  end
end
