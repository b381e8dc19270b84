# frozen_string_literal: true

require_relative "simple_connect/version"
require_relative "simple_connect/errors"
require_relative "simple_connect/checks"
require_relative "simple_connect/extension"
require_relative "simple_connect/responses"
require_relative "simple_connect/result"
require_relative "simple_connect/retryable"
require_relative "simple_connect/log"
require_relative "simple_connect/resolver"
require_relative "simple_connect/transport"
require_relative "simple_connect/request"
require_relative "simple_connect/batch"
require_relative "simple_connect/api/deliver_all"
require_relative "simple_connect/api/events"
require_relative "simple_connect/api/integrations"
require_relative "simple_connect/api/messages"
require_relative "simple_connect/connected"
require_relative "simple_connect/client"
require_relative "simple_connect/messages_client"

# Delivers a business's domain events to SimpleConnect, which turns them into WhatsApp messages.
#
# Begin with {Client}; template messages of your own go through {MessagesClient}.
module SimpleConnect
  autoload :WebMockAdapter, File.expand_path("simple_connect/webmock", __dir__)
  private_constant :WebMockAdapter
end
