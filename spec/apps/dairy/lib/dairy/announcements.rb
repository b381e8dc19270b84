# frozen_string_literal: true

module Dairy
  # Tells many customers the same.
  class Announcements
    def initialize(client = nil)
      @client = client || SimpleConnect::MessagesClient.new(
        base_url: "https://app.simplewaconnect.com", api_key: ENV.fetch("SIMPLECONNECT_API_KEY"), debug: false,
        max_attempts: 1
      )
    end

    # The ids of the messages.
    def holiday(customers, date)
      result = @client.messages.deliver(
        template_name: "holiday",
        recipients: customers.map { |customer| { name: customer.name, mobile_no: customer.mobile_no } },
        body: { parameters: [date] }
      )
      raise "the announcement was not sent: #{result.error}" unless result.success?

      result.data.queued_messages.map { |message| message["message_id"] }
    end

    def delivered?(id)
      result = @client.messages.detail(id)
      result.success? && result.data.status == "delivered"
    end
  end
end
