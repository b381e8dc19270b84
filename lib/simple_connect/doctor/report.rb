# frozen_string_literal: true

require "json"
require_relative "../doctor"

module SimpleConnect
  class Doctor
    # The findings, as text or as JSON.
    # @api private
    class Report
      COLOURS = { green: 32, yellow: 33, red: 31 }.freeze
      LEVELS = %i[red yellow green].freeze
      private_constant :COLOURS, :LEVELS

      # @param findings [Array<Finding>]
      def initialize(findings) = @findings = findings

      # @return [Symbol] the worst level: `:green`, `:yellow` or `:red`
      def level = LEVELS.find { |level| count(level).positive? } || :green

      # @return [String] one JSON object
      def json
        checks = @findings.map { |finding| finding.to_h.transform_values { |value| clean(value) } }
        JSON.generate({ level:, checks: })
      end

      # @param out [CLI::Output]
      # @param colour [Boolean]
      # @return [void]
      def print(out, colour:)
        width = @findings.map { |finding| finding.name.length }.max
        @findings.each do |finding|
          word(out, finding.level, colour)
          out.puts("#{finding.name.ljust(width)}  #{clean(finding.seen).tr("\n", " ")}")
          out.puts("#{" " * (width + 10)}#{clean(finding.advice)}") if finding.advice
        end
        out.puts(LEVELS.reverse.map { |level| "#{count(level)} #{level}" }.join(", "))
      end

      # @return [String]
      def inspect = "#<#{self.class.name} #{level}>"

      private

      def count(level) = @findings.count { |finding| finding.level == level }

      # The only escape sequences are those written here; `puts` escapes all others.
      def word(out, level, colour)
        word = (level == :skipped ? "-" : level.name).ljust(8)
        out.print(colour && COLOURS[level] ? "\e[#{COLOURS[level]}m#{word}\e[0m" : word)
      end

      def clean(value) = value.is_a?(String) ? value.dup.force_encoding(Encoding::UTF_8).scrub : value
    end
    private_constant :Report
  end
end
