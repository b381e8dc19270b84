# frozen_string_literal: true

require "rails/generators"
require "rails/generators/active_record"

module SimpleConnect
  module Generators
    # `rails g simple_connect:outbox` adds the migration of the outbox's tables, and an initializer. It changes no
    # existing file, so you can run it again.
    class OutboxGenerator < ::Rails::Generators::Base
      include ::ActiveRecord::Generators::Migration

      MIGRATION = "create_simple_connect_outbox"
      private_constant :MIGRATION

      source_root File.expand_path("templates", __dir__)
      desc "Adds the migration of SimpleConnect's outbox, and an initializer. Existing files are kept."
      class_option :database, type: :string, aliases: %w[--db],
                              desc: "The database for the tables, by its name in config/database.yml; default: primary"

      # @return [void]
      def check_database
        return if database.nil? || configured?

        raise Thor::Error, "config/database.yml has no database #{database} for #{::Rails.env}"
      end

      # @return [void]
      def create_migration_file
        folder = Array(db_migrate_path).first
        if self.class.migration_exists?(File.join(destination_root, folder), MIGRATION)
          return say_status(:skip, "#{folder}/…_#{MIGRATION}.rb exists", :yellow)
        end

        migration_template("migration.rb", File.join(folder, "#{MIGRATION}.rb"))
      end

      # @return [void]
      def create_base_class
        create("app/models/#{base.underscore}.rb", "base.rb") if database
      end

      # @return [void]
      def create_initializer
        create("config/initializers/simple_connect_outbox.rb", "initializer.rb")
      end

      # @return [void]
      def show_next_steps
        say <<~TEXT

          1. Create the tables: bin/rails db:migrate
          2. Write events within a transaction of #{base || "ActiveRecord::Base"}:
             SimpleConnect.outbox.deliver("customer_payment_received", recipient: { … }, event: { … })
          3. Deliver them: let your scheduler enqueue SimpleConnect::Outbox::RelayJob once a minute, or run
             bin/rails simple_connect:relay as a process of its own.
          4. Check it: bin/rails simple_connect:doctor
        TEXT
      end

      private

      def database = options[:database]

      # As Rails names the class of another database.
      def base = database && "#{database.camelize}Record"

      def configured?
        !::ActiveRecord::Base.configurations.configs_for(env_name: ::Rails.env, name: database).nil?
      end

      def create(path, template)
        return say_status(:skip, "#{path} exists", :yellow) if File.exist?(File.join(destination_root, path))

        template(template, path)
      end
    end
  end
end
