# frozen_string_literal: true

# RubyGems has loaded it; but there is a Ruby without RubyGems.
require "rbconfig"

# Where the compiled extension lies depends on who installed it. Only a missing file leads to the next place: a file
# that is there and cannot be loaded is an error to be seen.
directory = File.join(__dir__, "../../simple_connect_client")
places = [
  # `rake compile`, and gems built for a platform: one for each Ruby.
  File.join(directory, RUBY_VERSION[/\A\d+\.\d+/], "simple_connect_client"),
  # RubyGems from 3.4.6 on.
  File.join(directory, "simple_connect_client"),
  # RubyGems before: Debian 12 has 3.3.15.
  File.join(__dir__, "../../simple_connect-client")
].map { |place| "#{File.expand_path(place)}.#{RbConfig::CONFIG["DLEXT"]}" }

found = places.find { |place| File.exist?(place) }
raise LoadError, <<~MESSAGE unless found
  simple_connect-client: its compiled extension is in none of the places where it may be:
  #{places.join("\n")}
  In a checkout, run `rake compile`; else install the gem again: `gem pristine simple_connect-client`.
MESSAGE

require found

module SimpleConnect
  # Requests' bodies and answers' data: `flat_event`, `nested_event`, `generate` and `parse`. Written in Rust.
  # @api private
  module Codec; end
  private_constant :Codec
end
