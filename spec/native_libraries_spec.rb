# frozen_string_literal: true

require "fileutils"
require "json"
require "open3"
require "rbconfig"
require "tmpdir"
require_relative "../rakelib/native_libraries"

# What a native gem is made of: complete, and compiled from these sources.
RSpec.describe NativeLibraries, unchecked: true do
  root = File.expand_path("..", __dir__)
  target = "x86_64-unknown-linux-gnu"

  around do |example|
    Dir.mktmpdir do |folder|
      Dir.chdir(@folder = folder) do
        FileUtils.mkdir_p(%w[src ext/simple_connect_client])
        %w[Cargo.toml Cargo.lock src/lib.rs ext/simple_connect_client/build.rs].each { |file| File.write(file, file) }
        File.write("compiled", "the library")
        example.run
      end
    end
  end

  let(:libraries) { described_class.new("pkg/native/x86_64-linux", target) }

  def add(*rubies) = rubies.each { |ruby| libraries.add(ruby, "simple_connect_client.so") { "compiled" } }

  def edit(ruby, **changes)
    file = "pkg/native/x86_64-linux/#{ruby}/stamp.json"
    File.write(file, JSON.generate(JSON.load_file(file).merge(changes.transform_keys(&:to_s))))
  end

  it "can be released if each Ruby has a library of these sources" do
    add("3.10", "3.9", "4.0")
    expect(libraries.unreleasable(%w[3.9 3.10 4.0])).to eq([])
    expect(libraries.rubies).to eq(%w[3.9 3.10 4.0])
    libraries.copy(%w[3.9 4.0], "gem")
    expect(Dir["gem/**/*"].sort).to eq(%w[gem/3.9 gem/3.9/simple_connect_client.so gem/4.0
                                          gem/4.0/simple_connect_client.so])
  end

  it "cannot be released if a Ruby has none, or if there is one that nobody asked for" do
    expect(libraries.unreleasable(%w[3.3])).to eq(["Ruby 3.3: there is no library"])
    add("3.3", "3.5")
    expect(libraries.unreleasable(%w[3.3 3.4]))
      .to eq(["Ruby 3.4: there is no library", "Ruby 3.5: the gem is not released for it"])
  end

  it "finds the libraries to check, on macOS too, and refuses if there is none: nothing would be checked" do
    expect { described_class.compiled(".") }.to raise_error(SystemExit).and output(/no library below \./).to_stderr
    libraries.add("3.3", "simple_connect_client.so") { "compiled" }
    described_class.new("pkg/native/arm64-darwin", target).add("3.4", "simple_connect_client.bundle") { "compiled" }
    expect(described_class.compiled(".")).to eq(%w[./pkg/native/arm64-darwin/3.4/simple_connect_client.bundle
                                                   ./pkg/native/x86_64-linux/3.3/simple_connect_client.so])
  end

  {
    "another version" => [->(spec) { spec.edit("3.3", version: "0.0.1") }, /it is of another version \(0.0.1\)/],
    "another platform" => [->(spec) { spec.edit("3.3", target: "aarch64-apple-darwin") },
                           /it is for another platform \(aarch64-apple-darwin\)/],
    "another Ruby" => [->(_) { FileUtils.mv("pkg/native/x86_64-linux/3.3", "pkg/native/x86_64-linux/3.4") },
                       /it is for another Ruby \(3.3\)/],
    "other sources" => [->(_) { File.write("src/lib.rs", "changed") }, /it was compiled from other sources \(\h{30}\)/],
    "sources of the same length" => [->(_) { File.write("Cargo.lock", "Cargo.lokc") }, /it was compiled from other/],
    "a source that is new" => [->(_) { File.write("src/new.rs", "") }, /it was compiled from other sources/],
    "a file that was put in its place" => [
      ->(_) { File.write("pkg/native/x86_64-linux/3.3/simple_connect_client.so", "x") }, /the file has changed since/
    ],
    "a file without a stamp" => [->(_) { File.delete("pkg/native/x86_64-linux/3.3/stamp.json") },
                                 "no stamp.json says what it was compiled from"],
    "two files" => [->(_) { FileUtils.cp("compiled", "pkg/native/x86_64-linux/3.3/other.so") },
                    "there must be one library, and there are 2"]
  }.each do |what, (change, sentence)|
    it "cannot be released if a library is of #{what}" do
      add("3.3")
      change.call(self)
      ruby = libraries.rubies.first
      expect(libraries.unreleasable([ruby])).to match([/\ARuby #{ruby}: #{sentence}/])
    end
  end

  it "replaces what was added before, whatever it was" do
    add("3.3")
    FileUtils.cp("compiled", "pkg/native/x86_64-linux/3.3/other.so")
    File.write("src/lib.rs", "changed")
    add("3.3")
    expect(libraries.problems("3.3")).to eq([])
  end

  it "is not added if the sources change while it is compiled" do
    expect do
      libraries.add("3.3", "simple_connect_client.so") { File.write("src/lib.rs", "changed") && "compiled" }
    end.to raise_error("the sources have changed during the compilation")
    expect(libraries.rubies).to eq([])
  end

  describe "rake" do
    # A checkout that has compiled nothing.
    before do
      %w[Rakefile rakelib lib simple_connect-client.gemspec Cargo.toml Cargo.lock].each do |name|
        FileUtils.rm_rf(name)
        FileUtils.cp_r("#{root}/#{name}", name)
      end
    end

    define_method(:rake) do |task|
      env = { "CARGO_BUILD_TARGET" => target, "SOURCE_DATE_EPOCH" => "1700000000", "RUBYOPT" => nil }
      Open3.capture2e(env, RbConfig.ruby, "-S", "rake", task)
    end

    it "native:release refuses, says each reason and what to do, and builds nothing" do
      add("3.1", "3.2", "3.3", "3.4")
      edit("3.2", version: "0.0.1")
      printed, status = rake("native:release")
      expect(status).not_to be_success
      expect(printed).to eq(<<~TEXT)
        native:release: the libraries for x86_64-linux cannot be released:
        - Ruby 4.0: there is no library
        - Ruby 3.2: it is of another version (0.0.1)
        Run `rake native:add` with each of these Rubies.
      TEXT
      expect(Dir["pkg/*.gem"]).to eq([])
    end
  end
end
