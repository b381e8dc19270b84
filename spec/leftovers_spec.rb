# frozen_string_literal: true

require "fileutils"
require "open3"
require "rbconfig"
require "tmpdir"

# After the source gem is compiled, what RubyGems before 3.4.6 leaves of it is removed.
RSpec.describe "ext/leftovers/extconf.rb" do
  around { |example| Dir.mktmpdir { |folder| (@home = folder) && example.run } }

  # Runs it in a GEM_HOME; returns what there is among its compiled extensions then.
  define_method(:left_of) do |*files|
    kept = "#{@home}/extensions/#{Gem::Platform.local}/#{Gem.extension_api_version}/a_gem-1.0"
    files.each do |file|
      FileUtils.mkdir_p(File.dirname("#{kept}/#{file}"))
      File.write("#{kept}/#{file}", "")
    end
    FileUtils.mkdir_p(["#{@home}/gems/a_gem-1.0/lib", script = "#{@home}/gems/a_gem-1.0/ext/leftovers"])
    FileUtils.cp(File.expand_path("../ext/leftovers/extconf.rb", __dir__), script)
    output, status = Open3.capture2e({ "RUBYOPT" => nil }, RbConfig.ruby, "extconf.rb", chdir: script)
    raise output unless status.success? && File.exist?("#{script}/Makefile")

    Dir.glob("**/*", File::FNM_DOTMATCH, base: kept).select { |file| File.file?("#{kept}/#{file}") }.sort
  end

  it "removes cargo's target folder, and nothing that RubyGems needs" do
    expect(left_of("release/.fingerprint/x", "release/deps/x.o", ".rustc_info.json", "CACHEDIR.TAG", "gem_make.out"))
      .to eq(%w[gem_make.out])
  end

  it "leaves a folder that cargo did not make" do
    expect(left_of("release/x.so", "gem_make.out")).to eq(%w[gem_make.out release/x.so])
  end
end
