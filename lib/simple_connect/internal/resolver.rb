# frozen_string_literal: true

require_relative "extension"

module SimpleConnect
  # Looks host names up as this process does, on behalf of the transport. One thread at a time looks a name up, however
  # many wait for it.
  # @api private
  module Resolver
    # How many names are looked up at a time. A name server that is silent shall not fill the process with threads.
    MOST = 256
    # What is said when looking up takes more than there is. What else is raised is a bug, and goes through.
    LACKS = [SystemCallError, IOError, ThreadError].freeze
    private_constant :MOST, :LACKS

    # The look-up of one name.
    #
    # The system's resolver cannot be told when to give up, cannot be interrupted before Ruby 3.3, and would block a
    # Fiber scheduler and a {Batch}. A thread that waits for it can be left behind, and ends when it does. It is not
    # killed: Ruby 3.1 would try that again and again, at full speed.
    class LookUp
      # @return [Latch, nil] opened when there is an outcome; nil where there is one from the beginning
      attr_reader :latch

      # @param host [String]
      # @param busy [Boolean] whether there are too many others
      def initialize(host, busy: false)
        raise ThreadError, "#{MOST} other names are being looked up" if busy

        @latch = Latch.new
        @thread = Thread.new { run(host) }
        @thread.name = "simple_connect resolver"
      rescue *LACKS => e
        fail_with(:io, e)
      end

      # @return [Boolean] whether somebody is at it
      def pending? = @outcome.nil? && @thread&.alive?

      # @return [Array(Array<String>), Array(nil, String, String, String), nil] the addresses; or the kind of the
      #   network error, the class and the message of what was raised; nil while it goes on
      # @raise [Exception] what a resolver should not raise
      def outcome
        raise @unexpected if @unexpected

        @outcome
      end

      private

      def run(host)
        # Not before it is needed: an endpoint may well be an address.
        require "socket"
        settle([find(host)])
      rescue SocketError, *resolv_errors => e
        fail_with(:dns, e)
      rescue *LACKS => e
        fail_with(:io, e)
      rescue Exception => e # rubocop:disable Lint/RescueException -- whoever waits is to get it, not this thread
        @unexpected = e
        settle([])
      ensure
        # It was killed.
        fail_with(:io, ThreadError.new("the thread that looked it up was killed")) unless @outcome
      end

      # Who replaces this method, as resolv-replace does, wants names looked up otherwise than by the system.
      def find(host)
        return [IPSocket.getaddress(host)] if IPSocket.method(:getaddress).source_location

        Addrinfo.getaddrinfo(host, nil, nil, :STREAM).map(&:ip_address)
      end

      def resolv_errors = defined?(::Resolv::ResolvError) ? [::Resolv::ResolvError, ::Resolv::ResolvTimeout] : []

      def fail_with(kind, error) = settle([nil, kind.name, error.class.to_s, error.message])

      def settle(outcome)
        @outcome = outcome
        @latch&.open
      end
    end
    private_constant :LookUp

    @lock = Mutex.new
    @look_ups = {}

    class << self
      # @param host [String]
      # @return [LookUp] its look-up, which others may have begun
      def look_up(host)
        @lock.synchronize { shared(host) }
      rescue ThreadError
        # A signal's handler can lock nothing.
        LookUp.new(host)
      end

      private

      def shared(host)
        # Threads do not survive a fork.
        generation = Transport.generation
        @look_ups = {} unless @generation == generation
        @generation = generation
        @look_ups.select! { |_, look_up| look_up.pending? }
        @look_ups[host] ||= LookUp.new(host, busy: @look_ups.size >= MOST)
      end
    end
  end
  private_constant :Resolver
end
