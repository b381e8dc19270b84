# frozen_string_literal: true

require "open3"
require "rbconfig"

# Applications of ours, each written for the published gem: their specs and tests pass with this one, unchanged.
RSpec.describe "The application" do
  def run(app, *command)
    # Those are for this suite.
    env = { "SPEC_OPTS" => nil }
    lib = File.expand_path("../lib", __dir__)
    Open3.capture2e(env, RbConfig.ruby, "-I", lib, *command, chdir: File.join(__dir__, "apps", app))
  end

  describe "dairy" do
    it "passes its specs" do
      skip "VCR is not installed" unless Gem::Specification.any? { |spec| spec.name == "vcr" }

      output, status = run("dairy", "-S", "rspec", "--no-color", "--format", "progress")
      expect(status).to be_success, output
      expect(output).to match(/^\d\d examples, 0 failures$/)
    end

    it "passes its tests" do
      output, status = run("dairy", "-I", "lib", "test/reminders_test.rb")
      expect(status).to be_success, output
      expect(output).to match(/^3 runs, \d+ assertions, 0 failures, 0 errors, 0 skips$/)
    end
  end
end
