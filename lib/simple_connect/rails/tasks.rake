# frozen_string_literal: true

namespace :simple_connect do
  desc "Check the configuration, the network and the integration of SimpleConnect"
  task doctor: :environment do
    exit SimpleConnect::CLI.new(["doctor"]).run
  end
end
