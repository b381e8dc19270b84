# frozen_string_literal: true

namespace :simple_connect do
  desc "Check the settings, the installation, the network and the integration of SimpleConnect (options follow --)"
  task doctor: :environment do
    # Rake and Rails ignore options that follow --, such as --client=billing.
    arguments = ARGV.include?("--") ? ARGV.drop(ARGV.index("--") + 1) : []
    exit SimpleConnect::CLI.new(["doctor", *arguments], configuration: SimpleConnect.configuration).run
  end
end
