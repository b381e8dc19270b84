# frozen_string_literal: true

require_relative "internal/autoload"
require_relative "internal/checks"
require_relative "internal/extension"

module SimpleConnect
  # Signs request bodies and verifies signatures.
  #
  # | scheme | headers | signature |
  # |---|---|---|
  # | `:simple_connect` | `X-SimpleConnect-Signature`, `X-SimpleConnect-Timestamp` | `sha256=` and hex |
  # | `:kiket` | `X-Kiket-Signature`, `X-Kiket-Timestamp` | hex, with or without `sha256=` before it |
  # | `:simplyq` | `X-Simplyq-Signature`, `X-Simplyq-Timestamp` | a list of base64; one of them must match |
  #
  # The signature is the HMAC-SHA256 of the timestamp (seconds since 1970), a dot (not with `:simplyq`) and the body.
  # The key is the secret's bytes, as they are.
  module Signature
    # Signs a body.
    #
    # @param body [String] the body, byte for byte as it is sent
    # @param secret [String, Array<String>] several during a rotation: each one signs if the scheme has a list of
    #   signatures, otherwise the first
    # @param scheme [:simple_connect, :kiket, :simplyq]
    # @param timestamp [Time, Integer] the time of sending; an Integer is in seconds since 1970
    # @return [Hash{String => String}] the two headers
    # @raise [ConfigurationError] for a blank secret, or an unknown scheme
    # @raise [ArgumentError] if the body is not a String, or the timestamp is before 1970 or longer than 12 digits
    # @example
    #   SimpleConnect::Signature.sign('{"order":7}', secret: "s3cret", timestamp: 1_700_000_000)
    #   # => {"X-SimpleConnect-Signature"=>"sha256=3f…", "X-SimpleConnect-Timestamp"=>"1700000000"}
    def self.sign(body, secret:, scheme: :simple_connect, timestamp: Time.now)
      SigningKeys.of(secret, scheme).sign(body, timestamp)
    end

    # Verifies the signature and timestamp of a request; raises if they are invalid.
    #
    # It checks the signature first, then the timestamp. It compares with all secrets, in constant time.
    #
    # @param body [String, nil] the raw body, byte for byte; nil for none
    # @param headers [Hash, #each] the headers, in any case, with dashes or underscores; or a Rack env
    # @param secret [String, Array<String>] several during a rotation
    # @param scheme [:simple_connect, :kiket, :simplyq]
    # @param tolerance [Numeric] the maximum difference between the timestamp and now, in seconds, in either direction
    # @param now [Time, Integer]
    # @return [Integer] the index of the secret that signed it
    # @raise [SignatureVerificationError] if the signature or timestamp is missing or invalid
    # @raise [ConfigurationError] for a blank secret, an unknown scheme, or a `tolerance:` that is not a number of
    #   seconds
    # @raise [ArgumentError] if the body is not a String, or the headers are invalid
    # @example
    #   SimpleConnect::Signature.verify!(request.raw_post, request.headers, secret: ENV.fetch("WEBHOOK_SECRET"))
    def self.verify!(body, headers, secret:, scheme: :simple_connect, tolerance: 300, now: Time.now)
      SigningKeys.of(secret, scheme).verify(body, headers, SigningKeys.tolerance(tolerance), now)
    end

    # Returns whether signature and timestamp of a request are valid.
    #
    # @param body [String, nil] as for {.verify!}
    # @param headers [Hash, #each] as for {.verify!}
    # @param options [Hash] as for {.verify!}
    # @return [Boolean]
    # @raise [ConfigurationError] see {.verify!}
    # @raise [ArgumentError] see {.verify!}
    # @example
    #   SimpleConnect::Signature.valid?(body, headers, secret: "s3cret") # => false
    def self.valid?(body, headers, **options)
      verify!(body, headers, **options)
      true
    rescue SignatureVerificationError
      false
    end
  end

  # Secrets with their scheme. Rust keeps only the HMAC states derived from the secrets.
  # @api private
  class SigningKeys
    MESSAGES = {
      missing_signature: "%<prefix>s-Signature is missing",
      missing_timestamp: "%<prefix>s-Timestamp is missing",
      malformed_timestamp: "%<prefix>s-Timestamp must be the seconds since 1970, in 1 to 12 digits",
      mismatch: "%<prefix>s-Signature does not match: the body or the timestamp was changed, or the secret is wrong",
      too_old: "%<prefix>s-Timestamp is more than %<tolerance>d s old",
      too_new: "%<prefix>s-Timestamp is more than %<tolerance>d s in the future"
    }.freeze
    # Timestamps with up to 12 digits.
    TIMESTAMPS = (0...(10**12))
    private_constant :MESSAGES, :TIMESTAMPS

    class << self
      def of(secret, scheme)
        secrets = secret.is_a?(Array) ? secret : [secret]
        raise ConfigurationError, "secret is required" if secrets.empty?

        secrets.each { |each| check(each) }
        new(scheme, secrets)
      end

      def tolerance(seconds)
        # No larger tolerance can make a difference.
        [Checks.seconds("tolerance:", seconds, 300, zero: true), TIMESTAMPS.last].min.to_i
      end

      private

      def check(secret)
        unless secret.nil? || secret.is_a?(String)
          raise ConfigurationError, "secret: must be a String, or several in an Array, not #{secret.class}"
        end
        # With a blank secret anybody could sign.
        raise ConfigurationError, "secret is required, and must not be blank" if secret.to_s.scrub.strip.empty?
      end
    end

    # @return [String] the full name of a header, such as `X-Kiket-Event-Version`
    def header(name) = "#{header_prefix}-#{name}"

    # See {Signature.sign}.
    def sign(body, timestamp)
      timestamp = seconds(timestamp, "timestamp:").to_s
      { header("Signature") => signature(timestamp, bytes(body)), header("Timestamp") => timestamp }
    end

    # See {Signature.verify!}.
    def verify(body, headers, tolerance, now)
      signature, timestamp = %w[Signature Timestamp].map { |name| field(headers, name) }
      verdict = verdict(signature, timestamp, bytes(body), tolerance, seconds(now, "now:"))
      return verdict if verdict.is_a?(Integer)

      raise SignatureVerificationError.new(verdict, format(MESSAGES.fetch(verdict), prefix: header_prefix, tolerance:))
    end

    # @return [String] a digest of the signed bytes, independent of the secret
    def fingerprint_of(body, headers) = fingerprint(field(headers, "Timestamp"), bytes(body))

    # @return [String, nil] the value of the scheme's header; repeated headers are joined, as in HTTP
    def field(headers, name)
      unless headers.respond_to?(:each) && !headers.is_a?(Array)
        raise ArgumentError, "headers must be a Hash of header fields, or a Rack env, not #{headers.class}"
      end

      value = find(headers, header(name))
      value.is_a?(Array) ? value.map { |each| each.to_s.b }.join(",") : value&.to_s
    end

    private

    def bytes(body)
      return body.to_s if body.nil? || body.is_a?(String)

      raise ArgumentError, "body must be the raw body as a String, such as request.body.read, not #{body.class}"
    end

    def seconds(time, option)
      time = time.to_time if time.respond_to?(:to_time) && !time.is_a?(String)
      seconds = time.to_i if time.is_a?(Time) || (time.is_a?(Numeric) && time.real? && time.finite?)
      return seconds if TIMESTAMPS.cover?(seconds)

      raise ArgumentError, "#{option} must be a Time, or the seconds since 1970, not #{time.inspect}"
    end

    def find(headers, name)
      name = name.downcase
      rack = "HTTP_#{name.upcase.tr("-", "_")}"
      # Avoids iterating over a whole Rack env.
      return headers[rack] if headers.is_a?(Hash) && headers.key?(rack)

      headers.each do |key, value|
        return value if key.to_s.b.downcase.tr("_", "-").delete_prefix("http-") == name
      end
      nil
    end
  end
end
