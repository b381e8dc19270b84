# frozen_string_literal: true

require "digest"
require "json"
require "securerandom"
require "shellwords"
require "stringio"
require "time"
require "uri"
require_relative "../../internal/autoload"
require_relative "../../internal/clock"

module SimpleConnect
  class Sandbox
    class Inbox
      # The inbox's API, in JSON: what its page and tests use.
      # @api private
      class Api
        # The maximum size of a request's body, in bytes.
        MAX_BODY_BYTES = 64 * 1024
        # How long `/inbox/wait` may wait, and waits by default, in seconds.
        MAX_WAIT = 60
        WAIT = 5
        # Seconds after which a stream without news shows that it is alive.
        HEARTBEAT = 5
        ID = "([^/]+)"
        ROUTES = {
          %r{\A/inbox/?\z} => { "DELETE" => :clear },
          %r{\A/inbox/messages\z} => { "GET" => :list },
          %r{\A/inbox/messages/#{ID}\z} => { "GET" => :show },
          %r{\A/inbox/messages/#{ID}/callback\z} => { "POST" => :call_back },
          %r{\A/inbox/messages/#{ID}/replay\z} => { "POST" => :replay },
          %r{\A/inbox/wait\z} => { "GET" => :wait },
          %r{\A/inbox/stream\z} => { "GET" => :stream },
          %r{\A/inbox/status\z} => { "GET" => :status },
          %r{\A/inbox/faults\z} => { "POST" => :add_faults, "DELETE" => :clear_faults },
          %r{\A/inbox/rotate\z} => { "POST" => :rotate },
          %r{\A/inbox/incoming\z} => { "POST" => :incoming }
        }.freeze
        SUMMARY = %w[id kind at event_key template_name event_id message_id recipient language state tick
                     attempts_count].freeze
        ATTEMPT = %w[at status fault error ms request_id retry_after request_headers response_body signature
                     verdict].freeze
        FILTERS = %w[recipient event_key state kind q].freeze
        # Faults that cut the connection.
        CUTS = %w[timeout reset close garbage].freeze
        FAULTS = [*CUTS, "duplicate", "skipped"].freeze
        STATUSES = %w[delivered read failed].freeze
        REASONS = { 200 => "OK", 408 => "Request Timeout" }.freeze
        private_constant :MAX_BODY_BYTES, :MAX_WAIT, :WAIT, :HEARTBEAT, :ID, :ROUTES, :SUMMARY, :ATTEMPT, :FILTERS,
                         :FAULTS, :STATUSES, :REASONS

        # A request to the API: the query and the session are read.
        Asked = Struct.new(:env, :query, :session)
        private_constant :Asked

        def initialize(inbox, sandbox, store, recorder, templates, connections)
          @inbox = inbox
          @sandbox = sandbox
          @store = store
          @recorder = recorder
          @templates = templates
          @connections = connections
        end

        # @param env [Hash] Rack's
        # @return [Array] Rack's
        def call(env, path)
          pattern, verbs = ROUTES.find { |pattern, _| pattern.match?(path) }
          raise Refusal.new(404, "not found") unless pattern

          verb = env["REQUEST_METHOD"] == "HEAD" ? "GET" : env["REQUEST_METHOD"]
          action = verbs[verb] or return json({ "error" => "use #{verbs.keys.join(" or ")}" }, 405,
                                              "allow" => verbs.keys.join(", "))

          __send__(action, Asked.new(env, query(env), @inbox.session(env)), *path.match(pattern).captures)
        rescue Refusal => e
          json(e.json, e.status)
        end

        private

        def refuse(status, message) = raise(Refusal.new(status, message))

        def json(value, status = 200, headers = {})
          [status, { "content-type" => "application/json", **headers }, [JSON.generate(value)]]
        end

        def query(env)
          pairs = URI.decode_www_form(env["QUERY_STRING"].to_s)
          refuse(400, "the query is not UTF-8") unless pairs.flatten.all?(&:valid_encoding?)
          pairs.to_h
        rescue ArgumentError
          refuse(400, "the query is invalid")
        end

        # The members of a JSON body.
        def body(asked)
          text = asked.env["rack.input"]&.read(MAX_BODY_BYTES + 1).to_s.dup.force_encoding(Encoding::UTF_8)
          refuse(413, "the body is larger than #{MAX_BODY_BYTES} bytes") if text.bytesize > MAX_BODY_BYTES
          unless asked.env["CONTENT_TYPE"].to_s.match?(%r{\Aapplication/json\b}i)
            refuse(415, "the body must be JSON, with Content-Type: application/json")
          end
          refuse(422, "the body is not UTF-8") unless text.valid_encoding?

          json = JSON.parse(text)
          refuse(422, "the body must be a JSON object") unless json.is_a?(Hash)
          # Half a surrogate pair can be read, but not written again.
          json if JSON.generate(json)
        rescue JSON::ParserError, JSON::GeneratorError
          refuse(422, "the body is not JSON")
        end

        def list(asked)
          limit = number(asked, "limit", 1..@store.bound, @store.bound)
          @store.read do
            etag = %("#{Digest::SHA256.hexdigest([@store.cursor, asked.session, asked.query.to_a].inspect)[0, 32]}")
            next [304, { "etag" => etag }, []] if asked.env["HTTP_IF_NONE_MATCH"] == etag

            changes = changes(asked, asked.query["since"])
            changes["messages"] = changes["messages"].first(limit) unless asked.query["since"]
            json(changes, 200, "etag" => etag)
          end
        end

        # What is new since the cursor; everything, if there is none.
        def changes(asked, cursor)
          seq = cursor && @store.position(cursor, asked.session)
          messages = matching(asked, seq).map { |message| summary(message) }
          changes = { "messages" => messages, "cursor" => @store.cursor, "count" => visible(asked).size,
                      "faults" => faults(asked) }
          changes["reset"] = true if cursor && seq.nil?
          changes
        end

        def visible(asked)
          messages = @store.messages
          asked.session ? messages.select { |message| message["session"] == asked.session } : messages
        end

        def matching(asked, seq = nil)
          filters = asked.query.slice(*FILTERS).reject { |_, value| value.strip.empty? }
          visible(asked).select do |message|
            (seq.nil? || message["seq"] > seq) && filters.all? { |name, value| match?(message, name, value) }
          end
        end

        def match?(message, name, value)
          case name
          when "recipient" then recipient?(message["recipient"].to_h, value)
          when "event_key" then [message["event_key"], message["template_name"]].include?(value)
          when "q" then searched(message).include?(value.downcase)
          else message[name] == value
          end
        end

        # In a query, a plus may have become a space; numbers are compared by their digits.
        def recipient?(recipient, value)
          return recipient["mobile_no"].to_s.delete("^0-9") == value.delete("^0-9") if value.match?(/\A[\d +()-]+\z/)

          recipient["name"].to_s.downcase.include?(value.downcase)
        end

        def searched(message)
          names = %w[event_key template_name event_id message_id id body]
          [line(message), *message["recipient"].to_h.values, *message.values_at(*names)].join("\n").downcase
        end

        # The preview's line, made once for each version of a message.
        def line(message) = @store.line(message) { Preview.new(@templates, message).line }

        def summary(message)
          { **SUMMARY.to_h { |name| [name, message[name]] }, "preview_text" => line(message) }
        end

        def find(asked, id)
          message = @store[Wire.unescape(id)]
          return message if message && (asked.session.nil? || message["session"] == asked.session)

          refuse(404, "no message #{id[0, 50].inspect}: it may have been cleared, or dropped for newer ones")
        end

        def show(asked, id) = @store.read { json(detail(asked, find(asked, id))) }

        def detail(asked, message)
          { **summary(message), "session" => message["session"], "fields" => message["fields"],
                                "body" => message["body"], "preview" => Preview.new(@templates, message).to_h,
                                "attempts" => message["attempts"].map do |attempt|
                                                ATTEMPT.to_h do |name|
                                                  [name, attempt[name]]
                                                end
                                              end,
                                "callbacks" => message["callbacks"].to_a.map { |each| each.except("bytes") },
                                "code" => Code.new(message, urls(asked.env), @sandbox.key_id).to_h }
        end

        def wait(asked)
          seconds = number(asked, "timeout", 0..MAX_WAIT, WAIT)
          found = @store.read { waited(asked) }
          return found if found
          return json(nothing(asked, seconds), 408) if seconds.zero?

          later(asked.env) { wait_for(asked, seconds) }
        end

        def wait_for(asked, seconds)
          deadline = Clock.now + seconds
          loop do
            seq, found = @store.read { [@store.seq, waited(asked)] }
            return found if found

            left = deadline - Clock.now
            return json(nothing(asked, seconds), 408) unless left.positive? && @store.wait(seq, left)
          end
        end

        def waited(asked)
          cursor = asked.query["since"]
          # After a clearing, everything is new.
          message = matching(asked, cursor && (@store.position(cursor, asked.session) || 0)).first
          json({ "message" => detail(asked, message), "cursor" => @store.cursor }) if message
        end

        def nothing(asked, seconds)
          @store.read do
            { "error" => "no message matched within #{seconds} s",
              "seen" => visible(asked).first(5).map { |message| summary(message) }, "cursor" => @store.cursor }
          end
        end

        # Responds in a thread of its own, if the server hands over the connection.
        def later(env)
          return yield unless env["rack.hijack"]

          refuse(503, "too many connections wait already") unless @connections.room?
          @connections.start(env["rack.hijack"].call) { |io| io.write(raw(env, *yield)) }
          [200, {}, []]
        end

        def raw(env, status, headers, body)
          body = env["REQUEST_METHOD"] == "HEAD" ? "" : body.join
          fields = { **Guard::HEADERS, **headers, "content-length" => body.bytesize, "connection" => "close" }
          "HTTP/1.1 #{status} #{REASONS[status]}\r\n#{fields.map do |pair|
                                                        "#{pair.join(": ")}\r\n"
                                                      end.join}\r\n".b + body.b
        end

        def stream(asked)
          unless @sandbox.served? && asked.env["rack.hijack"] && asked.env["REQUEST_METHOD"] == "GET"
            refuse(404, "there is no stream here: poll inbox/messages?since=CURSOR")
          end
          refuse(503, "too many connections wait already") unless @connections.room?

          cursor = asked.env["HTTP_LAST_EVENT_ID"] || asked.query["since"] || @store.read { @store.cursor }
          @connections.start(asked.env["rack.hijack"].call) { |io| feed(io, asked, cursor) }
          [200, {}, []]
        end

        def feed(io, asked, cursor)
          fields = { **Guard::HEADERS, "content-type" => "text/event-stream", "connection" => "close" }
          io.write("HTTP/1.1 200 OK\r\n#{fields.map { |pair| "#{pair.join(": ")}\r\n" }.join}\r\nretry: 1000\n\n")
          loop do
            seq, changes = @store.read { [@store.seq, (changes(asked, cursor) if cursor != @store.cursor)] }
            if changes
              cursor = changes["cursor"]
              io.write("id: #{cursor}\nevent: change\ndata: #{JSON.generate(changes)}\n\n")
            else
              io.write(":\n\n")
            end
            break unless @store.wait(seq, HEARTBEAT)
          end
        end

        def clear(asked)
          @store.write do
            count = visible(asked).size
            @store.clear(asked.session)
            json({ "cleared" => count, "cursor" => @store.cursor })
          end
        end

        def status(asked)
          @store.read do
            @inbox.adopt
            urls = urls(asked.env)
            json(
              "live" => @sandbox.served? ? "sse" : "poll", "faults" => faults(asked), "urls" => urls,
              "key_id" => @sandbox.key_id, "secret_hint" => hint(@sandbox.secret),
              "receiver" => @sandbox.callbacks&.url,
              "count" => visible(asked).size, "bound" => @store.bound, "templates" => @templates.names,
              "cursor" => @store.cursor, "example" => example(urls), "version" => VERSION
            )
          end
        end

        # Enough to tell two secrets apart, and of no use for signing.
        def hint(secret)
          secret = secret.dup.force_encoding(Encoding::UTF_8).scrub
          "#{"#{secret[0, 2]}… " if secret.length >= 12}(#{secret.length} characters)"
        end

        def urls(env)
          scheme = env["rack.url_scheme"] || "http"
          host = env["HTTP_HOST"] || "#{env["SERVER_NAME"]}:#{env["SERVER_PORT"]}"
          base = "#{scheme}://#{host}#{env["SCRIPT_NAME"]}"
          { "page" => "#{base}/", "base_url" => base, "endpoint_url" => "#{base}/api/v1/integrations/sandbox/events",
            "messages_url" => "#{base}/api/v1/whatsapp_messages" }
        end

        # The line to type for a first event. Only a secret that everybody knows is shown.
        def example(urls)
          secret = @sandbox.secret == KNOWN_SECRET ? KNOWN_SECRET : "…"
          url, key_id = [urls["endpoint_url"], @sandbox.key_id].map { |text| Shellwords.escape(text) }
          "SIMPLECONNECT_ENDPOINT_URL=#{url} SIMPLECONNECT_KEY_ID=#{key_id} " \
            "SIMPLECONNECT_SECRET=#{secret} simple_connect deliver order_paid --to +919812345678 amount=450.00"
        end

        def faults(asked)
          @store.get("faults").to_a.select { |fault| asked.session.nil? || fault["session"] == asked.session }
                .map { |fault| fault.slice("kind", "times", "retry_after") }
        end

        def add_faults(asked)
          fault = fault(body(asked))
          if CUTS.include?(fault["kind"]) && !asked.env["rack.hijack"]
            refuse(422, "this server cannot cut a connection: run it under Puma")
          end
          @store.write do
            planned = @store.get("faults").to_a
            refuse_more(planned, asked.session)
            @store.set("faults", [*planned, { **fault, "session" => asked.session }])
            json({ "faults" => faults(asked) }, 201)
          end
        end

        # Tests may leave some behind, which must not be in the way of others.
        def refuse_more(planned, session)
          own = planned.count { |fault| fault["session"] == session }
          refuse(422, "#{own} faults are planned already: DELETE /inbox/faults takes them back") if own >= 100
          return if planned.size < 1_000

          refuse(422, "#{planned.size} faults are planned already, in all sessions: DELETE /inbox/faults without a " \
                      "session takes them back")
        end

        def fault(json)
          kind = json["kind"]
          kind = kind.to_i if kind.is_a?(String) && kind.match?(/\A\d{3}\z/)
          unless FAULTS.include?(kind) || (kind.is_a?(Integer) && kind.between?(400, 599))
            refuse(422, "kind must be a status from 400 to 599, or #{FAULTS.join(", ")}")
          end
          times = json.fetch("times", 1)
          refuse(422, "times must be an integer from 1 to 1000") unless times.is_a?(Integer) && times.between?(1, 1000)
          after = json["retry_after"]
          unless after.nil? || (after.is_a?(Integer) && after.between?(0, 86_400) && kind.is_a?(Integer))
            refuse(422, "retry_after must be an integer from 0 to 86400, the seconds, with a status as kind")
          end

          { "kind" => kind, "times" => times, "retry_after" => after }
        end

        def clear_faults(asked)
          @store.write do
            @store.set("faults", @store.get("faults").to_a.select do |fault|
                                   asked.session && fault["session"] != asked.session
                                 end)
            json({ "faults" => faults(asked) })
          end
        end

        def rotate(_asked)
          secret = @inbox.rotate
          json({ "key_id" => @sandbox.key_id, "secret" => secret, "secret_hint" => hint(secret) }, 201)
        end

        def call_back(asked, id)
          status = body(asked)["status"]
          refuse(422, "status must be one of: #{STATUSES.join(", ")}") unless STATUSES.include?(status)
          receiver!
          data = @store.write do
            message = find(asked, id)
            refuse(422, "only an accepted message has a status") unless message["message_id"] && message["row"]

            @store.put({ **message, "tick" => status })
            { "message_id" => message["message_id"], "status" => status, "timestamp" => Time.now.utc.iso8601(6),
              "recipient" => message["row"]["recipient"] }
          end
          posted = post("message.status", data)
          @store.write do
            message = @store[Wire.unescape(id)] or refuse(404, "the message was cleared")
            callback = { **posted.slice("at", "ms", "fault"), "status" => status,
                                                              "receiver_status" => posted["status"] }
            message = @store.put({ **message, "callbacks" => [*message["callbacks"], callback].last(20) })
            json({ "receiver" => posted.except("bytes"), "message" => summary(message) })
          end
        end

        def receiver!
          @sandbox.callbacks or
            refuse(422, "there is no receiver: start the sandbox with --callback-url URL, or status_callback_url:")
        end

        def post(event, data)
          at = Time.now
          @recorder.posted(@sandbox.callbacks.post_now(event, data), at)
        end

        def incoming(asked)
          json = body(asked)
          number, text = json.values_at("mobile_no", "text")
          unless number.is_a?(String) && number.match?(/\A\+?\d{5,20}\z/)
            refuse(422, "mobile_no must be a number, such as +919812345678")
          end
          refuse(422, "text is required") unless text.is_a?(String) && !text.strip.empty?
          refuse(422, "text must have at most 4096 characters") if text.length > 4096
          receiver!

          data = { "message_id" => "wamid.sandbox.in.#{SecureRandom.hex(6)}", "timestamp" => Time.now.utc.iso8601(6),
                   "sender" => { "mobile_no" => number }, "type" => "text", "text" => text }
          posted = post("message.incoming", data)
          @store.write do
            message = @recorder.incoming(data, Callbacks.body("message.incoming", data), asked.session, posted)
            json({ "receiver" => posted.except("bytes"), "message" => summary(message) }, 201)
          end
        end

        def replay(asked, id)
          message = @store.read { find(asked, id) }
          return replay_incoming(message) if message["kind"] == "incoming"

          event = message["kind"] == "event"
          status, = @sandbox.call(signed(message, event))
          @store.read { json({ "status" => status, "message" => summary(@store[message["id"]] || message) }) }
        end

        def replay_incoming(message)
          receiver!
          posted = post("message.incoming", JSON.parse(message["body"])["data"])
          @store.write do
            message = @recorder.again(@store[message["id"]] || message, posted)
            json({ "status" => posted["status"], "receiver" => posted.except("bytes"), "message" => summary(message) })
          end
        end

        # A request as a client would send it.
        def signed(message, event)
          body = message["body"]
          credentials = @sandbox.credentials
          timestamp = Time.now.to_i.to_s
          path = event ? "/api/v1/integrations/sandbox/events" : "/api/v1/whatsapp_messages"
          {
            "REQUEST_METHOD" => "POST", "PATH_INFO" => path, "rack.input" => StringIO.new(body),
            "CONTENT_TYPE" => "application/json", "HTTP_USER_AGENT" => "simple_connect inbox (replay)",
            "HTTP_X_SIMPLECONNECT_SESSION" => message["session"],
            **(if event
                 { "HTTP_X_SIMPLECONNECT_KEY_ID" => @sandbox.key_id, "HTTP_X_SIMPLECONNECT_TIMESTAMP" => timestamp,
                   "HTTP_X_SIMPLECONNECT_SIGNATURE" => credentials.sign(credentials.secrets.first, timestamp, body) }
               else
                 { "HTTP_AUTHORIZATION" => "Bearer #{@sandbox.api_key}" }
               end)
          }.compact
        end

        def number(asked, name, range, default)
          text = asked.query[name] or return default
          value = Float(text, exception: false)
          value = value.to_i if value&.finite? && value == value.to_i
          if value && range.cover?(value)
            value
          else
            refuse(400,
                   "#{name} must be a number from #{range.first} to #{range.last}")
          end
        end
      end
    end
  end
end
