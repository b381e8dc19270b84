# frozen_string_literal: true

require_relative "lib/simple_connect/version"

Gem::Specification.new do |spec|
  spec.name = "simple_connect-client"
  spec.version = SimpleConnect::VERSION
  spec.authors = ["SimpleConnect"]
  spec.summary = "Delivers domain events to SimpleConnect, which turns them into WhatsApp messages"
  spec.description = "A drop-in for the pure-Ruby client, with signing, HTTP and retries in Rust: connections are " \
                     "kept alive, threads deliver in parallel, and deliveries survive forks, timeouts and signals."
  spec.license = "MIT"
  spec.homepage = "https://rubygems.org/gems/simple_connect-client"
  spec.metadata = {
    "rubygems_mfa_required" => "true",
    "documentation_uri" => "https://www.rubydoc.info/gems/simple_connect-client"
  }

  # A newer Ruby 4 compiles the gem; what Ruby 5 changes, nobody knows.
  spec.required_ruby_version = [">= 3.1.2", "< 5"]
  # Those before do not know crates.
  spec.required_rubygems_version = ">= 3.3.11"
  # Built by RubyGems itself, with cargo: no gem is needed for that. Before it, what the machine lacks is reported;
  # after it, what some versions leave behind is removed.
  spec.extensions = ["ext/requirements/extconf.rb", "ext/simple_connect_client/Cargo.toml",
                     "ext/leftovers/extconf.rb"]
  spec.files = Dir.chdir(__dir__) do
    Dir["lib/**/*.{rb,rake,tt,html,css,js}", "sig/**/*.rbs", "rbi/*.rbi", "exe/*", "src/**/*.rs", "ext/**/*.rs",
        "ext/**/Cargo.toml", "ext/{requirements,leftovers}/*",
        "Cargo.{toml,lock}", "{README,UPGRADING,SECURITY,CHANGELOG}.md", "docs/*.md", "docs/images/*.png",
        "LICENSE.txt", ".yardopts", "docs/yard.rb"]
  end
  spec.bindir = "exe"
  spec.executables = ["simple_connect"]
end
