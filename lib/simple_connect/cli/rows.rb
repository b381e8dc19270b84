# frozen_string_literal: true

require "digest"
require "json"
require_relative "../internal/autoload"

module SimpleConnect
  class CLI
    # The deliveries that a file holds, row by row, as JSON lines or as CSV.
    #
    # A line of JSON is what {Api::DeliverAll#deliver_all} takes, or one of a file of failures. In CSV the first line
    # names the columns: `event_key`, `event_id`, `language`, `occurred_at`, `recipient.mobile_no`, `recipient.name`,
    # and whatever else the event holds; an empty cell is left out.
    # @api private
    class Rows
      # `number` is that of its last line, `text` what stood there, `delivery` a Hash of strings, or `error` what is
      # wrong with it. `columns` is the header of a CSV, which its text cannot be read without. `digest` stands for all
      # that the file held up to here.
      Row = Struct.new(:number, :text, :delivery, :error, :columns, :digest)

      # What is wrong with a row, or with the whole file.
      class FormatError < StandardError; end

      # The bytes that a row may have: what is longer most likely has no line breaks where they should be.
      LONGEST = 1024 * 1024
      # The members of a line in a file of failures, and of one whose row was CSV.
      FAILURE = %w[row error failed].freeze
      CSV_FAILURE = [*FAILURE, "columns"].freeze
      BYTE_ORDER_MARK = "\xEF\xBB\xBF".b
      UTF16 = /\A(?:\xFF\xFE|\xFE\xFF)/n
      # A line that ends within a quoted cell. Nothing is tried twice, so its time is proportional to the length.
      OPEN = /\A(?:(?:"(?:[^"]++|"")*+"|[^",]*+),)*+"(?:[^"]++|"")*+\z/n
      COLUMN = /\A(?:(recipient|event)\.)?(.+)\z/m
      RECIPIENT = %w[mobile_no name].freeze
      private_constant :LONGEST, :FAILURE, :CSV_FAILURE, :BYTE_ORDER_MARK, :UTF16, :OPEN, :COLUMN, :RECIPIENT

      # @param io [IO] in binary mode
      # @param run [String] of which, and of its number, the id of a row without one is made
      def initialize(io, run:)
        @io = io
        @run = run
        @digest = ""
        @number = 0
        @separator = "\n"
        @ahead = []
      end

      # @yieldparam row [Row]
      # @raise [FormatError] where nothing in the file can be a row, or where nobody can tell where a row ends
      def each(&)
        look_ahead
        line = next_line
        line = next_line while line && blank?(line)
        return unless line

        line.lstrip.start_with?("{", "[") ? each_of_json(line, &) : each_of_csv(line, &)
      end

      private

      # Skips a byte order mark, and finds out which line breaks the file has.
      def look_ahead
        start = @io.gets("\n", LONGEST) or return
        raise FormatError, "the file is UTF-16: save it as UTF-8" if start.b.match?(UTF16)

        start = start.b.delete_prefix(BYTE_ORDER_MARK)
        # Spreadsheets on a Mac may write CSV so.
        @separator = "\r" if start.match?(/\r[^\n]/n) && !start.lstrip.start_with?("{", "[")
        @ahead = start.lines(@separator)
      end

      def gets
        line = @ahead.shift or return @io.gets(@separator, LONGEST)
        line.end_with?(@separator) ? line : line + @io.gets(@separator, LONGEST).to_s.b
      end

      # Of a line that is too long, only the beginning is kept.
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
        raise FormatError, "too long: each delivery must be a line by itself" if line.bytesize >= LONGEST

        read(JSON.parse(line))
      rescue JSON::ParserError
        raise FormatError, "not JSON, or more than one line of it; each delivery must be a line by itself"
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

      # A row that could not be read, after somebody has repaired its text.
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

      # The whole row that begins with this line.
      def record(line)
        first = @number
        text = line.dup
        open = OPEN.match?(line)
        while open && text.bytesize < LONGEST && (line = next_line)
          text << line
          open = OPEN.match?("\"#{line}")
        end
        # Deliveries must not be made of what may be the inside of a cell.
        raise FormatError, "line #{first}: a quote opens a cell and is not closed" if open
        raise FormatError, "line #{first}: the row is too long" if text.bytesize >= LONGEST

        text
      end

      # As bytes: then a cell that is not UTF-8 spoils only its own row.
      def cells(text)
        line = text.chomp
        # Most rows have no quotes, and need no parser.
        return line.split(",", -1).map { |cell| cell unless cell.empty? } unless line.match?(/["\r]/n)

        require "csv"
        CSV.parse_line(line, row_sep: "\n") || []
      rescue LoadError
        raise FormatError, "CSV needs the gem csv; JSON lines need none"
      rescue CSV::MalformedCSVError => e
        raise FormatError, e.message.sub(/ in line \d+\.?\z/, "")
      end

      # Of each column, what it belongs to, and its name.
      def columns(header)
        names = header.map { |name| utf8(name.to_s).strip }
        unless names.include?("event_key")
          raise FormatError, "the first line must name the columns, event_key among them, such as " \
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
          raise FormatError, "the column #{column} takes the place of the event key: the customer's is " \
                             "recipient.name; rename it"
        elsif !nested && name == "event"
          raise FormatError, "the column #{column} takes the place of the event key: rename it"
        end
      end

      def refuse_twins(names, columns)
        names.zip(columns).group_by { |_, (part, name)| name && [part == "recipient", name] }.each do |key, twins|
          next if key.nil? || twins.size == 1

          raise FormatError, "two columns stand for the same: #{twins.map(&:first).join(", ")}"
        end
      end

      def delivery_of_cells(columns, cells)
        raise FormatError, "has #{cells.size} cells, and the first line #{columns.size}" if cells.size > columns.size

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

      # The row's own id, or one that it has each time this run comes to it.
      def with_id(delivery, number)
        event = delivery.key?("recipient") ? delivery["event"] || {} : delivery
        return delivery unless event.is_a?(Hash)

        refuse_second_key(delivery, event)
        return delivery unless event["event_id"].to_s.strip.empty?

        event = { **event, "event_id" => "import_#{@run}_#{number}" }
        delivery.key?("recipient") ? { **delivery, "event" => event } : event
      end

      # The service reads the event key there, and what the file has would replace it, or be dropped.
      def refuse_second_key(delivery, event)
        place = delivery.key?("recipient") ? "name" : "event"
        return if !event.key?(place) || [nil, event[place]].include?(delivery["event_key"])

        raise FormatError, "#{place} takes the place of the event key, which is event_key: rename it"
      end

      def utf8(bytes)
        text = bytes.dup.force_encoding(Encoding::UTF_8)
        text.valid_encoding? ? text : raise(FormatError, "not UTF-8")
      end
    end
    private_constant :Rows
  end
end
