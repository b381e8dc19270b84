# frozen_string_literal: true

require_relative "../internal/autoload"
require_relative "../internal/checks"
require_relative "../internal/clock"
require_relative "../internal/keeps_secrets"
require_relative "../internal/transport"
require_relative "../retryable"

module SimpleConnect
  class Kiket < Webhooks::App
    # Kiket's API responded with an error, or did not respond.
    class RequestError < Error
      # @return [Result] the result of the request
      attr_reader :result

      # @param message [String]
      # @param result [Result]
      def initialize(message, result)
        super(message)
        @result = result
      end
    end

    # Calls Kiket's API. Threads may share it; it keeps connections open. Paths start with a slash and must be
    # percent-encoded.
    #
    # Each call makes up to three attempts, within 10 seconds. GET, PUT and DELETE are retried after a network error, a
    # 429 or a 5xx; POST and PATCH only if the request was not sent, such as after a refused connection.
    class Client
      include KeepsSecrets

      # Seconds for connecting and for each pause, and for all attempts: the sender of a webhook waits meanwhile.
      TIMEOUT = 5
      TOTAL_TIMEOUT = 10
      # Methods that can be sent twice, and phases in which no request was sent.
      IDEMPOTENT = %w[GET PUT DELETE].freeze
      UNSENT = %i[resolve connect proxy tls].freeze
      private_constant :TIMEOUT, :TOTAL_TIMEOUT, :IDEMPOTENT, :UNSENT

      # @param base_url [String] such as `"https://kiket.dev"`
      # @param workspace_token [String, nil]
      # @param extension_api_key [String, nil]
      # @raise [ConfigurationError] if one of these is invalid
      # @example
      #   SimpleConnect::Kiket::Client.new("https://kiket.dev", workspace_token: "wk_glasshouse")
      def initialize(base_url, workspace_token: nil, extension_api_key: nil)
        unless workspace_token.nil? || Checks.line(workspace_token)
          raise ConfigurationError, "workspace_token must be a String in UTF-8 without line breaks"
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
      # @return [HeaderLines, nil] kept outside of Ruby's objects, and redacted in responses that repeat it
      # @raise [ConfigurationError] if it is invalid
      def self.api_key(key) = key && HeaderLines.secret("extension_api_key", "X-Kiket-API-Key", key.to_s)

      # @api private
      # @param version [String] the event's version, sent as a header
      # @return [Client] a copy with the same connections
      def for_version(version)
        dup.tap { |client| client.headers = { "X-Kiket-Event-Version" => version } }
      end

      # @param path [String]
      # @return [Object, nil] the parsed JSON of the response; nil if it has no body
      # @raise [RequestError] if the response is not a 2xx, or there is none
      # @raise [MalformedResponseError] if the body of a 2xx is not JSON
      # @raise [ConfigurationError] if there is neither a workspace token nor an API key
      # @raise [ArgumentError] for an invalid path
      # @example
      #   context[:client].get("/extensions/org.glasshouse.watering")
      def get(path) = request("GET", path)

      # @param path [String]
      # @param data [Object] sent as JSON
      # @return [Object, nil] as for {#get}
      # @raise [Error] as for {#get}
      # @raise [JSON::GeneratorError] if the data cannot be JSON
      # @example
      #   context[:client].post("/extensions/org.glasshouse.watering/events", { event: "synced" })
      def post(path, data) = request("POST", path, data)

      # @param path [String]
      # @param data [Object] sent as JSON
      # @return [Object, nil] as for {#get}
      # @raise [Error] as for {#post}
      # @example
      #   context[:client].put("/extensions/org.glasshouse.watering/state", { cursor: 7 })
      def put(path, data) = request("PUT", path, data)

      # @param path [String]
      # @param data [Object] sent as JSON
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
        # Without the query, which may hold data that does not belong in a log.
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

        raise MalformedResponseError, "Kiket's response is not JSON: #{body[0, 120].scrub}"
      end
    end
  end
end
