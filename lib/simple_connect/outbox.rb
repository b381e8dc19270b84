# frozen_string_literal: true

require_relative "internal/autoload"

module SimpleConnect
  # Delivers events that are written in the same database transaction as what they report: what was committed arrives.
  # See docs/outbox.md.
  module Outbox
    # The maximum length of an `event_id` and of a client's name, in bytes.
    EVENT_ID_BYTES = 255
    CLIENT_BYTES = 100
    private_constant :EVENT_ID_BYTES, :CLIENT_BYTES

    autoload :Bodies, File.expand_path("outbox/bodies.rb", __dir__)
    autoload :Database, File.expand_path("outbox/database.rb", __dir__)
    autoload :LaneKeys, File.expand_path("outbox/lane_keys.rb", __dir__)
    autoload :Outcome, File.expand_path("outbox/outcome.rb", __dir__)
    autoload :Relay, File.expand_path("outbox/relay.rb", __dir__)
    autoload :Sender, File.expand_path("outbox/sender.rb", __dir__)
    autoload :Settings, File.expand_path("outbox/settings.rb", __dir__)
    autoload :Store, File.expand_path("outbox/store.rb", __dir__)
    private_constant :Bodies, :Database, :LaneKeys, :Outcome, :Relay, :Sender, :Store
  end
end
