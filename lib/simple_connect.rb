# frozen_string_literal: true

require_relative "simple_connect/internal/autoload"
require_relative "simple_connect/client"
require_relative "simple_connect/messages_client"
require_relative "simple_connect/rails/railtie" if defined?(::Rails::Railtie)

# Delivers a business's domain events to SimpleConnect, which turns them into WhatsApp messages.
#
# Begin with {Client}; template messages of your own go through {MessagesClient}. {Webhooks} receives signed webhooks,
# {Outbound} sends your own. Classes are loaded when they are first used.
module SimpleConnect; end
