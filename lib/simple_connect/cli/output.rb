# frozen_string_literal: true

require_relative "../internal/autoload"

module SimpleConnect
  class CLI
    # An output stream that escapes control characters: text from a service or a file must not control a terminal.
    # @api private
    class Output
      # Control characters, and those that change the writing direction.
      STEERING = /(?!\n)[[:cntrl:]]|[\u202A-\u202E\u2066-\u2069]/
      private_constant :STEERING

      # @param io [IO]
      def initialize(io) = @io = io

      # Prints one or more lines, with control characters escaped.
      #
      # @param text [String, Array<String>]
      # @return [Boolean] false if the reader is gone, as with `| head`
      def puts(text)
        lines = Array(text).map do |line|
          line.dup.force_encoding(Encoding::UTF_8).scrub.gsub(STEERING) { |character| character.dump[1..-2] }
        end
        write { @io.puts(lines) }
      end

      # Prints text that the command itself built, such as cursor moves, without escaping.
      #
      # @param text [String]
      # @return [Boolean] see {#puts}
      def print(text) = write { @io.print(text) }

      def tty? = @io.tty?
      def winsize = @io.winsize

      private

      def write
        yield
        @io.flush
        true
      rescue Errno::EPIPE
        false
      end
    end
    private_constant :Output
  end
end
