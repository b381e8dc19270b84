# frozen_string_literal: true

require "json"
require_relative "../../internal/autoload"

module SimpleConnect
  class Sandbox
    class Inbox
      # Connections that stay open for a while. Each gets a thread of its own, so that they use up none of the server's,
      # and hold nothing that Rails needs to reload code.
      # @api private
      class Connections
        # How many there may be.
        LIMIT = 100
        private_constant :LIMIT

        def initialize
          @lock = Mutex.new
          @threads = {}
        end

        # @return [Boolean] whether there may be more
        def room? = @lock.synchronize { alive.size < LIMIT }

        # Runs the block in a thread, then closes the connection.
        #
        # @param io [IO]
        def start(io)
          @lock.synchronize do
            thread = Thread.new do
              yield io
            rescue IOError, SystemCallError
              # The client is gone.
              nil
            ensure
              close(io)
            end
            thread.report_on_exception = true
            @threads[thread] = io
          end
        end

        # Closes all.
        def stop
          threads = @lock.synchronize { @threads.keys.tap { @threads = {} } }
          threads.each(&:kill).each(&:join)
        end

        private

        # Threads do not survive a fork.
        def alive = @threads.select! { |thread, _| thread.alive? } || @threads

        def close(io)
          io.close
        rescue IOError, SystemCallError
          nil
        end
      end
    end
  end
end
