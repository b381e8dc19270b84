# frozen_string_literal: true

require_relative "../../internal/autoload"

module SimpleConnect
  class Sandbox
    class Inbox
      # The templates of a file in YAML: a list, in which each has an event key and a body, and may have a language, a
      # header, a footer, buttons, and the names of the fields that `{{1}}`, `{{2}}` … stand for.
      # @api private
      class Templates
        TEXTS = %w[event_key language header body footer].freeze
        BUTTON = %w[text url phone].freeze
        MEMBERS = [*TEXTS, "buttons", "parameters"].freeze
        MAX_BYTES = 1024 * 1024
        private_constant :TEXTS, :BUTTON, :MEMBERS, :MAX_BYTES

        # @param path [String, Pathname, nil] nil for no templates
        # @raise [ConfigurationError] if the file cannot be read, or is invalid
        def initialize(path)
          @path = path
          @list = path ? read.each_with_index.map { |template, index| check(template, index) } : []
          twice, = @list.group_by { |template| template.values_at("event_key", "language") }
                        .find { |_, same| same.size > 1 }
          refuse("has two templates for #{twice.compact.join(", ")}") if twice
        end

        # @return [Hash{String => Object}, nil] the template in this language, or else the first one
        def find(event_key, language)
          found = @list.select { |template| template["event_key"] == event_key }
          found.find { |template| template["language"] == language } ||
            found.find { |template| language && template["language"].to_s[/\A[a-z]+/] == language[/\A[a-z]+/] } ||
            found.first
        end

        # @return [Array<Hash{String => String}>] event key and language of each
        def names = @list.map { |template| template.slice("event_key", "language") }

        private

        def refuse(what) = raise(ConfigurationError, "templates: #{@path} #{what}")

        def read
          refuse("is larger than #{MAX_BYTES} bytes") if File.size(@path) > MAX_BYTES
          # Not needed otherwise.
          require "yaml"
          text = File.read(@path, encoding: "UTF-8")
          refuse("is not UTF-8") unless text.valid_encoding?
          list = YAML.safe_load(text, filename: @path.to_s)
          list.is_a?(Array) ? list : refuse("must be a list: begin each template with `- event_key: …`")
        rescue SystemCallError => e
          refuse("cannot be read: #{SystemCallError.new(nil, e.errno).message}")
        rescue TypeError, ArgumentError => e
          raise ConfigurationError, "templates: must be the path of a file, not #{@path.inspect} (#{e.message})"
        rescue Psych::Exception => e
          refuse("is invalid: #{e.message.sub(/\A\(.*?\): /, "")}")
        end

        def check(template, index)
          where = "template #{index + 1}"
          refuse("has a #{where} that is not a mapping: write `- event_key: …`") unless template.is_a?(Hash)
          unknown = template.keys - MEMBERS
          unless unknown.empty?
            refuse("has an unknown member in #{where}: #{unknown.first.inspect} (known: #{MEMBERS.join(", ")})")
          end

          texts = TEXTS.to_h { |name| [name, text(template[name], where, name)] }
          %w[event_key body].each { |name| refuse("has no #{name} in #{where}") if texts[name].to_s.strip.empty? }
          { **texts, "buttons" => buttons(template["buttons"], where),
                     "parameters" => list(template["parameters"], where, "parameters").map do |each|
                                       text(each, where, "parameters")
                                     end }
        end

        def text(value, where, name)
          return value.to_s.chomp if value.is_a?(String) || value.is_a?(Numeric) || value == true || value == false
          return if value.nil?

          refuse("must have a text as #{name} in #{where}, not #{value.class}")
        end

        def list(value, where, name)
          return value.to_a if value.nil? || value.is_a?(Array)

          refuse("must have a list as #{name} in #{where}, not #{value.class}")
        end

        def buttons(value, where)
          list(value, where, "buttons").map do |button|
            button = { "text" => button } unless button.is_a?(Hash)
            button = BUTTON.to_h { |name| [name, text(button[name], where, "buttons")] }
            refuse("has a button without text in #{where}") if button["text"].to_s.empty?
            button
          end
        end
      end
    end
  end
end
