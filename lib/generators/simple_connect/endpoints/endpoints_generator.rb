# frozen_string_literal: true

require "rails/generators"
require "rails/generators/active_record"

module SimpleConnect
  module Generators
    # `rails g simple_connect:endpoints` adds the migration for {SimpleConnect::Endpoints}. You can run it again: an
    # existing migration is kept.
    class EndpointsGenerator < ::Rails::Generators::Base
      include ::ActiveRecord::Generators::Migration

      MIGRATION = "create_simple_connect_endpoints"
      private_constant :MIGRATION

      source_root File.expand_path("templates", __dir__)
      desc "Adds the tables for webhook endpoints that your customers enter. An existing migration is kept."
      class_option :database, type: :string, aliases: %i[--db],
                              desc: "The database of the tables, as config/database.yml names it; by default, the first"

      # @return [void]
      def create_migration_file
        directory = Array(db_migrate_path).first
        found = Dir[File.join(destination_root, directory, "*_#{MIGRATION}.rb")].first
        return say_status(:skip, "#{found} exists", :yellow) if found

        migration_template("migration.rb.tt", File.join(directory, "#{MIGRATION}.rb"))
      end

      # @return [void]
      def show_next_steps
        say <<~TEXT

          1. bin/rails db:migrate
          2. In another database than the first, set config.endpoints.base = "ItsRecordClass" in the initializer.
          3. SimpleConnect::Endpoints::Application.create!(uid: "my-service", name: "My service")
          4. Run bin/rails simple_connect:relay, or jobs: see docs/endpoints.md
        TEXT
      end
    end
  end
end
