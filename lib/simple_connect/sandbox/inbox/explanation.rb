# frozen_string_literal: true

require "json"
require "time"
require "openssl"
require_relative "../../internal/autoload"

module SimpleConnect
  class Sandbox
    class Inbox
      # Explains step by step how the signature of a request is checked, and what may be wrong with it. It never shows a
      # secret.
      # @api private
      class Explanation
        # How much of the signed text is shown, in characters.
        SHOWN = 400
        # Mistakes that the signature itself gives away: what was signed, and how, instead.
        MISTAKES = {
          "It lacks the prefix sha256=." => ->(it) { it.hex(it.text) },
          "It is in upper case. Write the hex digits in lower case." => ->(it) { "sha256=#{it.hex(it.text).upcase}" },
          "It is in base64. Write it as hex digits." => ->(it) { "sha256=#{[it.digest(it.text)].pack("m0")}" },
          "It is in base64, without sha256=. Write sha256= and hex digits." => lambda { |it|
                                                                                 [it.digest(it.text)].pack("m0")
                                                                               },
          "Only the body is signed. Sign the timestamp, a dot and the body." => ->(it) { it.sha256(it.body) },
          "The dot between the timestamp and the body is missing." => ->(it) { it.sha256("#{it.timestamp}#{it.body}") },
          "The body got a line break at its end after it was signed." => ->(it) { it.sign(it.body.chomp) },
          "The body lost the line break at its end after it was signed." => ->(it) { it.sign("#{it.body}\n") },
          "Other JSON was signed than was sent: the body was parsed and written again. Sign the bytes that you send." =>
            ->(it) { it.rewritten.map { |body| it.sign(body) } },
          "The secret has a line break at its end." => ->(it) { it.sign(it.body, "#{it.secret}\n") }
        }.freeze
        private_constant :SHOWN, :MISTAKES

        # @return [String, nil]
        attr_reader :timestamp
        # @return [String] in bytes
        attr_reader :body

        # @param credentials [Credentials]
        # @param request [Request]
        # @param now [Time] when the request came
        def initialize(credentials, request, now)
          @credentials = credentials
          @headers = request.headers
          @body = request.body.b
          @now = now
          @key_id, @timestamp, @signature =
            %w[key-id timestamp signature].map { |name| @headers["x-simpleconnect-#{name}"] }
        end

        # @return [Array(Array<Hash{String => Object}>, String)] the steps, and the verdict
        def of_event
          steps = [key_id, stamp, signed, expected, got]
          verdict = [*steps.filter_map { |step| step.delete("why") }, valid].first
          [[*steps, step("verdict", "Verdict", verdict, steps.all? { |each| each["ok"] != false })], verdict]
        end

        # @param accepted [Boolean] whether the key was accepted
        # @return [Array(Array<Hash{String => Object}>, String)] of a request with an API key
        def of_message(accepted)
          sent = @headers["authorization"] ? "[redacted]" : nil
          verdict = if accepted then "The API key is valid."
                    elsif sent then "The API key is another one than the sandbox's."
                    else
                      "The header Authorization: Bearer <API key> is missing."
                    end
          [[step("api_key", "API key", sent, accepted), step("verdict", "Verdict", verdict, accepted)], verdict]
        end

        # What follows is for MISTAKES.

        # @return [String] the bytes that are signed
        def text = "#{@timestamp}.#{@body}"

        def secret = @credentials.secrets.first
        def digest(text, secret = self.secret) = OpenSSL::HMAC.digest("SHA256", secret, text)
        def hex(text, secret = self.secret) = digest(text, secret).unpack1("H*")
        def sha256(text, secret = self.secret) = "sha256=#{hex(text, secret)}"
        def sign(body, secret = self.secret) = @credentials.sign(secret, @timestamp, body)

        # @return [Array<String>] other ways to write the same JSON
        def rewritten
          json = JSON.parse(@body.dup.force_encoding(Encoding::UTF_8))
          compact = JSON.generate(json)
          spaced = compact.gsub(/("(?:[^"\\]|\\.)*")|([:,])/) { Regexp.last_match(1) || "#{Regexp.last_match(2)} " }
          [compact, JSON.pretty_generate(json), spaced, JSON.generate(json, ascii_only: true),
           JSON.generate(json, script_safe: true)]
        rescue JSON::ParserError, JSON::GeneratorError, EncodingError
          []
        end

        private

        def step(name, title, value, okay, why = nil)
          { "step" => name, "title" => title, "value" => value && shown(value), "ok" => okay, "why" => why }.compact
        end

        def shown(value)
          text = value.dup.force_encoding(Encoding::UTF_8).scrub
          text.length > SHOWN ? "#{text[0, SHOWN]}… (#{value.bytesize} bytes)" : text
        end

        def key_id
          why = if @key_id.nil? then "The header X-SimpleConnect-Key-Id is missing."
                elsif @key_id.b != @credentials.key_id.b
                  "The key id is another one than the sandbox's, #{@credentials.key_id}."
                end
          step("key_id", "Key id", @key_id, why.nil?, why)
        end

        def stamp
          why = stamp_mistake
          step("timestamp", "Timestamp", @timestamp && [@timestamp, stamp_time].compact.join(", "), why.nil?, why)
        end

        def stamp_time
          return unless @timestamp.b.match?(/\A[0-9]{1,12}\z/)

          age = @now.to_i - @timestamp.to_i
          relation = age.negative? ? "#{-age} s after it came" : "#{age} s before it came"
          "#{Time.at(@timestamp.to_i).utc.iso8601}, #{relation}"
        end

        def stamp_mistake
          return "The header X-SimpleConnect-Timestamp is missing." unless @timestamp
          return "The timestamp is in milliseconds. Write it in seconds." if @timestamp.b.match?(/\A[0-9]{13}\z/)
          unless @timestamp.b.match?(/\A[0-9]{1,12}\z/)
            return "The timestamp must be the seconds since 1970, in 1 to 12 digits."
          end

          off = (@now.to_i - @timestamp.to_i).abs
          return if off <= @credentials.tolerance

          "The timestamp is off by #{off} s, and #{@credentials.tolerance} s are tolerated. " \
            "Check the clock, and sign each attempt again."
        end

        def signed = step("signed_text", "Signed text: timestamp, dot, body", @timestamp ? text : nil, nil)

        def expected
          step("expected", "Expected signature", @timestamp && sign(@body, matching || secret), nil)
        end

        def got
          why = signature_mistake
          step("got", "Signature that came", @signature, why.nil?, why)
        end

        # @return [String, nil] the secret that signed it
        def matching
          return unless @timestamp && @signature

          @credentials.secrets.find { |secret| OpenSSL.secure_compare(sign(@body, secret), @signature) }
        end

        def signature_mistake
          return "The header X-SimpleConnect-Signature is missing." unless @signature
          return unless @timestamp

          used = matching
          return if used

          mistake, = MISTAKES.find { |_, make| [*make.call(self)].include?(@signature) }
          mistake ? "The signature does not match. #{mistake}" : guess
        end

        def valid
          return "The signature is valid." if matching.equal?(secret)

          "The signature is valid, but made with the previous secret: switch to the new one."
        end

        def guess
          unless @signature.b.match?(/\Asha256=\h{64}\z/)
            return "The signature must be sha256= and 64 hex digits, in lower case."
          end

          "The signature does not match: the secret is another one, or the body or the timestamp was changed after " \
            "signing."
        end
      end
    end
  end
end
