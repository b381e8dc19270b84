# frozen_string_literal: true

require "logger"
require "simple_connect"

# A milk round and its customers.
module Dairy
  Customer = Struct.new(:name, :mobile_no, keyword_init: true)
  Payment = Struct.new(:id, :customer, :amount, :mode, :paid_at, keyword_init: true)

  EVENT_KEYS = %w[customer_payment_received customer_invoice_payment_reminder].freeze

  class << self
    attr_writer :logger, :simple_connect

    def logger = @logger ||= Logger.new(IO::NULL)

    # One client for the whole application.
    def simple_connect
      @simple_connect ||= SimpleConnect::Client.new(
        endpoint_url: ENV.fetch("SIMPLECONNECT_ENDPOINT_URL"),
        key_id: ENV.fetch("SIMPLECONNECT_KEY_ID"),
        secret: ENV.fetch("SIMPLECONNECT_SECRET"),
        event_keys: EVENT_KEYS,
        logger:,
        retryable: SimpleConnect::Retryable.new(max_attempts: 3, delay: ->(n) { n * pause })
      )
    end

    # The seconds between attempts.
    def pause = Float(ENV.fetch("SIMPLECONNECT_PAUSE", 2))
  end
end

require_relative "dairy/announcements"
require_relative "dairy/health"
require_relative "dairy/payment_receipts"
require_relative "dairy/reminders"
