# frozen_string_literal: true

# Installs from a registry of its own that has all the gem files named on the command line, in which RubyGems and
# Bundler choose by themselves, and has what was installed deliver an event:
# - `gem install` and a Bundler whose lockfile has two platforms take the native gem, where compilers fail
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
NATIVE = FILES.grep(/-(?:linux|darwin)/).fetch(0)
VERSION = Gem::Package.new(NATIVE).spec.version.to_s.freeze
PLATFORM = File.basename(NATIVE, ".gem").split("#{VERSION}-").last.freeze
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

def run(env, folder, *command)
  printed, status = Open3.capture2e(env, RbConfig.ruby, *command, chdir: folder)
  status.success? ? printed : abort("#{command.join(" ")} failed:\n#{printed}")
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

# Which of the gems delivers.
SAY = 'gem "simple_connect-client"; require "simple_connect-client"; ' \
      'print Gem.loaded_specs["simple_connect-client"].extensions.empty? ? "native" : "compiled"'

def check(what, expected, folder, env, *by)
  started = Process.clock_gettime(Process::CLOCK_MONOTONIC)
  yield
  seconds = (Process.clock_gettime(Process::CLOCK_MONOTONIC) - started).round(1)
  used = run(env, folder, *by, "-e", SAY)[/\w+\z/]
  abort "#{what}: the gem is #{used}, not #{expected}" unless used == expected
  run(env, folder, *by, DELIVER)
  left = Dir.glob("#{folder}/{gems,bundle}/**/.fingerprint", File::FNM_DOTMATCH)
  abort "cargo's target folder is left behind: #{left}" unless left.empty?
  puts "Ruby #{RUBY_VERSION}, RubyGems #{Gem::VERSION}: #{what}: #{used}, #{seconds} s, delivers"
end

EXEC = ["-S", "bundle", "exec", RbConfig.ruby].freeze

Dir.mktmpdir do |folder|
  env = environment(folder).merge(without_compilers(folder))
  check("gem install", "native", folder, env) do
    run(env, folder, "-S", "gem", "install", "--no-document", "--clear-sources", "--source", REGISTRY,
        "simple_connect-client")
  end
end

Dir.mktmpdir do |folder|
  env = environment(folder).merge(without_compilers(folder), "BUNDLE_FROZEN" => "true")
  gemfile(folder, ["ruby", PLATFORM])
  check("Bundler, two platforms locked", "native", folder, env, *EXEC) { run(env, folder, "-S", "bundle", "install") }
end

exit if native_only

Dir.mktmpdir do |folder|
  env = environment(folder).merge("BUNDLE_FORCE_RUBY_PLATFORM" => "true")
  gemfile(folder, ["ruby", PLATFORM])
  check("Bundler, force_ruby_platform", "compiled", folder, env, *EXEC) { run(env, folder, "-S", "bundle", "install") }
end
