# frozen_string_literal: true

require "etc"
require "fileutils"
require "tmpdir"
require "uri"
require_relative "libraries"

# Databases for specs. The servers start when they are first used, once per run, with their data in memory. They stop
# with this process, also when it is killed.
#
#   RSpec.describe "A table" do
#     Databases.each(self) do |database|
#       it("is empty") { expect(database.base.connection.tables).to be_empty }
#     end
#   end
module Databases
  # A server with its data in a folder of its own, which only listens on a socket in that folder.
  class Server
    # Waits for a line, or for the end of the process that would write it.
    SCRIPT = <<~SH
      { sh -c "$INITIALIZE" && exec sh -c "exec $RUN" || touch "$FOLDER/failed"; } > "$FOLDER/log" 2>&1 &
      read _
      kill -s "$STOP" $! 2> /dev/null
      wait
      rm -rf "$FOLDER"
    SH

    # @return [Server] the one of this process
    def self.running = @running ||= new

    # @return [String] the folder that has its socket, too
    attr_reader :folder

    def initialize
      @folder = Dir.mktmpdir("db", File.writable?("/dev/shm") ? "/dev/shm" : nil)
      prepare
      env = { "INITIALIZE" => initialization, "RUN" => command, "STOP" => self.class::STOP, "FOLDER" => folder }
      reader, @writer = IO.pipe
      # In a process group of its own, because it has to outlive Ctrl-C.
      @pid = Process.spawn(env, "sh", "-c", SCRIPT, in: reader, pgroup: true)
      reader.close
      owner = Process.pid
      at_exit { stop if Process.pid == owner }
      wait
    end

    private

    def prepare; end

    def wait
      deadline = Process.clock_gettime(Process::CLOCK_MONOTONIC) + 60
      yield_connection { nil }
    rescue unavailable
      if File.exist?("#{folder}/failed") || Process.clock_gettime(Process::CLOCK_MONOTONIC) > deadline
        raise "#{self.class} does not start:\n#{File.read("#{folder}/log")}"
      end

      sleep(0.05)
      retry
    end

    def stop
      @writer.puts
      Process.wait(@pid)
    end
  end

  # PostgreSQL, which refuses to run as root.
  class PostgreSQL < Server
    ADAPTER = "postgresql"
    DRIVERS = %w[active_record pg].freeze
    STOP = "QUIT"
    # The newest; Debian does not put them on the PATH.
    BINARIES = Dir["/usr/lib/postgresql/*/bin"].max_by { |path| path[/\d+/].to_i }

    def self.missing
      return "requires PostgreSQL" unless BINARIES

      "requires the user postgres" if Process.uid.zero? && !user
    end

    def self.user
      Etc.getpwnam("postgres")
    rescue ArgumentError
      nil
    end

    # @return [Hash] for ActiveRecord's establish_connection
    def create(name)
      yield_connection { |connection| connection.exec("CREATE DATABASE #{name}") }
      { adapter: ADAPTER, host: folder, username: "postgres", database: name }
    end

    def drop(name) = yield_connection { |connection| connection.exec("DROP DATABASE #{name} WITH (FORCE)") }

    def url(name) = "postgresql:///#{name}?host=#{folder}&user=postgres"

    private

    def prepare = (FileUtils.chown("postgres", "postgres", folder) if Process.uid.zero?)

    def unprivileged = ("setpriv --reuid=postgres --regid=postgres --clear-groups" if Process.uid.zero?)

    def initialization
      "cd / && #{unprivileged} #{BINARIES}/initdb -D #{folder}/data -U postgres -A trust -E UTF8 --locale=C --no-sync"
    end

    # Without POSIX shared memory: in a chroot, /dev/shm may belong to root.
    def command
      "#{unprivileged} #{BINARIES}/postgres -D #{folder}/data -k #{folder} -h '' -F -c synchronous_commit=off " \
        "-c full_page_writes=off -c max_connections=200 -c dynamic_shared_memory_type=mmap"
    end

    def yield_connection
      connection = PG.connect(host: folder, user: "postgres", dbname: "postgres")
      yield connection
    ensure
      connection&.close
    end

    def unavailable = PG::ConnectionBad
  end

  # MariaDB.
  class MariaDB < Server
    ADAPTER = "mysql2"
    DRIVERS = %w[active_record mysql2].freeze
    STOP = "KILL"

    def self.missing
      folders = [*ENV.fetch("PATH").split(":"), "/usr/sbin"]
      found = %w[mariadbd mariadb-install-db].all? do |name|
        folders.any? { |folder| File.executable?("#{folder}/#{name}") }
      end
      "requires MariaDB" unless found
    end

    def create(name)
      yield_connection { |connection| connection.query("CREATE DATABASE #{name} CHARACTER SET utf8mb4") }
      { adapter: ADAPTER, socket:, username: "root", database: name, encoding: "utf8mb4" }
    end

    def drop(name) = yield_connection { |connection| connection.query("DROP DATABASE #{name}") }

    def url(name) = "mysql2://root@localhost/#{name}?socket=#{socket}&encoding=utf8mb4"

    private

    def socket = "#{folder}/socket"

    # When it starts, MariaDB deletes the temporary tables of others in the same folder.
    def options
      "--no-defaults #{"--user=root" if Process.uid.zero?} --datadir=#{folder}/data --tmpdir=#{folder}"
    end

    def initialization
      "mariadb-install-db #{options} --auth-root-authentication-method=normal --skip-test-db --skip-name-resolve"
    end

    # With the isolation of MariaDB 11.6 and later.
    def command
      "env PATH=$PATH:/usr/sbin mariadbd #{options} --socket=#{socket} --pid-file=#{folder}/pid --skip-networking " \
        "--innodb-flush-log-at-trx-commit=0 --innodb-flush-method=fsync --skip-innodb-doublewrite " \
        "--loose-innodb-snapshot-isolation=ON --max-connections=300"
    end

    def yield_connection
      connection = Mysql2::Client.new(socket:, username: "root")
      yield connection
    ensure
      connection&.close
    end

    def unavailable = Mysql2::Error::ConnectionError
  end

  # A MySQL that runs already, whose URL is in MYSQL_URL: Debian does not package it.
  class MySQL
    ADAPTER = "mysql2"
    DRIVERS = MariaDB::DRIVERS

    def self.missing = ("requires MYSQL_URL" unless ENV["MYSQL_URL"])

    def self.running = @running ||= new

    def create(name)
      connect { |connection| connection.query("CREATE DATABASE #{name} CHARACTER SET utf8mb4") }
      { adapter: ADAPTER, **options, database: name, encoding: "utf8mb4" }
    end

    def drop(name) = connect { |connection| connection.query("DROP DATABASE #{name}") }

    def url(name) = "#{ENV.fetch("MYSQL_URL").chomp("/")}/#{name}?encoding=utf8mb4"

    private

    def options
      uri = URI(ENV.fetch("MYSQL_URL"))
      { host: uri.host, port: uri.port, username: uri.user, password: uri.password }.compact
    end

    def connect
      connection = Mysql2::Client.new(**options)
      yield connection
    ensure
      connection&.close
    end
  end

  # SQLite: files, which go with this process as well.
  class SQLite < Server
    ADAPTER = "sqlite3"
    DRIVERS = %w[active_record sqlite3].freeze
    STOP = "KILL"

    def self.missing = nil

    # With the journal that Rails sets up from 7.1 on.
    def create(name)
      file = SQLite3::Database.new(path(name))
      file.execute("PRAGMA journal_mode = wal")
      file.close
      { adapter: ADAPTER, database: path(name), timeout: 5000 }
    end

    def drop(name) = FileUtils.rm_f(Dir["#{path(name)}*"])

    def url(name) = "sqlite3:#{path(name)}?timeout=5000"

    private

    def path(name) = "#{folder}/#{name}.sqlite3"

    def initialization = "true"

    def command = "true"

    def wait; end
  end

  SERVERS = { "PostgreSQL" => PostgreSQL, "MariaDB" => MariaDB, "MySQL" => MySQL, "SQLite" => SQLite }.freeze
  # Without MySQL, unless there is one.
  ENGINES = SERVERS.keys.reject { |engine| engine == "MySQL" && !ENV["MYSQL_URL"] }.freeze

  # An empty database, created when it is first used.
  class Database
    # @return [String] one of ENGINES
    attr_reader :engine

    @count = 0

    class << self
      # @return [String] a name that no other database of this process has
      def next_name = "test_#{Process.pid}_#{@count += 1}"
    end

    def initialize(engine)
      @engine = engine
    end

    # @return [Hash] for ActiveRecord's establish_connection
    def config
      @config ||= begin
        require_drivers
        server.create(name)
      end
    end

    # @return [String] for DATABASE_URL of another process
    def url = config && server.url(name)

    # @return [Class] an abstract ActiveRecord class with connections to it, 25 at most
    def base
      @base ||= begin
        options = { **config, pool: 25 }
        # ActiveRecord asks for a name.
        base = Databases.const_set("Base#{name.delete_prefix("test")}", Class.new(ActiveRecord::Base))
        base.abstract_class = true
        base.establish_connection(**options)
        base
      end
    end

    # Closes the connections, such as before a fork. The next use opens new ones.
    def disconnect = @base&.connection_pool&.disconnect!

    # Disconnects, and deletes the database.
    def close
      return unless @config

      disconnect
      server.drop(name)
      @config = @base = @name = nil
    end

    private

    def name = @name ||= self.class.next_name

    def server = SERVERS.fetch(engine).running

    def require_drivers
      SERVERS.fetch(engine)::DRIVERS.each { |name| require name }
      # As Rails 6.1 does in an application; otherwise no connection would belong to the writing role.
      handlers = { writing: ActiveRecord::Base.default_connection_handler }
      ActiveRecord::Base.connection_handlers = handlers if ActiveRecord::VERSION::MAJOR < 7
    end
  end

  module_function

  # @param engine [String]
  # @return [String, nil] why there can be none here
  def missing(engine)
    server = SERVERS.fetch(engine)
    server.missing || Libraries.missing(*server::DRIVERS)
  end

  # Defines a group of examples for each engine, with an empty database of its own.
  # @param group [Class] of examples
  # @yieldparam database [Database]
  def each(group, engines = ENGINES, **metadata, &block)
    engines.each do |engine|
      database = Database.new(engine)
      group.context("on #{engine}", skip: missing(engine), **metadata) do
        after(:context) { database.close }
        class_exec(database, &block)
      end
    end
  end
end
