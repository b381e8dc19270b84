# frozen_string_literal: true

require "securerandom"
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
  # | `:standard_webhooks` | `webhook-signature`, `webhook-timestamp`, `webhook-id` | a list of `v1,` and base64 |
  #
  # The signature is the HMAC-SHA256 of the timestamp (seconds since 1970), a dot (not with `:simplyq`) and the body.
  # The key is the secret's bytes, as they are.
  #
  # [Standard Webhooks](https://www.standardwebhooks.com) also sign the message's id, before the timestamp. Their secret
  # is `whsec_` and base64, and the key is what that decodes to.
  module Signature
    # Signs a body.
    #
    # @param body [String] the body, byte for byte as it is sent
    # @param secret [String, Array<String>] several during a rotation: each one signs if the scheme has a list of
    #   signatures, otherwise the first
    # @param scheme [:simple_connect, :kiket, :simplyq, :standard_webhooks]
    # @param timestamp [Time, Integer] the time of sending; an Integer is in seconds since 1970
    # @param id [String, nil] the message's id, for `:standard_webhooks` only: visible ASCII without a dot, the same if
    #   you send the message again; nil generates one
    # @return [Hash{String => String}] the headers
    # @raise [ConfigurationError] for a blank secret, one that the scheme cannot decode, or an unknown scheme
    # @raise [ArgumentError] if the body is not a String, the timestamp is before 1970 or longer than 12 digits, or the
    #   id is invalid or the scheme has none
    # @example
    #   SimpleConnect::Signature.sign('{"order":7}', secret: "s3cret", timestamp: 1_700_000_000)
    #   # => {"X-SimpleConnect-Signature"=>"sha256=3f…", "X-SimpleConnect-Timestamp"=>"1700000000"}
    # @example Standard Webhooks
    #   SimpleConnect::Signature.sign(body, secret: "whsec_…", scheme: :standard_webhooks, id: "msg_7").keys
    #   # => ["webhook-id", "webhook-signature", "webhook-timestamp"]
    def self.sign(body, secret:, scheme: :simple_connect, timestamp: Time.now, id: nil)
      SigningKeys.of(secret, scheme).sign(body, timestamp, id)
    end

    # Verifies the signature and timestamp of a request; raises if they are invalid.
    #
    # It checks the signature first, then the timestamp. It compares with all secrets, in constant time.
    #
    # @param body [String, nil] the raw body, byte for byte; nil for none
    # @param headers [Hash, #each] the headers, in any case, with dashes or underscores; or a Rack env
    # @param secret [String, Array<String>] several during a rotation
    # @param scheme [:simple_connect, :kiket, :simplyq, :standard_webhooks]
    # @param tolerance [Numeric] the maximum difference between the timestamp and now, in seconds, in either direction
    # @param now [Time, Integer]
    # @return [Integer] the index of the secret that signed it
    # @raise [SignatureVerificationError] if the signature or timestamp is missing or invalid
    # @raise [ConfigurationError] for a blank secret, one that the scheme cannot decode, an unknown scheme, or a
    #   `tolerance:` that is not a number of seconds
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
    # The header that each is about, and what is wrong with it.
    MESSAGES = {
      missing_signature: ["Signature", "%<header>s is missing"],
      missing_id: ["Id", "%<header>s is missing"],
      malformed_id: ["Id", "%<header>s must not contain a dot"],
      missing_timestamp: ["Timestamp", "%<header>s is missing"],
      malformed_timestamp: ["Timestamp", "%<header>s must be the seconds since 1970, in 1 to 12 digits"],
      mismatch: ["Signature", "%<header>s does not match: the body or the timestamp was changed, or the secret is " \
                              "wrong"],
      too_old: ["Timestamp", "%<header>s is more than %<tolerance>d s old"],
      too_new: ["Timestamp", "%<header>s is more than %<tolerance>d s in the future"]
    }.freeze
    # A secret that is valid in all schemes.
    ANY = "whsec_c2VjcmV0"
    # Timestamps with up to 12 digits.
    TIMESTAMPS = (0...(10**12))
    # A dot would let parts of the body move into the id.
    ID = /\A[!-~&&[^.]]{1,255}\z/
    private_constant :MESSAGES, :TIMESTAMPS, :ID

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

    # See {Signature.sign}.
    def sign(body, timestamp, id)
      timestamp = seconds(timestamp, "timestamp:").to_s
      id = checked_id(id)
      signature = signature(id.to_s, timestamp, bytes(body))
      { header("Id") => id, header("Signature") => signature, header("Timestamp") => timestamp }.compact
    end

    # See {Signature.verify!}.
    def verify(body, headers, tolerance, now)
      signed = [field(headers, "Signature"), id_of(headers), field(headers, "Timestamp")]
      verdict = verdict(signed, bytes(body), tolerance, seconds(now, "now:"))
      return verdict if verdict.is_a?(Integer)

      name, message = MESSAGES.fetch(verdict)
      raise SignatureVerificationError.new(verdict, format(message, header: header(name), tolerance:))
    end

    # @return [String] a digest of the signed bytes, independent of the secret
    def fingerprint_of(body, headers) = fingerprint(id_of(headers).to_s, field(headers, "Timestamp"), bytes(body))

    # @param id [String, nil] nil to generate one
    # @return [String, nil] the id to sign; nil if the scheme has none
    # @raise [ArgumentError] if it is invalid, or the scheme has none
    def checked_id(id)
      raise ArgumentError, "id: is only for the scheme :standard_webhooks" if id && !id?
      return unless id?
      return "msg_#{SecureRandom.hex(12)}" if id.nil?
      return id if id.is_a?(String) && id.b.match?(ID)

      raise ArgumentError, "id: must be a String of 1 to 255 visible ASCII characters without a dot, such as " \
                           "\"msg_7\", not #{id.inspect}"
    end

    # @return [String, nil] the value of the scheme's header; repeated headers are joined, as in HTTP
    def field(headers, name)
      unless headers.respond_to?(:each) && !headers.is_a?(Array)
        raise ArgumentError, "headers must be a Hash of header fields, or a Rack env, not #{headers.class}"
      end

      value = find(headers, header(name))
      value.is_a?(Array) ? value.map { |each| each.to_s.b }.join(",") : value&.to_s
    end

    private

    def id_of(headers) = id? ? field(headers, "Id") : nil

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
