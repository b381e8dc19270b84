# frozen_string_literal: true

# Installs from a registry of its own that has all the gem files named on the command line, in their order, in which
# RubyGems and Bundler choose by themselves, and has what was installed deliver an event:
# - `gem install` and a Bundler whose lockfile has all platforms take this machine's native gem, where compilers fail
# - on musl, a lockfile for glibc alone leads to a message that says how to add the platform: from Bundler, or from the
#   gem for glibc, which some versions of Bundler install
# - a Bundler told `force_ruby_platform` compiles (not with --native-only)
# Needs nothing but Ruby, and no network: on Linux it gives itself one that has this machine alone.

require "fileutils"
require "open3"
require "rbconfig"
require "socket"
require "tmpdir"
require_relative "registry"

if ENV["ALONE"].nil? && system("unshare", "--net", "true", err: File::NULL)
  exec({ "ALONE" => "yes" }, "unshare", "--net", RbConfig.ruby, __FILE__, *ARGV)
elsif ENV["ALONE"]
  # Brings up the loopback device: SIOCSIFFLAGS, IFF_UP.
  UDPSocket.new.ioctl(0x8914, ["lo", 1].pack("a16sx22"))
end

DELIVER = File.expand_path("deliver.rb", __dir__)
native_only = ARGV.delete("--native-only")
FILES = ARGV.map { |file| File.expand_path(file) }.freeze
VERSION = Gem::Package.new(FILES.fetch(0)).spec.version.to_s.freeze
# Of the gem for this machine.
PLATFORM = [*RUBY_PLATFORM.match(/\A(\w+)-(linux|darwin)/).captures, *("musl" if RUBY_PLATFORM.include?("musl"))]
           .join("-").freeze
