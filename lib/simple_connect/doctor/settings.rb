# frozen_string_literal: true

require "digest"
require "uri"
require_relative "../internal/autoload"
require_relative "../internal/keeps_secrets"
require_relative "checks"

module SimpleConnect
  class Doctor
    # Checks the settings of a client, and shows where each value comes from.
    # @api private
    class Settings
      include Checks
      include KeepsSecrets

      # The settings that {Client} and {MessagesClient} need.
      DELIVERY = %i[endpoint_url key_id secret].freeze
      MESSAGES = %i[base_url api_key].freeze
      # Examples for the options that are URLs.
      URLS = { endpoint_url: "https://app.simplewaconnect.com/api/v1/integrations/<provider>/events",
               base_url: "https://app.simplewaconnect.com" }.freeze
      # A fingerprint of a shorter secret would help to guess it.
      SHORTEST = 16
      private_constant :DELIVERY, :MESSAGES, :URLS, :SHORTEST

      # @param env [Hash{String => String}, ENV]
      # @param configuration [Configuration, nil]
      # @param client [Symbol]
      def initialize(env:, configuration:, client:)
        @env = env
        @configuration = configuration
        @client = client
        @found = {}
      end

      # @return [Array<Finding>] one for each setting that is needed or set
      def findings
        return [skipped("settings", "config.clients builds this client")] if foreign?

        problems = options.to_h { |option| [option, look(option)] }
        options.filter_map { |option| problems[option] || (@found[option] ? judged(option) : missing(option)) }
      end

      # @return [Object, nil] the value of an option, after {#findings}
      def [](option) = @found[option]&.last

      # @return [String] the place that an option comes from
      def place(option)
        place = @found[option].first
        place == "the environment" ? "#{variable(option)} in the environment" : place
      end

      # @return [String, nil] the service's URL, if it is valid
      def url
        text = (messages_only? ? self[:base_url] : self[:endpoint_url]).to_s.strip
        text if uri(text)
      end

      # @return [Boolean] whether `config.clients` builds the client, so that its settings are not known
      def foreign? = !@configuration.nil? && !@configuration.configured?(@client)

      # @return [Boolean] whether only a {MessagesClient} is configured
      def messages_only? = DELIVERY.none? { |option| @found[option] } && MESSAGES.all? { |option| @found[option] }

      # @return [Boolean] whether a required value is missing
      def missing? = !foreign? && !messages_only? && DELIVERY.any? { |option| @found[option].nil? }

      # @return [Client, MessagesClient]
      # @raise [ConfigurationError] if it cannot be built
      def client
        type, needed = messages_only? ? [MessagesClient, MESSAGES] : [Client, DELIVERY]
        return type.new(**needed.to_h { |option| [option, self[option]] }) unless @configuration

        # Reading the name builds the client.
        return @configuration.built(type, @client).tap(&:name) if foreign?

        # Without a logger, which might write to standard output among the JSON.
        @configuration.build(type, @client, logger: nil, debug: false)
      end

      # @return [String]
      def inspect = "#<#{self.class.name}>"

      private

      def options
        return [*DELIVERY, *MESSAGES] unless @configuration

        writers = ClientSettings.public_instance_methods(false).filter_map { |name| name[/\A\w+(?==\z)/]&.to_sym }
        [*DELIVERY, *MESSAGES] | writers.sort
      end

      # @return [Finding, nil] the failure
      def look(option)
        check(option.name, slow: "check whether the Proc of config.#{option} blocks") do
          @found[option] = @configuration ? @configuration.find(option, @client) : of_environment(option)
          nil
        rescue StandardError, ScriptError => e
          # The message may contain the value.
          red(option.name, "reading it raised #{e.class}", "check the value of config.#{option}, such as a Proc")
        end
      end

      def of_environment(option)
        value = @env[variable(option)]
        ["the environment", value] unless value.to_s.scrub.strip.empty?
      end

      def variable(option) = ClientSettings::VARIABLES.fetch(option)

      def missing(option)
        return if messages_only? || !DELIVERY.include?(option)

        ways = @configuration ? "config.#{option} or #{variable(option)}" : "#{variable(option)} in the environment"
        red(option.name, "not set", "set #{ways}")
      end

      def judged(option)
        value = self[option]
        seen = "#{shown(option, value)} (#{place(option)})"
        return red(option.name, seen, "write a URL such as #{URLS[option]}") if URLS.key?(option) && !uri(value.to_s)
        return green(option.name, seen) unless spaced?(option, value)

        yellow(option.name, "#{seen}; begins or ends with white space",
               "remove the white space: an editor or echo may have added a line break")
      end

      def spaced?(option, value)
        [*DELIVERY, *MESSAGES].include?(option) && value.is_a?(String) && value.scrub.match?(/\A\s|\s\z/)
      end

      def uri(text)
        uri = URI.parse(text.strip)
        uri if uri.is_a?(URI::HTTP) && !uri.host.to_s.empty? && uri.userinfo.nil?
      rescue URI::InvalidURIError
        nil
      end

      # A value that is safe to show: a URL without its query, a secret's fingerprint, an object's class.
      def shown(option, value)
        case [option, value]
        in [:endpoint_url | :base_url, _] then shown_url(value.to_s)
        in [:secret | :api_key, _] then fingerprint(value.to_s)
        in [:proxy, _] then value ? "set" : "none"
        in [:headers, Hash] then value.keys.join(", ")
        in [:event_keys, Array] then "#{value.size} event keys"
        in [_, String | Symbol | Numeric | true | false] then value.to_s
        else value.class.to_s
        end
      end

      def shown_url(text)
        uri = uri(text) or return "not a URL of http or https"

        port = ":#{uri.port}" unless uri.port == uri.default_port
        "#{uri.scheme}://#{uri.host}#{port}#{uri.path}"
      end

      def fingerprint(secret)
        return "set; too short to show a fingerprint" if secret.length < SHORTEST

        "set, its SHA-256 begins with #{Digest::SHA256.hexdigest(secret)[0, 8]}"
      end
    end
    private_constant :Settings
  end
end
