# frozen_string_literal: true

require_relative "../errors"
require_relative "../version"

module SimpleConnect # rubocop:disable Style/Documentation -- it has that where the gem is loaded
  # Whatever file is loaded first, every public name is there: what an application does not use is not loaded.
  {
    Client: "client", MessagesClient: "messages_client", Retryable: "retryable", Result: "result",
    Responses: "responses", Signature: "signature", RateLimiter: "rate_limiter",
    Webhooks: "webhooks", Outbound: "outbound", Kiket: "kiket", Simplyq: "simplyq",
    Sandbox: "sandbox", Testing: "testing", CLI: "cli", WebMockAdapter: "webmock"
  }.each { |name, file| autoload name, File.expand_path("../#{file}.rb", __dir__) }
  private_constant :WebMockAdapter

  # Turns test mode on: nothing is sent any more, by no client. What would be is encoded and signed, recorded, and
  # answered as by the service; see {Testing}. Waits between attempts take no time. Nor does anything else of this gem
  # send: see {Testing.requests}.
  #
  # With a block only while it runs, with records and answers of its own, and for the block's own thread and fiber. From
  # Ruby 3.2 on also for the threads and fibers that it starts; before, for all fibers of its thread.
  #
  # @yieldparam session [Testing::Session] its records and answers
  # @return [Object] what the block gives; nil without one
  # @example For the whole process
  #   SimpleConnect.test!
  # @example For a block
  #   SimpleConnect.test! do |session|
  #     session.respond_with(422)
  #     client.events.deliver("order_paid", order: 7).status_code # => 422
  #     session.deliveries.size                                   # => 1
  #   end
  def self.test!(&block)
    block ? Testing.within(Testing::Session.new, &block) : Testing.enable
  end
end
