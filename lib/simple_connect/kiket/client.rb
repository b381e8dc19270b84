# frozen_string_literal: true

require_relative "../internal/autoload"
require_relative "../internal/checks"
require_relative "../internal/clock"
require_relative "../internal/keeps_secrets"
require_relative "../internal/transport"
require_relative "../retryable"

module SimpleConnect
  class Kiket < Webhooks::App
    # Kiket's API answered with an error, or did not answer.
    class RequestError < Error
      # @return [Result] what came of the request
      attr_reader :result

      # @param message [String]
      # @param result [Result]
      def initialize(message, result)
        super(message)
        @result = result
      end
    end

    # Calls Kiket's API. Threads may share it; connections are kept alive. Paths begin with a slash, and are written as
    # they go out, percent-encoded.
    #
    # Each call makes up to three attempts, in 10 seconds together. GET, PUT and DELETE are repeated where no answer
    # came, and after a 429 or a 5xx; POST and PATCH only where no request went out, such as with nobody listening.
    class Client
      include KeepsSecrets

      # Seconds for connecting and for each silence, and for all together: a webhook's sender does not wait for ever.
      TIMEOUT = 5
      TOTAL_TIMEOUT = 10
      # What may be sent twice, and what any request may be repeated after: it did not go out.
      IDEMPOTENT = %w[GET PUT DELETE].freeze
      UNSENT = %i[resolve connect proxy tls].freeze
      private_constant :TIMEOUT, :TOTAL_TIMEOUT, :IDEMPOTENT, :UNSENT

      # @param base_url [String] such as `"https://kiket.dev"`
      # @param workspace_token [String, nil]
      # @param extension_api_key [String, nil]
      # @raise [ConfigurationError] where one of these cannot be used
      # @example
      #   SimpleConnect::Kiket::Client.new("https://kiket.dev", workspace_token: "wk_glasshouse")
      def initialize(base_url, workspace_token: nil, extension_api_key: nil)
        unless workspace_token.nil? || Checks.line(workspace_token)
          raise ConfigurationError, "workspace_token must be a text in UTF-8 without line breaks"
        end

        headers = Client.api_key(extension_api_key)
        @transport = Transport.open({ url: base_url, url_option: "base_url", headers: },
                                    workspace_token ? { api_key: workspace_token } : {},
                                    timeout: TIMEOUT, total_timeout: TOTAL_TIMEOUT, user_agent: nil)
        @base_path = @transport.target[/\A[^?]*/].delete_suffix("/")
        @headers = {}
        @anonymous = workspace_token.nil? && extension_api_key.nil?
      end

      # @api private
      # @param key [String, nil]
      # @return [HeaderLines, nil] kept where Ruby cannot find it, and taken out of whatever the server sends back
      # @raise [ConfigurationError] where it cannot be sent
      def self.api_key(key) = key && HeaderLines.secret("extension_api_key", "X-Kiket-API-Key", key.to_s)

      # @api private
      # @param version [String] the event's, which is sent along
      # @return [Client] with the same connections
      def for_version(version)
        dup.tap { |client| client.headers = { "X-Kiket-Event-Version" => version } }
      end

      # @param path [String]
      # @return [Object, nil] the answer's JSON; nil where it has no body
      # @raise [RequestError] where the answer is no 2xx, or there is none
      # @raise [MalformedResponseError] where the answer to a success is not JSON
      # @raise [ConfigurationError] where there is neither a workspace token nor an API key
      # @raise [ArgumentError] for a path that cannot be sent
      # @example
      #   context[:client].get("/extensions/org.glasshouse.watering")
      def get(path) = request("GET", path)

      # @param path [String]
      # @param data [Object] to be sent as JSON
      # @return [Object, nil] as for {#get}
      # @raise [Error] as for {#get}
      # @raise [JSON::GeneratorError] where the data cannot be JSON
      # @example
      #   context[:client].post("/extensions/org.glasshouse.watering/events", { event: "synced" })
      def post(path, data) = request("POST", path, data)

      # @param path [String]
      # @param data [Object] to be sent as JSON
      # @return [Object, nil] as for {#get}
      # @raise [Error] as for {#post}
      # @example
      #   context[:client].put("/extensions/org.glasshouse.watering/state", { cursor: 7 })
      def put(path, data) = request("PUT", path, data)

      # @param path [String]
      # @param data [Object] to be sent as JSON
      # @return [Object, nil] as for {#get}
      # @raise [Error] as for {#post}
      # @example
      #   context[:client].patch("/extensions/org.glasshouse.watering/state", { cursor: 7 })
      def patch(path, data) = request("PATCH", path, data)

      # @param path [String]
      # @return [Object, nil] as for {#get}
      # @raise [Error] as for {#get}
      # @example
      #   context[:client].delete("/extensions/org.glasshouse.watering/state")
      def delete(path) = request("DELETE", path)

      # @return [String] without secrets
      def inspect = "#<#{self.class.name} #{@transport.origin}>"
      alias to_s inspect

      protected

      attr_writer :headers

      private

      def request(verb, path, *data)
        unless path.is_a?(String) && path.b.match?(%r{\A/[!-~]*\z}n)
          raise ArgumentError, "path must begin with a slash, and be percent-encoded, not #{path.inspect}"
        end

        if @anonymous
          raise ConfigurationError, "workspace_token is required to call Kiket's API: pass it, or set " \
                                    "KIKET_WORKSPACE_TOKEN"
        end

        body = Codec.generate(data.first) unless data.empty?
        result = repeat(IDEMPOTENT.include?(verb)) do |transport|
          transport.request(verb, @base_path + path, headers: @headers, body:)
        end
        # The query may tell more than a log should know.
        raise RequestError.new("#{verb} #{path[/\A[^?]*/]}: #{result.error}", result) unless result.success?

        parse(result.response_body)
      end

      def repeat(idempotent)
        policy = Retryable.exponential(max_attempts: 3, max: TOTAL_TIMEOUT, **(idempotent ? {} : { statuses: [] }))
        deadline = Clock.now + TOTAL_TIMEOUT
        unanswered = lambda do |result|
          idempotent ? DeliveryError.retried?(result) : UNSENT.include?(result.network_phase)
        end
        policy.call(retriable_if: unanswered, deadline:) do |attempt|
          next yield(@transport) if attempt == 1

          total_timeout = [deadline - Clock.now, 0.001].max
          yield(@transport.with(Transport.bounds(timeout: TIMEOUT, total_timeout:))).with(attempts: attempt)
        end
      end

      def parse(body)
        return if body.to_s.empty?

        value = Codec.parse(body)
        return value unless value == :invalid

        raise MalformedResponseError, "Kiket's answer is not JSON: #{body[0, 120].scrub}"
      end
    end
  end
end
