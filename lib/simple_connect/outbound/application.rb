# frozen_string_literal: true

require "securerandom"
require_relative "../internal/autoload"
require_relative "../internal/checks"
require_relative "../internal/keeps_secrets"

module SimpleConnect
  module Outbound
    # A group of endpoints: an event is sent to each of them whose rules match. Immutable.
    #
    # @example
    #   SimpleConnect::Outbound::Application.new(
    #     name: "Acme", uid: "acme", rate_limit: 100,
    #     endpoints: [SimpleConnect::Outbound::Endpoint.new(url: "https://acme.example/hooks", uid: "all")]
    #   )
    class Application
      include KeepsSecrets

      # @return [String]
      attr_reader :name
      # @return [String]
      attr_reader :uid
      # @return [Array<Endpoint>]
      attr_reader :endpoints
      # @return [Integer, nil] the default rate limit of its endpoints, in events per second
      attr_reader :rate_limit
      # @return [RetrySchedule]
      attr_reader :retry_schedule

      # @param name [String]
      # @param uid [String, nil] 1 to 255 letters, digits, dashes, underscores and dots; generated if nil. If a job
      #   queue makes the retries, it must be the same in every process
      # @param endpoints [Array<Endpoint>] with different uids; each belongs to this application from now on
      # @param rate_limit [Integer, nil] the default rate limit of its endpoints, in events per second; nil for no limit
      # @param retry_schedule [RetrySchedule, nil] nil for the default of {RetrySchedule}
      # @raise [ConfigurationError] if one of them is invalid; the message says what to write
      # @example
      #   SimpleConnect::Outbound::Application.new(name: "Acme", uid: "acme", endpoints: Hook.all.map(&:to_endpoint))
      def initialize(name:, uid: nil, endpoints: [], rate_limit: nil, retry_schedule: nil)
        @name = name.to_s.dup.freeze
        @generated = uid.nil?
        @uid = uid.nil? ? "app_#{SecureRandom.hex(12)}".freeze : checked(uid)
        @endpoints = Router.check(endpoints)
        refuse_twins
        error = Checks.rate_limit_error(rate_limit)
        raise ConfigurationError, error if error

        @rate_limit = rate_limit
        @retry_schedule = schedule(retry_schedule)
        @by_uid = @endpoints.to_h { |endpoint| [endpoint.uid, endpoint] }.freeze
        Endpoint.give(@endpoints, self)
        freeze
      end

      # @param uid [String]
      # @return [Endpoint, nil]
      # @example
      #   application.endpoint("all").url # => "https://acme.example/hooks"
      def endpoint(uid) = @by_uid[uid]

      # @param endpoint [Endpoint]
      # @return [Integer, nil] the endpoint's rate limit, or the application's default
      # @example
      #   application.rate_limit_of(application.endpoint("all")) # => 100
      def rate_limit_of(endpoint) = endpoint.rate_limit || rate_limit

      # @api private
      # @return [Boolean] whether its uid was generated and so differs between processes
      def generated? = @generated

      # @return [String]
      def inspect = "#<#{self.class.name} #{uid} #{name.inspect} endpoints=#{endpoints.size}>"

      private

      def checked(uid)
        return uid.dup.freeze if Checks.uid?(uid)

        raise ConfigurationError, "uid: #{Checks::UID_ERROR}, not #{uid.inspect}"
      end

      def refuse_twins
        twins = endpoints.map(&:uid).tally.select { |_, count| count > 1 }.keys
        return if twins.empty?

        raise ConfigurationError, "endpoints: each needs a uid of its own; several have #{twins.first(3).join(", ")}"
      end

      def schedule(schedule)
        return RetrySchedule.new if schedule.nil?
        return schedule if schedule.respond_to?(:next_at) && schedule.respond_to?(:delay)

        raise ConfigurationError, "retry_schedule: must be a SimpleConnect::Outbound::RetrySchedule, " \
                                  "not #{schedule.class}"
      end
    end
  end
end
