# frozen_string_literal: true

require "json"
require "open3"
require "rbconfig"
require "tempfile"

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

  # @param libraries [Array<String>] to load before the gem
  # @param server [ScriptedServer]
  # @param more [String] of the initializer
  # @return [Tempfile] an initializer that all the processes have
  def initializer(*libraries, server, more: "")
    file = Tempfile.new(["initializer", ".rb"])
    file.write(<<~RUBY)
      $LOAD_PATH.unshift(#{File.expand_path("../../lib", __dir__).dump})
      #{libraries.map { |library| "require #{library.dump}" }.join("\n")}
      require "json"
      require "logger"
      require "simple_connect"
      $stdout.sync = true
      ActiveJob::Base.logger = Logger.new($stdout) if defined?(ActiveJob)
      SimpleConnect.configure do |config|
        config.endpoint_url = #{server.endpoint.dump}
        config.key_id = "wa_1"
        config.secret = "hush-hush"
        %i[on_rejected on_unauthorized on_exhausted].each do |hook|
          config.public_send("\#{hook}=", ->(result, context) { puts JSON.generate([hook, result&.status_code, context]) })
        end
        #{more}
      end
      def deliver(key, **more)
        SimpleConnect.client.events.deliver_later(
          key, recipient: { mobile_no: "+919812345678" }, event: { event_id: "id_\#{key}", **more }
        )
      end
    RUBY
    file.close
    file
  end

  # @return [String] what the code printed
  def ruby(file, code, env = {})
    output, status = Open3.capture2e({ "REDIS_URL" => redis&.url, **env }, RbConfig.ruby, "-r", file.path, "-e", code)
    raise output unless status.success?

    # Sidekiq 7 logs what it connects to.
    output.lines.grep_v(/pid=\d+ tid=/).join
  end

  # @yieldparam lines [Queue] of its output
  # @yieldparam pid [Integer]
  # @return [Array<String>] all of its output
  def sidekiq(file, timeout: 5, queues: %w[default])
    File.write(file.path, IMPATIENT, mode: "a")
    command = [RbConfig.ruby, "-S", "sidekiq", "-r", file.path, "-c", "2", "-t", timeout.to_s,
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
      Process.kill(:KILL, process.pid) if process.alive?
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
