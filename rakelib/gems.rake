# frozen_string_literal: true

require "digest"
require "rubygems/package"
require_relative "crates"
require_relative "musl"
require_relative "native_libraries"
require_relative "site"

GEM = "simple_connect-client-#{SimpleConnect::VERSION}".freeze
# The Rubies that a native gem must have a library for before it is released.
RELEASED = %w[3.1 3.2 3.3 3.4 4.0].freeze
# What the extension is compiled for: Rust's name of it, and RubyGems'. For GNU's libc that is the one without "-gnu":
# Bundler before 2.3.21 (Debian 12 has 2.3.15) finds no gem where its lockfile says x86_64-linux-gnu. To RubyGems that
# name fits musl, too: whether a machine with musl takes the gem for musl depends on the version of RubyGems or Bundler,
# on the order in which both were pushed (the last of them wins up to RubyGems 3.6), and on the lockfile's platforms.
# If it takes the other, internal/extension.rb says what to do.
def triple = @triple ||= ENV.fetch("CARGO_BUILD_TARGET") { `rustc -vV`[/^host: (.*)/, 1] }
def platform = triple.sub("aarch64-apple", "arm64-apple").sub(/-(?:unknown|apple)-/, "-").delete_suffix("-gnu")

# Apart from lib/, whose library has what only specs need.
def libraries = @libraries ||= NativeLibraries.new("pkg/native/#{platform}", triple)

# Two builds of one commit give the same bytes: what has a time has that of the commit.
def source_date = ENV["SOURCE_DATE_EPOCH"] ||= `git log -1 --format=%ct`.strip

# Builds the gem of `spec` into pkg/, from a folder that has its files alone; the block adds to them.
def package(spec, platform)
  source_date
  mkdir_p "pkg", verbose: false
  folder = File.expand_path("pkg/stage/#{platform}")
  rm_rf folder, verbose: false
  spec.files.each do |file|
    mkdir_p "#{folder}/#{File.dirname(file)}", verbose: false
    cp file, "#{folder}/#{file}", verbose: false
  end
  yield folder
  spec.files = Dir.glob("**/*", File::FNM_DOTMATCH, base: folder).select { |file| File.file?("#{folder}/#{file}") }.sort
  # Whatever the umask is.
  spec.files.each { |file| File.chmod(File.executable?("#{folder}/#{file}") ? 0o755 : 0o644, "#{folder}/#{file}") }
  file = File.expand_path("pkg/#{[GEM, *(platform unless platform == "ruby")].join("-")}.gem")
  Gem::DefaultUserInteraction.use_ui(Gem::SilentUI.new) do
    Dir.chdir(folder) { Gem::Package.build(spec, false, false, file) }
  end
  rm_rf folder, verbose: false
  puts "pkg/#{File.basename(file)} (#{File.size(file) / 1024} KB, SHA-256 #{Digest::SHA256.file(file).hexdigest})"
end

def specification = Gem::Specification.load("simple_connect-client.gemspec").dup

desc "Build the gem that is compiled where it is installed, with the sources of its crates"
task(:build) { package(specification, "ruby") { |folder| Crates.vendor(folder) } }

# Flags that keep this machine's folders out of the library.
def remapped(target)
  registry = Dir["#{ENV.fetch("CARGO_HOME", File.expand_path("~/.cargo"))}/registry/src/*"]
  # Of those that fit, rustc takes the last.
  folders = { Dir.pwd => "simple_connect-client", **registry.to_h { |folder| [folder, "crates"] }, target => "target" }
  folders.map { |from, to| "--remap-path-prefix=#{from}=#{to}" }
end

# What the build scripts of crates read instead of asking the running Ruby, for the Ruby whose rbconfig.rb `file` is.
# That is how an image for cross-compilation has its Rubies.
def rbconfig(file)
  program = <<~RUBY
    Object.send(:remove_const, :RbConfig) if defined?(RbConfig)
    # It refuses to be loaded by another version of Ruby.
    eval(File.read(ARGV[0]).sub(/^\\s*RUBY_VERSION\\..*?\\n\\s*raise.*?\\n/, ""), TOPLEVEL_BINDING, ARGV[0])
    require "json"
    print JSON.generate(RbConfig::CONFIG)
  RUBY
  out = IO.popen([RbConfig.ruby, "--disable-gems", "-e", program, file], &:read)
  $CHILD_STATUS.success? ? JSON.parse(out) : abort("#{file} cannot be read")
end

# Flags that link with the libc in the folder LIBC, if that is set (`bin/ruby-root libc` creates one): the library then
# runs with that version and newer ones. Linked with this machine's, it needs one as new.
def old_libc
  root = ENV.fetch("LIBC", "")
  return [] if root.empty?

  folders = Dir["#{root}/{usr/lib,lib}/*-linux-gnu"]
  abort "LIBC: #{root} has no libc" if folders.empty?
  ["-Clink-arg=--sysroot=#{root}", *folders.map { |folder| "-Clink-arg=-L#{folder}" }]
