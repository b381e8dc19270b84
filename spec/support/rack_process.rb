# frozen_string_literal: true

require "fileutils"
require "rbconfig"
require "timeout"
require "tmpdir"

# A folder with a config.ru and what else an application has, served by Puma in a process of its own.
class RackProcess
  # The files of a small Rails application.
  RAILS = {
    "config.ru" => "require_relative 'config/environment'\nrun Rails.application\n",
    "config/environment.rb" => <<~RUBY,
      require "logger"
      require "action_controller/railtie"
      require "simple_connect" # as Bundler does

      class Shop < Rails::Application
        config.root = File.expand_path("..", __dir__)
        config.eager_load = true
        config.secret_key_base = "x" * 64
        config.logger = Logger.new($stdout)
        config.log_level = :debug
      end
      Rails.application.initialize!
    RUBY
    "app/models/order.rb" => "Order = Struct.new(:id) do\n  def paid! = id\nend\n"
  }.freeze

  # How many seconds it may take to start.
  PATIENCE = Integer(ENV.fetch("PATIENCE", 60))

  # @return [Integer]
  attr_reader :port
  # @return [String] what it has printed; all of it once it is stopped
  attr_reader :log

  # @param files [Hash{String => String}] by their paths
  # @yieldparam server [RackProcess]
  def self.open(files, env = {})
    Dir.mktmpdir do |dir|
      files.each do |path, text|
        FileUtils.mkdir_p(File.dirname("#{dir}/#{path}"))
        File.write("#{dir}/#{path}", text)
      end
      server = new(dir, env)
      yield server
    ensure
      server&.stop
    end
  end

  def initialize(dir, env)
    @log = +""
    env = { "RUBYLIB" => File.expand_path("../../lib", __dir__), "RACK_ENV" => "production", **env }
    command = [RbConfig.ruby, "-S", "puma", "--bind", "tcp://127.0.0.1:0", "--threads", "0:5", "config.ru"]
    @out, write = IO.pipe
    @pid = Process.spawn(env, *command, chdir: dir, out: write, err: write)
    write.close
    Timeout.timeout(PATIENCE) { @log << (@out.gets || raise(@log)) until (@port = @log[/Listening on \S+:(\d+)$/, 1]) }
    @port = Integer(@port)
    @reader = Thread.new { @log << @out.read }
  end

  def url = "http://127.0.0.1:#{port}"

  def stop
    Process.kill("TERM", @pid)
    wait
    @reader&.join
  end

  private

  # Puma 6.6 on Ruby 3.3 hung once after TERM, with both of its threads waiting, and went on when a debugger looked.
  def wait
    Timeout.timeout(PATIENCE) { Process.wait(@pid) }
  rescue Timeout::Error
    warn "Puma did not stop within #{PATIENCE} seconds, and is killed"
    Process.kill("KILL", @pid)
    Process.wait(@pid)
  end
end
