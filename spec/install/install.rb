# frozen_string_literal: true

# Installs each gem file named on the command line into an empty GEM_HOME and has the installed gem deliver an event
# from another folder. Needs nothing but Ruby, as its users do; a gem for one platform needs no Rust either.

require "fileutils"
require "rbconfig"
require "rubygems/package"
require "tmpdir"

DELIVER = File.expand_path("deliver.rb", __dir__)

# The path of a machine where whoever compiles fails.
def without_compilers(folder)
  %w[cargo rustc cc gcc make].each { |name| File.write("#{folder}/#{name}", "#!/bin/sh\nexit 1\n", perm: 0o755) }
  "#{folder}:#{ENV.fetch("PATH")}"
end

MOST_BYTES = 2_500_000

ARGV.each do |file|
  abort "#{file} has #{File.size(file)} bytes, more than #{MOST_BYTES}" if File.size(file) > MOST_BYTES

  Dir.mktmpdir do |home|
    # Nothing of the checkout, nor of Bundler, may help.
    env = { "GEM_HOME" => home, "GEM_PATH" => home, "RUBYLIB" => nil, "RUBYOPT" => nil, "BUNDLE_GEMFILE" => nil }
    env["PATH"] = without_compilers(home) unless Gem::Package.new(file).spec.platform == Gem::Platform::RUBY
    started = Process.clock_gettime(Process::CLOCK_MONOTONIC)
    system(env, RbConfig.ruby, "-S", "gem", "install", "--local", "--no-document", "--quiet", File.expand_path(file),
           out: File::NULL, exception: true)
    seconds = (Process.clock_gettime(Process::CLOCK_MONOTONIC) - started).round(1)
    Dir.mktmpdir { |elsewhere| system(env, RbConfig.ruby, DELIVER, chdir: elsewhere, exception: true) }
    puts "#{File.basename(file)}: installed in #{seconds} s, delivers"
  end
end
