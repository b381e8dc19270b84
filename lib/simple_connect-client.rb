# frozen_string_literal: true

# Bundler requires this file for `gem "simple_connect-client"` without `require:`.
require_relative "simple_connect"