end

# Compiles the extension without what only specs need; returns the library.
def compile_for_release(ruby, env)
  directory = File.expand_path(File.join(ENV.fetch("CARGO_TARGET_DIR", "target"), "native-#{ruby}"))
  # The crates' folder, which must not be in the library, exists only when they have been fetched.
  run "cargo", "fetch", "--locked", "--quiet", "--target", triple
  # Cargo takes the flags of one place alone, so ours go where there are some already.
  name = ENV["RUSTFLAGS"] ? "RUSTFLAGS" : "CARGO_TARGET_#{triple.tr("-", "_").upcase}_RUSTFLAGS"
  flags = [*ENV.fetch(name, nil), *remapped(directory), *old_libc]
  flags.concat(Musl.flags(triple, "#{directory}/musl")) if triple.end_with?("-musl")
  run env.merge("CARGO_TARGET_DIR" => directory, name => flags.join(" ")),
      "cargo", "build", "--locked", "--release", "--quiet", "-p", CRATE
  Dir["#{directory}/#{"#{triple}/" if ENV["CARGO_BUILD_TARGET"]}release/lib#{CRATE}.{so,dylib}"].fetch(0)
end

# Packages what was added. No other Ruby may take the gem: it would find no library.
def package_native(rubies)
  spec = specification
  spec.platform = platform
  lowest = rubies.first == "3.1" ? spec.required_ruby_version : ">= #{rubies.first}.0"
  spec.required_ruby_version = [lowest.to_s.split(", ").first, "< #{Gem::Version.new("#{rubies.last}.0").bump}.dev"]
  # Nothing is compiled; but those before take a gem for musl to be for any Linux.
  spec.required_rubygems_version = platform.end_with?("-musl") ? ">= 3.3.22" : ">= 0"
  spec.extensions = []
  spec.files = spec.files.grep_v(%r{\.rs\z|Cargo\.|ext/})
  package(spec, platform) do |folder|
    libraries.copy(rubies, "#{folder}/lib/#{CRATE}")
    File.write("#{folder}/THIRD_PARTY_NOTICES.txt", Crates.notices(triple))
    File.write("#{folder}/sbom.cdx.json", Crates.sbom(triple, platform))
  end
end

desc "Build a gem for this platform, to be installed without Rust, for the Rubies that native:add was run by"
task :native do
  usable = -> { libraries.rubies.select { |ruby| libraries.problems(ruby).empty? } }
  Rake::Task["native:add"].invoke if usable.call.empty?
  puts(libraries.rubies.flat_map { |ruby| libraries.problems(ruby) }.map { |problem| "left out: #{problem}" })
  puts "for Ruby #{usable.call.join(", ")}"
  package_native(usable.call)
end

namespace :native do
  desc "Compile the extension as it is released into pkg/native/: for this Ruby, or the one whose rbconfig.rb is given"
  task :add, [:rbconfig] do |_, arguments|
    config = arguments.rbconfig ? rbconfig(arguments.rbconfig) : RbConfig::CONFIG
    ruby = config.values_at("MAJOR", "MINOR").join(".")
    env = { "RUBY" => RbConfig.ruby }
    config.each { |key, value| env["RBCONFIG_#{key}"] = value.to_s } if arguments.rbconfig
    env["RBCONFIG_CROSS_COMPILING"] = "yes" if arguments.rbconfig
    step "compiling the extension for Ruby #{ruby} on #{platform}", "a minute and a half the first time"
    libraries.add(ruby, "#{CRATE}.#{config["DLEXT"]}") { compile_for_release(ruby, env) }
  end

  desc "Build the gem for this platform; refuses unless every Ruby that is released has a library of these sources"
  task :release do
    problems = libraries.unreleasable(RELEASED)
    unless problems.empty?
      abort "native:release: the libraries for #{platform} cannot be released:\n" \
            "#{problems.map { |problem| "- #{problem}\n" }.join}Run `rake native:add` with each of these Rubies."
    end
    package_native(RELEASED)
  end
end

namespace :install do
  desc "Install both gems, each into an empty GEM_HOME, and deliver an event from another folder"
  task test: %i[build native:add native] do
    run RbConfig.ruby, "spec/install/install.rb", "pkg/#{GEM}.gem", "pkg/#{GEM}-#{platform}.gem"
  end
end

desc "Build the documentation site into tmp/doc/, and check its links"
task :docs do
  rm_rf "tmp/doc", verbose: false
  run "yard", "doc", "--no-stats", "--fail-on-warning"
  dead = Site.dead_links("tmp/doc")
  abort "docs: these links lead nowhere:\n#{dead.join("\n")}" if dead.any?
end
