# frozen_string_literal: true

$LOAD_PATH.unshift(File.expand_path("../lib", __dir__))
require "simple_connect"
require_relative "support/libraries"

RSpec.configure do |config|
  config.disable_monkey_patching!
  config.expect_with(:rspec) { |expectations| expectations.syntax = :expect }
  config.mock_with(:rspec) { |mocks| mocks.verify_partial_doubles = true }
  config.warnings = true
  # A nil in `skip:` leaves the reason of the group around; in RSpec it replaces that reason.
  config.define_derived_metadata do |metadata|
    next if !metadata.key?(:skip) || metadata[:skip]

    metadata[:skip] = metadata.fetch(:parent_example_group) { metadata.fetch(:example_group, {}) }[:skip]
  end
end
