# frozen_string_literal: true

namespace :simple_connect do
  desc "Check the settings, the installation, the network and the integration of SimpleConnect (options follow --)"
  task doctor: :environment do
    # Rake and Rails ignore options that follow --, such as --client=billing.
    arguments = ARGV.include?("--") ? ARGV.drop(ARGV.index("--") + 1) : []
    exit SimpleConnect::CLI.new(["doctor", *arguments], configuration: SimpleConnect.configuration).run
  end

  desc "Encrypt the secrets of stored webhook endpoints with the first of config.endpoints.encryption_key"
  task rotate_encryption_key: :environment do
    count = SimpleConnect::Endpoints.rotate_encryption_key
    puts "Encrypted the secrets of #{count} endpoint#{"s" unless count == 1}."
  end

  desc "Delete webhook events and attempts that are older than config.endpoints.retain"
  task clean_endpoints: :environment do
    puts "Deleted #{SimpleConnect::Endpoints.clean} events."
  end

  desc "Deliver what is in SimpleConnect's outbox, and to stored endpoints, until the process gets TERM or INT"
  task relay: :environment do
    SimpleConnect::Endpoints.relay_with_outbox
  end

  desc "Show what is in SimpleConnect's outbox"
  task outbox: :environment do
    puts SimpleConnect::Outbox.summary
  end
end
