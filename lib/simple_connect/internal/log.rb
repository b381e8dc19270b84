# frozen_string_literal: true

module SimpleConnect
  # Logs requests and responses. The transport calls it around each attempt.
  # @api private
  class Log
    PREFIX = "[SimpleConnect] "
    # Aligns with "Headers: ".
    INDENT = "\n         "
    private_constant :PREFIX, :INDENT

    # Writes a line to standard error, and ignores errors: it may be closed, a broken pipe, or on a full disk. Not
    # `warn`, which is silent under `ruby -W0`. Control characters are escaped: text from a server must not control a
    # terminal.
    #
    # @yieldreturn [String] the line
    # @return [void]
    def self.stderr
      line = yield.scrub.gsub(/(?![\n\t])[[:cntrl:]]/) { |character| character.dump[1..-2] }
      $stderr.write("#{PREFIX}#{line}\n")
      nil
    rescue StandardError, ScriptError
      nil
    end

    # Writes a warning to the logger, or else to standard error.
    #
    # @param logger [#warn, nil]
    # @param text [String]
    # @return [void]
    def self.warn(logger, text)
      logger ? logger.warn(PREFIX + text) : stderr { text }
      nil
    rescue StandardError, ScriptError
      # A logger can raise anything; it must not fail a delivery.
      nil
    end

    # Reports an error of the application's own code, such as a hook, to `Rails.error` or else to standard error.
    #
    # @param error [Exception]
    # @param what [String] the code that raised it
    # @return [void]
    def self.report(error, what)
      if defined?(::Rails) && ::Rails.respond_to?(:error)
        ::Rails.error.report(error, handled: true, context: { simple_connect: what })
      else
        stderr { "#{what} raised #{error.class}: #{error.message}" }
      end
      nil
    rescue StandardError, ScriptError
      # Subscribers of Rails.error can raise, too.
      nil
    end

    # @param logger [#info, #warn, nil]
    # @param debug [Boolean] whether to log requests and responses in full; to standard error if there is no logger
    # @param origin [String] scheme, host and port
    # @param headers [Hash{String => String}] the headers to show, without credentials
    def initialize(logger, debug:, origin:, headers:)
      @logger = logger
      @debug = debug
      @origin = origin
      @host = origin[%r{\Ahttps?://(\[.*\]|[^:]*)}, 1]
      @headers = headers.map do |pair|
        pair.join(": ").encode(Encoding::UTF_8, invalid: :replace, undef: :replace)
      end
    end

    # @param names [Array<String>] of headers to list with redacted values
    # @return [Log] a copy that lists them
    def naming(names)
      dup.tap { |log| log.instance_variable_set(:@headers, @headers + names.map { |name| "#{name}: [redacted]" }) }
    end

    # @return [Log] a copy that adds event, attempt and duration to each line
    def detailed = dup.tap { |log| log.instance_variable_set(:@detailed, true) }

    # @param event [Hash] with `event_key:` and `event_id:`
    def sending(verb, target, body, attempt, event)
      path = target[/\A[^?]*/].delete_suffix("/")
      write(:info, "#{verb} #{@host}#{path} (#{body.to_s.bytesize}B signed body)#{details(**event, attempt:)}")
      return unless @debug

      show("--> #{verb} #{@origin}#{target} (attempt #{attempt})", @headers, body)
    end

    def answered(status, head, body, details)
      write(status.between?(200, 299) ? :info : :warn, "Response #{status}#{details(**details)}")
      return unless @debug

      status_line, *fields = head.scrub.split(/\r?\n/)
      fields = fields.map { |field| field.sub(/\A[^:]+/, &:downcase) }
      show("<-- #{status_line.split(" ", 2).last}", fields, body)
    end

    def failed(verb, error, details)
      write(:warn, "#{verb} failed: #{error}#{details(**details)}")
    end

    private

    # Tells apart lines that several threads write.
    def details(event_key: nil, event_id: nil, attempt: nil, seconds: nil, request_id: nil, **)
      return unless @detailed

      milliseconds = seconds && (seconds * 1000).round(1)
      { event_key:, event_id:, attempt:, ms: milliseconds, request_id: }.compact.map do |name, value|
        value = value.to_s
        " #{name}=#{value.match?(/\A[\w.:@+-]+\z/) ? value : value.inspect}"
      end.join
    end

    def write(level, text)
      @logger&.public_send(level, PREFIX + text)
    rescue StandardError, ScriptError
      # A logger can raise anything; it must not fail a delivery.
      nil
    end

    def show(title, fields, body)
      text = "#{title}\nHeaders: #{fields.join(INDENT)}\nBody: #{body.to_s.scrub}"
      @logger ? write(:info, text) : Log.stderr { text }
    end
  end
  private_constant :Log
end
