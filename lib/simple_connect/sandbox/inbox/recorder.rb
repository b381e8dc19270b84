# frozen_string_literal: true

require "digest"
require "json"
require "time"
require_relative "../../internal/autoload"
require_relative "../../internal/envelope"

module SimpleConnect
  class Sandbox
    class Inbox
      # Turns requests and what they were answered with into messages: the attempts of one event become one message.
      # @api private
      class Recorder
        # The attempts of a message that are kept: the last ones.
        ATTEMPTS = 50
        # Statuses after which a client tries again.
        TRANSIENT = [408, 425, 429].freeze
        # How long a text of a summary may be: an id of the outbox fits.
        TEXT = 255
        # The bytes of messages that one request may become, at most. Each recipient's message has its own copy of what
        # all have in common.
        MAX_BYTES = 8 * 1024 * 1024
        # How many messages a request without a valid key becomes, at most.
        REFUSED = 10
        private_constant :ATTEMPTS, :TRANSIENT, :TEXT, :MAX_BYTES, :REFUSED

        # A request and its answer; `status` is nil if the connection was cut.
        Exchange = Struct.new(:request, :session, :at, :seconds, :status, :json, :fault, :retry_after, :request_id,
                              :outcomes, :key_accepted, keyword_init: true)

        # @param store [Store]
        # @param credentials [Credentials]
        def initialize(store, credentials)
          @store = store
          @credentials = credentials
        end

        # @param exchange [Exchange]
        # @return [Array<Hash>] the messages that it became
        def record(exchange)
          json = parse(exchange.request.body)
          attempt = attempt(exchange)
          return messages(exchange, json, attempt) if exchange.request.path.match?(/whatsapp_messages/)

          outcome = exchange.outcomes&.first
          [save(exchange, event(exchange, json), own(attempt, outcome), outcome)]
        end

        # @param data [Hash{String => Object}] a message from a customer, as it was posted to the receiver
        # @return [Hash] the message
        def incoming(data, body, session, attempt)
          @store.put(
            "id" => @store.next_id, "kind" => "incoming", "at" => attempt["at"], "session" => session,
            "message_id" => data["message_id"], "recipient" => data["sender"], "state" => state(attempt),
            "fields" => data.slice("text"), "body" => body, "attempts" => [attempt], "attempts_count" => 1
          )
        end

        # @return [Hash] an attempt to post something to the receiver
        def posted(result, at)
          { "at" => at.utc.iso8601(3), "status" => (result.status_code unless result.status_code.zero?),
            "fault" => result.error && result.status_code.zero? ? result.error.scrub : nil,
            "ms" => (result.elapsed * 1000).round(1), "response_body" => result.response_body.to_s.scrub,
            "bytes" => result.response_body.to_s.bytesize }
        end

        # Adds an attempt to a message.
        def again(message, attempt)
          @store.put({ **message, **added(message, attempt), "state" => state(attempt) })
        end

        private

        # What could not be shown is as good as no JSON: values such as 1e400, half a surrogate pair, deep nesting.
        def parse(body)
          return unless body.valid_encoding?

          json = JSON.parse(body, max_nesting: 90, freeze: true)
          json if JSON.generate(json)
        rescue JSON::ParserError, JSON::GeneratorError, EncodingError
          nil
        end

        # What is known of an event, whether it was accepted or not.
        def event(exchange, json)
          known = { "kind" => "event", "body" => exchange.request.body.scrub }
          return known unless json.is_a?(Hash)

          envelope = Envelope.new(json)
          id = envelope.event["event_id"]
          event_id = text(id)
          # As the ledger tells events apart: the text that is shown may be cut.
          key = event_id && JSON.generate([exchange.session, "event", Digest::SHA256.hexdigest(id.to_s)])
          known.merge(
            "event_key" => text(envelope.event[envelope.key]), "event_id" => event_id,
            "recipient" => recipient(envelope.recipient), "language" => text(envelope.event["language"]),
            "fields" => envelope.fields, "key" => key
          )
        end

        # One message for each recipient: the last ones, if there are many. The sandbox forgets the others.
        def messages(exchange, json, attempt)
          parts = kept(Parts.new(exchange, json), exchange, attempt)
          parts = [none(exchange, attempt)] if parts.empty?
          forget(exchange, parts.map { |part,| part.outcome })
          times = Hash.new(-1)
          parts.map do |part, own|
            digest = Digest::SHA256.hexdigest(part.body)[0, 20]
            key = JSON.generate([exchange.session, digest, times[digest] += 1])
            save(exchange, template(exchange, part, key), own, part.outcome)
          end
        end

        # A request that has no recipients is a message, too.
        def none(exchange, attempt)
          outcome = exchange.outcomes&.first
          [Parts::Part.new({}, {}, outcome, true, exchange.request.body), own(attempt, outcome)]
        end

        def forget(exchange, kept)
          ids = kept.grep(Hash).to_h { |row| [row["message_id"], true] }
          exchange.outcomes.to_a.grep(Hash).each do |row|
            @store.ledger(exchange.session).forget(row) unless ids[row["message_id"]]
          end
        end

        # @return [Array<Array(Parts::Part, Hash)>] with the attempts
        def kept(parts, exchange, attempt)
          left = MAX_BYTES
          limit = exchange.key_accepted ? @store.bound : REFUSED
          parts.last_first.each_with_object([]) do |part, kept|
            own = own(attempt, part.outcome, part.response)
            left -= 2048 + part.body.bytesize + own["bytes"]
            break kept if kept.size == limit || (left.negative? && kept.any?)

            kept.unshift([part, own])
          end
        end

        def template(exchange, part, key)
          message = part.message
          {
            "kind" => "template", "template_name" => text(message["template_name"]), "recipient" => recipient(part.to),
            "language" => text(message["language_code"]), "key" => key,
            "fields" => { **message.except("recipients"), "recipient" => part.to },
            "body" => part.alone ? exchange.request.body.scrub : part.body
          }
        end

        # @param outcome [Hash, Refusal, nil] a row of the ledger
        def save(exchange, known, attempt, outcome = nil)
          earlier = known["key"] && @store.keyed(known["key"])
          # The service does not recognise repeated template messages: only one that failed is sent again.
          earlier = nil if earlier && known["kind"] == "template" && accepted?(earlier)
          message = earlier || { "id" => @store.next_id, "at" => attempt["at"], "session" => exchange.session }
          # Once accepted, what came later with the same id has no effect.
          message = { **message, **known } unless earlier && accepted?(earlier)
          @store.put({ **message, **added(message, attempt), **result(earlier, attempt, outcome) })
        end

        def added(message, attempt)
          { "attempts" => [*message["attempts"], attempt].last(ATTEMPTS),
            "attempts_count" => message["attempts_count"].to_i + 1 }
        end

        def accepted?(message) = %w[accepted duplicate skipped].include?(message["state"])

        def result(earlier, attempt, outcome)
          state = state(attempt)
          # A failure after the message was accepted does not undo that.
          return {} if earlier && accepted?(earlier) && %w[failed rejected].include?(state)
          return { "state" => state } unless state == "accepted" && outcome.is_a?(Hash)

          skipped = outcome["status"] == "skipped"
          { "state" => skipped ? "skipped" : "accepted", "tick" => skipped ? nil : "delivered", "row" => outcome,
            "message_id" => skipped ? nil : Ledger.message_id(outcome) }
        end

        def state(attempt)
          status = attempt["status"]
          if status.nil? || status >= 500 || TRANSIENT.include?(status) then "failed"
          elsif status >= 300 || attempt["error"] then "rejected"
          else
            attempt["duplicate"] ? "duplicate" : "accepted"
          end
        end

        # What the messages of a request have in common: an attempt, but for its bytes.
        def attempt(exchange)
          steps, verdict = explanation(exchange)
          headers = headers(exchange.request)
          {
            "at" => exchange.at.utc.iso8601(3), "status" => exchange.status, "fault" => exchange.fault,
            "ms" => exchange.seconds && (exchange.seconds * 1000).round(2), "request_id" => exchange.request_id,
            "retry_after" => exchange.retry_after, "duplicate" => exchange.json&.dig("duplicate"),
            "request_headers" => headers, "response_body" => exchange.json && JSON.generate(exchange.json),
            "signature" => steps, "verdict" => verdict, "bytes" => 2048 + headers.sum { |pair| pair.sum(&:bytesize) }
          }
        end

        # The attempt of one message.
        def own(attempt, outcome, response = nil)
          response ||= attempt["response_body"]
          error = outcome.message if outcome.is_a?(Refusal)
          { **attempt, "error" => error, "response_body" => response,
                       "bytes" => attempt["bytes"] + error.to_s.bytesize + response.to_s.bytesize }
        end

        # Cookies belong to a browser, and the version is no header field, but Rack has it among them.
        def headers(request)
          request.headers.except("cookie", "version")
                 .to_h { |*pair| pair.flatten.map { |text| text.dup.force_encoding(Encoding::UTF_8).scrub } }
        end

        def explanation(exchange)
          explanation = Explanation.new(@credentials, exchange.request, exchange.at)
          return explanation.of_event unless exchange.request.path.match?(/whatsapp_messages/)

          explanation.of_message(exchange.key_accepted)
        end

        def recipient(json)
          return unless json.is_a?(Hash)

          { "name" => text(json["name"]), "mobile_no" => text(json["mobile_no"]) }
        end

        def text(value)
          text = value.is_a?(String) || value.is_a?(Numeric) ? value.to_s.strip[0, TEXT] : ""
          text unless text.empty?
        end
      end
    end
  end
end
