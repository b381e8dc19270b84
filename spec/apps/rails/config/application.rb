# frozen_string_literal: true

# A Rails application as `rails new` and `rails g simple_connect:install` make it, without what this gem never meets.
require "logger"
require "rails"
require "active_record/railtie"
require "active_job/railtie"
require "action_controller/railtie"
require "sidekiq" if ENV["ADAPTER"] == "sidekiq"
require "simple_connect"

module Shop
  class Application < Rails::Application
    config.load_defaults("#{Rails::VERSION::MAJOR}.#{Rails::VERSION::MINOR}")
    config.root = File.expand_path("..", __dir__)
    config.eager_load = Rails.env.production?
    config.secret_key_base = "x" * 64
    config.hosts.clear
    config.logger = ActiveSupport::TaggedLogging.new(Logger.new(ENV.fetch("LOG", $stdout)))
    config.log_level = ENV.fetch("LOG_LEVEL", "warn").to_sym
    config.active_job.queue_adapter = ENV.fetch("ADAPTER", "async").to_sym
    config.active_support.report_deprecations = false
  end
end
