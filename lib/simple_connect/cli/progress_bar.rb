# frozen_string_literal: true

require "io/console"
require_relative "../internal/autoload"
require_relative "../internal/clock"

module SimpleConnect
  class CLI
    # Shows the progress of a long command: a bar on a terminal, otherwise lines.
    # @api private
    class ProgressBar
      # Seconds between updates.
      TERMINAL_INTERVAL = 0.1
      LINE_INTERVAL = 10
      BAR = 30
      private_constant :TERMINAL_INTERVAL, :LINE_INTERVAL, :BAR

      # @param out [IO]
      # @param total [Integer, nil] the total amount, in any unit; nil if unknown
      # @param interval [Numeric] seconds between updates
      def initialize(out, total:, interval: out.tty? ? TERMINAL_INTERVAL : LINE_INTERVAL)
        @out = out
        @total = total
        @interval = interval
        @started = @shown = Clock.now
        @count = 0
      end

      # @return [Float] seconds since the start
      def elapsed = Clock.now - @started

      # @return [Float] items per second
      def rate = elapsed.zero? ? 0.0 : @count / elapsed

      # Counts one more item.
      #
      # @param failed [Integer] the number of failed items
      # @param position [Integer, nil] the amount of the total that is done
      def advance(failed, position)
        @count += 1
        @first ||= position
        return if Clock.now - @shown < @interval

        @shown = Clock.now
        text = ["#{ProgressBar.grouped(@count)} done", ("#{ProgressBar.grouped(failed)} failed" if failed.positive?),
                "#{ProgressBar.grouped(rate.round)}/s", *part(position)].compact.join(", ")
        @out.tty? ? draw(text, position) : @out.puts(text)
      end

      # Removes the bar.
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
    private_constant :ProgressBar
  end
end
