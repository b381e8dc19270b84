# frozen_string_literal: true

require "digest"
require "json"
require_relative "../internal/autoload"

module SimpleConnect
  class CLI
    # Reads deliveries from a file, row by row: JSON lines or CSV.
    #
    # A JSON line is an item of {Api::DeliverAll#deliver_all}, or a line of a file of failures. In CSV, the first line
    # names the columns: `event_key`, `event_id`, `language`, `occurred_at`, `recipient.mobile_no`, `recipient.name` and
    # the event's fields. Empty cells are left out.
    # @api private
    class Rows
      # `number` is the row's last line number, `text` its raw text. `delivery` is a Hash of strings; if the row is
      # invalid, `error` says why. `columns` is the header of a CSV file, needed to read `text`. `digest` covers all of
      # the file up to this row.
      Row = Struct.new(:number, :text, :delivery, :error, :columns, :digest)

      # A row or the whole file is invalid.
      class FormatError < StandardError; end

      # The maximum bytes of a row. A longer row most likely lacks line breaks.
      LONGEST = 1024 * 1024
      # The keys of a line in a file of failures, for JSON and for CSV.
      FAILURE = %w[row error failed].freeze
      CSV_FAILURE = [*FAILURE, "columns"].freeze
      BYTE_ORDER_MARK = "\xEF\xBB\xBF".b
      UTF16 = /\A(?:\xFF\xFE|\xFE\xFF)/n
      # A line that ends within a quoted cell. Possessive quantifiers avoid backtracking, so matching takes linear time.
      OPEN = /\A(?:(?:"(?:[^"]++|"")*+"|[^",]*+),)*+"(?:[^"]++|"")*+\z/n
      COLUMN = /\A(?:(recipient|event)\.)?(.+)\z/m
      RECIPIENT = %w[mobile_no name].freeze
      private_constant :LONGEST, :FAILURE, :CSV_FAILURE, :BYTE_ORDER_MARK, :UTF16, :OPEN, :COLUMN, :RECIPIENT

      # @param io [IO] in binary mode
      # @param run [String] used with the row's number to build the id of a row without one
      def initialize(io, run:)
        @io = io
        @run = run
        @digest = ""
        @number = 0
        @separator = "\n"
        @ahead = []
      end

      # @yieldparam row [Row]
      # @raise [FormatError] if the whole file is invalid, or the end of a row cannot be found
      def each(&)
        look_ahead
        line = next_line
        line = next_line while line && blank?(line)
        return unless line

        line.lstrip.start_with?("{", "[") ? each_of_json(line, &) : each_of_csv(line, &)
      end

      private

      # Skips a byte order mark and detects the line separator.
      def look_ahead
        start = @io.gets("\n", LONGEST) or return
        raise FormatError, "the file is UTF-16: save it as UTF-8" if start.b.match?(UTF16)

        start = start.b.delete_prefix(BYTE_ORDER_MARK)
        # Some spreadsheets on macOS write CSV with carriage returns.
        @separator = "\r" if start.match?(/\r[^\n]/n) && !start.lstrip.start_with?("{", "[")
        @ahead = start.lines(@separator)
      end

      def gets
        line = @ahead.shift or return @io.gets(@separator, LONGEST)
        line.end_with?(@separator) ? line : line + @io.gets(@separator, LONGEST).to_s.b
      end

      # Keeps only the beginning of a line that is too long.
      def next_line
        line = rest = gets or return

        @number += 1
        rest = gets until rest.nil? || rest.end_with?(@separator) || rest.bytesize < LONGEST
        line.force_encoding(Encoding::BINARY)
      end

      def blank?(line) = line.strip.empty?

      def each_of_json(line)
        while line
          yield row(line) { read_json(line) } unless blank?(line)
          line = next_line
        end
      end

      def read_json(line)
        line = utf8(line)
        raise FormatError, "too long: write each delivery on a line of its own" if line.bytesize >= LONGEST

        read(JSON.parse(line))
      rescue JSON::ParserError
        raise FormatError, "not JSON, or more than one line: write each delivery on a line of its own"
      end

      def read(value)
        case value
        in Hash if [FAILURE, CSV_FAILURE].include?(value.keys)
          failed, header = value.values_at("failed", "columns")
          failed.is_a?(String) ? read_failed(failed, header) : read(failed)
        in Hash then value
        in [String => event_key, Hash => arguments] then { "event_key" => event_key, **arguments }
        else raise FormatError, %(must be {"event_key": …, "recipient": {…}, "event": {…}}, not #{value.class})
        end
      end

      # A row that was invalid; its text may be corrected now.
      def read_failed(text, header)
        header ? delivery_of_cells(columns(cells(header.to_s)), cells(text)) : read_json(text)
      end

      def each_of_csv(line)
        header = record(line)
        columns = header_columns(header)
        header = utf8(header.chomp)
        while (line = next_line)
          next if blank?(line)

          text = record(line)
          yield row(text, header) { delivery_of_cells(columns, cells(text)) }
        end
      end

      def header_columns(header)
        columns(cells(header))
      rescue FormatError => e
        raise FormatError, "line #{@number}: #{e.message}"
      end

      # The whole row that starts with this line.
      def record(line)
        first = @number
        text = line.dup
        open = OPEN.match?(line)
        while open && text.bytesize < LONGEST && (line = next_line)
          text << line
          open = OPEN.match?("\"#{line}")
        end
        # The rest may be the inside of a cell, so no deliveries are read from it.
        raise FormatError, "line #{first}: an opening quote is never closed" if open
        raise FormatError, "line #{first}: the row is too long" if text.bytesize >= LONGEST

        text
      end

      # As bytes, so that invalid UTF-8 in a cell affects only its own row.
      def cells(text)
        line = text.chomp
        # Most rows have no quotes and need no parser.
        return line.split(",", -1).map { |cell| cell unless cell.empty? } unless line.match?(/["\r]/n)

        require "csv"
        CSV.parse_line(line, row_sep: "\n") || []
      rescue LoadError
        raise FormatError, "CSV needs the csv gem; JSON lines do not"
      rescue CSV::MalformedCSVError => e
        raise FormatError, e.message.sub(/ in line \d+\.?\z/, "")
      end

      # Splits each column into its part and its name.
      def columns(header)
        names = header.map { |name| utf8(name.to_s).strip }
        unless names.include?("event_key")
          raise FormatError, "the first line must name the columns, including event_key, such as " \
                             "event_key,event_id,recipient.mobile_no,payment_amount; or each line must be JSON"
        end
        columns = names.map { |name| name.match(COLUMN)&.captures }
        nested = columns.any? { |part, _| part == "recipient" }
        names.zip(columns) { |name, (part, member)| check_column(name, part, member, nested) }
        refuse_twins(names, columns)
        columns
      end

      def check_column(column, part, name, nested)
        if part == "recipient"
          return if RECIPIENT.include?(name)

          raise FormatError, "the column #{column} is unknown: a recipient has recipient.mobile_no and recipient.name"
        elsif nested && name == "name"
          raise FormatError, "the column #{column} would replace the event key: the customer's name is " \
                             "recipient.name; rename it"
        elsif !nested && name == "event"
          raise FormatError, "the column #{column} would replace the event key: rename it"
        end
      end

      def refuse_twins(names, columns)
        names.zip(columns).group_by { |_, (part, name)| name && [part == "recipient", name] }.each do |key, twins|
          next if key.nil? || twins.size == 1

          raise FormatError, "these columns mean the same: #{twins.map(&:first).join(", ")}"
        end
      end

      def delivery_of_cells(columns, cells)
        raise FormatError, "has #{cells.size} cells, but the header has #{columns.size}" if cells.size > columns.size

        parts = { nil => {}, "recipient" => nil, "event" => {} }
        columns.zip(cells) do |(part, name), cell|
          parts[part] ||= {}
          parts[part][name] = utf8(cell) if name && cell
        end
        event_key = parts[nil].delete("event_key")
        event = parts[nil].merge(parts["event"])
        return { "event_key" => event_key, **event } unless parts["recipient"]

        { "event_key" => event_key, "recipient" => parts["recipient"], "event" => event }
      end

      def row(text, columns = nil)
        @digest = Digest::SHA256.digest(@digest + text)
        row = Row.new(@number, text, nil, nil, columns, @digest)
        row.delivery = with_id(yield, @number)
        row
      rescue FormatError => e
        row.error = e.message
        row
      end

      # The row's own id, or one that is the same each time this run reads the row.
      def with_id(delivery, number)
        event = delivery.key?("recipient") ? delivery["event"] || {} : delivery
        return delivery unless event.is_a?(Hash)

        refuse_second_key(delivery, event)
        return delivery unless event["event_id"].to_s.strip.empty?

        event = { **event, "event_id" => "import_#{@run}_#{number}" }
        delivery.key?("recipient") ? { **delivery, "event" => event } : event
      end

      # The service reads the event key from that field, so the file's value would replace it or be dropped.
      def refuse_second_key(delivery, event)
        place = delivery.key?("recipient") ? "name" : "event"
        return if !event.key?(place) || [nil, event[place]].include?(delivery["event_key"])

        raise FormatError, "#{place} would replace the event key, which is event_key: rename it"
      end

      def utf8(bytes)
        text = bytes.dup.force_encoding(Encoding::UTF_8)
        text.valid_encoding? ? text : raise(FormatError, "not UTF-8")
      end
    end
    private_constant :Rows
  end
end
