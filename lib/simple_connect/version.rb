# frozen_string_literal: true

module SimpleConnect
  # The version of the gem.
  VERSION = "0.5.0"
end
