# frozen_string_literal: true

require "rails/generators"

module SimpleConnect
  # The generators of `rails g simple_connect:…`.
  module Generators
    # `rails g simple_connect:install` adds an initializer, a job, and test mode for the specs. It changes no existing
    # file except the test helper, once, so you can run it again.
    class InstallGenerator < ::Rails::Generators::Base
      # The settings are placeholders: in test mode a client needs some, and sends nothing.
      TEST_MODE = <<~RUBY
        SimpleConnect.test!
        ENV["SIMPLECONNECT_ENDPOINT_URL"] ||= "https://app.simplewaconnect.com/api/v1/integrations/demo/events"
        ENV["SIMPLECONNECT_KEY_ID"] ||= "test"
        ENV["SIMPLECONNECT_SECRET"] ||= "test"
      RUBY
      private_constant :TEST_MODE

      source_root File.expand_path("templates", __dir__)
      desc "Adds an initializer, a sample job and test mode for SimpleConnect. Existing files are kept."

      # @return [void]
      def create_initializer
        create("config/initializers/simple_connect.rb", "initializer.rb")
      end

      # @return [void]
      def create_job
        create("app/jobs/customer_payment_job.rb", "job.rb") if jobs?
      end

      # @return [void]
      def add_test_mode
        turn_on("simple_connect/rspec", "spec/rails_helper.rb", after: "rspec/rails")
        turn_on("simple_connect/minitest", "test/test_helper.rb", after: "rails/test_help")
      end

      # @return [void]
      def show_next_steps
        say <<~TEXT

          1. Set SIMPLECONNECT_ENDPOINT_URL, SIMPLECONNECT_KEY_ID and SIMPLECONNECT_SECRET, or endpoint_url, key_id and
             secret below simple_connect in the credentials. `bundle exec simple_connect sandbox` prints test values.
          2. Check them: bin/rails simple_connect:doctor
          3. Deliver: SimpleConnect.client.events.deliver("customer_payment_received", recipient: { … }, event: { … })
        TEXT
      end

      private

      def create(path, template)
        return say_status(:skip, "#{path} exists", :yellow) if File.exist?(File.join(destination_root, path))

        template(template, path)
      end

      # A project can have both helpers, or none. Without test mode, its tests would send what they deliver.
      def turn_on(feature, path, after:)
        file = File.join(destination_root, path)
        return unless File.exist?(file)

        text = File.read(file)
        place = /^require ["']#{after}["'].*\n/
        return say_status(:skip, "#{path} requires #{feature}", :yellow) if text.include?(feature)

        line = "require \"#{feature}\""
        return say_status(:skip, "#{path}: add #{line} and SimpleConnect.test!", :yellow) unless text.match?(place)

        inject_into_file(path, "#{line}\n\n#{TEST_MODE}", after: place)
      end

      def jobs? = File.exist?(File.join(destination_root, "app/jobs/application_job.rb"))
    end
  end
end
