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
    # The `import` command: delivers the rows of a file, and can resume after it ended early.
    #
    # It stores its progress next to the file, and keeps rows that failed. Each row has an id, its own or a generated
    # one that stays the same when the row is repeated, so no row is delivered twice.
    # @api private
    class Import
      # With these statuses the service rejects every row.
      HOPELESS = [401, 403, 404].freeze
      # The maximum number of different reasons in the summary.
      MOST_REASONS = 10
      # This many failures in a row, plus twice the concurrency, mean that the service is down or asks to wait.
      MOST_TEMPORARY = 10
      # Seconds between saves of the progress.
      KEEP_INTERVAL = 1
      # The progress: the last finished line, and a digest of the file up to it.
      Mark = Struct.new(:line, :digest)
      private_constant :HOPELESS, :MOST_REASONS, :MOST_TEMPORARY, :KEEP_INTERVAL, :Mark

      # Replaces a client's requests in a dry run, and sends nothing.
      class Rehearsal
        Transport = Struct.new(:target)
        private_constant :Transport

        def transport = Transport.new("")
        def in(_batch) = self
        def post(...) = Result.new(success: true, status_code: 202)
      end
      private_constant :Rehearsal

      # @param path [String] `-` for `input`
      # @param concurrency [Integer]
      # @param failures [String, nil] the file for the rows that fail
      # @param dry_run [Boolean]
      # @param input [IO]
      # @param out [IO]
      # @param err [IO]
      def initialize(path, concurrency:, failures:, dry_run:, input:, out:, err:)
        @path = path
        @concurrency = concurrency
        # A pipe can be read only once, whatever its path.
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
        # The transient failures since the last other result, by row.
        @held = {}
      end

      # @yieldreturn [Api::Events] needed unless it is a dry run
      # @return [Integer] the exit code
      # @raise [UsageError] if it cannot start or continue
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

      # If a file of failures is imported, its failures go to a new file with the next number.
      def failures_of(path)
        again = path.match(/\A(?<file>.+\.failures)(?:\.(?<number>\d+))?\.jsonl\z/) or return "#{path}.failures.jsonl"

        "#{again[:file]}.#{again[:number].to_i.clamp(1..) + 1}.jsonl"
      end

      def open_input
        return yield(@io = @input.binmode) if @path == "-"

        File.open(@path, "rb") do |file|
          unless @stream || file.flock(File::LOCK_EX | File::LOCK_NB)
            raise UsageError, "another process is importing #{@path}"
          end

          @io = file
          yield
        end
      end

      def take_up
        noted = read_note if @note_path && File.exist?(@note_path)
        if noted
          @err.puts("Resuming after line #{noted[:line]}, as noted in #{@note_path}.") if noted[:line].positive?
        elsif !@dry_run && File.exist?(@failures_path)
          raise UsageError, "#{@failures_path} exists from another import: import it, move it away, or name " \
                            "another file with --failures"
        end
        @anew = noted.nil?
        noted ||= { run: SecureRandom.hex(6), line: 0, digest: "" }
        @run = noted[:run]
        @first = noted[:line]
        @before = @done = Mark.new(noted[:line], noted[:digest])
        @size = @io.size unless @stream
        @progress = ProgressBar.new(@err, total: @size)
        # Saved before anything is sent, so that rows have the same ids after a crash.
        keep
      end

      def read_note
        note = JSON.parse(File.read(@note_path), symbolize_names: true)
        return note if note in { run: String, line: Integer, digest: String }

        raise JSON::ParserError
      rescue JSON::ParserError
        raise UsageError, "#{@note_path} is damaged: restore it, or remove it to start again; rows without an " \
                          "event_id then get new ids and may be delivered twice"
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

      # If no other result follows, these rows do not count as failed: the next run sends them again.
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

      # The import is complete only if the file has not become shorter meanwhile.
      def shrunk? = !@stream && @io.size < [@size, @io.pos].max

      # Whether an earlier run has handled the row.
      def before?(mark)
        return false if @before.line.zero?
        return true if mark.line < @before.line

        refuse_changed unless mark == @before
        @before = Mark.new(0)
        true
      end

      def refuse_changed
        raise UsageError, "#{@path} has changed up to line #{@before.line}: restore it, or remove #{@note_path} " \
                          "to start again"
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
        # Set only now, so that an interruption before it does not lose the row.
        @under_way.delete(index)
      end

      def advance = @progress.advance(@failed, (@io.pos unless @stream))

      def failed(row, what, error)
        @failed += 1
        # Names the column or field instead of Ruby's argument.
        error = error.sub(/\AArgumentError: (\w+)\[:(\w+)\]/, '\1.\2').delete_prefix("ArgumentError: ")
        reason = error.lines.first.to_s.strip[0, 200]
        @reasons[@reasons.key?(reason) || @reasons.size < MOST_REASONS ? reason : "other reasons"] += 1
        return @out.puts("line #{row.number}: #{reason}") if @dry_run

        failure = { row: row.number, error:, failed: what }
        failure[:columns] = row.columns if row.columns && what.is_a?(String)
        @failures ||= open_failures
        @failures.puts(JSON.generate(failure, max_nesting: 0)) unless @failed_before.include?(name(failure))
      end

      # A resumed import reads some rows again that may have failed before.
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
        # A full disk may have left an incomplete line.
        file.puts if file.size.positive? && file.pread(1, file.size - 1) != "\n"
        @failed_before = failed_before
        file
      rescue Errno::ELOOP
        raise UsageError, "#{@failures_path} is a symbolic link: remove it, or name another file with --failures"
      end

      # Rows contain customers' names and numbers. NOFOLLOW protects against links placed by another user.
      def open_private(path, flags, &) = File.open(path, flags | File::CREAT | File::NOFOLLOW, 0o600, &)

      # Saves the progress; removes it at the end.
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
        # No row was read, so there is nothing to resume.
        return FileUtils.rm_f(@note_path.to_s) if @blocked && @anew && @done.line.zero?

        keep
        return if @finished || @dry_run

        going_on = "; #{"fix the problem, then " if @blocked}run the same command again to resume" if @note_path
        @err.puts("Ended early, after #{counts}#{going_on}.")
      end

      def summarize
        @err.puts("#{@path == "-" ? "The standard input" : @path} contains no rows.") if @finished && @done.line.zero?
        @out.puts("#{counts} (#{format("%.1f", @progress.elapsed)} s, #{grouped(@progress.rate.round)}/s)")
        unless @dry_run
          @reasons.sort_by(&:last).reverse_each { |reason, count| @out.puts("  #{grouped(count)} × #{reason}") }
        end
        @out.puts("The failed rows are in #{@failures_path}: correct them, then import that file") if @failures
        code
      end

      # Counts only this run.
      def counts
        "#{grouped(@delivered)} #{@dry_run ? "can be delivered" : "delivered"}" \
          "#{", #{grouped(@duplicates)} of them already delivered before" if @duplicates.positive?}, " \
          "#{grouped(@failed)} #{@dry_run ? "cannot" : "failed"}#{" from line #{@first + 1} on" if @first.positive?}"
      end

      def code
        if @hopeless
          if @hopeless.retryable?
            @err.puts("The last #{@held.size} rows failed the same way and may succeed later: #{@hopeless.error}")
            return TEMPORARY
          end
          @err.puts("The service would reject the remaining rows too: #{@hopeless.error}")
          return REFUSED
        end
        return OK if @failed.zero?

        @failed == @temporary ? TEMPORARY : REFUSED
      end

      def grouped(number) = ProgressBar.grouped(number)
    end
    private_constant :Import
  end
end
