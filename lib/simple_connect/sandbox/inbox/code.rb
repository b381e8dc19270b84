# frozen_string_literal: true

require "json"
require_relative "../../internal/autoload"
require_relative "../../internal/envelope"

module SimpleConnect
  class Sandbox
    class Inbox
      # Writes a message as code: a call of curl, one of Ruby, and an example of RSpec.
      # @api private
      class Code
        # Sets what a signature needs, in a shell.
        SIGN = <<~'SHELL'
          TIMESTAMP=$(date +%s)
          SIGNATURE=$(printf '%s.%s' "$TIMESTAMP" "$BODY" |
            openssl dgst -sha256 -hmac "$SIMPLECONNECT_SECRET" | sed 's/^.* //')
        SHELL
        # Control characters: pasted into a terminal, they may do more than stand there.
        CONTROL = /(?![\t\r\n])[[:cntrl:]]/
        private_constant :SIGN, :CONTROL

        # @param message [Hash{String => Object}]
        # @param urls [Hash{String => String}]
        # @param key_id [String]
        def initialize(message, urls, key_id)
          @message = message
          @urls = urls
          @key_id = key_id
        end

        # @return [Hash{String => String, nil}]
        def to_h = { "curl" => curl, "ruby" => ruby, "rspec" => rspec }

        private

        def event? = @message["kind"] == "event"
        def template? = @message["kind"] == "template"

        def curl
          return if @message["kind"] == "incoming" || @message["body"].match?(CONTROL)

          url = @urls[event? ? "endpoint_url" : "messages_url"]
          <<~SHELL
            BODY=#{quoted(@message["body"])}
            #{SIGN if event?}curl -sS #{quoted(url)} \\
              -H 'Content-Type: application/json' \\
              #{credentials.join(" \\\n  ")} \\
              --data-binary "$BODY"
          SHELL
        end

        def credentials
          return ['-H "Authorization: Bearer $SIMPLECONNECT_API_KEY"'] unless event?

          ["-H #{quoted("X-SimpleConnect-Key-Id: #{@key_id}")}", '-H "X-SimpleConnect-Timestamp: $TIMESTAMP"',
           '-H "X-SimpleConnect-Signature: sha256=$SIGNATURE"']
        end

        # Shellwords.escape would escape each letter that is not ASCII.
        def quoted(text) = "'#{text.gsub("'") { "'\\''" }}'"

        def ruby
          json = JSON.parse(@message["body"])
          return unless json.is_a?(Hash)
          return message_call(json) if template?

          event_call(json) if event? && @message["event_key"]
        rescue JSON::ParserError
          nil
        end

        def event_call(json)
          envelope = Envelope.new(json)
          event = envelope.event.except(envelope.key)
          key = literal(@message["event_key"])
          unless envelope.nested?
            return "client.events.deliver(#{key}#{", #{literal(event)}" unless event.empty?})\n"
          end

          "client.events.deliver(\n  #{key},\n  recipient: #{literal(json["recipient"], 1)},\n" \
            "  event: #{literal(event, 1)}\n)\n"
        end

        def message_call(json)
          messages = json["messages"]
          return unless messages.is_a?(Array) && messages.all?(Hash)

          messages.map do |message|
            arguments = message.except("message_type").map { |name, value| "  #{label(name)} #{literal(value, 1)}" }
            "messages.messages.deliver(\n#{arguments.join(",\n")}\n)\n"
          end.join
        end

        def rspec
          return unless event? && @message["event_key"]

          number = @message["recipient"].to_h["mobile_no"] if nested?
          fields = @message["fields"].to_h
          chain = ["deliver_event(#{literal(@message["event_key"])})"]
          chain << ".to_recipient(#{literal(number)})" if number
          chain << ".with(#{literal(fields)})" unless fields.empty?
          <<~RUBY
            it #{literal("delivers #{@message["event_key"]}")} do
              expect { your_code }.to #{chain.join("\n    ")}
            end
          RUBY
        end

        def nested?
          json = JSON.parse(@message["body"])
          json.is_a?(Hash) && Envelope.new(json).nested?
        rescue JSON::ParserError
          false
        end

        # Written here, because what `inspect` gives depends on Ruby's version.
        def literal(value, depth = 0)
          case value
          when Hash then value.empty? ? "{}" : hash(value, depth)
          when Array then "[#{value.map { |each| literal(each, depth) }.join(", ")}]"
          when String then value.inspect
          else value.inspect
          end
        end

        def hash(value, depth)
          pairs = value.map { |name, each| "#{label(name)} #{literal(each, depth + 1)}" }
          line = "{ #{pairs.join(", ")} }"
          return line if line.length <= 90 || depth.zero?

          space = "  " * depth
          "{\n#{pairs.map { |pair| "#{space}  #{pair}" }.join(",\n")}\n#{space}}"
        end

        def label(name) = name.match?(/\A[a-z_]\w*\z/i) ? "#{name}:" : "#{name.inspect} =>"
      end
    end
  end
end
