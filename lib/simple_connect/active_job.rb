# frozen_string_literal: true

require_relative "internal/autoload"

module SimpleConnect
  # Modules for ActiveJob jobs; see docs/jobs.md. {DeliverJob} is the gem's own job.
  module ActiveJob
    autoload :Retries, File.expand_path("active_job/retries.rb", __dir__)
  end
end
