# frozen_string_literal: true

require "securerandom"
require_relative "../internal/autoload"
require_relative "../internal/checks"
require_relative "../internal/extension"
require_relative "../internal/keeps_secrets"

module SimpleConnect
  module Outbound
    # A receiver of events, with the rules for which it gets. Immutable, except for the {Application} that it belongs
    # to.
    #
    # An endpoint gets an event if all of these hold; Strings are compared as a whole and case-sensitively:
    #
    # - the endpoint is active;
    # - it has no version, or exactly the event's;
    # - it has no filter types, or the event's type is one of them;
    # - it has no topics, or one in common with the event.
    #
    # An invalid endpoint can be built, so that you can show its {#errors} to the person who entered it; {Application}
    # rejects it.
    #
    # @example
    #   SimpleConnect::Outbound::Endpoint.new(
    #     url: "https://acme.example/hooks", filter_types: ["parcel.sent"], rate_limit: 10,
    #     headers: { headers: { "X-Tenant" => "9" }, sensitive: { "Authorization" => "Bearer s3cr3t" } }
    #   )
    class Endpoint
      include KeepsSecrets

      # Means all versions.
      LATEST = "latest"
      # The maximum number of plain headers, and of sensitive ones.
      MAX_HEADERS = 10
      # The keys of `headers:`.
      KINDS = %w[headers sensitive].freeze
      HEADERS = "headers: must be a Hash such as { headers: { \"X-Tenant\" => \"9\" }, " \
                "sensitive: { \"Authorization\" => \"Bearer …\" } }"
      private_constant :KINDS, :HEADERS

      # @return [String] unique within the application
      attr_reader :uid
      # @return [String]
      attr_reader :url
      # @return [String, nil] the only version it gets; nil for all
      attr_reader :version
      # @return [Array<String>] the event types it gets; empty for all
      attr_reader :filter_types
      # @return [Array<String>] the topics of which an event must have one; empty for all events
      attr_reader :topics
      # @return [Integer, nil] the maximum number of events per second; nil for no limit
      attr_reader :rate_limit
      # @return [String, Array<String>] the secret that signs its events
      attr_reader :secret
      # @return [Array<String>] what is invalid; empty if nothing is
      attr_reader :errors

      # @param url [String] an https URL. Its host may be a name, or a public address; see docs/outbound.md
      # @param uid [String, nil] 1 to 255 letters, digits, dashes, underscores and dots; nil generates one for this
      #   process
      # @param version [String, nil] the only version it gets; nil or `"latest"` for all
      # @param filter_types [Array<String, Symbol>, nil] the event types it gets; nil for all
      # @param topics [Array<String, Symbol>, nil] the topics of which an event must have one; nil for all events
      # @param active [Boolean] whether it gets events
      # @param rate_limit [Integer, nil] the maximum number of events per second; nil for the application's default
      # @param headers [Hash, nil] `headers:`, up to 10 headers to send with each event, and `sensitive:`, up to 10 more
      #   of up to 8 KiB each, whose values are never shown again. A Content-Type replaces `application/json`
      # @param secret [String, Array<String>, nil] signs its events; several during a rotation, if the dispatcher's
      #   scheme has a list of signatures, as `:simplyq` and `:standard_webhooks` do. If nil, one is generated for this
      #   process
      # @param allow_private [Boolean, Array<String>, nil] which private addresses the URL may contain, as for
      #   {Dispatcher#initialize}; nil for `config.allow_private`. Only the dispatcher decides what it connects to
      # @param allow_http [Boolean, nil] whether the URL may be http; nil for `config.allow_http`
      # @raise [ConfigurationError] if `allow_private:` or `allow_http:` is invalid
      # @example
      #   SimpleConnect::Outbound::Endpoint.new(url: "https://acme.example/hooks", version: "1.0.0", topics: ["north"])
      # @example During a rotation of the secret
      #   SimpleConnect::Outbound::Endpoint.new(url: "https://acme.example/hooks", secret: [new_secret, old_secret])
      def initialize(url:, uid: nil, version: nil, filter_types: nil, topics: nil, active: true, rate_limit: nil,
                     headers: nil, secret: nil, allow_private: nil, allow_http: nil)
        @errors = []
        @generated = { "uid:" => uid, "secret:" => secret }.select { |_, value| value.nil? }.keys.freeze
        @uid = uid.nil? ? "ep_#{SecureRandom.hex(12)}" : checked_uid(uid)
        @url = checked_url(url, SimpleConnect.configuration.allowances(allow_private, allow_http))
        @version = version.nil? || version == LATEST ? nil : text("version:", version, "1.0.0")
        @filter_types = list("filter_types:", filter_types, "parcel.sent")
        @topics = list("topics:", topics, "north")
        @active = boolean(active)
        @rate_limit = checked_rate_limit(rate_limit)
        @headers, @sensitive, @header_lines, sensitive = checked_headers(headers)
        @secret = secret.nil? ? "enps_#{SecureRandom.base64(24)}".freeze : checked_secret(secret)
        @errors.freeze
        @fingerprint = [to_h, @secret, @errors, sensitive].hash
        @connection = [@url, @secret, @headers, sensitive].hash
        @home = []
        freeze
      end

      # @return [Application, nil] the application it belongs to; nil before one is built with it
      # @example
      #   application.endpoint("all").application.uid # => "acme"
      def application = @home.first

      # @return [Boolean] whether it gets events
      def active? = @active
      alias active active?

      # @return [Boolean] whether it has no {#errors}
      def valid? = errors.empty?

      # Returns whether an event matches the rules. {Router} is faster for many endpoints.
      #
      # @param event [Event]
      # @return [Boolean]
      # @example
      #   endpoint.matches?(SimpleConnect::Outbound::Event.new(event_type: "parcel.sent", payload: {})) # => true
      def matches?(event)
        active? && (version.nil? || version == event.version) &&
          (filter_types.empty? || filter_types.include?(event.event_type)) &&
          (topics.empty? || topics.intersect?(event.topics))
      end

      # @return [Hash{Symbol => Hash, Boolean}] `headers:` with the plain headers, and `sensitive: true` if there are
      #   others
      # @example
      #   endpoint.headers # => {:headers=>{"X-Tenant"=>"9"}, :sensitive=>true}
      def headers = { headers: @headers, **(@sensitive.empty? ? {} : { sensitive: true }) }

      # @return [Hash{Symbol => Object}] everything but the secret and the sensitive headers' values
      def to_h = { uid:, url:, version:, filter_types:, topics:, active: active?, rate_limit:, headers: }

      # @param other [Object]
      # @return [Boolean] whether it is an endpoint with the same members, including secret and sensitive headers. The
      #   application does not count
      def ==(other) = other.instance_of?(self.class) && to_h == other.to_h && fingerprint == other.fingerprint
      alias eql? ==

      # @return [Integer] equal for equal endpoints
      def hash = fingerprint

      # @return [String] without the secret and the sensitive headers' values
      def inspect
        "#<#{self.class.name} #{uid} #{url}#{" inactive" unless active?}#{" invalid" unless valid?}>"
      end
      alias to_s inspect

      # @api private
      # @return [Array<String>] which of `uid:` and `secret:` were generated and so differ between processes
      attr_reader :generated

      # @api private
      # @return [HeaderLines] its own headers
      attr_reader :header_lines

      # @api private
      # @return [Integer] equal for endpoints that share connections: with the same URL, headers and secrets
      attr_reader :connection

      @lock = Mutex.new

      # Assigns endpoints to an application: all of them or none.
      # @api private
      # @param endpoints [Array<Endpoint>]
      # @param application [Application]
      # @return [void]
      # @raise [ConfigurationError] if one belongs to another
      def self.give(endpoints, application)
        @lock.synchronize do
          # An application that is built again, such as with a replaced endpoint, takes over the others.
          taken = endpoints.find { |each| each.application && each.application.uid != application.uid }
          if taken
            raise ConfigurationError, "endpoints: #{taken.uid} belongs to the application #{taken.application.uid} " \
                                      "already, and cannot belong to #{application.uid}: build another Endpoint"
          end

          endpoints.each { |each| each.__send__(:home).replace([application]) }
        end
      end

      protected

      # Identifies the endpoint by all its members, including secrets.
      attr_reader :fingerprint

      # Contains the application, if there is one.
      attr_reader :home

      private

      # A copy belongs to no application.
      def initialize_copy(other)
        super
        @home = []
        freeze
      end

      def shown = to_h

      def refuse(message)
        @errors << message
        nil
      end

      def checked_uid(uid)
        refuse("uid: #{Checks::UID_ERROR}, not #{uid.inspect}") unless Checks.uid?(uid)
        Webhooks.utf8(uid).freeze
      end

      def checked_url(url, allowances)
        url = Webhooks.utf8(url).freeze
        error = Transport.guard_error(url, *allowances.values)
        refuse("url: #{error}") if error
        url
      end

      def boolean(active)
        refuse("active: must be true or false, not #{active.inspect}") unless [true, false].include?(active)
        active == true
      end

      def text(option, value, example)
        Checks.line(value) ||
          refuse("#{option} must be a String, such as #{example.inspect}, not #{value.inspect}")
      end

      def list(option, values, example)
        return [].freeze if values.nil?
        return values.map { |value| text(option, value, example).to_s }.uniq.freeze if values.is_a?(Array)

        refuse("#{option} must be a list, such as [#{example.inspect}], not #{values.inspect}")
        [].freeze
      end

      def checked_rate_limit(limit)
        error = Checks.rate_limit_error(limit)
        error ? refuse(error) : limit
      end

      # The errors show none of these values, because they may be secret.
      def checked_secret(secret)
        secrets = secret.is_a?(Array) ? secret : [secret]
        usable = secrets.any? && secrets.all? { |each| each.is_a?(String) && !each.scrub.strip.empty? }
        refuse("secret: must be a String, or several in an Array, and not blank; nil generates one") unless usable
        secrets = secrets.map { |each| each.to_s.dup.freeze }.freeze
        secret.is_a?(Array) ? secrets : secrets.first
      end

      def checked_headers(headers)
        plain, sensitive = both(headers || {}).map do |fields|
          fields.to_h { |name, value| [name.to_s.scrub.freeze, value.to_s] }
        end
        { "headers" => plain, "sensitive" => sensitive }.each do |kind, fields|
          refuse("headers: at most #{MAX_HEADERS} in #{kind}, not #{fields.size}") if fields.size > MAX_HEADERS
        end
        lines = HeaderLines.new(plain.to_a, sensitive.to_a)
        # Only Rust has the values. Ruby's hash represents them: it differs in each process and reveals nothing.
        [plain.transform_values { |value| value.dup.freeze }.freeze, sensitive.keys.freeze, lines, sensitive.hash]
      rescue ConfigurationError => e
        refuse(e.message)
        [{}.freeze, [].freeze, HeaderLines.new([], [])]
      end

      def both(headers)
        raise ConfigurationError, "#{HEADERS}, not #{headers.class}" unless headers.is_a?(Hash)

        kinds = headers.transform_keys(&:to_s)
        both = KINDS.map { |kind| kinds[kind] || {} }
        return both if (kinds.keys - KINDS).empty? && both.all? { |each| each.is_a?(Hash) && each.values.none?(&:nil?) }

        raise ConfigurationError, HEADERS
      end
    end
  end
end
