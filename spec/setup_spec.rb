# frozen_string_literal: true

require "fileutils"
require "open3"
require "rbconfig"
require "tmpdir"
require_relative "support/namespace"

# What is missing to build the gem is reported in one sentence that says what to do, before a compiler or a package
# manager has begun.
RSpec.describe "Building the gem" do
  root = File.expand_path("..", __dir__)
  missing = ["sh", "#{root}/ext/requirements/missing.sh", RbConfig.ruby]

  removable = %w[cargo rustc cc make sudo bundle]

  before(:context) do
    # The commands of this machine, but for those that an example may be without.
    @commands = Dir.mktmpdir
    commands = Dir[*ENV.fetch("PATH").split(":").map { |folder| "#{folder}/*" }].uniq { |path| File.basename(path) }
    FileUtils.ln_s(commands.reject { |path| removable.include?(File.basename(path)) }, @commands)
    FileUtils.chmod(0o755, @commands)
  end

  after(:context) { FileUtils.rm_rf(@commands) }

  around { |example| Dir.mktmpdir { |folder| (@folder = folder) && example.run } }

  # An environment whose PATH has the commands of this machine, but for some; `scripts` stand in the place of others.
  define_method(:environment) do |without: [], **scripts|
    FileUtils.mkdir_p(path = "#{@folder}/path")
    scripts.each { |name, script| File.write("#{path}/#{name}", "#!/bin/sh\n#{script}\n", perm: 0o755) }
    (removable - without - scripts.keys.map(&:to_s)).each do |name|
      command = `sh -c 'command -v #{name}'`.chomp
      FileUtils.ln_s(command, path) unless command.empty?
    end
    FileUtils.chmod(0o755, @folder)
    { "PATH" => "#{path}:#{@commands}", "CARGO_TARGET_DIR" => nil }
  end

  def output(*command, **options) = Open3.capture2e(*command, **options).first

  describe "what a compilation takes" do
    it "is complete here, where the extension was compiled" do
      expect(output(*missing)).to eq("")
    end

    {
      "no cargo" => [{ without: %w[cargo] }, "cargo is missing: install Rust 1.85 or later, see https://rustup.rs"],
      "an old cargo" => [{ cargo: "echo cargo 1.65.0" }, "cargo is version 1.65.0, and Rust 1.85 or later is required"],
      "an old rustc" => [{ rustc: "echo 'rustc 1.84.1 (e71f9a9a9 2025-01-27)'" },
                         "rustc is version 1.84.1, and Rust 1.85"],
      "rustup without a toolchain" => [{ cargo: "echo 'error: no default is configured' >&2; exit 1" },
                                       "cargo fails (error: no default is configured)"],
      "no C compiler" => [{ without: %w[cc] },
                          "a working C compiler (cc) is missing: on Debian, apt install gcc libc6-dev"],
      "a C compiler that cannot link" => [{ cc: "echo 'cannot find crt1.o'; exit 1" },
                                          "a working C compiler (cc) is missing"],
      "no make" => [{ without: %w[make] }, "make is missing: on Debian, apt install make"]
    }.each do |what, (state, sentence)|
      it "says what to do about #{what}, and nothing else" do
        lines = output(environment(**state), *missing).lines
        expect(lines.length).to eq(1)
        expect(lines.first).to match(/\A\w+\t#{Regexp.escape(sentence)}/)
      end
    end

    it "takes a newer Rust, a beta of it, and a nightly" do
      %w[1.85.0 1.100.0 1.96.0-beta.2 2.0.0-nightly].each do |version|
        expect(output(environment(cargo: "echo cargo #{version}", rustc: "echo rustc #{version}"), *missing)).to eq("")
        FileUtils.rm_rf("#{@folder}/path")
      end
    end

    describe "for musl, whose Rust links statically by default" do
      target = { "CARGO_BUILD_TARGET" => "x86_64-unknown-linux-musl", "RUSTFLAGS" => nil }

      it "says which flag makes libraries possible, and to keep the others" do
        expect(output(target, *missing))
          .to match(/\Arustc\trustc links statically .*: export RUSTFLAGS='-Ctarget-feature=-crt-static'$/)
        expect(output({ **target, "RUSTFLAGS" => "-Cdebuginfo=0 -Copt-level=2" }, *missing).lines)
          .to contain_exactly(/: export RUSTFLAGS='-Cdebuginfo=0 -Copt-level=2 -Ctarget-feature=-crt-static'$/)
      end

      it "is complete with the flag" do
        ["-Ctarget-feature=-crt-static", "-Cdebuginfo=0 -C target-feature=-crt-static"].each do |flags|
          expect(output({ **target, "RUSTFLAGS" => flags }, *missing)).to eq("")
        end
      end

      it "says nothing with another libc, which allows it" do
        env = { "CARGO_BUILD_TARGET" => "x86_64-unknown-linux-gnu", "RUSTFLAGS" => "-Ctarget-feature=+crt-static" }
        expect(output(env, *missing)).to eq("")
      end
    end

    it "finds libclang with a Ruby that has no fiddle" do
      File.write("#{@folder}/fiddle.rb", "raise LoadError")
      expect(output({ "RUBYLIB" => @folder }, *missing)).to eq("")
    end

    hidden = {
      "Ruby's headers" => [[RbConfig::CONFIG["rubyhdrdir"], RbConfig::CONFIG["rubyarchhdrdir"]],
                           /\Aheaders\tthe headers of Ruby #{RUBY_VERSION} are missing \(ruby.h\): on Debian, apt/],
      "libclang" => [Dir["/usr/lib/**/libclang{,-[0-9]*}.so*"].map { |file| File.realpath(file) }.uniq,
                     /\Alibclang\tlibclang, .* is missing or does not load: on Debian, apt install clang/]
    }
    hidden.each do |what, (paths, sentence)|
      it "says what to do where #{what} cannot be found", skip: Namespace.unavailable do
        empty = paths.map do |path|
          File.directory?(path) ? "mount -t tmpfs none #{path}" : "mount --bind /dev/null #{path}"
        end
        lines = output(*Namespace.command(*missing, setup: empty, mounts: true)).lines
        expect(lines.length).to eq(1)
        expect(lines.first).to match(sentence)
      end
    end
  end

  describe "the source gem" do
    def extconf(env, root) = Open3.capture2e(env, RbConfig.ruby, "#{root}/ext/requirements/extconf.rb", chdir: @folder)

    it "ends its installation with what is missing, in sentences" do
      printed, status = extconf(environment(without: %w[cargo make]), root)
      expect(status).not_to be_success
      expect(printed.strip.lines.map(&:strip)).to match(
        [/compiled from source here, and some requirements are missing/, /\A- cargo is missing/, /\A- make is missing/]
      )
    end

    it "makes nothing of its own where all is there" do
      printed, status = extconf({}, root)
      expect([printed, status.exitstatus]).to eq(["", 0])
      %w[clean all install].each { |target| system("make", "--silent", target, chdir: @folder, exception: true) }
    end
  end

  describe "bin/setup" do
    def setup(env, root, *command) = Open3.capture2e(env, *command, "#{root}/bin/setup")

    it "stops before anything is installed where Rust is too old" do
      apt = "echo must not be called; exit 1"
      printed, status = setup(environment(cargo: "echo cargo 1.65.0", "apt-get": apt), root)
      expect(status.exitstatus).to eq(1)
      expect(printed).to eq("bin/setup: cargo is version 1.65.0, and Rust 1.85 or later is required: " \
                            "run `rustup update`, or see https://rustup.rs\n")
    end

    it "needs to write to the checkout", skip: Namespace.unavailable do
      read_only = ["mount --bind #{root} #{root}", "mount -o remount,ro,bind #{root}"]
      printed, status = Open3.capture2e(*Namespace.command("#{root}/bin/setup", setup: read_only, mounts: true))
      expect(status.exitstatus).to eq(1)
      expect(printed).to eq("bin/setup: #{root} must be writable: the extension is built there\n")
    end

    # What bin/setup prints for nobody, who may write to the checkout and install nothing. A home of root's, with its
    # Rust, is closed to them.
    define_method(:printed_for_nobody) do |**more|
      copy = "#{@folder}/checkout"
      FileUtils.mkdir_p(copy)
      FileUtils.cp_r(%w[bin ext lib Cargo.toml Gemfile].map { |name| "#{root}/#{name}" }, copy)
      FileUtils.chown_R("nobody", nil, copy) if Process.uid.zero?
      user = Process.uid.zero? ? %w[setpriv --reuid=nobody --clear-groups] : []
      rust = { cargo: "echo cargo 1.99.0", rustc: "echo rustc 1.99.0" }
      env = environment(without: %w[sudo bundle], "dpkg-query": '[ "$1" = -S ]', **rust)
      printed, status = setup({ **env, **more }, copy, *user)
      expect(status.exitstatus).to eq(1)
      printed
    end

    apt = "takes Debian" unless File.exist?("/usr/bin/apt-get")
    advice = /\Abin.setup: packages are missing; run as root: apt-get install --no-install-recommends \S.*\n\z/

    it "says what root must install, where it may not", skip: apt do
      expect(printed_for_nobody).to match(advice)
    end

    it "says so, too, where apt has never been updated, as in a container's image", skip: apt do
      FileUtils.mkdir_p("#{@folder}/lists/partial")
      # Of what is installed apt knows all the same.
      File.write("#{@folder}/status", `dpkg --status base-files`)
      File.write("#{@folder}/apt.conf", <<~CONFIGURATION)
        Dir::State::Lists "#{@folder}/lists";
        Dir::State::Status "#{@folder}/status";
        Dir::Cache "";
      CONFIGURATION
      expect(printed_for_nobody("APT_CONFIG" => "#{@folder}/apt.conf")).to match(advice)
    end
  end
end
