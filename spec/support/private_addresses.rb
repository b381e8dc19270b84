# frozen_string_literal: true

require "simple_connect"

# Lets endpoints be servers of this machine, as an application does in its tests.
module PrivateAddresses
  def self.included(group)
    group.around do |example|
      SimpleConnect.configuration.allow_private = true
      example.run
    ensure
      SimpleConnect.configuration.allow_private = nil
    end
  end
end
