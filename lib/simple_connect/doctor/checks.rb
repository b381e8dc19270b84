# frozen_string_literal: true

require_relative "../doctor"

module SimpleConnect
  class Doctor
    # How a check is run, and what it gives.
    # @api private
    module Checks
      private

      def green(name, seen) = Finding.new(name, :green, seen, nil)

      def yellow(name, seen, advice) = Finding.new(name, :yellow, seen, advice)

      def red(name, seen, advice) = Finding.new(name, :red, seen, advice)

      def skipped(name, why) = Finding.new(name, :skipped, "not checked: #{why}", nil)

      # Runs a check for no longer than {LIMIT}, and whatever it raises. Messages of errors may hold secrets, so they
      # are not shown.
      #
      # @param name [String]
      # @param slow [String] what to do where it takes too long
      # @yieldreturn [Finding]
      # @return [Finding]
      def check(name, slow:, &block)
        thread = Thread.new(&block)
        thread.report_on_exception = false
        return thread.value if thread.join(LIMIT)

        # A look-up of a name cannot be interrupted before Ruby 3.3, and ends by itself.
        thread.kill if name != "dns"
        red(name, "nothing within #{LIMIT} seconds", slow)
      rescue StandardError, ScriptError => e
        red(name, "the check failed with #{e.class}", "this is a bug of simple_connect doctor: please report it")
      end
    end
    private_constant :Checks
  end
end
