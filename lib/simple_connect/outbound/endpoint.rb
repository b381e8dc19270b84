# frozen_string_literal: true

require "securerandom"
require_relative "../internal/autoload"
require_relative "../internal/checks"
require_relative "../internal/extension"
require_relative "../internal/keeps_secrets"

module SimpleConnect
  module Outbound
    # Where events are sent on to, and which of them. Immutable, but for the {Application} that it belongs to.
    #
    # An event goes to an endpoint if all of these hold; texts are compared as a whole, and by case:
    #
    # - the endpoint is active;
    # - it takes the latest version, or exactly the event's;
    # - it has no filter types, or the event's type is among them;
    # - it has no topics, or one in common with the event.
    #
    # One that cannot be used can be made nevertheless, so that its {#errors} can be shown to whoever entered it; an
    # {Application} refuses it.
    #
    # @example
    #   SimpleConnect::Outbound::Endpoint.new(
    #     url: "https://acme.example/hooks", filter_types: ["parcel.sent"], rate_limit: 10,
    #     headers: { headers: { "X-Tenant" => "9" }, sensitive: { "Authorization" => "Bearer s3cr3t" } }
    #   )
    class Endpoint
      include KeepsSecrets

      # The version that stands for all.
      LATEST = "latest"
      # How many plain headers there may be, and how many sensitive ones.
      MAX_HEADERS = 10
      # What `headers:` may have in it.
      KINDS = %w[headers sensitive].freeze
      HEADERS = "headers: must be a Hash such as { headers: { \"X-Tenant\" => \"9\" }, " \
                "sensitive: { \"Authorization\" => \"Bearer …\" } }"
      private_constant :KINDS, :HEADERS

      # @return [String] unique within the application
      attr_reader :uid
      # @return [String]
      attr_reader :url
      # @return [String, nil] the one version it takes; nil for all
      attr_reader :version
      # @return [Array<String>] the event types it takes; none for all
      attr_reader :filter_types
      # @return [Array<String>] the topics of which an event must have one; none for all
      attr_reader :topics
      # @return [Integer, nil] how many events a second it takes; nil for any number
      attr_reader :rate_limit
      # @return [String, Array<String>] what its events are signed with
      attr_reader :secret
      # @return [Array<String>] what is wrong with it; empty where it can be used
      attr_reader :errors

      # @param url [String] an http or https URL
      # @param uid [String, nil] 1 to 255 letters, digits, dashes, underscores and dots; nil generates one for this
      #   process
      # @param version [String, nil] the one version it takes; nil, or `"latest"`, for all
      # @param filter_types [Array<String, Symbol>, nil] the event types it takes; nil for all
      # @param topics [Array<String, Symbol>, nil] the topics of which an event must have one; nil for all events
      # @param active [Boolean] whether it gets anything
      # @param rate_limit [Integer, nil] how many events a second it takes; nil for what the application says
      # @param headers [Hash, nil] `headers:`, up to 10 fields to send with each event, and `sensitive:`, up to 10 more
      #   of up to 8 KiB each, whose values are never shown again. A Content-Type wins over `application/json`
      # @param secret [String, Array<String>, nil] what its events are signed with; several while it is being rotated:
      #   each signs where the scheme has a list of signatures, as `:simplyq` does, else the first. Generated for this
      #   process if nil
      # @example
      #   SimpleConnect::Outbound::Endpoint.new(url: "https://acme.example/hooks", version: "1.0.0", topics: ["north"])
      # @example While the secret is being rotated
      #   SimpleConnect::Outbound::Endpoint.new(url: "https://acme.example/hooks", secret: [new_secret, old_secret])
      def initialize(url:, uid: nil, version: nil, filter_types: nil, topics: nil, active: true, rate_limit: nil,
                     headers: nil, secret: nil)
        @errors = []
        @generated = { "uid:" => uid, "secret:" => secret }.select { |_, value| value.nil? }.keys.freeze
        @uid = uid.nil? ? "ep_#{SecureRandom.hex(12)}" : checked_uid(uid)
        @url = checked_url(url)
        @version = version.nil? || version == LATEST ? nil : text("version:", version, "1.0.0")
        @filter_types = list("filter_types:", filter_types, "parcel.sent")
        @topics = list("topics:", topics, "north")
        @active = boolean(active)
        @rate_limit = checked_rate_limit(rate_limit)
        @headers, @sensitive, @header_lines, sensitive = checked_headers(headers)
        @secret = secret.nil? ? "enps_#{SecureRandom.base64(24)}".freeze : checked_secret(secret)
        @errors.freeze
        @fingerprint = [to_h, @secret, @errors, sensitive].hash
        @home = []
        freeze
      end

      # @return [Application, nil] the one that it belongs to; nil before one was made with it
      # @example
      #   application.endpoint("all").application.uid # => "acme"
      def application = @home.first

      # @return [Boolean] whether it gets anything
      def active? = @active
      alias active active?

      # @return [Boolean] whether it can be used
      def valid? = errors.empty?

      # Whether an event goes here. Of many endpoints, {Router} finds those quicker.
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

      # @return [Hash{Symbol => Hash, Boolean}] `headers:`, the plain ones, and `sensitive: true` if there are others
      # @example
      #   endpoint.headers # => {:headers=>{"X-Tenant"=>"9"}, :sensitive=>true}
      def headers = { headers: @headers, **(@sensitive.empty? ? {} : { sensitive: true }) }

      # @return [Hash{Symbol => Object}] everything but the secret and the sensitive headers' values
      def to_h = { uid:, url:, version:, filter_types:, topics:, active: active?, rate_limit:, headers: }

      # @param other [Object]
      # @return [Boolean] whether it is an endpoint with the same members, secret and sensitive headers included;
      #   whatever application each belongs to
      def ==(other) = other.instance_of?(self.class) && to_h == other.to_h && fingerprint == other.fingerprint
      alias eql? ==

      # @return [Integer] the same for endpoints that are equal
      def hash = fingerprint

      # @return [String] without the secret and the sensitive headers' values
      def inspect
        "#<#{self.class.name} #{uid} #{url}#{" inactive" unless active?}#{" invalid" unless valid?}>"
      end
      alias to_s inspect

      # @api private
      # @return [Array<String>] which of `uid:` and `secret:` were generated: another process generates others
      attr_reader :generated

      # @api private
      # @return [HeaderLines] its own header fields
      attr_reader :header_lines

      @lock = Mutex.new

      # Gives endpoints to an application: all of them, or none.
      # @api private
      # @param endpoints [Array<Endpoint>]
      # @param application [Application]
      # @return [void]
      # @raise [ConfigurationError] where one belongs to another
      def self.give(endpoints, application)
        @lock.synchronize do
          # One that is built again, such as with an endpoint replaced, takes the others over.
          taken = endpoints.find { |each| each.application && each.application.uid != application.uid }
          if taken
            raise ConfigurationError, "endpoints: #{taken.uid} belongs to the application #{taken.application.uid} " \
                                      "already, and cannot belong to #{application.uid}: build another Endpoint"
          end

          endpoints.each { |each| each.__send__(:home).replace([application]) }
        end
      end

      protected

      # What stands for everything that makes it that endpoint, secrets included.
      attr_reader :fingerprint

      # Its application, if it has one.
      attr_reader :home

      private

      # A copy belongs to nobody.
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

      def checked_url(url)
        url = Webhooks.utf8(url).freeze
        error = Transport.url_error(url)
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

      # Nothing of this is shown in an error: it may be a secret.
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
        # The values are in Rust alone. Ruby's hash stands for them: it is another in each process, and shows nothing.
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
