# frozen_string_literal: true

require "rails/generators"
require "rails/generators/active_record"

module SimpleConnect
  module Generators
    # A generator of tables: a migration and, for another database, the class of its connections. It changes no existing
    # file, so it can run again.
    # @api private
    class TablesBase < ::Rails::Generators::Base
      include ::ActiveRecord::Generators::Migration

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
        name = self.class::MIGRATION
        if self.class.migration_exists?(File.join(destination_root, folder), name)
          return say_status(:skip, "#{folder}/…_#{name}.rb exists", :yellow)
        end

        migration_template("migration.rb", File.join(folder, "#{name}.rb"))
      end

      # @return [void]
      def create_base_class
        create("app/models/#{base.underscore}.rb", File.expand_path("templates/base.rb", __dir__)) if database
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
