# frozen_string_literal: true

require "digest"
require "uri"
require_relative "../internal/autoload"
require_relative "../internal/keeps_secrets"
require_relative "checks"

module SimpleConnect
  class Doctor
    # What a client is built with, and where each value comes from.
    # @api private
    class Settings
      include Checks
      include KeepsSecrets

      # What {Client} needs, and what {MessagesClient} does.
      DELIVERY = %i[endpoint_url key_id secret].freeze
      MESSAGES = %i[base_url api_key].freeze
      # Of the options that are URLs, how they look.
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

      # @return [Object, nil] the value of an option, once {#findings} has looked
      def [](option) = @found[option]&.last

      # @return [String] where an option comes from
      def place(option)
        place = @found[option].first
        place == "the environment" ? "#{variable(option)} in the environment" : place
      end

      # @return [String, nil] that of the service, if it can be used
      def url
        text = (messages_only? ? self[:base_url] : self[:endpoint_url]).to_s.strip
        text if uri(text)
      end

      # @return [Boolean] whether it is a client that `config.clients` builds, whose settings are not known
      def foreign? = !@configuration.nil? && !@configuration.configured?(@client)

      # @return [Boolean] whether there is a {MessagesClient} alone
      def messages_only? = DELIVERY.none? { |option| @found[option] } && MESSAGES.all? { |option| @found[option] }

      # @return [Boolean] whether a value that is needed is missing
      def missing? = !foreign? && !messages_only? && DELIVERY.any? { |option| @found[option].nil? }

      # @return [Client, MessagesClient]
      # @raise [ConfigurationError] where it cannot be built
      def client
        type, needed = messages_only? ? [MessagesClient, MESSAGES] : [Client, DELIVERY]
        return type.new(**needed.to_h { |option| [option, self[option]] }) unless @configuration

        # Asked for its name, it is built.
        return @configuration.built(type, @client).tap(&:name) if foreign?

        # A logger may write to standard output, where JSON may be expected.
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

      # @return [Finding, nil] what went wrong
      def look(option)
        check(option.name, slow: "see what the Proc of config.#{option} waits for") do
          @found[option] = @configuration ? @configuration.find(option, @client) : of_environment(option)
          nil
        rescue StandardError, ScriptError => e
          # Its message may hold the value.
          red(option.name, "reading it raised #{e.class}", "see what gives config.#{option}, such as a Proc")
        end
      end

      def of_environment(option)
        value = @env[variable(option)]
        ["the environment", value] unless value.to_s.scrub.strip.empty?
      end

      def variable(option) = "SIMPLECONNECT_#{option.name.upcase}"

      def missing(option)
        return if messages_only? || !DELIVERY.include?(option)

        ways = @configuration ? "config.#{option} or #{variable(option)}" : "#{variable(option)} in the environment"
        red(option.name, "not set", "set #{ways}")
      end

      def judged(option)
        value = self[option]
        seen = "#{shown(option, value)} (#{place(option)})"
        return red(option.name, seen, "write one such as #{URLS[option]}") if URLS.key?(option) && !uri(value.to_s)
        return green(option.name, seen) unless spaced?(option, value)

        yellow(option.name, "#{seen}; begins or ends with white space",
               "set it without: an editor or echo may have added a line break")
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

      # A value as it may be shown: a URL without its query, of a secret a fingerprint, of objects their class.
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
