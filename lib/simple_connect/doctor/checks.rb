# frozen_string_literal: true

require_relative "../doctor"

module SimpleConnect
  class Doctor
    # Runs checks and builds their findings.
    # @api private
    module Checks
      private

      def green(name, seen) = Finding.new(name, :green, seen, nil)

      def yellow(name, seen, advice) = Finding.new(name, :yellow, seen, advice)

      def red(name, seen, advice) = Finding.new(name, :red, seen, advice)

      def skipped(name, why) = Finding.new(name, :skipped, "not checked: #{why}", nil)

      # Runs a check for at most {LIMIT} seconds and rescues its errors. Messages of errors may contain secrets, so they
      # are not shown.
      #
      # @param name [String]
      # @param slow [String] the advice if it takes too long
      # @yieldreturn [Finding]
      # @return [Finding]
      def check(name, slow:, &block)
        thread = Thread.new(&block)
        thread.report_on_exception = false
        return thread.value if thread.join(LIMIT)

        # A name look-up cannot be interrupted before Ruby 3.3; it ends by itself.
        thread.kill if name != "dns"
        red(name, "no result within #{LIMIT} seconds", slow)
      rescue StandardError, ScriptError => e
        red(name, "the check failed with #{e.class}", "this is a bug in simple_connect doctor: please report it")
      end
    end
    private_constant :Checks
  end
end
