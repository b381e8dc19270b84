# frozen_string_literal: true

require_relative "internal/autoload"

module SimpleConnect
  # Jobs and modules for Sidekiq; see docs/jobs.md. They load on first use, and need Sidekiq then.
  module Sidekiq
    autoload :DeliverJob, File.expand_path("sidekiq/deliver_job.rb", __dir__)
    autoload :RelayJob, File.expand_path("sidekiq/relay_job.rb", __dir__)
    autoload :Retries, File.expand_path("sidekiq/retries.rb", __dir__)
  end
end
