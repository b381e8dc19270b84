# frozen_string_literal: true

require_relative "../tables_base"

module SimpleConnect
  module Generators
    # `rails g simple_connect:endpoints` adds the migration for {SimpleConnect::Endpoints}. It changes no existing file,
    # so you can run it again.
    class EndpointsGenerator < TablesBase
      # The name of the migration.
      # @api private
      MIGRATION = "create_simple_connect_endpoints"

      source_root File.expand_path("templates", __dir__)
      desc "Adds the migration for webhook endpoints that your customers enter. Existing files are kept."

      # @return [void]
      def show_next_steps
        say <<~TEXT

          1. Create the tables: bin/rails db:migrate
          2. Add an application, such as in db/seeds.rb:
             SimpleConnect::Endpoints::Application.create!(uid: "my-service", name: "My service")
          3. Send what is due: bin/rails simple_connect:relay as a process of its own, or jobs; see docs/endpoints.md.
        TEXT
        return unless base

        say <<~TEXT

          First of all, in an initializer:
             SimpleConnect.configure { |config| config.endpoints.base = "#{base}" }
        TEXT
      end
    end
  end
end
