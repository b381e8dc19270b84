# frozen_string_literal: true

require "fileutils"
require "json"
require "securerandom"
require "set"
require_relative "../api/events"
require_relative "../internal/autoload"
require_relative "../internal/clock"

module SimpleConnect
  class CLI
    # The command `import`: delivers the rows of a file, and can go on where it was ended early.
    #
    # Beside the file it notes how far it is, and keeps the rows that failed. Each row has an id, its own or one made
    # here, and the same one whenever it is repeated; so none is taken twice.
    # @api private
    class Import
      # With these every row would be refused alike.
      HOPELESS = [401, 403, 404].freeze
      # The reasons of failures that the summary tells apart.
      MOST_REASONS = 10
      # As many failures in a row, and twice the concurrency, as tell that the service is down or asks to wait.
      MOST_TEMPORARY = 10
      # Seconds between notes of how far it is.
      KEEP_INTERVAL = 1
      # How far it is: the last line that is done, and what stands for all up to there.
      Mark = Struct.new(:line, :digest)
      private_constant :HOPELESS, :MOST_REASONS, :MOST_TEMPORARY, :KEEP_INTERVAL, :Mark

      # Takes the place of a client's requests, and sends nothing.
      class Rehearsal
        Transport = Struct.new(:target)
        private_constant :Transport

        def transport = Transport.new("")
        def in(_batch) = self
        def post(...) = Result.new(success: true, status_code: 202)
      end
      private_constant :Rehearsal

      # @param path [String] `-` for what comes in by `input`
      # @param concurrency [Integer]
      # @param failures [String, nil] the file for the rows that fail
      # @param dry_run [Boolean]
      # @param input [IO]
      # @param out [IO]
      # @param err [IO]
      def initialize(path, concurrency:, failures:, dry_run:, input:, out:, err:)
        @path = path
        @concurrency = concurrency
        # A pipe can be read only once, whatever its name is.
        @stream = path == "-" || path.start_with?("/dev/") || (File.exist?(path) && !File.file?(path))
        @failures_path = failures || (@stream ? "import.failures.jsonl" : failures_of(path))
        @note_path = "#{path}.progress" unless @stream || dry_run
        @dry_run = dry_run
        @input = input
        @out = out
        @err = err
        @delivered = @duplicates = @failed = @temporary = 0
        @reasons = Hash.new(0)
        @under_way = {}
        # Of those under way, the results that may be better another time, since the last one that was not such.
        @held = {}
      end

      # @yieldreturn [Api::Events] asked for where something is to be sent
      # @return [Integer] the exit code
      # @raise [UsageError] where it cannot begin, or not go on
      def run
        open_input do
          take_up
          begin
            deliver_all(@dry_run ? Api::Events.new(request: Rehearsal.new) : yield)
          rescue Rows::FormatError, UsageError, SystemCallError
            @blocked = true
            raise
          ensure
            @progress.clear
            leave
          end
        end
        summarize
      rescue Rows::FormatError => e
        raise UsageError, "#{@path == "-" ? "standard input" : @path}: #{e.message}"
      end

      private

      # What failed again goes beside what failed before, under the next number.
      def failures_of(path)
        again = path.match(/\A(?<file>.+\.failures)(?:\.(?<number>\d+))?\.jsonl\z/) or return "#{path}.failures.jsonl"

        "#{again[:file]}.#{again[:number].to_i.clamp(1..) + 1}.jsonl"
      end

      def open_input
        return yield(@io = @input.binmode) if @path == "-"

        File.open(@path, "rb") do |file|
          unless @stream || file.flock(File::LOCK_EX | File::LOCK_NB)
            raise UsageError, "#{@path} is being imported already"
          end

          @io = file
          yield
        end
      end

      def take_up
        noted = read_note if @note_path && File.exist?(@note_path)
        if noted
          @err.puts("Going on after line #{noted[:line]}; #{@note_path} says so.") if noted[:line].positive?
        elsif !@dry_run && File.exist?(@failures_path)
          raise UsageError, "#{@failures_path} is there, from another import: import it, move it away, or name " \
                            "another file with --failures"
        end
        @anew = noted.nil?
        noted ||= { run: SecureRandom.hex(6), line: 0, digest: "" }
        @run = noted[:run]
        @first = noted[:line]
        @before = @done = Mark.new(noted[:line], noted[:digest])
        @size = @io.size unless @stream
        @progress = Progress.new(@err, total: @size)
        # Before anything is sent: what was sent before a crash must have the same ids after it.
        keep
      end

      def read_note
        note = JSON.parse(File.read(@note_path), symbolize_names: true)
        return note if note in { run: String, line: Integer, digest: String }

        raise JSON::ParserError
      rescue JSON::ParserError
        raise UsageError, "#{@note_path} is damaged: restore it, or remove it to begin anew; rows without an " \
                          "event_id then get new ones, and may be delivered twice"
      end

      def deliver_all(events)
        ended = events.deliver_all(enum_for(:each_delivery), concurrency: @concurrency) do |result, _, index|
          break :hopeless if hopeless?(result)

          result.retryable? ? hold(index, result) : settle_with_held(index, result)
          break :hopeless if @hopeless

          keep if Clock.now - @kept_at >= KEEP_INTERVAL
        end
        return if ended == :hopeless

        settle_held
        @finished = !shrunk?
        raise UsageError, "#{@path} became shorter while it was read: restore it" if shrunk?
      end

      def hopeless?(result) = HOPELESS.include?(result.status_code) && (@hopeless = result)

      # Where nothing else comes, these rows are not failures of their own, and are sent again with the rest.
      def hold(index, result)
        @held[index] = result
        @hopeless = result if @held.size >= [MOST_TEMPORARY, 2 * @concurrency].max
      end

      def settle_with_held(index, result)
        settle_held
        settle(index, result)
      end

      def settle_held
        until @held.empty?
          settle(*@held.first)
          @held.shift
        end
      end

      def each_delivery
        index = -1
        Rows.new(@io, run: @run).each do |row|
          mark = Mark.new(row.number, row.digest.unpack1("H*"))
          next if before?(mark)

          if row.delivery
            @under_way[index += 1] = [@done, row]
          else
            failed(row, row.text.dup.force_encoding(Encoding::UTF_8).scrub, row.error)
            advance
          end
          @done = mark
          yield row.delivery if row.delivery
        end
        refuse_changed if @before.line.positive?
      end

      # The end of the file is the end of the work only where the file still has all that it had.
      def shrunk? = !@stream && @io.size < [@size, @io.pos].max

      # Whether a row was done before this run.
      def before?(mark)
        return false if @before.line.zero?
        return true if mark.line < @before.line

        refuse_changed unless mark == @before
        @before = Mark.new(0)
        true
      end

      def refuse_changed
        raise UsageError, "#{@path} is not as it was up to line #{@before.line}: restore it, or remove #{@note_path} " \
                          "to begin anew"
      end

      def settle(index, result)
        row = @under_way[index].last
        if result.success?
          @delivered += 1
          @duplicates += 1 if result.data&.duplicate?
        else
          @temporary += 1 if result.retryable?
          failed(row, row.delivery, result.error)
        end
        advance
        # Only now: what comes in between must not make it forgotten.
        @under_way.delete(index)
      end

      def advance = @progress.advance(@failed, (@io.pos unless @stream))

      def failed(row, what, error)
        @failed += 1
        # What Ruby calls so is a column or a member here.
        error = error.sub(/\AArgumentError: (\w+)\[:(\w+)\]/, '\1.\2').delete_prefix("ArgumentError: ")
        reason = error.lines.first.to_s.strip[0, 200]
        @reasons[@reasons.key?(reason) || @reasons.size < MOST_REASONS ? reason : "other reasons"] += 1
        return @out.puts("line #{row.number}: #{reason}") if @dry_run

        failure = { row: row.number, error:, failed: what }
        failure[:columns] = row.columns if row.columns && what.is_a?(String)
        @failures ||= open_failures
        @failures.puts(JSON.generate(failure, max_nesting: 0)) unless @failed_before.include?(name(failure))
      end

      # Where an import goes on, the rows that it reads again may have failed before.
      def failed_before
        return Set.new if @anew || !File.file?(@failures_path)

        File.foreach(@failures_path).filter_map do |line|
          failure = JSON.parse(line, symbolize_names: true, max_nesting: 0)
          name(failure) if failure.is_a?(Hash) && failure[:row].is_a?(Integer) && failure[:row] > @first
        rescue JSON::ParserError
          nil
        end.to_set
      end

      def name(failure) = JSON.generate(failure.values_at(:row, :failed), max_nesting: 0)

      def open_failures
        file = open_private(@failures_path, File::RDWR | File::APPEND)
        file.sync = true
        # A full disk may have left half a line.
        file.puts if file.size.positive? && file.pread(1, file.size - 1) != "\n"
        @failed_before = failed_before
        file
      rescue Errno::ELOOP
        raise UsageError, "#{@failures_path} is a symbolic link: remove it, or name another file with --failures"
      end

      # Rows hold names and numbers of customers; and what another user put in our way is not written to.
      def open_private(path, flags, &) = File.open(path, flags | File::CREAT | File::NOFOLLOW, 0o600, &)

      # Notes how far it is; nothing where it is at the end.
      def keep
        @kept_at = Clock.now
        return unless @note_path
        return FileUtils.rm_f(@note_path) if @finished

        mark = @under_way.empty? ? @done : @under_way.first.last.first
        FileUtils.rm_f("#{@note_path}.new")
        open_private("#{@note_path}.new", File::WRONLY | File::EXCL) do |file|
          file.write(JSON.generate({ run: @run, **mark.to_h }))
          file.fsync
        end
        File.rename("#{@note_path}.new", @note_path)
      end

      def leave
        # No run has read a row, so there is nothing to go on from.
        return FileUtils.rm_f(@note_path.to_s) if @blocked && @anew && @done.line.zero?

        keep
        return if @finished || @dry_run

        going_on = "; the same command goes on from here#{" once that is repaired" if @blocked}" if @note_path
        @err.puts("Ended early, after #{counts}#{going_on}.")
      end

      def summarize
        @err.puts("#{@path == "-" ? "The standard input" : @path} holds no rows.") if @finished && @done.line.zero?
        @out.puts("#{counts} (#{format("%.1f", @progress.elapsed)} s, #{grouped(@progress.rate.round)}/s)")
        unless @dry_run
          @reasons.sort_by(&:last).reverse_each { |reason, count| @out.puts("  #{grouped(count)} × #{reason}") }
        end
        @out.puts("Repair and import what failed: #{@failures_path}") if @failures
        code
      end

      # Of this run: what came before it was counted then.
      def counts
        "#{grouped(@delivered)} #{@dry_run ? "can be delivered" : "delivered"}" \
          "#{", #{grouped(@duplicates)} of them before" if @duplicates.positive?}, " \
          "#{grouped(@failed)} #{@dry_run ? "cannot" : "failed"}#{" from line #{@first + 1} on" if @first.positive?}"
      end

      def code
        if @hopeless
          if @hopeless.retryable?
            @err.puts("The last #{@held.size} failed alike, and may succeed later: #{@hopeless.error}")
            return TEMPORARY
          end
          @err.puts("The service would refuse the others, too: #{@hopeless.error}")
          return REFUSED
        end
        return OK if @failed.zero?

        @failed == @temporary ? TEMPORARY : REFUSED
      end

      def grouped(number) = Progress.grouped(number)
    end
    private_constant :Import
  end
end
