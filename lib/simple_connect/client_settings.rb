# frozen_string_literal: true

require_relative "internal/autoload"
require_relative "internal/keeps_secrets"

module SimpleConnect
  # The settings of one client: the options of {Client#initialize} and {MessagesClient#initialize}.
  class ClientSettings
    include KeepsSecrets

    # The environment variable of each option that has one.
    VARIABLES = %i[endpoint_url key_id secret base_url api_key]
                .to_h { |option| [option, "SIMPLECONNECT_#{option.upcase}"] }.freeze

    # @return [String, Proc, nil] see {Client#initialize}; default: `SIMPLECONNECT_ENDPOINT_URL`
    attr_accessor :endpoint_url
    # @return [String, Proc, nil] see {Client#initialize}; default: `SIMPLECONNECT_KEY_ID`
    attr_accessor :key_id
    # @return [String, Proc, nil] see {Client#initialize}; default: `SIMPLECONNECT_SECRET`
    attr_accessor :secret
    # @return [String, Proc, nil] see {MessagesClient#initialize}; default: `SIMPLECONNECT_BASE_URL`
    attr_accessor :base_url
    # @return [String, Proc, nil] see {MessagesClient#initialize}; default: `SIMPLECONNECT_API_KEY`
    attr_accessor :api_key
    # @return [#info, Proc, nil] see {Client#initialize}; default in Rails: `Rails.logger`; false for none
    attr_accessor :logger
    # @return [Array<String, Symbol>, Proc, nil] see {Client#initialize}
    attr_accessor :event_keys
    # @return [:nested, :flat, Proc, nil] see {Client#initialize}
    attr_accessor :envelope
    # @return [Numeric, Proc, nil] seconds, see {Client#initialize}
    attr_accessor :timeout
    # @return [Numeric, Proc, nil] seconds, see {Client#initialize}
    attr_accessor :open_timeout
    # @return [Numeric, Proc, nil] seconds, see {Client#initialize}
    attr_accessor :read_timeout
    # @return [Numeric, Proc, nil] seconds, see {Client#initialize}
    attr_accessor :write_timeout
    # @return [Numeric, Proc, nil] seconds, see {Client#initialize}
    attr_accessor :total_timeout
    # @return [Integer, Proc, nil] see {Client#initialize}
    attr_accessor :max_attempts
    # @return [#call, nil] see {Client#initialize}; a Proc is called to get the policy
    attr_accessor :retryable
    # @return [Hash{String => String}, Proc, nil] see {Client#initialize}
    attr_accessor :headers
    # @return [String, Proc, nil] see {Client#initialize}
    attr_accessor :user_agent
    # @return [Boolean, Proc, nil] see {Client#initialize}
    attr_accessor :debug
    # @return [String, false, Proc, nil] see {Client#initialize}
    attr_accessor :proxy
    # @return [Boolean, Proc, nil] see {Client#initialize}
    attr_accessor :guard
    # @return [Boolean, Array<String>, Proc, nil] see {Client#initialize}; also the default of {Outbound::Dispatcher}
    #   and {Outbound::Endpoint}
    attr_accessor :allow_private
    # @return [Boolean, Proc, nil] see {Client#initialize}; also the default of {Outbound::Dispatcher} and
    #   {Outbound::Endpoint}
    attr_accessor :allow_http
    # @return [String, Proc, nil] see {Client#initialize}
    attr_accessor :ca_file
    # @return [:ipv4, :ipv6, Proc, nil] see {Client#initialize}
    attr_accessor :ip_version
    # @return [Integer, Proc, nil] see {Client#initialize}
    attr_accessor :pool_size
    # @return [Numeric, Proc, nil] seconds, see {Client#initialize}
    attr_accessor :idle_timeout
    # @return [Integer, Proc, nil] see {Client#initialize}
    attr_accessor :max_response_bytes

    # @return [String] without secrets
    def inspect = "#<#{self.class.name}>"
    alias to_s inspect
  end
end
