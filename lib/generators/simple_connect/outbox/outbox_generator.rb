# frozen_string_literal: true

require_relative "../tables_base"

module SimpleConnect
  module Generators
    # `rails g simple_connect:outbox` adds the migration of the outbox's tables, and an initializer. It changes no
    # existing file, so you can run it again.
    class OutboxGenerator < TablesBase
      # The name of the migration.
      # @api private
      MIGRATION = "create_simple_connect_outbox"

      source_root File.expand_path("templates", __dir__)
      desc "Adds the migration of SimpleConnect's outbox, and an initializer. Existing files are kept."

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
    end
  end
end
