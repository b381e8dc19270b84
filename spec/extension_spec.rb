# frozen_string_literal: true

require "fileutils"
require "open3"
require "rbconfig"
require "tmpdir"

# The extension lies elsewhere for each way of installing the gem; where it is not, the error says what to do.
RSpec.describe "Loading the extension" do
  around { |example| Dir.mktmpdir { |folder| (@folder = folder) && example.run } }

  # What the loader prints in a gem that has these files beside it; `preload` runs before it.
  define_method(:printed) do |*files, preload: nil|
    loader = "lib/simple_connect/internal/extension.rb"
    [loader, *files].each { |file| FileUtils.mkdir_p("#{@folder}/#{File.dirname(file)}") }
    FileUtils.cp(File.expand_path("../#{loader}", __dir__), "#{@folder}/#{loader}")
    FileUtils.touch(files.map { |file| "#{@folder}/#{file}" })
    program = "begin; load ARGV[0]; rescue LoadError => e; puts e.message; end"
    Open3.capture2e(RbConfig.ruby, "-e", "#{preload}\n#{program}", "#{@folder}/#{loader}").first
  end

  it "names the Rubies that a native gem has, in order, and how to get the gem that is compiled" do
    expect(printed(*%w[3.10 3.9 3.0].map { |ruby| "lib/simple_connect_client/#{ruby}/simple_connect_client.so" }))
      .to start_with("simple_connect-client: this gem is compiled for Ruby 3.0, 3.9, 3.10, and this is Ruby " \
                     "#{RUBY_VERSION}.\n")
      .and include("`gem install simple_connect-client --platform ruby`", "force_ruby_platform true")
  end

  it "says `rake compile` in a checkout that was compiled for another Ruby" do
    expect(printed("Cargo.toml", "lib/simple_connect_client/3.0/simple_connect_client.so"))
      .to include("the compiled extension is missing", "run `rake compile`")
  end

  it "says to install the gem again where the library is gone" do
    expect(printed).to include("the compiled extension is missing", "gem pristine simple_connect-client")
  end

  it "reports a library that is there and cannot be loaded as it is" do
    ruby = RUBY_VERSION[/\A\d+\.\d+/]
    library = "lib/simple_connect_client/#{ruby}/simple_connect_client.#{RbConfig::CONFIG["DLEXT"]}"
    expect(printed(library)).to include("file too short").and include(library)
  end
  describe "on musl" do
    ruby = RUBY_VERSION[/\A\d+\.\d+/]
    library = "lib/simple_connect_client/#{ruby}/simple_connect_client.#{RbConfig::CONFIG["DLEXT"]}"

    # What the loader prints where musl's own loader refuses the library with `message`.
    define_method(:on_musl) do |message|
      printed(library, preload: <<~RUBY)
        Object.send(:remove_const, :RUBY_PLATFORM)
        RUBY_PLATFORM = "aarch64-linux-musl"
        define_method(:require) { |path| path.include?("simple_connect_client") ? raise(LoadError, #{message.dump}) : super(path) }
      RUBY
    end

    it "says how to install the gem for musl if the library is for glibc" do
      ["Error loading shared library ld-linux-aarch64.so.1: No such file or directory (needed by /g.so) - /g.so",
       "Error relocating /g.so: __snprintf_chk: symbol not found - /g.so"].each do |message|
        expect(on_musl(message).lines).to match(
          ["#{message}\n",
           /`bundle lock --add-platform aarch64-linux-musl`.*--platform aarch64-linux-musl`\n/]
        )
      end
    end

    it "says how to install libgcc" do
      message = "Error loading shared library libgcc_s.so.1: No such file or directory (needed by /g.so) - /g.so"
      expect(on_musl(message)).to eq("#{message}\nInstall libgcc: `apk add libgcc`\n")
    end

    it "reports anything else as it is" do
      expect(on_musl("incompatible library version - /g.so")).to eq("incompatible library version - /g.so\n")
    end
  end
end
