# frozen_string_literal: true

# Installs each gem file named on the command line into an empty GEM_HOME and has the installed gem deliver an event
# from another folder. Needs nothing but Ruby, as its users do; a gem for one platform needs no Rust either. None needs
# a network, nor crates that the machine has already.

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

# What runs a command without a network, where that can be had.
OFFLINE = %w[unshare --net].then { |words| system(*words, "true", err: File::NULL) ? words : [] }
puts "the network stays, as `unshare --net` is not allowed here" if OFFLINE.empty?

def install(env, file)
  Open3.capture2e(env, *OFFLINE, RbConfig.ruby, "-S", "gem", "install", "--local", "--no-document", file)
end

# A source gem says what the machine lacks, and no compiler speaks before it.
def refuses_an_old_rust(env, file)
  Dir.mktmpdir do |folder|
    File.write("#{folder}/cargo", "#!/bin/sh\necho cargo 1.65.0\n", perm: 0o755)
    printed, status = install(env.merge("PATH" => "#{folder}:#{ENV.fetch("PATH")}"), file)
    reported = printed.include?("- cargo is version 1.65.0, and Rust 1.85 or later is required")
    abort "an old Rust is not reported:\n#{printed}" if status.success? || !reported
  end
end

# The source gem has the sources of its crates; a native one, a library for each Ruby.
MOST_BYTES = { source: 13_000_000, native: 9_000_000 }.freeze

def seconds
  started = Process.clock_gettime(Process::CLOCK_MONOTONIC)
  yield
  (Process.clock_gettime(Process::CLOCK_MONOTONIC) - started).round(1)
end

ARGV.each do |file|
  kind = Gem::Package.new(file).spec.platform == Gem::Platform::RUBY ? :source : :native
  abort "#{file} has #{File.size(file)} bytes, more than #{MOST_BYTES[kind]}" if File.size(file) > MOST_BYTES[kind]

  Dir.mktmpdir do |home|
    # Nothing of the checkout, nor of Bundler, nor of cargo's cache may help.
    env = { "GEM_HOME" => home, "GEM_PATH" => home, "RUBYLIB" => nil, "RUBYOPT" => nil, "BUNDLE_GEMFILE" => nil,
            "CARGO_HOME" => "#{home}/cargo", "CARGO_TARGET_DIR" => nil }
    kind == :source ? refuses_an_old_rust(env, File.expand_path(file)) : env["PATH"] = without_compilers(home)
    printed = status = nil
    time = seconds { printed, status = install(env, File.expand_path(file)) }
    abort printed unless status.success?
    left = Dir.glob("#{home}/{gems,extensions}/**/.fingerprint", File::FNM_DOTMATCH)
    abort "cargo's target folder is left behind: #{left}" unless left.empty?
    Dir.mktmpdir { |elsewhere| system(env, RbConfig.ruby, DELIVER, chdir: elsewhere, exception: true) }
    puts "#{File.basename(file)}: installed in #{time} s on Ruby #{RUBY_VERSION}, delivers"
  end
end
