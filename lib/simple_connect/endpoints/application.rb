# frozen_string_literal: true

require_relative "records"
require_relative "../signature"

module SimpleConnect
  module Endpoints
    # A stored application: a group of endpoints. An ActiveRecord model.
    #
    # Attributes: `uid` (generated if nil, cannot be changed), `name`, `scheme` (see {Signature}), `rate_limit` and
    # `retry_schedule`, the arguments of {Outbound::RetrySchedule}.
    #
    # @example
    #   shop = SimpleConnect::Endpoints::Application.create!(
    #     uid: "shop", name: "Shop", rate_limit: 50,
    #     retry_schedule: { strategy: "fixed_wait_with_deadline", wait: 60, deadline: 86_400 }
    #   )
    #   shop.endpoints.create!(uid: "acme", url: "https://acme.example/hooks")
    class Application < Record
      self.table_name = "simple_connect_applications"

      # How many endpoints an error names.
      NAMED = 3
      private_constant :NAMED

      has_many :endpoints, -> { order(:id) }, class_name: "SimpleConnect::Endpoints::Endpoint", dependent: :destroy,
                                              inverse_of: :application
      attribute :retry_schedule, ::ActiveRecord::Type::Json.new

      before_validation do
        self.uid ||= "app_#{SecureRandom.hex(12)}"
        self.scheme ||= Endpoints.settings.scheme.name
      end
      validates :name, presence: true
      validates :uid, uniqueness: true
      validate :check
      before_save { self.version = Endpoints.new_version }

      # Stores an application that was built in code, with its endpoints. Those that are stored already are updated,
      # and keep their secret if the endpoint was built without `secret:`.
      #
      # @param application [Outbound::Application]
      # @return [Application]
      # @raise [ArgumentError] if one of its endpoints has sensitive headers, which cannot be read from it
      # @raise [ActiveRecord::RecordInvalid] if something is invalid
      # @example
      #   SimpleConnect::Endpoints::Application.import!(APPLICATION)
      def self.import!(application)
        secretive = application.endpoints.find { |endpoint| endpoint.headers[:sensitive] }
        if secretive
          raise ArgumentError, "the sensitive headers of #{secretive.uid} cannot be read: use endpoints.create! with " \
                               "all attributes"
        end

        transaction do
          find_or_initialize_by(uid: application.uid).tap do |stored|
            stored.update!(name: application.name, rate_limit: application.rate_limit,
                           retry_schedule: application.retry_schedule.to_h)
            application.endpoints.each do |endpoint|
              row = stored.endpoints.find_or_initialize_by(uid: endpoint.uid)
              # A generated one differs in each process.
              row.secret = endpoint.secret unless row.persisted? && endpoint.generated.include?("secret:")
              row.update!(endpoint.to_h.except(:uid))
            end
          end
        end
      end

      # @param options [Hash, nil] the arguments of {Outbound::RetrySchedule}
      # @example
      #   shop.update!(retry_schedule: { strategy: "fixed_wait", wait: 60 })
      def retry_schedule=(options)
        # JSON has no Rational or BigDecimal: they would come back as Strings.
        options = options.transform_values { |value| fraction?(value) ? value.to_f : value } if options.is_a?(Hash)
        super(options)
      end

      # @return [Outbound::Application] with its endpoints
      # @raise [ConfigurationError] if an attribute or an endpoint is invalid
      # @example
      #   shop.to_application.endpoint("acme").url # => "https://acme.example/hooks"
      def to_application
        Outbound::Application.new(name:, uid:, rate_limit:, endpoints: endpoints.map(&:to_endpoint),
                                  retry_schedule: schedule)
      end

      # @return [Outbound::RetrySchedule, nil]
      # @raise [ConfigurationError] if `retry_schedule` is invalid
      # @example
      #   shop.schedule.delay(1) # => 60
      def schedule
        return if retry_schedule.nil?

        options = retry_schedule.transform_keys(&:to_sym)
        strategy = [*options.delete(:strategy)&.to_sym]
        Outbound::RetrySchedule.new(*strategy, **options)
      rescue ArgumentError, NoMethodError
        raise ConfigurationError, "retry_schedule must be a Hash of strategy, wait, max_retries and deadline"
      end

      # @return [String]
      def inspect = "#<#{self.class.name} #{uid} #{name.inspect}>"

      private

      def fraction?(value) = value.is_a?(Numeric) && value.real? && !value.is_a?(Integer)

      def check
        errors.add(:uid, Checks::UID_ERROR) unless Checks.uid?(uid)
        errors.add(:uid, "cannot be changed") if persisted? && uid_changed?
        error = Checks.rate_limit_error(rate_limit)
        errors.add(:rate_limit, error.delete_prefix("rate_limit: ")) if error
        SigningKeys.of(SigningKeys::ANY, scheme.to_sym)
        check_secrets if persisted? && scheme_changed?
        schedule
      rescue ConfigurationError => e
        errors.add(e.message.include?("scheme") ? :scheme : :retry_schedule, e.message.delete_prefix("retry_schedule "))
      end

      # Otherwise nothing could be sent.
      def check_secrets
        rows = Endpoint.where(application_id: id).order(:id)
        found = rows.to_h { |endpoint| [endpoint.uid, endpoint.secret_error(scheme)] }.compact
        return if found.empty?

        uids = found.keys
        others = " and #{uids.size - NAMED} more" if uids.size > NAMED
        errors.add(:scheme, "cannot be #{scheme}: the secret of #{uids.first(NAMED).join(", ")}#{others} does not " \
                            "fit (#{found.values.first}). First set another one, such as with " \
                            "endpoint.rotate_secret!(overlap: 0, secret: …)")
      end
    end
  end
end
