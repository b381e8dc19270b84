# frozen_string_literal: true

# RubyGems loads it too, but Ruby can run without RubyGems.
require "rbconfig"

# The path of the compiled extension depends on how it was installed. Only if the file is missing, the next path is
# tried: a file that exists but fails to load must raise.
directory = File.join(__dir__, "../../simple_connect_client")
places = [
  # `rake compile`, and gems built for a platform: one for each Ruby.
  File.join(directory, RUBY_VERSION[/\A\d+\.\d+/], "simple_connect_client"),
  # RubyGems from 3.4.6 on.
  File.join(directory, "simple_connect_client"),
  # Older RubyGems, such as 3.3.15 in Debian 12.
  File.join(__dir__, "../../simple_connect-client")
].map { |place| "#{File.expand_path(place)}.#{RbConfig::CONFIG["DLEXT"]}" }

found = places.find { |place| File.exist?(place) }
unless found
  rubies = Dir[File.join(directory, "*.*/")].map { |folder| File.basename(folder) }
                                            .sort_by { |ruby| ruby.split(".").map(&:to_i) }
  # Gems built for a platform have nothing to compile.
  if rubies.any? && !File.exist?(File.join(__dir__, "../../../Cargo.toml"))
    raise LoadError, <<~MESSAGE
      simple_connect-client: this gem is compiled for Ruby #{rubies.join(", ")}, and this is Ruby #{RUBY_VERSION}.
      Use one of those, or install the gem that is compiled on your machine, which takes Rust and clang:
      `gem install simple_connect-client --platform ruby`; with Bundler, `bundle config set force_ruby_platform true`,
      then `bundle install`.
    MESSAGE
  end

  raise LoadError, <<~MESSAGE
    simple_connect-client: the compiled extension is missing. Looked for:
    #{places.join("\n")}
    In a checkout, run `rake compile`; otherwise reinstall the gem with `gem pristine simple_connect-client`.
  MESSAGE
end

begin
  require found
rescue LoadError => e
  raise unless RUBY_PLATFORM.include?("musl")

  # The messages of musl's loader have one line; doctor shows the second as its advice.
  musl = "#{RUBY_PLATFORM[/\A[^-]+/]}-linux-musl"
  advice = case e.message
           when /libgcc_s/ then "Install libgcc: `apk add libgcc`"
           when /ld-linux|Error relocating/
             "This gem is for glibc. Run `bundle lock --add-platform #{musl}`, then `bundle install` where this gem " \
             "is not installed yet, as in a new image; without Bundler, run " \
             "`gem install simple_connect-client --platform #{musl}`"
           end
  raise unless advice

  raise LoadError, "#{e.message}\n#{advice}"
end

module SimpleConnect
  # Generates request bodies and parses responses: `flat_event`, `nested_event`, `generate` and `parse`. In Rust.
  # @api private
  module Codec; end
  private_constant :Codec
end
