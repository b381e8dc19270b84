# frozen_string_literal: true

require_relative "internal/autoload"

module SimpleConnect
  # Checks everything that a delivery needs, from the settings to the service, and says how to fix problems. It sends no
  # event and works without the compiled extension. `simple_connect doctor` prints its findings.
  # @api private
  class Doctor
    autoload :Checks, File.expand_path("doctor/checks.rb", __dir__)
    autoload :Installation, File.expand_path("doctor/installation.rb", __dir__)
    autoload :Network, File.expand_path("doctor/network.rb", __dir__)
    autoload :OutboxTables, File.expand_path("doctor/outbox_tables.rb", __dir__)
    autoload :Report, File.expand_path("doctor/report.rb", __dir__)
    autoload :Route, File.expand_path("doctor/route.rb", __dir__)
    autoload :Service, File.expand_path("doctor/service.rb", __dir__)
    autoload :Settings, File.expand_path("doctor/settings.rb", __dir__)
    autoload :SidekiqRedis, File.expand_path("doctor/sidekiq_redis.rb", __dir__)
    autoload :StoredEndpoints, File.expand_path("doctor/stored_endpoints.rb", __dir__)

    # The maximum seconds of a check.
    LIMIT = 5

    # The result of a check. `level` is `:green`, `:yellow`, `:red`, or `:skipped` if an earlier check failed. `advice`
    # says what to do.
    Finding = Struct.new(:name, :level, :seen, :advice)

    # @param env [Hash{String => String}, ENV] the environment
    # @param configuration [Configuration, nil] nil for the environment variables only
    # @param client [Symbol, nil] the name of the client to check
    def initialize(env:, configuration: nil, client: nil)
      @env = env
      @configuration = configuration
      @settings = Settings.new(env:, configuration:, client: client || :default)
    end

    # @return [Report]
    def report = Report.new(findings)

    # @return [Array<Finding>] of all checks
    def findings
      settings = @settings.findings
      installation = Installation.new(@env).findings
      network = Network.new(@settings).findings
      unreachable = network.find { |finding| finding.level == :red }
      extension = installation.find { |finding| finding.name == "extension" && finding.level == :red }
      service = Service.new(@settings, missing: extension, unreachable:).findings
      [*settings, *installation, *network, *service, *SidekiqRedis.new.findings,
       *OutboxTables.new(@configuration).findings, *StoredEndpoints.new(@configuration).findings]
    end

    # @return [String] without secrets
    def inspect = "#<#{self.class.name}>"
  end
  private_constant :Doctor
end
