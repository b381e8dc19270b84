# frozen_string_literal: true

# Installs each gem file named on the command line into an empty GEM_HOME and has the installed gem deliver an event
# from another folder. Needs nothing but Ruby, as its users do; a gem for one platform needs no Rust either.

require "fileutils"
require "open3"
require "rbconfig"
require "rubygems/package"
require "tmpdir"

DELIVER = File.expand_path("deliver.rb", __dir__)

# The path of a machine where whoever compiles fails.
def without_compilers(folder)
  %w[cargo rustc cc gcc make].each { |name| File.write("#{folder}/#{name}", "#!/bin/sh\nexit 1\n", perm: 0o755) }
  "#{folder}:#{ENV.fetch("PATH")}"
end

def install(env, file) = Open3.capture2e(env, RbConfig.ruby, "-S", "gem", "install", "--local", "--no-document", file)

# A source gem says what the machine lacks, and no compiler speaks before it.
def refuses_an_old_rust(env, file)
  Dir.mktmpdir do |folder|
    File.write("#{folder}/cargo", "#!/bin/sh\necho cargo 1.65.0\n", perm: 0o755)
    printed, status = install(env.merge("PATH" => "#{folder}:#{ENV.fetch("PATH")}"), file)
    reported = printed.include?("- cargo is 1.65.0, and Rust 1.85 or later is needed")
    abort "an old Rust is not reported:\n#{printed}" if status.success? || !reported
  end
end

MOST_BYTES = 2_500_000

ARGV.each do |file|
  abort "#{file} has #{File.size(file)} bytes, more than #{MOST_BYTES}" if File.size(file) > MOST_BYTES

  Dir.mktmpdir do |home|
    # Nothing of the checkout, nor of Bundler, may help.
    env = { "GEM_HOME" => home, "GEM_PATH" => home, "RUBYLIB" => nil, "RUBYOPT" => nil, "BUNDLE_GEMFILE" => nil }
    if Gem::Package.new(file).spec.platform == Gem::Platform::RUBY
      refuses_an_old_rust(env, File.expand_path(file))
    else
      env["PATH"] = without_compilers(home)
    end
    started = Process.clock_gettime(Process::CLOCK_MONOTONIC)
    printed, status = install(env, File.expand_path(file))
    abort printed unless status.success?
    seconds = (Process.clock_gettime(Process::CLOCK_MONOTONIC) - started).round(1)
    Dir.mktmpdir { |elsewhere| system(env, RbConfig.ruby, DELIVER, chdir: elsewhere, exception: true) }
    puts "#{File.basename(file)}: installed in #{seconds} s, delivers"
  end
end