PLATFORMS = FILES.map { |file| File.basename(file, ".gem")[/#{Regexp.escape(VERSION)}-(.+)/, 1] || "ruby" }.freeze
abort "a gem for #{PLATFORM} is missing: these are for #{PLATFORMS.join(", ")}" unless PLATFORMS.include?(PLATFORM)
REGISTRY = Registry.new(FILES).url

# The environment of a machine with nothing in it, in `folder`.
def environment(folder)
  { "HOME" => folder, "GEM_HOME" => "#{folder}/gems", "GEM_PATH" => "#{folder}/gems", "RUBYLIB" => nil,
    "RUBYOPT" => nil, "BUNDLE_GEMFILE" => nil, "BUNDLE_APP_CONFIG" => nil, "BUNDLE_PATH" => "#{folder}/bundle",
    "BUNDLE_SILENCE_ROOT_WARNING" => "1", "CARGO_TARGET_DIR" => nil, "CARGO_HOME" => "#{folder}/cargo",
    # Rustup's commands look here for what they run.
    "RUSTUP_HOME" => ENV.fetch("RUSTUP_HOME", File.expand_path("~/.rustup")) }
end

def without_compilers(folder)
  FileUtils.mkdir_p("#{folder}/path")
  %w[cargo rustc cc gcc make].each { |name| File.write("#{folder}/path/#{name}", "#!/bin/sh\nexit 1\n", perm: 0o755) }
  { "PATH" => "#{folder}/path:#{ENV.fetch("PATH")}" }
end

def attempt(env, folder, *command) = Open3.capture2e(env, RbConfig.ruby, *command, chdir: folder)

def run(env, folder, *command)
  printed, status = attempt(env, folder, *command)
  status.success? ? printed : abort("#{command.join(" ")} failed:\n#{printed}")
end

# The version that runs in the environment above. Named in BUNDLER_VERSION, it does not replace itself with the
# lockfile's, which would come from rubygems.org.
BUNDLER = Dir.mktmpdir do |folder|
  run(environment(folder), folder, "-S", "bundle", "--version").lines.last[/\d\S+/].freeze
end

# An environment for Bundler.
def bundler(folder, **more)
  environment(folder).merge("BUNDLER_VERSION" => BUNDLER, **more.transform_keys(&:to_s))
end

def install(env, folder)
  printed = run(env, folder, "-S", "bundle", "install")
  abort "Bundler #{BUNDLER} replaces itself:\n#{printed}" if printed.include?("restarting")
end

def gemfile(folder, platforms)
  File.write("#{folder}/Gemfile", "source \"#{REGISTRY}\"\ngem \"simple_connect-client\"\n")
  versions = platforms.map do |platform|
    "    simple_connect-client (#{[VERSION, *(platform unless platform == "ruby")].join("-")})\n"
  end
  File.write("#{folder}/Gemfile.lock", <<~LOCK)
    GEM
      remote: #{REGISTRY}
      specs:
    #{versions.sort.join}
    PLATFORMS
    #{platforms.sort.map { |platform| "  #{platform}\n" }.join}
    DEPENDENCIES
      simple_connect-client

    BUNDLED WITH
       2.3.7
  LOCK
end

# Which of the gems delivers: the end of its folder's name.
SAY = 'gem "simple_connect-client"; require "simple_connect-client"; ' \
      'print Gem.loaded_specs["simple_connect-client"].full_gem_path'

def check(what, expected, folder, env, *by)
  started = Process.clock_gettime(Process::CLOCK_MONOTONIC)
  yield
  seconds = (Process.clock_gettime(Process::CLOCK_MONOTONIC) - started).round(1)
  used = run(env, folder, *by, "-e", SAY)[/#{Regexp.escape(VERSION)}-?(.*)\z/, 1].sub(/\A\z/, "ruby")
  abort "#{what}: the gem is #{used}, not #{expected}" unless used == expected
  run(env, folder, *by, DELIVER)
  left = Dir.glob("#{folder}/{gems,bundle}/**/.fingerprint", File::FNM_DOTMATCH)
  abort "cargo's target folder is left behind: #{left}" unless left.empty?
  puts "Ruby #{RUBY_VERSION}, RubyGems #{Gem::VERSION}: #{what}: #{used}, #{seconds} s, delivers"
end

EXEC = ["-S", "bundle", "exec", RbConfig.ruby].freeze

Dir.mktmpdir do |folder|
  env = environment(folder).merge(without_compilers(folder))
  check("gem install", PLATFORM, folder, env) do
    run(env, folder, "-S", "gem", "install", "--no-document", "--clear-sources", "--source", REGISTRY,
        "simple_connect-client")
  end
end

Dir.mktmpdir do |folder|
  env = bundler(folder, BUNDLE_FROZEN: "true").merge(without_compilers(folder))
  gemfile(folder, PLATFORMS)
  locked = "Bundler #{BUNDLER}, #{PLATFORMS.length} platforms locked"
  check(locked, PLATFORM, folder, env, *EXEC) { install(env, folder) }
end

if PLATFORM.end_with?("-musl")
  Dir.mktmpdir do |folder|
    env = bundler(folder, BUNDLE_FROZEN: "true").merge(without_compilers(folder))
    gemfile(folder, [PLATFORM.delete_suffix("-musl")])
    printed, status = attempt(env, folder, "-S", "bundle", "install")
    by = status.success? ? "the gem" : "Bundler"
    printed, status = attempt(env, folder, *EXEC, DELIVER) if status.success?
    advised = printed.gsub(/\s+/, " ").include?("bundle lock --add-platform #{PLATFORM}")
    abort "Bundler #{BUNDLER}, locked for glibc: nothing says what to do:\n#{printed}" if status.success? || !advised
    puts "Ruby #{RUBY_VERSION}, RubyGems #{Gem::VERSION}: Bundler #{BUNDLER}, locked for glibc: #{by} says what to do"
  end
end

exit if native_only

Dir.mktmpdir do |folder|
  env = bundler(folder, BUNDLE_FORCE_RUBY_PLATFORM: "true")
  gemfile(folder, ["ruby", PLATFORM])
  check("Bundler #{BUNDLER}, force_ruby_platform", "ruby", folder, env, *EXEC) { install(env, folder) }
end
