# frozen_string_literal: true

require "digest"
require "json"
require "securerandom"
require "stringio"
require "time"
require "uri"
require_relative "../sandbox"
require_relative "credentials"

module SimpleConnect
  class Sandbox
    # Shows what a sandbox receives: a page, and an API for tests. It is a Rack app, which also serves the sandbox's own
    # API, and works below any path.
    #
    # A sandbox that has an inbox serves it when started. In Rails, mount it in the routes of development: see
    # docs/sandbox.md.
    #
    # @example On its own port
    #   sandbox = SimpleConnect::Sandbox.new
    #   SimpleConnect::Sandbox::Inbox.new(sandbox, templates: "config/templates.yml")
    #   sandbox.start(port: 4567)
    #   sandbox.url # => "http://127.0.0.1:4567"; open it in a browser
    # @example In config/routes.rb
    #   if Rails.env.development?
    #     mount SimpleConnect::Sandbox::Inbox.new(SimpleConnect::Sandbox.new) => "/simple_connect"
    #   end
    class Inbox
      %i[Api Code Connections Explanation FileJournal Guard Parts Preview Recorder SqliteJournal Store
         Templates].each do |name|
        file = name.to_s.gsub(/(?<=[a-z])[A-Z]/) { |letter| "_#{letter}" }.downcase
        autoload name, File.expand_path("inbox/#{file}.rb", __dir__)
        private_constant name
      end

      include KeepsSecrets

      # How many messages are kept.
      BOUND = 1_000
      # How long a request that gets no answer is held, in seconds.
      HOLD = 60
      # How long the name of a session is kept as it is; then there is a digest of it.
      SESSION_BYTES = 100
      FILES = { "/" => ["index.html", "text/html; charset=utf-8"],
                "/inbox.css" => ["inbox.css", "text/css; charset=utf-8"],
                "/inbox.js" => ["inbox.js", "text/javascript; charset=utf-8"] }.freeze
      # The command's `auth:`: who runs it decides who reaches it.
      LOCAL = ->(_env) { true }
      private_constant :BOUND, :HOLD, :SESSION_BYTES, :FILES, :LOCAL

      # In production it needs `auth:`, and a sandbox with a secret and an API key of your own. Without `auth:`, only
      # requests for local names and IP addresses are served; deliveries are served for any host.
      #
      # @param sandbox [Sandbox] not started yet, and without another inbox
      # @param auth [#call, nil] gets the Rack env of a request to the page or its API, and returns whether to serve it
      # @param store [String, Pathname, :memory, nil] a file that several processes may share, such as Puma's workers;
      #   `:memory` for this process only; nil for `tmp/simple_connect_inbox.jsonl` in Rails (but not in its tests), and
      #   elsewhere `:memory`
      # @param templates [String, Pathname, nil] a file with the templates of messages; see docs/sandbox.md
      # @raise [ConfigurationError] in production without `auth:` or with default credentials, or for an invalid option
      #   or file
      # @raise [Error] if the sandbox is started, or has an inbox
      # @example For everybody who is signed in as an admin
      #   sandbox = SimpleConnect::Sandbox.new(
      #     secret: ENV.fetch("SIMPLECONNECT_SECRET"), api_key: ENV.fetch("SIMPLECONNECT_API_KEY")
      #   )
      #   SimpleConnect::Sandbox::Inbox.new(sandbox, auth: ->(env) { env["warden"].user&.admin? })
      def initialize(sandbox, auth: nil, store: nil, templates: nil)
        unless auth.nil? || auth.respond_to?(:call)
          raise ConfigurationError, "auth: must respond to call, such as ->(env) { … }, not #{auth.class}"
        end

        known = known_credentials(sandbox)
        refuse_production(auth, known) unless auth.equal?(LOCAL)

        @sandbox = sandbox
        @templates = Templates.new(templates)
        @store = Store.new(BOUND, journal(store)) { sandbox.new_ledger }
        @guard = Guard.new(auth.equal?(LOCAL) ? nil : auth, known.any?)
        @connections = Connections.new
        @recorder = Recorder.new(@store, sandbox.credentials)
        @secrets = sandbox.credentials.secrets
        @api = Api.new(self, sandbox, @store, @recorder, @templates, @connections)
        sandbox.attach(self)
        @store.read { adopt }
      end

      # Handles one request; called by Rack.
      #
      # @param env [Hash{String => Object}]
      # @return [Array(Integer, Hash{String => String}, Array<String>)] status, headers and body
      # @raise [ConfigurationError] if a planned fault must cut the connection, and this server does not support that
      def call(env)
        path = env["PATH_INFO"].to_s.b
        return checked(env, path) { to_slash(env) } if path.empty? || slash_missing?(env, path)
        return checked(env, path) { file(env, path) } if FILES.key?(path)
        return checked(env, path) { @api.call(env, path) } if path.match?(%r{\A/inbox(/|\z)})

        refusal = @guard.refusal_of_service(env)
        refusal ? guarded(env) { refused(refusal) } : @sandbox.call(env)
      end

      # @return [String] without secrets
      def inspect = "#<#{self.class.name} of #{@sandbox.inspect}>"

      # For the command, whose process is no application's.
      # @api private
      def self.for_command(sandbox, store: nil, **options)
        new(sandbox, auth: LOCAL, store: store ? SqliteJournal.new(store) : :memory, **options)
      end

      # What follows is for {Sandbox}.

      # Responds to a request for the sandbox, and keeps it if it is a delivery.
      # @api private
      def watch(env, request, fault)
        session = session(env)
        exchange = exchange(env, request, session) if delivery?(request)
        fault ||= planned(env, request, session) if exchange
        return cut(env, exchange, fault) if fault&.cut?

        @sandbox.hold_up(fault.delay) if fault
        started = Clock.now
        response = @store.write do
          adopt
          @sandbox.respond(env, request, fault).tap { |answer| keep(env, exchange, fault, answer, started) if exchange }
        end
        status, json, headers = response
        headers = { **headers.to_h, "x-request-id" => exchange.request_id } if exchange
        @sandbox.answer(request, status, json, headers)
      end

      # @api private
      # @return [Ledger]
      def ledger(env) = @store.ledger(session(env))

      # @api private
      def ledgers = @store.read { yield @store.ledgers.values }

      # @api private
      def reset
        @store.write do
          @store.clear(nil)
          @store.set("faults", [])
        end
      end

      # @api private
      def start = @store.resume

      # @api private
      def stop
        @store.stop
        @connections.stop
      end

      # What follows is for {Api}.

      # @api private
      # @return [String, nil] what keeps parallel tests apart
      def session(env)
        session = env["HTTP_X_SIMPLECONNECT_SESSION"].to_s.dup.force_encoding(Encoding::UTF_8)
        unless session.valid_encoding? && session.bytesize <= SESSION_BYTES
          # Descriptions of tests, say, which often begin with the same words.
          session = "#{session.byteslice(0, SESSION_BYTES - 33).scrub("")} #{Digest::SHA256.hexdigest(session)[0, 32]}"
        end
        session = session.strip
        session unless session.empty?
      end

      # Takes over what another process has changed.
      # @api private
      def adopt
        rotation = @store.get("rotation")
        return if rotation.equal?(@rotation)

        @rotation = rotation
        # Rotations of other secrets than this sandbox's are of no use.
        later = rotation && rotation["of"] == fingerprint ? rotation["secrets"].reverse : []
        @sandbox.rotate([*later, *@secrets].first(2))
      end

      # @api private
      # @return [String] the new secret
      def rotate
        @store.write do
          adopt
          known = @store.get("rotation").to_h
          secrets = known["of"] == fingerprint ? known["secrets"] : []
          secret = "sandbox-#{SecureRandom.hex(16)}"
          @store.set("rotation", { "of" => fingerprint, "secrets" => [*secrets, secret].last(2) })
          adopt
          secret
        end
      end

      private

      # The options whose values everybody knows.
      def known_credentials(sandbox)
        { "secret:" => sandbox.secret == KNOWN_SECRET,
          "previous_secret:" => sandbox.credentials.secrets.drop(1).include?(KNOWN_SECRET),
          "api_key:" => sandbox.api_key == KNOWN_API_KEY }.select { |_, known| known }.keys
      end

      def refuse_production(auth, known)
        return unless (rails&.env || ENV.fetch("RACK_ENV", nil)).to_s == "production"

        unless auth
          raise ConfigurationError, "the inbox shows what your customers get: in production it needs auth:, such as " \
                                    "auth: ->(env) { … }. Or mount it in development only"
        end
        return if known.empty?

        raise ConfigurationError, "everybody knows the sandbox's default credentials, and can read messages with " \
                                  "them: in production, pass your own #{known.join(" and ")} to Sandbox.new"
      end

      def rails = (::Rails if defined?(::Rails) && ::Rails.respond_to?(:env))

      # Parallel processes of tests have an inbox each.
      def default_store
        root = rails.root if rails && rails.env.to_s != "test"
        root ? root.join("tmp/simple_connect_inbox.jsonl") : :memory
      end

      def journal(store)
        store = default_store if store.nil?
        case store
        when :memory then Store::Memory.new
        when SqliteJournal then store
        else
          path = store.to_path if store.respond_to?(:to_path)
          path ||= store if store.is_a?(String) && !store.empty?
          if path
            FileJournal.new(path)
          else
            raise(ConfigurationError,
                  "store: must be a path or :memory, not #{store.inspect}")
          end
        end
      end

      # Which secret this is, without telling anything about it.
      def fingerprint = OpenSSL::HMAC.hexdigest("SHA256", @secrets.first, "simple_connect inbox")[0, 16]

      def checked(env, path)
        refusal = @guard.refusal(env, api: !path.empty? && !FILES.key?(path))
        guarded(env) { refusal ? refused(refusal) : yield }
      end

      def refused(why) = [403, { "content-type" => "application/json" }, [JSON.generate("error" => why)]]

      def guarded(env)
        status, headers, body = yield
        # A connection that was taken over has its own.
        [status, { **Guard::HEADERS, **headers }, env["REQUEST_METHOD"] == "HEAD" ? [] : body]
      end

      # Rails adds the slash to the path that it passes on, but not in the browser.
      def slash_missing?(env, path)
        asked = env["ORIGINAL_FULLPATH"] || env["REQUEST_URI"]
        path == "/" && !env["SCRIPT_NAME"].to_s.empty? && !asked.nil? && !asked.b[/\A[^?]*/n].end_with?("/")
      end

      # The page's addresses are relative.
      def to_slash(env) = [301, { "location" => "#{env["SCRIPT_NAME"]}/" }, []]

      def file(env, path)
        unless %w[GET HEAD].include?(env["REQUEST_METHOD"])
          return [405, { "content-type" => "application/json", "allow" => "GET" },
                  [JSON.generate("error" => "use GET")]]
        end

        name, type = FILES.fetch(path)
        text = File.binread(File.expand_path("inbox/#{name}", __dir__))
        etag = %("#{Digest::SHA256.hexdigest(text)[0, 32]}")
        headers = { "cache-control" => "no-cache", "etag" => etag }
        return [304, headers, []] if env["HTTP_IF_NONE_MATCH"] == etag

        [200, { **headers, "content-type" => type }, [text]]
      rescue Errno::ENOENT
        [404, { "content-type" => "text/plain" }, ["#{name} is missing\n"]]
      end

      def delivery?(request)
        request.verb == "POST" &&
          request.path.match?(%r{\A/api/v1/(integrations/[^/]+/events|whatsapp_messages)/?\z})
      end

      def exchange(env, request, session)
        Recorder::Exchange.new(request:, session:, at: Time.now, request_id: "sandbox-#{SecureRandom.hex(8)}",
                               key_accepted: @sandbox.credentials.api_key?(env))
      end

      # Takes the next planned fault.
      def planned(env, request, session)
        return if @store.read { @store.get("faults") }.to_a.empty?

        fault = @store.write do
          faults = @store.get("faults").to_a
          index = faults.index { |each| each["session"] == session && !unfit(env, request).include?(each["kind"]) }
          next unless index

          first = faults[index]
          left = { **first, "times" => first["times"] - 1 }
          @store.set("faults", [*faults[0, index], *([left] if left["times"].positive?), *faults[index + 1..]])
          first
        end
        fault && Fault.new(fault["kind"].is_a?(Integer) ? fault["kind"] : fault["kind"].to_sym, 0,
                           { "retry-after" => fault["retry_after"]&.to_s }.compact)
      end

      # Kinds of faults that a request cannot get. Template messages have no ids that could be duplicates, and none is
      # skipped.
      def unfit(env, request)
        kinds = request.path.include?("whatsapp_messages") ? %w[duplicate skipped] : []
        env["rack.hijack"] ? kinds : kinds + Api::CUTS
      end

      def cut(env, exchange, fault)
        if exchange
          exchange.fault = fault.kind.to_s
          @store.write { @recorder.record(exchange) }
        end
        @sandbox.hold_up(fault.delay)
        return @sandbox.cut(env, fault.kind) unless fault.kind == :timeout

        @sandbox.cut(env, :timeout) do |io|
          # Until the client gives up.
          @connections.start(io) { IO.select([io.to_io], nil, nil, HOLD) }
        end
      end

      def keep(env, exchange, fault, answer, started)
        exchange.status, exchange.json, headers = answer
        exchange.seconds = Clock.now - started + (fault ? fault.delay : 0)
        exchange.fault = fault&.kind&.to_s
        exchange.retry_after = headers&.dig("retry-after")&.to_i
        exchange.outcomes = env[OUTCOMES]
        @recorder.record(exchange)
      end
    end
  end
end
