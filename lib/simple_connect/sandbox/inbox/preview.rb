# frozen_string_literal: true

require "json"
require_relative "../../internal/autoload"

module SimpleConnect
  class Sandbox
    class Inbox
      # Shows a message as the customer would read it: by its template, or else its fields.
      # @api private
      class Preview
        PLACEHOLDER = /\{\{\s*([\w.]+)\s*\}\}/
        # How long the text in the list may be.
        TEXT = 160
        # Members of a template message that are not its fields.
        OWN = %w[message_type template_name language_code recipient].freeze
        private_constant :PLACEHOLDER, :TEXT, :OWN

        # @param templates [Templates]
        # @param message [Hash{String => Object}]
        def initialize(templates, message)
          @message = message
          @fields = message["fields"].is_a?(Hash) ? message["fields"] : {}
          @template = templates.find(message["event_key"] || message["template_name"], message["language"])
          @unfilled = []
        end

        # @return [Hash{String => Object}] `"template"` says whether there is one
        def to_h
          return { **empty, "body" => @fields["text"].to_s } if @message["kind"] == "incoming"
          return { **empty, "body" => listed } unless @template

          shown = { "template" => true, "header" => fill(@template["header"], "header"),
                    "body" => fill(@template["body"], "body"), "footer" => fill(@template["footer"], "footer"),
                    "buttons" => @template["buttons"].map { |button| filled_button(button) } }
          { **shown, "unfilled" => @unfilled.uniq }
        end

        # @return [String] the beginning, in one line
        def line
          text = to_h["body"].gsub(/\s+/, " ").strip
          text.length > TEXT ? "#{text[0, TEXT - 1]}…" : text
        end

        private

        def empty = { "template" => false, "header" => nil, "footer" => nil, "buttons" => [], "unfilled" => [] }

        def filled_button(button) = button.transform_values { |text| fill(text, "buttons") }

        def fill(text, part)
          text&.gsub(PLACEHOLDER) do |placeholder|
            value = value(Regexp.last_match(1), part)
            @unfilled << placeholder if value.nil?
            value || placeholder
          end
        end

        def value(name, part)
          return positional(name.to_i, part) if name.match?(/\A\d+\z/)

          recipient = @message["recipient"].to_h
          text(@fields.fetch(name) { recipient[name.delete_prefix("recipient.")] || own_recipient[name] })
        end

        def own_recipient = @fields["recipient"].is_a?(Hash) ? @fields["recipient"] : {}

        # {{1}} is the first parameter that the message has, or the first field that the template names.
        def positional(number, part)
          return if number.zero?
          return value(@template["parameters"][number - 1].to_s, part) if @template["parameters"][number - 1]

          member = @fields[part]
          parameters = member["parameters"] if member.is_a?(Hash)
          parameter = parameters[number - 1] if parameters.is_a?(Array)
          text(parameter.is_a?(Hash) ? parameter["text"] : parameter)
        end

        def text(value)
          case value
          when nil then nil
          when String then value
          when Hash, Array then JSON.generate(value)
          else value.to_s
          end
        end

        def listed
          fields = @message["kind"] == "template" ? @fields.except(*OWN) : @fields
          fields = { "template" => @message["template_name"], **fields } if @message["kind"] == "template"
          fields.map { |name, value| "#{name}: #{text(value)}" }.join("\n")
        end
      end
    end
  end
end
