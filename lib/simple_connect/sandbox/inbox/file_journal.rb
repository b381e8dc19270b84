# frozen_string_literal: true

require "fileutils"
require "json"
require "securerandom"
require_relative "../../internal/autoload"
require_relative "../../internal/log"

module SimpleConnect
  class Sandbox
    class Inbox
      # A file of JSON lines that several processes share, such as Puma's workers: each line is an operation, which the
      # others repeat. It is rewritten when most of it is outdated.
      # @api private
      class FileJournal
        # The first line, so that no other file is taken for one. Files of earlier versions have no id.
        HEADER = /\A\{"simple_connect_inbox":1(,"file":"\h+")?\}\n\z/
        # The file may be this much larger than what is kept.
        SLACK = 1024 * 1024
        # What each operation has.
        OPERATIONS = { "put" => { "seq" => Integer, "id" => String }, "set" => { "seq" => Integer, "name" => String },
                       "clear" => { "seq" => Integer },
                       "start" => { "seq" => Integer, "generation" => Integer } }.freeze
        private_constant :HEADER, :SLACK, :OPERATIONS

        # @param path [String]
        # @raise [ConfigurationError] if the file cannot be used
        def initialize(path)
          @path = File.expand_path(path)
          @offset = 0
          exclusive { File.open(@path, File::RDWR | File::CREAT, 0o600) { |file| check(header(file)) } }
        rescue SystemCallError => e
          raise ConfigurationError, "store: #{path} cannot be used: #{SystemCallError.new(nil, e.errno).message}"
        end

        # See {Store::Memory}.
        def shared? = true

        # See {Store::Memory}. The lock is on a file of its own, because the other one is replaced.
        def exclusive
          # Somebody may remove the folder, too.
          FileUtils.mkdir_p(File.dirname(@path))
          File.open("#{@path}.lock", File::RDWR | File::CREAT, 0o600) do |lock|
            lock.flock(File::LOCK_EX)
            yield
          end
        end

        # See {Store::Memory}.
        def catch_up(store)
          File.open(@path, "rb") { |file| read(file, store) }
        rescue Errno::ENOENT
          # Somebody has removed it.
          restart(store, nil) if @header
        end

        # See {Store::Memory}.
        def write(operations, store)
          return replace(store) if @offset.zero? || @offset > SLACK + (4 * store.total)

          File.open(@path, File::RDWR | File::BINARY) do |file|
            # What a process left behind that ended while it wrote.
            file.truncate(@offset) if file.size > @offset
            file.seek(@offset)
            @offset += file.write(lines(operations))
          end
        rescue SystemCallError => e
          Log.stderr { "the inbox cannot write #{@path}: #{e.message}" }
        end

        private

        def check(line)
          return if line.nil? || line.match?(HEADER)

          raise ConfigurationError, "store: #{@path} is another file, and none of an inbox"
        end

        def header(file) = file.binmode.gets("\n", 100)

        # Only the header tells files apart: a new one may have the number of one that was removed.
        def read(file, store)
          header = header(file)
          size = file.size
          restart(store, header) if header != @header || size < @offset
          return if size == @offset

          file.seek(@offset)
          text = file.read
          complete = text.rindex("\n")
          return unless complete

          text[0..complete].each_line do |line|
            next if line.match?(HEADER)

            name, value = parse(line)
            store.apply(name, value) if name
          end
          @offset += complete + 1
        end

        # A line that cannot be read is skipped: the others are still of use.
        def parse(line)
          operation = JSON.parse(line.force_encoding(Encoding::UTF_8), max_nesting: 0, freeze: true)
          name, value = operation if operation.is_a?(Array)
          known = OPERATIONS.fetch(name, nil) or return
          operation if value.is_a?(Hash) && known.all? { |member, type| value[member].is_a?(type) }
        rescue JSON::ParserError, EncodingError
          nil
        end

        def restart(store, header)
          store.forget_all
          @header = header
          @offset = 0
        end

        # Other processes notice that it is another file.
        def replace(store)
          header = "{\"simple_connect_inbox\":1,\"file\":\"#{SecureRandom.hex(16)}\"}\n"
          temporary = "#{@path}.#{Process.pid}.tmp"
          File.open(temporary, File::RDWR | File::CREAT | File::TRUNC | File::BINARY, 0o600) do |file|
            @offset = file.write(header, lines(store.snapshot))
          end
          File.rename(temporary, @path)
          @header = header
        end

        def lines(operations) = operations.map { |each| "#{JSON.generate(each, max_nesting: 0)}\n" }.join
      end
    end
  end
end
