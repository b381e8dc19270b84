# frozen_string_literal: true

require_relative "../internal/autoload"
require_relative "checks"

module SimpleConnect
  class Doctor
    # Checks the outbox, if the application has one: its database, whether events leave it, and what stays behind.
    # @api private
    class OutboxTables
      include Checks

      # The maximum age in seconds of a relay's last pass.
      PASS = 300
      # From these ages of the oldest event on, in seconds, the lag is yellow or red.
      LATE = 300
      TOO_LATE = 3600
      TABLES = %w[events lanes clients].map { |name| "simple_connect_outbox_#{name}" }.freeze
      private_constant :PASS, :LATE, :TOO_LATE, :TABLES

      # @param configuration [Configuration, nil]
      def initialize(configuration) = @configuration = configuration

      # @return [Array<Finding>] none without an outbox
      def findings
        # The application has started, so this may load it.
        return [] unless @configuration && defined?(::ActiveRecord::Base)

        tables = check("outbox", slow: "check whether the database works") { look_for_tables }
        # A database that does not answer matters only if there is an outbox.
        return [] if tables.nil? || !(@answered || @configuration.outbox?)
        return [tables] if tables.level == :red

        [tables, check("outbox key", slow: "check whether a Proc in config.outbox blocks") { key },
         check("outbox job", slow: "check whether config.outbox.job can be loaded") { job }, *contents]
      end

      # @return [String]
      def inspect = "#<#{self.class.name}>"

      private

      def connected(&) = Outbox.base.connection_pool.with_connection(&)

      # Nil if the application has no outbox.
      def look_for_tables
        connected { |connection| judged(connection) }
      rescue ConfigurationError => e
        red("outbox", e.message, "change that")
      rescue StandardError => e
        # The message may contain a password.
        red("outbox", "its database did not answer: #{e.class}", "see config/database.yml") if @configuration.outbox?
      end

      def judged(connection)
        missing = TABLES.reject { |name| connection.table_exists?(name) }
        @answered = true
        return if missing.size == TABLES.size && !@configuration.outbox?
        return absent(missing) unless missing.empty?

        Outbox.check_engine(connection)
        green("outbox", "its tables are in the database of #{@configuration.outbox_settings.base}")
      end

      def absent(missing)
        red("outbox", "tables are missing: #{missing.join(", ")}",
            "run rails g simple_connect:outbox, then rails db:migrate")
      end

      def key
        @configuration.outbox_settings.keys
        green("outbox key", "set")
      rescue StandardError => e
        text = e.is_a?(ConfigurationError) ? e.message : "reading it raised #{e.class}"
        red("outbox key", text, "set config.outbox.encryption_key")
      end

      def job
        return green("outbox job", "none, as configured") if @configuration.outbox_settings.job == false

        job = Outbox::Wake.job_class
        return green("outbox job", job.name) if job

        yellow("outbox job", "there is no queue, so that events wait for the next pass of a relay",
               "load Active Job or Sidekiq, or set config.outbox.job = false")
      rescue ConfigurationError => e
        red("outbox job", e.message, "change that setting")
      end

      def contents
        stats = check("outbox relay", slow: "check whether the database works") do
          connected { @stats = Outbox.stats }
          relay
        end
        return [stats] unless @stats

        [stats, lag, clients, parked]
      end

      def relay
        pass = @stats[:last_pass]
        seen = pass ? "the last pass was #{pass.round} s ago" : "no relay has run yet"
        return green("outbox relay", seen) if pass && pass <= PASS

        job = Outbox::Wake.job_class || "SimpleConnect::Outbox::RelayJob"
        red("outbox relay", seen, "let a schedule enqueue #{job} once a minute, or run rails simple_connect:relay")
      end

      def lag
        lag = @stats[:lag] or return green("outbox lag", "nothing waits")

        seen = "#{@stats[:new] + @stats[:pending]} waiting, the oldest for #{lag.round} s"
        return green("outbox lag", seen) if lag <= LATE

        advice = "see the lines around this one; more relays, or a higher config.outbox.concurrency, send more at once"
        lag > TOO_LATE ? red("outbox lag", seen, advice) : yellow("outbox lag", seen, advice)
      end

      def clients
        paused, held = @stats[:clients].partition { |client| client[:paused_reason] }
        unless paused.empty?
          texts = paused.map { |client| "#{client[:name]} is paused: #{client[:paused_reason]}" }
          name = paused.first[:name].to_sym.inspect
          return red("outbox clients", texts.join("; "),
                     "correct the settings, then call SimpleConnect::Outbox.resume(#{name})")
        end
        return green("outbox clients", "none is paused") if held.empty?

        yellow("outbox clients", "#{held.map { |client| client[:name] }.join(", ")}: held back after a failure",
               "see the network checks above; the relay tries again by itself")
      end

      def parked
        count = @stats[:parked]
        return green("outbox parked", "no events") if count.zero?

        yellow("outbox parked", "#{count} event#{"s" unless count == 1}",
               "see SimpleConnect::Outbox.parked, then call retry_parked or purge_parked")
      end
    end
    private_constant :OutboxTables
  end
end
