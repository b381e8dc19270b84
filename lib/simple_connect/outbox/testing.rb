# frozen_string_literal: true

require_relative "../errors"
require_relative "../internal/autoload"

module SimpleConnect
  module Outbox
    # Delivers what is in the outbox in tests. Matchers and assertions do it by themselves; call it where you look at
    # {SimpleConnect::Testing.deliveries}.
    module Testing
      # It ends as soon as nothing is due.
      SECONDS = 60
      private_constant :SECONDS

      # Delivers, in this thread, everything that is due. It also works in the transaction that Rails puts around a
      # test. An event that fails stays in the outbox, and is due later.
      #
      # @return [void]
      # @raise [Error] within another transaction, in which events are not committed
      # @example
      #   SimpleConnect.outbox.deliver("order_paid", recipient: { mobile_no: "+919812345678" })
      #   SimpleConnect::Outbox::Testing.drain
      #   SimpleConnect::Testing.deliveries.size # => 1
      def self.drain
        if Outbox.transaction?
          raise Error, "SimpleConnect::Outbox::Testing.drain is called within a transaction, whose events are not " \
                       "committed: call it after the transaction"
        end

        Outbox.relay(seconds: SECONDS)
        nil
      end
    end
  end
end
