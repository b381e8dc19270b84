# frozen_string_literal: true

require_relative "../internal/keeps_secrets"
require_relative "records"
require_relative "../signature"

module SimpleConnect
  module Endpoints
    # A stored endpoint, as your customers enter it. An ActiveRecord model, with the attributes of
    # {Outbound::Endpoint#initialize} and its checks. Secret and sensitive headers are encrypted, and never shown again.
    #
    # @example
    #   endpoint = shop.endpoints.build(url: params[:url], filter_types: params[:types])
    #   endpoint.save ? show(endpoint.secret) : show(endpoint.errors.full_messages)
    class Endpoint < Record
      include KeepsSecrets

      self.table_name = "simple_connect_endpoints"
      self.filter_attributes += %i[sealed_secrets sealed_headers]

      # The names of what is encrypted: for the vault.
      SECRET = "secret of an endpoint"
      HEADERS = "sensitive header of an endpoint"
      # How many deliveries {#replay} and {#enable!} update at a time.
      SLICE = 1000
      DAY = 24 * 3600
      private_constant :SECRET, :HEADERS, :SLICE, :DAY

      belongs_to :application, class_name: "SimpleConnect::Endpoints::Application", inverse_of: :endpoints
      has_many :attempts, class_name: "SimpleConnect::Endpoints::Attempt", dependent: nil
      %i[filter_types topics plain_headers].each { |name| attribute name, ::ActiveRecord::Type::Json.new }

      before_validation do
        self.uid ||= "ep_#{SecureRandom.hex(12)}"
        self.secret = Endpoints.new_secret(application&.scheme) if sealed_secrets.nil?
      end
      validates :uid, uniqueness: { scope: :application_id }
      validate :check
      after_save { touch_application }
      after_destroy { touch_application }

      # Returns the secret, if this object has set or generated it. Show it once: nothing reads it from the database.
      #
      # @return [String, Array<String>, nil] nil once the endpoint is loaded again
      # @example
      #   shop.endpoints.create!(url: "https://acme.example/hooks").secret # => "enps_…"
      #   shop.endpoints.last.secret                                       # => nil
      attr_reader :secret

      # @param secret [String, Array<String>] replaces all others at once. {#rotate_secret!} overlaps them
      # @raise [ConfigurationError] if it is blank
      # @example
      #   endpoint.update!(secret: params[:secret])
      def secret=(secret)
        SigningKeys.of(secret, :simple_connect)
        store_secrets([*secret].map { |each| [each, nil] })
        @secret = secret
      end

      # @return [Hash{Symbol => Hash, Boolean}] `headers:` with the plain headers, and `sensitive: true` if there are
      #   others
      # @example
      #   endpoint.headers # => {:headers=>{"X-Tenant"=>"9"}, :sensitive=>true}
      def headers = { headers: plain_headers || {}, **(sealed_headers ? { sensitive: true } : {}) }

      # @param headers [Hash, nil] `headers:`, and `sensitive:`, or `sensitive: true` for the stored ones
      # @example
      #   endpoint.headers = { headers: { "X-Tenant" => "9" }, sensitive: { "Authorization" => "Bearer s3cr3t" } }
      #   endpoint.headers = { headers: { "X-Tenant" => "10" }, sensitive: true }
      def headers=(headers)
        @invalid_headers = nil
        entered = Checks.hash(headers || {})&.transform_keys(&:to_s) || headers
        # Invalid ones are kept for the error.
        storable?(entered) ? store_headers(*entered.values_at("headers", "sensitive")) : @invalid_headers = entered
      end

      # @return [Outbound::Endpoint]
      # @raise [Error] if no key decrypts what is stored
      # @example
      #   endpoint.to_endpoint.matches?(event) # => true
      def to_endpoint(active: active? && !disabled?)
        Outbound::Endpoint.new(uid:, url:, version:, filter_types:, topics:, active:, rate_limit:,
                               headers: @invalid_headers || { headers: plain_headers || {}, sensitive: },
                               secret: signing.map(&:first))
      end

      # Generates another secret, or takes `secret:`. The previous one signs too, as long as the overlap lasts.
      #
      # @param overlap [Numeric] seconds, such as `24.hours`; 0 for none
      # @param secret [String, nil] nil generates one
      # @return [String] the new secret: give it to the receiver
      # @raise [ConfigurationError] if the application's scheme has one signature only, and `overlap:` is not 0
      # @example
      #   endpoint.rotate_secret!(overlap: 24.hours)
      def rotate_secret!(overlap: DAY, secret: nil)
        overlap = Checks.seconds("overlap:", overlap.to_f, DAY, zero: true)
        check_overlap(overlap)
        secret ||= Endpoints.new_secret(application.scheme)
        locked do
          ends = Time.now.to_f + overlap
          previous = signing.map { |each, till| [each, [till, ends].compact.min] }
          self.secret = secret
          store_secrets([[secret, nil], *(overlap.zero? ? [] : previous)])
          save!
        end
        secret
      end

      # @return [Boolean] whether it was disabled because it failed. Its events are kept then; while `active` is false,
      #   they are canceled
      def disabled? = !disabled_at.nil?

      # Enables an endpoint that was disabled because it failed.
      #
      # @param replay [Boolean] whether to send the events that it missed; otherwise they are canceled
      # @return [Integer] how many it missed
      # @example
      #   endpoint.enable!(replay: true) # => 17
      def enable!(replay: false)
        locked do
          update!(disabled_at: nil, disabled_reason: nil, failures: 0, failing_since: nil, warned: 0, not_before: 0)
        end
        missed = Delivery.where(endpoint_id: id, state: "kept")
        replay ? send_again(missed) : finish(missed, "canceled")
      end

      # Sends events again: with the same uid and body, a new signature, and the header `X-Simplyq-Event-Replay: true`
      # (with another scheme, its prefix); no faster than the endpoint's rate limit.
      #
      # @param since [Time] when the first of the events was published
      # @param until [Time, nil] when the last one was; nil for now
      # @param only [:failed, nil] only those that it did not get; nil for all
      # @return [Integer] how many
      # @raise [ArgumentError] for another `only:`
      # @example
      #   endpoint.replay(since: 2.days.ago, only: :failed) # => 12
      def replay(since:, until: nil, only: :failed)
        raise ArgumentError, "only: must be :failed or nil, not #{only.inspect}" unless [:failed, nil].include?(only)

        range = [since, binding.local_variable_get(:until) || Time.now].map { |time| (time.to_r * 1_000_000).to_i }
        states = only ? %w[failed canceled kept] : %w[failed canceled kept succeeded]
        send_again(Delivery.where(endpoint_id: id, state: states, created_at: range.first..range.last))
      end

      # @return [Hash{Symbol => Object}] everything but the secret and the sensitive headers' values
      def to_h
        { uid:, url:, version:, filter_types: filter_types || [], topics: topics || [], active: active?, rate_limit:,
          headers:, disabled_at: Endpoints.time(disabled_at), disabled_reason:, failures: }
      end

      # For `as_json` and `to_json`.
      # @return [Hash{String => Object}]
      def serializable_hash(_options = nil) = to_h.transform_keys(&:name)

      # @return [ActiveRecord::Base] as `ActiveRecord::Base#reload` does; without the secret
      def reload(*)
        @secret = @invalid_headers = nil
        super
      end

      # @return [String] without the secret and the sensitive headers' values
      def inspect = "#<#{self.class.name} #{uid} #{url}#{" inactive" unless active?}#{" disabled" if disabled?}>"

      # @api private
      # @return [Float, nil] when a secret ends, in seconds since 1970
      def secret_ends_at = signing.filter_map(&:last).min

      # @api private
      # @param scheme [String]
      # @return [String, nil] why its secrets cannot be used with a scheme
      def secret_error(scheme)
        secrets = signing.map(&:first)
        return if SigningKeys.of(secrets, scheme.to_sym).list? || secrets.one?

        "the scheme #{scheme} has one signature, so an endpoint can have one secret, not #{secrets.size}"
      rescue ConfigurationError => e
        e.message.delete_prefix("secret: ")
      end

      # @api private
      # Encrypts what is stored with the first key.
      # @return [void]
      def seal_again
        locked do
          vault = Vault.current
          changes = { sealed_secrets: vault.seal(vault.open(sealed_secrets, SECRET), SECRET) }
          changes[:sealed_headers] = vault.seal(sensitive, HEADERS) if sealed_headers
          update_columns(changes)
        end
      end

      private

      def shown = to_h

      # The block can run again, if another transaction was faster.
      def locked
        again = false
        Endpoints.store.transaction do
          restore_attributes if again
          again = true
          # SQLite refuses a write at once if another process has written since this transaction began to read. One that
          # begins with a write waits for its turn.
          self.class.where(id:).update_all("uid = uid")
          lock!
          yield
        end
      end

      def check
        errors.add(:uid, "cannot be changed") if persisted? && uid_changed?
        to_endpoint.errors.each do |error|
          name, _, text = error.partition(": ")
          errors.add(name.to_sym, text)
        end
        error = application && secret_error(application.scheme)
        errors.add(:secret, error) if error
      end

      def storable?(entered)
        return false unless entered.is_a?(Hash) && (entered.keys - %w[headers sensitive]).empty?

        plain, sensitive = entered.values_at("headers", "sensitive")
        [plain, sensitive == true ? nil : sensitive].all? { |fields| fields.nil? || fields.is_a?(Hash) }
      end

      def store_headers(plain, sensitive)
        self.plain_headers = plain
        return if sensitive == true

        self.sealed_headers = (Vault.current.seal(sensitive, HEADERS) unless sensitive.nil? || sensitive.empty?)
      end

      # Pairs of a secret and the end of its use, without those that have ended.
      def signing
        Vault.current.open(sealed_secrets, SECRET).reject { |_, till| till && till <= Time.now.to_f }
      end

      def store_secrets(pairs)
        self.sealed_secrets = Vault.current.seal(pairs, SECRET)
      end

      def sensitive = sealed_headers ? Vault.current.open(sealed_headers, HEADERS) : {}

      def check_overlap(overlap)
        return if overlap.zero? || SigningKeys.of(SigningKeys::ANY, application.scheme.to_sym).list?

        raise ConfigurationError, "overlap: the scheme #{application.scheme} has one signature only, so two secrets " \
                                  "cannot sign at once: pass overlap: 0, and change the receiver's secret now"
      end

      def touch_application = Endpoints.changed(application_id)

      def send_again(deliveries)
        now = Endpoints.store.now
        count = change(deliveries, { state: "pending", replay: true, retry_count: 0, started_at: nil, waiting: false,
                                     finished_at: nil, next_attempt_at: now, lease_token: nil })
        Endpoints.wake if count.positive?
        count
      end

      def finish(deliveries, state) = change(deliveries, { state:, finished_at: Endpoints.store.now })

      # By id, because the relay can finish a delivery meanwhile, which is then found again.
      def change(deliveries, changes)
        count = last = 0
        until (ids = deliveries.where("id > ?", last).order(:id).limit(SLICE).pluck(:id)).empty?
          count += Endpoints.store.transaction { deliveries.where(id: ids).update_all(changes) }
          last = ids.last
        end
        count
      end
    end
  end
end
