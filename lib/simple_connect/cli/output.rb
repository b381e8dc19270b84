# frozen_string_literal: true

require_relative "../internal/autoload"

module SimpleConnect
  class CLI
    # A stream that the command prints to. What a service says and what a file holds must not steer a terminal.
    # @api private
    class Output
      # Other than control characters, those that turn the direction in which a terminal writes.
      STEERING = /(?!\n)[[:cntrl:]]|[\u202A-\u202E\u2066-\u2069]/
      private_constant :STEERING

      # @param io [IO]
      def initialize(io) = @io = io

      # Prints a line, or several, with control characters escaped.
      #
      # @param text [String, Array<String>]
      # @return [Boolean] false where nobody reads any more, as behind `| head`
      def puts(text)
        lines = Array(text).map do |line|
          line.dup.force_encoding(Encoding::UTF_8).scrub.gsub(STEERING) { |character| character.dump[1..-2] }
        end
        write { @io.puts(lines) }
      end

      # Prints as it is what the command itself made, such as the moves of a cursor.
      #
      # @param text [String]
      # @return [Boolean] as {#puts}
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
