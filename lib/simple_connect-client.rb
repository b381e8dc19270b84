# frozen_string_literal: true

# What Bundler requires for a `gem "simple_connect-client"` without `require:`.
require_relative "simple_connect"
