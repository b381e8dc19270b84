# frozen_string_literal: true

require "digest"
require "fileutils"
require "json"
require_relative "../lib/simple_connect/version"

# The compiled libraries of a native gem, one for each Ruby, in a folder below pkg/native/. A stamp beside each library
# says what it was compiled from, because a library of other sources loads just as well.
class NativeLibraries
  # What a library is compiled from.
  SOURCES = ["Cargo.{toml,lock}", "src/**/*.rs", "ext/**/Cargo.toml", "ext/**/*.rs"].freeze
  STAMP = "stamp.json"

  # @return [Array<String>] all libraries below `folder`
  def self.compiled(folder)
    found = Dir["#{folder}/**/*.{so,bundle}"].sort
    found.empty? ? abort("there is no library below #{folder}") : found
  end

  # @param folder [String] such as "pkg/native/x86_64-linux"
  # @param target [String] Rust's name of the platform
  def initialize(folder, target)
    @folder = folder
    @target = target
  end

  # Copies the library for `ruby` that the block compiles and returns, as a file called `name`.
  def add(ruby, name)
    before = sources
    library = yield
    raise "the sources have changed during the compilation" unless sources == before

    directory = File.join(@folder, ruby)
    FileUtils.rm_rf(directory)
    FileUtils.mkdir_p(directory)
    FileUtils.cp(library, File.join(directory, name))
    File.write(File.join(directory, STAMP), JSON.generate(stamp(ruby, File.join(directory, name))))
  end

  # @return [Array<String>] the Rubies that have been added, in order
  def rubies
    Dir[File.join(@folder, "*/")].map { |path| File.basename(path) }.sort_by { |ruby| Gem::Version.new(ruby) }
  end

  # Copies the libraries for `rubies` to `folder`, each into a folder of its own.
  def copy(rubies, folder)
    rubies.each do |ruby|
      FileUtils.mkdir_p(File.join(folder, ruby))
      FileUtils.cp(files(ruby), File.join(folder, ruby))
    end
  end

  # @return [Array<String>] what is wrong with the library for `ruby`, in sentences
  def problems(ruby)
    found = files(ruby)
    return ["Ruby #{ruby}: there must be one library, and there are #{found.length}"] unless found.one?

    written = File.join(@folder, ruby, STAMP)
    return ["Ruby #{ruby}: no #{STAMP} says what it was compiled from"] unless File.exist?(written)

    actual = JSON.load_file(written)
    stamp(ruby, found.first).filter_map do |key, expected|
      "Ruby #{ruby}: #{DIFFERENCES.fetch(key)} (#{actual[key].to_s[0, 30]})" unless actual[key] == expected
    end
  end

  # @return [Array<String>] what keeps the libraries from being released for exactly these Rubies
  def unreleasable(released)
    missing = (released - rubies).map { |ruby| "Ruby #{ruby}: there is no library" }
    foreign = (rubies - released).map { |ruby| "Ruby #{ruby}: the gem is not released for it" }
    missing + foreign + (rubies & released).flat_map { |ruby| problems(ruby) }
  end

  DIFFERENCES = {
    "version" => "it is of another version", "target" => "it is for another platform",
    "ruby" => "it is for another Ruby", "sources" => "it was compiled from other sources",
    "library" => "the file has changed since"
  }.freeze
  private_constant :DIFFERENCES

  private

  def files(ruby) = Dir[File.join(@folder, ruby, "*")] - [File.join(@folder, ruby, STAMP)]

  def stamp(ruby, library)
    { "version" => SimpleConnect::VERSION, "target" => @target, "ruby" => ruby, "sources" => sources,
      "library" => Digest::SHA256.file(library).hexdigest }
  end

  def sources
    Dir[*SOURCES].sort.each_with_object(Digest::SHA256.new) do |file, digest|
      digest << "#{file}\0#{File.size(file)}\0" << File.binread(file)
    end.hexdigest
  end
end
