# frozen_string_literal: true

require "json"
require "open3"
require "rbconfig"
require "tempfile"
require_relative "redis_server"

# Processes of an application that delivers in jobs: those that enqueue, and Sidekiq.
module Jobs
  # Looks for jobs that are due ten times a second: by itself it begins late, and looks every five seconds or so.
  IMPATIENT = <<~RUBY
    require "sidekiq/scheduled"
    Sidekiq::Scheduled::Poller.prepend(Module.new do
      def initial_wait = nil
      def poll_interval_average(*) = 0.1
      def random_poll_interval = 0.1
    end)
  RUBY

  # Leaves those alone that are due later.
  BLIND = <<~RUBY
    require "sidekiq/scheduled"
    Sidekiq::Scheduled::Poller.prepend(Module.new { %i[start terminate].each { |name| define_method(name) { nil } } })
  RUBY

  # What each process begins with. Its hooks print what they are called with.
  SETTINGS = <<~'RUBY'
    require "json"
    require "logger"
    require "simple_connect"
    $stdout.sync = true
    ActiveJob::Base.logger = Logger.new($stdout) if defined?(ActiveJob)
    SimpleConnect.configure do |config|
      config.endpoint_url = ENDPOINT
      config.key_id = "wa_1"
      config.secret = "hush-hush"
      %i[on_rejected on_unauthorized on_exhausted].each do |hook|
        config.public_send("#{hook}=", ->(result, context) { puts JSON.generate([hook, result&.status_code, context]) })
      end
    end
    def deliver(key, **more)
      SimpleConnect.client.events.deliver_later(
        key, recipient: { mobile_no: "+919812345678" }, event: { event_id: "id_#{key}", **more }
      )
    end
  RUBY

  # @param libraries [Array<String>] to load before the gem
  # @param server [ScriptedServer]
  # @param more [String] of the initializer
  # @return [Tempfile] an initializer that all the processes have
  def initializer(*libraries, server, more: "")
    file = Tempfile.new(["initializer", ".rb"])
    file.write(source(libraries, server, more))
    file.close
    file
  end

  # @return [String] the initializer
  def source(libraries, server, more)
    ["$LOAD_PATH.unshift(#{File.expand_path("../../lib", __dir__).dump})",
     *libraries.map { |library| "require #{library.dump}" }, "ENDPOINT = #{server.endpoint.dump}", SETTINGS,
     "SimpleConnect.configure do |config|\n#{more}\nend\n"].join("\n")
  end

  # @return [RedisServer, nil] that of {#with_redis}
  attr_reader :redis

  # The block has a Redis of its own.
  def with_redis
    RedisServer.open do |redis|
      @redis = redis
      yield
    end
  end

  # @return [Array<Float>] the seconds between the requests that a server got
  def gaps(server) = server.requests.map(&:at).each_cons(2).map { |one, other| other - one }

  # @return [String] what the code printed
  def ruby(file, code, env = {})
    output, status = Open3.capture2e({ "REDIS_URL" => redis&.url, **env }, RbConfig.ruby, "-r", file.path, "-e", code)
    raise output unless status.success?

    # Sidekiq 7 logs what it connects to.
    output.lines.grep_v(/pid=\d+ tid=/).join
  end

  # @param scheduled [Boolean] whether it works on jobs that are due later
  # @yieldparam lines [Queue] of its output
  # @yieldparam pid [Integer]
  # @return [Array<String>] all of its output
  def sidekiq(file, timeout: 5, queues: %w[default], scheduled: true, threads: 2)
    own = "#{file.path}.sidekiq.rb"
    File.write(own, File.read(file.path) + (scheduled ? IMPATIENT : BLIND))
    command = [RbConfig.ruby, "-S", "sidekiq", "-r", own, "-c", threads.to_s, "-t", timeout.to_s,
               *queues.flat_map { |name| ["-q", name] }]
    Open3.popen2e({ "REDIS_URL" => redis.url, "SIDEKIQ_ARGS" => nil }, *command) do |_, output, process|
      lines = Queue.new
      all = []
      reader = Thread.new { output.each_line { |line| all << line && lines << line } }
      yield lines, process.pid
      Process.kill(:TERM, process.pid) if process.alive?
      process.join
      reader.join
      all
    ensure
      Process.kill(:KILL, process.pid) if process&.alive?
      File.delete(own)
    end
  end

  # @return [Hash{Symbol => Array<Hash>}] the jobs that Redis holds, by where
  def kept(file)
    output = ruby(file, <<~RUBY)
      require "sidekiq/api"
      sets = { dead: Sidekiq::DeadSet.new, scheduled: Sidekiq::ScheduledSet.new, retry: Sidekiq::RetrySet.new }
      queues = Sidekiq::Queue.all.flat_map { |queue| queue.map(&:item) }
      puts JSON.generate({ **sets.transform_values { |set| set.map { |job| { **job.item, at: job.at.to_f } } }, queues: })
    RUBY
    JSON.parse(output.lines.last, symbolize_names: true)
  end

  # @param job [Hash] as Sidekiq has it
  # @return [Hash] the arguments of a delivery
  def delivery(job)
    first = job.fetch(:args).first
    first.key?(:arguments) ? first[:arguments].first.except(:_aj_symbol_keys) : first
  end

  # Waits until the block is true.
  def wait_until
    sleep(0.02) until yield
  end
end
