# frozen_string_literal: true

require "fileutils"
require "open3"
require "rbconfig"
require "tmpdir"

# A copy of the Rails application in spec/apps/rails, with what `rails g simple_connect:install` adds to it. Its
# commands run in processes of their own.
class RailsApp
  SOURCE = File.expand_path("../apps/rails", __dir__)
  LIB = File.expand_path("../../lib", __dir__)
  # What Bundler would have to be told; a variable that the suite has set must not reach the application.
  CLEAN = { "RUBYOPT" => "-W0 -I#{LIB}", "RAILS_ENV" => nil, "RACK_ENV" => nil,
            "SIMPLECONNECT_ENDPOINT_URL" => nil, "SIMPLECONNECT_KEY_ID" => nil, "SIMPLECONNECT_SECRET" => nil }.freeze

  # @return [String]
  attr_reader :directory

  # @yieldparam app [RailsApp] that is gone after the block
  def self.open(install: true)
    Dir.mktmpdir do |directory|
      FileUtils.cp_r("#{SOURCE}/.", directory)
      app = new(directory)
      app.rails("g", "simple_connect:install") if install
      yield app
    end
  end

  def initialize(directory)
    @directory = directory
  end

  # @return [String] what the code prints once the application is initialized
  def run(code, env = {}) = succeed(env, RbConfig.ruby, "-r", "./config/environment", "-e", code)

  # @return [String] what a command of Rails prints
  def rails(*arguments, env: {}) = succeed(env, RbConfig.ruby, "bin/rails", *arguments)

  # @return [Integer] the id of a process that goes on; its output goes to `out`
  def spawn(*command, env: {}, out: File::NULL)
    Process.spawn({ **CLEAN, **env }, *command, chdir: directory, out:, err: out, pgroup: true)
  end

  # @return [Hash{String => String}] by path, all files
  def files
    Dir.glob("**/*", base: directory).select { |path| File.file?("#{directory}/#{path}") }
       .to_h { |path| [path, File.read("#{directory}/#{path}")] }
  end

  def write(path, text)
    file = File.join(directory, path)
    FileUtils.mkdir_p(File.dirname(file))
    File.write(file, text)
  end

  private

  def succeed(env, *command)
    out, status = Open3.capture2e({ **CLEAN, **env }, *command, chdir: directory)
    status.success? ? out : raise("#{command.join(" ")}: #{out}")
  end
end
