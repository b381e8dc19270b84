# frozen_string_literal: true

require "rails/railtie"
require_relative "../configuration"

module SimpleConnect
  # Configures {SimpleConnect.client} with the credentials, the logger and the configuration of a Rails application.
  # Loaded automatically if Rails is loaded first, as Bundler does.
  #
  # @example In config/application.rb
  #   config.simple_connect.total_timeout = 5
  class Railtie < ::Rails::Railtie
    # Parameters that may contain secrets of this gem.
    SECRETS = /\A(?:simple_?connect_?)?(?:secret|api_key|webhook_secret|workspace_token|extension_api_key)\z/i
    private_constant :SECRETS

    config.simple_connect = SimpleConnect.configuration
    config.eager_load_namespaces << SimpleConnect

    # Only if no other logger is set; the application's initializers can still change it.
    initializer("simple_connect.logger", after: :initialize_logger) do
      config.simple_connect.logger = -> { ::Rails.logger } if config.simple_connect.logger.nil?
    end

    initializer("simple_connect.credentials") do |app|
      config.simple_connect.credentials = -> { Railtie.credentials(app) }
    end

    initializer("simple_connect.filter_parameters") { |app| app.config.filter_parameters << SECRETS }

    # Rails has loaded most of ActiveSupport's part already.
    initializer("simple_connect.log_subscriber") do
      require_relative "log_subscriber"
      LogSubscriber.attach_to(:simple_connect)
    end

    rake_tasks { load File.expand_path("tasks.rake", __dir__) }

    # @api private
    # @param app [Rails::Application]
    # @return [Hash{String => Hash{Symbol => Object}}] the credentials by place
    def self.credentials(app)
      places = { "credentials.#{::Rails.env}.simple_connect" => [::Rails.env.to_sym, :simple_connect],
                 "credentials.simple_connect" => [:simple_connect] }
      values = app.credentials.config
      places.transform_values { |path| hash(values.dig(*path)) }
    rescue ::ActiveSupport::EncryptedFile::MissingKeyError, ::ActiveSupport::MessageEncryptor::InvalidMessage => e
      # A missing setting is reported with the places that were searched.
      { "credentials, which cannot be read (#{e.class})" => {} }
    end

    def self.hash(value) = value.respond_to?(:to_h) ? value.to_h.transform_keys(&:to_sym) : {}
    private_class_method :hash
  end
end
