# frozen_string_literal: true

require "json"
require "optparse"
require "shellwords"
require_relative "internal/autoload"
require_relative "internal/server"

module SimpleConnect
  # The `simple_connect` command. `simple_connect help` lists its subcommands.
  #
  # @example
  #   exit SimpleConnect::CLI.new(["verify", "--json"]).run
  class CLI
    autoload :Import, File.expand_path("cli/import.rb", __dir__)
    autoload :Output, File.expand_path("cli/output.rb", __dir__)
    autoload :ProgressBar, File.expand_path("cli/progress_bar.rb", __dir__)
    autoload :Rows, File.expand_path("cli/rows.rb", __dir__)

    # Success.
    OK = 0
    # The service rejected the request, or the integration is not connected.
    REFUSED = 1
    # The command or the environment is invalid.
    USAGE = 2
    # The service accepted the request, but its response is not readable. Do not repeat it.
    MALFORMED = 70
    # The network or the service failed; repeat later. `EX_TEMPFAIL` of sysexits.h.
    TEMPORARY = 75
    # Interrupted by Ctrl-C.
    INTERRUPTED = 130

    HELP = <<~TEXT
      Usage: simple_connect COMMAND

        deliver KEY [options] FIELD…   deliver an event
          --to NUMBER                  the recipient's number, such as +919812345678; without it, the layout is flat
          --name NAME                  the recipient's name; needs --to
          --event-id ID                the idempotency key; default: a new one
          --language CODE              the message's language; default: en
          FIELD is name=text, or name:=JSON for a number, true, false, null, a list or an object

        detail EVENT_ID                show the status of an event
        verify                         show the state of the integration

        doctor                         check the settings, the installation, the network and the service
          --client NAME                a client of your Rails configuration: rails simple_connect:doctor -- --client=NAME

        import FILE [options]          deliver the events of a file: JSON lines, or CSV with a header; - for stdin
          --concurrency N              how many at once; default: 8
          --failures FILE              where to write the rows that failed; default: FILE.failures.jsonl
          --dry-run                    send nothing; show which rows are invalid

        sandbox [options]              run the service on this machine, until Ctrl-C
          --port N                     the port; default: a free one
          --host HOST                  the address to listen on; default: 127.0.0.1
          --callback-url URL           post the status of each message here, as a signed webhook
          --open                       open its inbox, a page that shows what arrives, in your browser
          --templates FILE             show events as your customers read them: see docs/sandbox.md
          --store FILE                 keep the inbox over restarts, in a database of SQLite

        sign FILE [options]            print the headers that sign a webhook's body; - for stdin
          --scheme NAME                simple_connect (default), kiket, simplyq
                                       or standard_webhooks
          --timestamp N                the time to sign, in seconds since 1970; default: now

        webhooks serve [options]       receive and print webhooks, until Ctrl-C
          --port N, --host HOST        where to listen; default: 127.0.0.1:8080
          --scheme NAME                as for sign
        webhooks send EVENT [options] FIELD…  sign a payload of these fields and send it
          --url URL                    the receiver; default: http://127.0.0.1:8080
          --version VERSION            the event's version; default: v1
          --scheme NAME                as for sign

        help [COMMAND], --help         show this, or one command
        --version                      show the version

      With --json, deliver, detail, verify and doctor print the result as a JSON object.

      Environment variables:
        SIMPLECONNECT_ENDPOINT_URL     such as https://app.simplewaconnect.com/api/v1/integrations/<provider>/events
        SIMPLECONNECT_KEY_ID           the id of the secret
        SIMPLECONNECT_SECRET           the signing secret
        SIMPLECONNECT_WEBHOOK_SECRET   the secret of webhooks

      Exit codes:
        0    success
        1    the service refused the request (3xx or 4xx), or the integration is not connected; after an import: some
             rows need correction; after doctor: a check is red
        2    the command or the environment is invalid
        70   the service accepted the request, but its response is malformed or too large: do not repeat it
        75   the network or the service failed (5xx, 408, 425, 429) in every attempt: repeat it later with the same
             --event-id; after an import: run it again, or import its failures later
        130  interrupted
    TEXT

    # The arguments and options of each command.
    COMMANDS = {
      "deliver" => ["KEY [FIELD…]",
                    [["--to NUMBER"], ["--name NAME"], ["--event-id ID"], ["--language CODE"], ["--json"]]],
      "detail" => ["EVENT_ID", [["--json"]]],
      "verify" => ["", [["--json"]]],
      "doctor" => ["", [["--client NAME"], ["--json"]]],
      "import" => ["FILE", [["--concurrency N", Integer], ["--failures FILE"], ["--dry-run"]]],
      "sandbox" => ["", [["--port N", Integer], ["--host HOST"], ["--callback-url URL"], ["--open"],
                         ["--templates FILE"], ["--store FILE"]]],
      "sign" => ["FILE", [["--scheme NAME"], ["--timestamp N", Integer]]],
      "webhooks serve" => ["", [["--port N", Integer], ["--host HOST"], ["--scheme NAME"]]],
      "webhooks send" => ["EVENT [FIELD…]", [["--url URL"], ["--version VERSION"], ["--scheme NAME"]]],
      "help" => ["", []]
    }.freeze
    VARIABLES = ClientSettings::VARIABLES.slice(:endpoint_url, :key_id, :secret).freeze

    # The command line is invalid.
    class UsageError < StandardError; end
    # A registry with one handler for all events and versions.
    # @api private
    AnyEvent = Struct.new(:handler) do
      # See {Webhooks::Registry#find}.
      def find(event, version) = Webhooks::Registry::Registration.new(event, version, handler)
    end
    DISK_FULL = [Errno::ENOSPC, Errno::EDQUOT].freeze
    private_constant :HELP, :COMMANDS, :VARIABLES, :DISK_FULL, :UsageError, :AnyEvent

    # @param argv [Array<String>] the command and its arguments
    # @param out [IO] standard output
    # @param err [IO] standard error
    # @param env [Hash{String => String}, ENV] the environment
    # @param input [IO] standard input, for `import -` and `sign -`
    # @param configuration [Configuration, nil] what `doctor` checks; nil for the environment variables only
    def initialize(argv, out: $stdout, err: $stderr, env: ENV, input: $stdin, configuration: nil)
      @argv = argv
      @input = input
      @out = Output.new(out)
      @err = Output.new(err)
      @env = env
      @configuration = configuration
    end

    # Runs the command. `sandbox` and `webhooks serve` return when the process gets INT or TERM.
    #
    # @return [Integer] the exit code: {OK}, {REFUSED}, {USAGE}, {MALFORMED}, {TEMPORARY} or {INTERRUPTED}
    def run
      command, *arguments = @argv.map { |argument| utf8(argument) }
      command = [command, arguments.shift].compact.join(" ") if command == "webhooks"
      case command
      when nil
        @err.puts(HELP)
        USAGE
      when "--version", "-v" then say("simple_connect-client #{VERSION}")
      when "--help", "-h" then say(HELP)
      when "webhooks --help", "webhooks -h" then help("webhooks")
      else perform(command, arguments)
      end
    rescue UsageError, ConfigurationError => e
      complain("#{e.message} (simple_connect help shows how to use it)", USAGE)
    rescue MalformedResponseError => e
      complain(e.message, MALFORMED)
    rescue SystemCallError => e
      complain(reason(e), DISK_FULL.include?(e.class) ? TEMPORARY : USAGE)
    rescue Error => e
      complain(e.message, TEMPORARY)
    rescue Interrupt
      INTERRUPTED
    end

    private

    # The operating system's message, without the names of Ruby's functions.
    def reason(error)
      return error.message unless error.is_a?(SystemCallError)

      path = error.message[/ @ \w+ - (.*)\z/m, 1]
      [path, SystemCallError.new(nil, error.errno).message].compact.join(": ")
    end

    def perform(command, arguments)
      options = parse(command, arguments)
      return help(command) if options[:help]

      case [command, *arguments]
      in ["deliver", key, *fields] then deliver(key, fields, options)
      in ["detail", event_id] then detail(event_id, options)
      in ["verify"] then verify(options)
      in ["doctor"] then doctor(**options)
      in ["import", path] then import(path, options)
      in ["sandbox"] then sandbox(**options.transform_keys("callback-url": :callback_url))
      in ["sign", path] then sign(path, **options)
      in ["webhooks serve"] then receive(**options)
      in ["webhooks send", event, *fields] then send_webhook(event, fields, **options)
      in ["help", *names] then help(names.first)
      else raise UsageError, "write: simple_connect #{command} #{COMMANDS[command].first}".strip
      end
    end

    # @param command [String, nil] the command to explain; nil for all
    def help(command)
      return say(HELP) if command.nil? || command == "help"

      part = HELP.split("\n\n").find { |text| text.match?(/^  #{Regexp.escape(command)}\b/) }
      part ? say(part) : refuse_command
    end

    def refuse_command = raise(UsageError, "the command must be one of: #{COMMANDS.keys.join(", ")}")

    # Parses the options and removes them from the arguments.
    def parse(command, arguments)
      _, switches = COMMANDS[command]
      refuse_command unless switches

      options = {}
      parser = OptionParser.new
      # OptionParser's own options would print and end the process.
      [parser.base.long, parser.base.short].each(&:clear)
      [*switches, ["-h", "--help"]].each { |switch| parser.on(*switch) }
      parser.parse!(arguments, into: options)
      options
    rescue OptionParser::InvalidOption => e
      # The value may be a secret, so the error does not show it.
      raise UsageError, "#{command} has no option #{e.args.first[/\A-(-[^=]+|.)/]}"
    rescue OptionParser::ParseError => e
      raise UsageError, e.message
    end

    # In the C locale, such as under cron, Ruby reads arguments as US-ASCII.
    def utf8(argument)
      text = argument.dup.force_encoding(Encoding::UTF_8)
      return text if text.valid_encoding?

      raise UsageError, "this argument is not UTF-8: #{text.inspect}"
    end

    def deliver(key, fields, options)
      raise UsageError, "--name needs --to" if options[:name] && !options[:to]
      raise UsageError, "--to needs a number, such as +919812345678" if options[:to]&.strip&.empty?

      fields = fields_of(fields)
      envelope = { event_id: options[:"event-id"], language: options[:language] }.compact
      check_fields(key, fields, envelope, nested: options[:to])
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

    # Such a field would replace an option or the event key, or be dropped.
    def check_fields(key, fields, envelope, nested:)
      twice = envelope.keys.find { |name| fields.key?(name.to_s) }
      raise UsageError, "#{twice} is given twice" if twice

      name, instead = nested ? ["name", "write --name for the recipient's"] : ["event", "give the field another name"]
      raise UsageError, "`#{name}` is the event's key, which is #{key}: #{instead}" if fields.key?(name)
    end

    def fields_of(texts)
      texts.each_with_object({}) do |text, fields|
        name, value = field(text)
        raise UsageError, "#{name} is given twice" if fields.key?(name)

        fields[name] = value
      end
    end

    def field(text)
      name, sign, value = text.match(/\A(.+?)(:?=)(.*)\z/m)&.captures
      raise UsageError, "`#{text}` is not a field: write name=text, or name:=JSON" unless name

      [name, sign == "=" ? value : JSON.parse(value)]
    rescue JSON::ParserError
      raise UsageError, "`#{text}` is not JSON after the := (for a string, write #{name}=#{value})"
    end

    def verify(options)
      result = ask { |client| client.integrations.verify }
      code = report(result, options) { |data| integration(data) }
      code == OK && !result.data.connected? ? REFUSED : code
    end

    def doctor(client: nil, json: false)
      if client && !@configuration
        raise UsageError, "--client needs an application: write rails simple_connect:doctor -- --client=#{client}"
      end

      known(client)
      report = Doctor.new(env: @env, configuration: @configuration, client: client&.to_sym).report
      json ? @out.puts(report.json) : report.print(@out, colour: @out.tty? && @env["NO_COLOR"].to_s.empty?)
      report.level == :red ? REFUSED : OK
    end

    # Rejects a name that is not configured.
    def known(client)
      @configuration&.built(Client, client)
    rescue ArgumentError => e
      raise UsageError, "--client: #{e.message}"
    end

    def import(path, options)
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
        # The client's errors about arguments also apply to the command line.
        raise UsageError, e.message
      end
    end

    # Prints a result and returns the exit code.
    def report(result, options)
      data = result.data
      if options[:json]
        body = result.response_body&.scrub
        say(JSON.generate({ **result.to_h, response_body: body, data: data&.to_h }, max_nesting: 0))
      elsif result.success? && data
        yield(data).each { |line| say(line) }
      end
      return OK if result.success? && data
      return complain("HTTP #{result.status_code} without a body", MALFORMED) if result.success?

      complain(failure(result), failure_code(result))
    end

    # Uses the same exit codes as import.
    def failure_code(result)
      return TEMPORARY if result.retryable?

      # Without a status, there was a response, but it is not readable.
      result.status_code.zero? ? MALFORMED : REFUSED
    end

    def failure(result)
      message = result.data&.message.to_s
      text = message.empty? ? result.error : "HTTP #{result.status_code}: #{message}"
      "#{text} (#{result.attempts} attempt#{"s" unless result.attempts == 1})"
    end

    def delivery(data)
      line = "#{data.status}: event_id #{data.event_id}, log_id #{data.log_id}"
      line += ", duplicate: ignored" if data.duplicate?
      lines = [line]
      lines << "signed with the previous secret: switch to the new one" if data.used_previous_secret?
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

    def sandbox(host: "127.0.0.1", port: 0, callback_url: nil, open: false, **inbox)
      check_port(port)
      variables = VARIABLES
      variables = { **variables, webhook_secret: "SIMPLECONNECT_WEBHOOK_SECRET" } if callback_url
      credentials = variables.except(:endpoint_url).transform_values { |name| @env[name].to_s }
      credentials.reject! { |_, value| value.empty? }
      sandbox = Sandbox.new(**credentials, status_callback_url: callback_url)
      Sandbox::Inbox.for_command(sandbox, **inbox)
      sandbox.define_singleton_method(:answered, &method(:print_request))
      serve(sandbox, host, port, variables) { |url| open_page(url) if open }
    end

    # Opens a page in the browser, as the operating system does it.
    def open_page(url)
      opener = { /darwin/ => %w[open], /mswin|mingw/ => %w[cmd /c start] }.find { |os, _| RUBY_PLATFORM.match?(os) }
      pid = Process.spawn(*(opener&.last || %w[xdg-open]), url, in: File::NULL, out: File::NULL, err: File::NULL)
      Process.detach(pid)
    rescue SystemCallError
      @err.puts("No browser can be opened: open #{url} yourself.")
    end

    # Prints only the event key of the body, because the rest has customers' phone numbers.
    def print_request(request)
      json = JSON.parse(request.body)
      event = json["event"] if json.is_a?(Hash)
      event_key = event.is_a?(Hash) ? event["name"] : event
      # A line break would make it look like another request.
      event_key = event_key.is_a?(String) ? event_key.scrub.gsub("\n") { "\\n" } : nil
      @err.puts("#{request.verb} #{request.path}: #{[request.status, event_key].compact.join(", ")}")
    rescue JSON::ParserError
      @err.puts("#{request.verb} #{request.path}: #{request.status}")
    end

    def serve(sandbox, host, port, variables)
      Server.until_stopped do
        sandbox.start(host:, port:)
        # Escaped, so that the lines can be pasted into a shell.
        variables.each do |option, name|
          @out.print("export #{name}=#{Shellwords.escape(sandbox.public_send(option))}\n")
        end
        @err.puts("The sandbox is running; Ctrl-C stops it. Its inbox is at #{sandbox.url}/")
        yield "#{sandbox.url}/"
      end
      OK
    rescue LoadError, SocketError, SystemCallError => e
      not_served(e, host, port)
    ensure
      sandbox.stop
    end

    def sign(path, timestamp: Time.now, **scheme)
      secret = webhook_secret
      body = path == "-" ? @input.binmode.read : File.binread(path)
      say(Signature.sign(body, secret:, timestamp:, **scheme).map { |field| field.join(": ") })
    rescue ArgumentError => e
      raise UsageError, e.message
    end

    def receive(host: "127.0.0.1", port: 8080, **scheme)
      check_port(port)
      secret = webhook_secret
      app = Webhooks::App.new(secret:, registry: AnyEvent.new(method(:print_webhook)), **scheme)
      Server.run(telling(app), "webhooks serve", host, port, max_body_bytes: app.max_body_bytes) do |url|
        @err.puts("Webhooks are received at #{url}/v/<version>/webhooks/<event>; Ctrl-C stops it.")
      end
      OK
    rescue LoadError, SocketError, SystemCallError => e
      not_served(e, host, port)
    end

    def not_served(error, host, port)
      return complain(error.message, USAGE) if error.is_a?(LoadError)

      complain("cannot listen on #{host}:#{port}: #{reason(error)}", USAGE)
    end

    # Prints rejected requests: otherwise a receiver with the wrong secret seems to get nothing.
    def telling(app)
      lambda do |env|
        app.call(env).tap do |status, _, body|
          next if status < 400

          @err.puts("Rejected with #{status}: #{env["REQUEST_METHOD"]} #{env["PATH_INFO"]}: #{body.join}")
        end
      end
    end

    def print_webhook(payload, context)
      line = JSON.generate({ event: context.event, version: context.event_version, payload: }, max_nesting: 0)
      return if @out.puts(line)

      # The sender gets a 500 and retries, so no webhook is lost.
      Process.kill("TERM", Process.pid)
      raise "standard output is closed"
    end

    def send_webhook(event, fields, url: "http://127.0.0.1:8080", version: "v1", **scheme)
      # Required here, because it needs the extension, and doctor must run without it.
      require_relative "internal/sender"
      secret = webhook_secret
      body = JSON.generate(fields_of(fields))
      path = "v/#{Transport.segment("--version", version)}/webhooks/#{Transport.segment("event", event)}"
      url, query = url.sub(/#.*\z/m, "").split("?", 2)
      result = Sender.new("#{url.to_s.chomp("/")}/#{path}#{"?#{query}" if query}", "--url")
                     .post(body, Signature.sign(body, secret:, **scheme))
      return say(result.response_body.to_s) if result.success?

      complain(failure(result), failure_code(result))
    rescue ArgumentError, JSON::GeneratorError => e
      raise UsageError, e.message
    end

    def webhook_secret
      secret = @env["SIMPLECONNECT_WEBHOOK_SECRET"].to_s
      raise UsageError, "set SIMPLECONNECT_WEBHOOK_SECRET in the environment" if secret.empty?

      secret
    end

    def check_port(port)
      raise UsageError, "--port must be between 0 and 65535" unless port.between?(0, 65_535)
    end

    def say(text)
      @out.puts(text)
      OK
    end

    def complain(text, code)
      @err.puts("simple_connect: #{text}")
      code
    end
  end
end
