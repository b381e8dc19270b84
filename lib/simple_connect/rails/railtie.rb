# frozen_string_literal: true

require "rails/railtie"
require_relative "../configuration"

module SimpleConnect
  # Gives {SimpleConnect.client} the credentials, the logger and the configuration of a Rails application. It loads by
  # itself where Rails is loaded first, as Bundler does it.
  #
  # @example In config/application.rb
  #   config.simple_connect.total_timeout = 5
  class Railtie < ::Rails::Railtie
    # Names of parameters that may hold secrets of this gem.
    SECRETS = /\A(?:simple_?connect_?)?(?:secret|api_key|webhook_secret|workspace_token|extension_api_key)\z/i
    private_constant :SECRETS

    config.simple_connect = SimpleConnect.configuration
    config.eager_load_namespaces << SimpleConnect

    # Later initializers, such as the application's own, may set another.
    initializer("simple_connect.logger", after: :initialize_logger) do
      config.simple_connect.logger = -> { ::Rails.logger } if config.simple_connect.logger.nil?
    end

    initializer("simple_connect.credentials") do |app|
      config.simple_connect.credentials = -> { Railtie.credentials(app) }
    end

    initializer("simple_connect.filter_parameters") { |app| app.config.filter_parameters << SECRETS }

    # Where the application loads nothing else of ActiveSupport's, this loads little.
    initializer("simple_connect.log_subscriber") do
      require_relative "log_subscriber"
      LogSubscriber.attach_to(:simple_connect)
    end

    rake_tasks { load File.expand_path("tasks.rake", __dir__) }

    # @api private
    # @param app [Rails::Application]
    # @return [Hash{String => Hash{Symbol => Object}}] by the names of the places
    def self.credentials(app)
      places = { "credentials.#{::Rails.env}.simple_connect" => [::Rails.env.to_sym, :simple_connect],
                 "credentials.simple_connect" => [:simple_connect] }
      values = app.credentials.config
      places.transform_values { |path| hash(values.dig(*path)) }
    rescue ::ActiveSupport::EncryptedFile::MissingKeyError, ::ActiveSupport::MessageEncryptor::InvalidMessage => e
      # What is missing is reported with the places that were looked at.
      { "credentials, which cannot be read (#{e.class})" => {} }
    end

    def self.hash(value) = value.respond_to?(:to_h) ? value.to_h.transform_keys(&:to_sym) : {}
    private_class_method :hash
  end
end
