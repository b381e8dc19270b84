# frozen_string_literal: true

require_relative "internal/autoload"

module SimpleConnect
  # What jobs of ActiveJob can include; see docs/jobs.md. {DeliverJob} is the job of this gem's own.
  module ActiveJob
    autoload :Retries, File.expand_path("active_job/retries.rb", __dir__)
  end
end
