# frozen_string_literal: true

require_relative "../internal/autoload"
require_relative "../internal/keeps_secrets"

module SimpleConnect
  class Kiket < Webhooks::App
    # A manifest file: the extension's id and version, its secret and its settings. Immutable.
    #
    #     # extension.yaml
    #     delivery_secret: from-the-well
    #     id: org.glasshouse.watering
    #     version: 3.2.1
    #     settings:
    #       - key: LITRES
    #         default: 12
    #       - key: VALVE_PIN
    #         secret: true
    class Manifest
      include KeepsSecrets

      # The file names to look for, in the current directory.
      NAMES = %w[extension.yaml extension.yml manifest.yaml manifest.yml].freeze
      # The prefix of environment variables with secrets.
      PREFIX = "KIKET_SECRET"

      # @return [String, nil]
      attr_reader :id, :version
      # @return [String, nil] the secret that webhooks are signed with
      attr_reader :delivery_secret
      # @return [Settings] the default of each setting; a setting with `secret: true` comes from the environment
      attr_reader :settings

      class << self
        # Reads the file at `path`; without a path, the first of {NAMES} that exists.
        #
        # @param path [String, nil]
        # @param env [Hash{String => String}, ENV] the source of secrets: a setting `API_KEY` with `secret: true` is
        #   read from `<prefix>_API_KEY`
        # @param prefix [String]
        # @return [Manifest, nil] nil if no path is given and no file exists
        # @raise [ConfigurationError] if the file is missing, or is not a valid manifest
        # @example
        #   SimpleConnect::Kiket::Manifest.load&.id # => "com.example.marketing"
        def load(path = nil, env: ENV, prefix: PREFIX)
          path ||= NAMES.find { |name| File.file?(name) } or return

          new(path.to_s, *read(path), env, prefix)
        end

        private :new

        # @api private
        # @return [String] `key` as the name of an environment variable
        def variable(key) = key.upcase.gsub(/[^A-Z0-9]/, "_")

        private

        # @return [Array(Object, Object)] the parsed data, and the YAML node, which keeps the original spelling
        def read(path)
          require "yaml"
          text = File.read(path, encoding: Encoding::UTF_8)
          [YAML.safe_load(text, filename: path.to_s), (YAML.parse(text) || nil)&.root]
        rescue SystemStackError
          raise ConfigurationError, "the manifest #{path} is nested too deeply"
        rescue SystemCallError => e
          raise ConfigurationError, "the manifest cannot be read: #{e.message}"
        rescue Psych::DisallowedClass => e
          raise ConfigurationError, "the manifest #{path} has a value that is not a String, number, true, false, " \
                                    "list or mapping; put it into quotes (#{e.message})"
        rescue Psych::Exception => e
          raise ConfigurationError, "the manifest is not YAML: #{e.message}"
        end
      end

      # @api private
      def initialize(path, data, node, env, prefix)
        @path = path
        refuse("must be a mapping, such as `id: com.example.marketing`") unless data.is_a?(Hash)

        @id, @version, @delivery_secret = %w[id version delivery_secret].map { |name| text(data, node, name) }
        @settings = Settings.new(read(data["settings"] || [], child(node, "settings"), env, prefix)).freeze
        freeze
      end

      # @return [String] without secrets
      def inspect = "#<#{self.class.name} #{[id, version].compact.join(" ")}>"

      private

      # In the original spelling: YAML reads `1.10` as 1.1, `0123` as 83 and `NO` as false.
      def text(data, node, name)
        case data[name]
        when String, nil then data[name]
        when Numeric, true, false then child(node, name).value
        else refuse("must have a text for #{name}")
        end
      end

      # The node of a mapping's value; the last one if a key is repeated, as in the parsed data.
      def child(node, name)
        node.children.each_slice(2).to_a.reverse.find { |key, _| key.respond_to?(:value) && key.value == name }&.last
      end

      def read(settings, node, env, prefix)
        refuse("must have a list for settings, of `- key: MAX_RETRIES`") unless settings.is_a?(Array)

        settings.each_with_index.to_h do |setting, index|
          key = text(setting, node.children[index], "key") if setting.is_a?(Hash)
          refuse("has a setting without key: write `- key: MAX_RETRIES`") if key.to_s.strip.empty?

          [key, value(setting, key, env["#{prefix}_#{Manifest.variable(key)}"])]
        end.compact
      end

      def value(setting, key, variable)
        secret = setting["secret"]
        unless [true, false, nil].include?(secret)
          refuse("is unclear: secret: of #{key} must be true or false, not #{secret.inspect}")
        end

        secret && !variable.to_s.empty? ? variable : setting["default"]
      end

      def refuse(message) = raise(ConfigurationError, "the manifest #{@path} #{message}")
    end
  end
end
