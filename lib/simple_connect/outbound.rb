# frozen_string_literal: true

require_relative "internal/autoload"

module SimpleConnect
  # Sends your own events as signed webhooks to the endpoints that subscribe to them. Loaded on first use.
  #
  # An {Application} has {Endpoint}s; its {Dispatcher} publishes each {Event} to the endpoints that match it.
  #
  # @example
  #   endpoint = SimpleConnect::Outbound::Endpoint.new(uid: "acme", url: "https://acme.example/hooks", secret: "s3cret")
  #   application = SimpleConnect::Outbound::Application.new(name: "Parcels", uid: "parcels", endpoints: [endpoint])
  #   dispatcher = SimpleConnect::Outbound::Dispatcher.new(application)
  #   dispatcher.publish(SimpleConnect::Outbound::Event.new(event_type: "parcel.sent", payload: { parcel: 7 }))
  module Outbound
    autoload :ActiveJobDelivery, File.expand_path("outbound/active_job_delivery.rb", __dir__)
    autoload :Application, File.expand_path("outbound/application.rb", __dir__)
    autoload :DeliveryAttempt, File.expand_path("outbound/delivery_attempt.rb", __dir__)
    autoload :Dispatcher, File.expand_path("outbound/dispatcher.rb", __dir__)
    autoload :Endpoint, File.expand_path("outbound/endpoint.rb", __dir__)
    autoload :Event, File.expand_path("outbound/event.rb", __dir__)
    autoload :QueueError, File.expand_path("outbound/dispatcher.rb", __dir__)
    autoload :RedisLimiter, File.expand_path("outbound/redis_limiter.rb", __dir__)
    autoload :RetrySchedule, File.expand_path("outbound/retry_schedule.rb", __dir__)
    autoload :Router, File.expand_path("outbound/router.rb", __dir__)
    autoload :SidekiqDelivery, File.expand_path("outbound/sidekiq_delivery.rb", __dir__)
  end
end
