# frozen_string_literal: true

require "json"
require "optparse"
require "shellwords"
require_relative "../simple_connect"

module SimpleConnect
  # The command `simple_connect`; `simple_connect help` shows what it can do.
  #
  # @example
  #   exit SimpleConnect::CLI.new(["verify", "--json"]).run
  class CLI
    # What was asked for has been done.
    OK = 0
    # The service refused it, or is not connected.
    REFUSED = 1
    # The command or the environment must be changed.
    USAGE = 2
    # The service took it, but its answer cannot be read. Do not repeat it.
    MALFORMED = 70
    # The network or the service failed, and may work later. `EX_TEMPFAIL` of sysexits.h.
    TEMPORARY = 75
    # By Ctrl-C.
    INTERRUPTED = 130

    HELP = <<~TEXT
      Usage: simple_connect COMMAND

        deliver KEY [options] FIELD…   deliver an event
          --to NUMBER                  to this number, such as +919812345678; without it the flat layout is sent
          --name NAME                  the recipient's name, with --to
          --event-id ID                the idempotency key; by default a new one
          --language CODE              of the message; by default en
          FIELD is name=text, or name:=JSON for a number, true, false, null, a list or an object

        detail EVENT_ID                show what became of an event
        verify                         show how the integration is doing

        import FILE [options]          deliver many events: one as JSON on each line, or CSV with a header; - for stdin
          --concurrency N              how many at a time; by default 8
          --failures FILE              where those that fail are kept, to be imported again; by default beside FILE
          --dry-run                    only tell which rows cannot be delivered

        sandbox [options]              run a service to try all this on, until Ctrl-C
          --port N                     the port; by default any that is free
          --host HOST                  the address to listen on; by default 127.0.0.1

        help, --help                   show this
        --version                      show the version

      With --json, deliver, detail and verify print the result as one JSON object.

      The service to talk to is set in the environment:
        SIMPLECONNECT_ENDPOINT_URL     such as https://app.simplewaconnect.com/api/v1/integrations/purepani/events
        SIMPLECONNECT_KEY_ID, SIMPLECONNECT_SECRET

      Exit codes:
        0    done
        1    the service refused it (3xx, 4xx), or the integration is not connected; of an import, some failed for good
        2    the command or the environment is wrong
        70   the service took it, but its answer is malformed: do not repeat it
        75   the network or the service (5xx) failed, also when tried again: repeat it later, with the same --event-id;
             of an import, all that failed did so
        130  interrupted
    TEXT

    # For each command, its arguments and its options.
    COMMANDS = {
      "deliver" => ["KEY [FIELD…]",
                    [["--to NUMBER"], ["--name NAME"], ["--event-id ID"], ["--language CODE"], ["--json"]]],
      "detail" => ["EVENT_ID", [["--json"]]],
      "verify" => ["", [["--json"]]],
      "import" => ["FILE", [["--concurrency N", Integer], ["--failures FILE"], ["--dry-run"]]],
      "sandbox" => ["", [["--port N", Integer], ["--host HOST"]]],
      "help" => ["", []]
    }.freeze
    VARIABLES = {
      endpoint_url: "SIMPLECONNECT_ENDPOINT_URL", key_id: "SIMPLECONNECT_KEY_ID", secret: "SIMPLECONNECT_SECRET"
    }.freeze

    # A command that cannot be carried out as it is written.
    class UsageError < StandardError; end
    private_constant :HELP, :COMMANDS, :VARIABLES, :UsageError

    # @param argv [Array<String>] the command and its arguments
    # @param out [IO] for what was asked for
    # @param err [IO] for errors
    # @param env [Hash{String => String}, ENV] the environment
    # @param input [IO] what `import -` reads
    def initialize(argv, out: $stdout, err: $stderr, env: ENV, input: $stdin)
      @argv = argv
      @input = input
      @out = out
      @err = err
      @env = env
    end

    # Does what the arguments say. `sandbox` returns when the process gets INT or TERM.
    #
    # @return [Integer] the exit code: {OK}, {REFUSED}, {USAGE}, {MALFORMED}, {TEMPORARY} or {INTERRUPTED}
    def run
      command, *arguments = @argv.map { |argument| utf8(argument) }
      case command
      when "--version" then say("simple_connect-client #{VERSION}")
      when "--help", "-h" then say(HELP)
      else perform(command, arguments)
      end
    rescue UsageError, ConfigurationError => e
      complain("#{e.message} (simple_connect help shows how to use it)", USAGE)
    rescue MalformedResponseError => e
      complain(e.message, MALFORMED)
    rescue Interrupt
      INTERRUPTED
    end

    private

    def perform(command, arguments)
      options = parse(command, arguments)
      return say(HELP) if options[:help]

      case [command, *arguments]
      in ["deliver", key, *fields] then deliver(key, fields, options)
      in ["detail", event_id] then detail(event_id, options)
      in ["verify"] then verify(options)
      in ["import", path] then import(path, options)
      in ["sandbox"] then sandbox(**options)
      in ["help", *] then say(HELP)
      else raise UsageError, "write: simple_connect #{command} #{COMMANDS[command].first}".strip
      end
    end

    # Takes the options out of the arguments.
    def parse(command, arguments)
      _, switches = COMMANDS[command]
      raise UsageError, "the command must be one of: #{COMMANDS.keys.join(", ")}" unless switches

      options = {}
      parser = OptionParser.new
      [*switches, ["-h", "--help"]].each { |switch| parser.on(*switch) }
      parser.parse!(arguments, into: options)
      options
    rescue OptionParser::InvalidOption => e
      # Its value is not repeated: it may be a secret.
      raise UsageError, "#{command} has no option #{e.args.first[/\A-(-[^=]+|.)/]}"
    rescue OptionParser::ParseError => e
      raise UsageError, e.message
    end

    # In cron's locale, Ruby takes arguments for mere bytes.
    def utf8(argument)
      text = argument.dup.force_encoding(Encoding::UTF_8)
      return text if text.valid_encoding?

      raise UsageError, "this argument is not UTF-8: #{text.inspect}"
    end

    def deliver(key, fields, options)
      raise UsageError, "--name needs --to" if options[:name] && !options[:to]
      raise UsageError, "--to needs a number, such as +919812345678" if options[:to]&.strip&.empty?

      fields = fields.to_h { |text| field(text) }
      envelope = { event_id: options[:"event-id"], language: options[:language] }.compact
      result = ask do |client|
        next client.events.deliver(key, fields, **envelope) unless options[:to]

        recipient = { name: options[:name], mobile_no: options[:to] }
        client.events.deliver(key, recipient:, event: { **fields, **envelope })
      end
      report(result, options) { |data| delivery(data) }
    end

    def detail(event_id, options)
      report(ask { |client| client.events.detail(event_id) }, options) { |data| event(data) }
    end

    def field(text)
      name, sign, value = text.match(/\A(.+?)(:?=)(.*)\z/m)&.captures
      raise UsageError, "`#{text}` is no field: write name=text, or name:=JSON" unless name

      [name, sign == "=" ? value : JSON.parse(value)]
    rescue JSON::ParserError
      raise UsageError, "`#{text}` is not JSON after the := (a text would be #{name}=#{value})"
    end

    def verify(options)
      result = ask { |client| client.integrations.verify }
      code = report(result, options) { |data| integration(data) }
      code == OK && !result.data.connected? ? REFUSED : code
    end

    def import(path, options)
      require_relative "cli/import"
      concurrency = options.fetch(:concurrency, 8)
      raise UsageError, "--concurrency must be 1 or more" unless concurrency.positive?

      import = Import.new(path, concurrency:, failures: options[:failures], dry_run: options[:"dry-run"],
                                input: @input, out: @out, err: @err)
      options[:"dry-run"] ? import.run : ask { |client| import.run { client.events } }
    end

    def ask
      missing = VARIABLES.values.select { |name| @env[name].to_s.empty? }
      raise UsageError, "set #{missing.join(", ")} in the environment" unless missing.empty?

      client = Client.new(**VARIABLES.transform_values { |name| @env[name] })
      begin
        yield client
      rescue ArgumentError, JSON::GeneratorError => e
        # What the client says of arguments is said of ours.
        raise UsageError, e.message
      end
    end

    # Shows a result; gives the exit code.
    def report(result, options)
      data = result.data
      if options[:json]
        body = result.response_body&.scrub
        say(JSON.generate({ **result.to_h, response_body: body, data: data&.to_h }, max_nesting: 0))
      elsif result.success? && data
        yield(data).each { |line| say(printable(line)) }
      end
      return OK if result.success? && data
      return complain("HTTP #{result.status_code} without a body", MALFORMED) if result.success?

      refused = result.status_code.between?(300, 499)
      complain(failure(result), refused ? REFUSED : TEMPORARY)
    end

    def failure(result)
      message = result.data&.message.to_s
      text = message.empty? ? result.error : "HTTP #{result.status_code}: #{message}"
      "#{text} (#{result.attempts} attempt#{"s" unless result.attempts == 1})"
    end

    def delivery(data)
      line = "#{data.status}: event_id #{data.event_id}, log_id #{data.log_id}"
      line += ", a duplicate: nothing was done" if data.duplicate?
      lines = [line]
      lines << "signed with the previous secret: set the new one" if data.used_previous_secret?
      lines
    end

    def event(data)
      message = data.message
      rows = {
        "event_id" => data.event_id, "event_key" => data.event_key, "status" => data.status,
        "occurred_at" => data.occurred_at&.iso8601, "created_at" => data.created_at&.iso8601,
        "error_text" => data.error_text, "payload" => JSON.generate(data.payload, max_nesting: 0),
        "message" => message && [message.message_id, message.status, message.timestamp&.iso8601].compact.join(", ")
      }.compact
      rows.map { |name, value| "#{name.ljust(12)} #{value}" }
    end

    def integration(data)
      width = data.event_flows.map { |flow| flow.event_key.to_s.length }.max
      flows = data.event_flows.map do |flow|
        template = flow.template
        "  #{flow.event_key.to_s.ljust(width)}  #{flow.state}" \
          "#{", template #{template.name} (#{template.language}, #{template.status})" if template}"
      end
      ["#{data.provider}: #{data.status}", *flows]
    end

    def sandbox(host: "127.0.0.1", port: 0)
      raise UsageError, "--port must be between 0 and 65535" unless port.between?(0, 65_535)

      require_relative "sandbox"
      credentials = VARIABLES.slice(:key_id, :secret).transform_values { |name| @env[name].to_s }
      serve(Sandbox.new(**credentials.reject { |_, value| value.empty? }), host, port)
    end

    def serve(sandbox, host, port)
      signals = Queue.new
      handlers = %w[INT TERM].to_h { |signal| [signal, trap(signal) { signals << signal }] }
      sandbox.start(host:, port:)
      VARIABLES.each { |option, name| say("export #{name}=#{Shellwords.escape(sandbox.public_send(option))}") }
      @out.flush
      @err.puts("The sandbox is running; Ctrl-C stops it.")
      signals.pop
      OK
    rescue LoadError, SocketError, SystemCallError => e
      complain(e.message, USAGE)
    ensure
      sandbox.stop
      handlers.each { |signal, handler| trap(signal, handler || "DEFAULT") }
    end

    # What the service says must not steer a terminal.
    def printable(text) = text.gsub(/(?!\n)[[:cntrl:]]/) { |character| character.dump[1..-2] }

    def say(text)
      @out.puts(text)
      OK
    end

    def complain(text, code)
      @err.puts("simple_connect: #{printable(text)}")
      code
    end
  end
end
