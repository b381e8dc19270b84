# frozen_string_literal: true

require "io/console"
require_relative "../internal/autoload"
require_relative "../internal/clock"

module SimpleConnect
  class CLI
    # Shows how far a long command has come: on a terminal as a bar that is drawn anew, elsewhere line by line.
    # @api private
    class Progress
      # Seconds between what is shown.
      TERMINAL_INTERVAL = 0.1
      LINE_INTERVAL = 10
      BAR = 30
      private_constant :TERMINAL_INTERVAL, :LINE_INTERVAL, :BAR

      # @param out [IO]
      # @param total [Integer, nil] how much there is, in whatever unit; nil where nobody knows
      # @param interval [Numeric] seconds between what is shown
      def initialize(out, total:, interval: out.tty? ? TERMINAL_INTERVAL : LINE_INTERVAL)
        @out = out
        @total = total
        @interval = interval
        @started = @shown = Clock.now
        @count = 0
      end

      # @return [Float] seconds since it was made
      def elapsed = Clock.now - @started

      # @return [Float] how many a second
      def rate = elapsed.zero? ? 0.0 : @count / elapsed

      # One more is done.
      #
      # @param failed [Integer] how many have failed
      # @param position [Integer, nil] how much of the total is done
      def advance(failed, position)
        @count += 1
        @first ||= position
        return if Clock.now - @shown < @interval

        @shown = Clock.now
        text = ["#{Progress.grouped(@count)} done", ("#{Progress.grouped(failed)} failed" if failed.positive?),
                "#{Progress.grouped(rate.round)}/s", *part(position)].compact.join(", ")
        @out.tty? ? draw(text, position) : @out.puts(text)
      end

      # Leaves nothing of a bar.
      def clear
        @out.print("\r\e[K") if @out.tty?
      end

      # @return [String] such as `12,345`
      def self.grouped(number) = number.to_s.gsub(/\d(?=(\d{3})+\z)/, "\\0,")

      private

      def part(position)
        return unless @total&.positive? && position

        share = (position.to_f / @total).clamp(0, 1)
        new = position - @first
        return ["#{(share * 100).floor} %"] unless new.positive?

        ["#{(share * 100).floor} %", "#{duration((@total - position).clamp(0..) * elapsed / new)} left"]
      end

      def draw(text, position)
        width = @out.winsize.last
        if @total&.positive? && position && width > text.length + BAR + 4
          full = (BAR * position / @total).clamp(0, BAR)
          text = "[#{"#" * full}#{" " * (BAR - full)}] #{text}"
        end
        @out.print("\r\e[K#{text[0, [width - 1, 1].max]}")
      end

      def duration(seconds)
        minutes, seconds = seconds.ceil.divmod(60)
        hours, minutes = minutes.divmod(60)
        return "#{hours} h #{minutes} min" if hours.positive?

        minutes.positive? ? "#{minutes} min #{seconds} s" : "#{seconds} s"
      end
    end
    private_constant :Progress
  end
end
