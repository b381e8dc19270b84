# frozen_string_literal: true

require "digest"
require "json"

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
      # wrong with it. `digest` stands for all that the file held up to here.
      Row = Struct.new(:number, :text, :delivery, :error, :digest)

      # What is wrong with a row, or with the whole file.
      class FormatError < StandardError; end

      # The bytes that a row may have: what is longer most likely has no line breaks where they should be.
      LONGEST = 4 * 1024 * 1024
      # The members of a line in a file of failures.
      FAILURE = %w[row error failed].freeze
      BYTE_ORDER_MARK = "\xEF\xBB\xBF".b
      COLUMN = /\A(?:(recipient|event)\.)?(.+)\z/m
      private_constant :LONGEST, :FAILURE, :BYTE_ORDER_MARK, :COLUMN

      # @param io [IO] in binary mode
      # @param run [String] of which, and of its number, the id of a row without one is made
      def initialize(io, run:)
        @io = io
        @run = run
        @digest = ""
      end

      # @yieldparam row [Row]
      # @raise [FormatError] where nothing in the file can be a row
      def each(&)
        case first_byte
        when "{", "[" then each_of_json(&)
        when String then each_of_csv(&)
        end
      end

      private

      def first_byte
        mark = @io.read(3).to_s
        @io.ungetbyte(mark) unless mark == BYTE_ORDER_MARK
        first = @io.getc
        @io.ungetbyte(first) if first
        first
      end

      def each_of_json
        number = 0
        while (line = @io.gets("\n", LONGEST))
          number += 1
          yield row(number, line) { read_json(line) } unless line.strip.empty?
          line = @io.gets("\n", LONGEST) until line.nil? || line.end_with?("\n") || line.bytesize < LONGEST
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
        in Hash if value.keys == FAILURE
          failed = value["failed"]
          failed.is_a?(String) ? read_json(failed) : read(failed)
        in Hash then value
        in [String => event_key, Hash => arguments] then { "event_key" => event_key, **arguments }
        else raise FormatError, %(must be {"event_key": …, "recipient": {…}, "event": {…}}, not #{value.class})
        end
      end

      def each_of_csv
        csv = open_csv
        columns = columns(csv.shift || [])
        loop do
          cells = begin
            csv.shift or break
          rescue CSV::MalformedCSVError => e
            e
          end
          yield row(csv.lineno, csv.line) { delivery_of_cells(columns, cells) }
        end
      end

      def open_csv
        require "csv"
        # Ruby 3.1.2's csv, 3.2.2, knows this limit by an older name.
        limit = CSV.instance_method(:initialize).parameters.include?(%i[key max_field_size])
        # As bytes: then a cell that is not UTF-8 spoils only its own row.
        CSV.new(@io, skip_blanks: true, (limit ? :max_field_size : :field_size_limit) => LONGEST)
      rescue LoadError
        raise FormatError, "CSV needs the gem csv; JSON lines need none"
      end

      # Of each column, what it belongs to, and its name.
      def columns(header)
        header = header.map { |name| utf8(name.to_s).strip }
        return header.map { |name| name.match(COLUMN)&.captures } if header.include?("event_key")

        raise FormatError, "the first line must name the columns, event_key among them, such as " \
                           "event_key,event_id,recipient.mobile_no,payment_amount; or each line must be JSON"
      end

      def delivery_of_cells(columns, cells)
        raise FormatError, cells.message if cells.is_a?(StandardError)
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

      def row(number, text)
        @digest = Digest::SHA256.digest(@digest + text)
        row = Row.new(number, text, nil, nil, @digest)
        row.delivery = with_id(yield, number)
        row
      rescue FormatError => e
        row.error = e.message
        row
      end

      # The row's own id, or one that it has each time this run comes to it.
      def with_id(delivery, number)
        event = delivery.key?("recipient") ? delivery["event"] || {} : delivery
        return delivery if !event.is_a?(Hash) || !event["event_id"].to_s.strip.empty?

        event = { **event, "event_id" => "import_#{@run}_#{number}" }
        delivery.key?("recipient") ? { **delivery, "event" => event } : event
      end

      def utf8(bytes)
        text = bytes.dup.force_encoding(Encoding::UTF_8)
        text.valid_encoding? ? text : raise(FormatError, "not UTF-8")
      end
    end
    private_constant :Rows
  end
end
