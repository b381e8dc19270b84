# frozen_string_literal: true

require_relative "simple_connect/internal/autoload"
require_relative "simple_connect/client"
require_relative "simple_connect/messages_client"
require_relative "simple_connect/rails/railtie" if defined?(::Rails::Railtie)

# Delivers a business's domain events to SimpleConnect, which turns them into WhatsApp messages.
#
# Start with {Client}. {MessagesClient} sends template messages, {Webhooks} receives signed webhooks, and {Outbound}
# sends your own webhooks. Classes are loaded on first use.
module SimpleConnect; end
