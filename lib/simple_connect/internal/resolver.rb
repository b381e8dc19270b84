# frozen_string_literal: true

require_relative "extension"

module SimpleConnect
  # Looks up host names for the transport, in the way this process does. Each name is looked up by one thread at a time,
  # and all callers share its outcome.
  # @api private
  module Resolver
    # The maximum number of look-ups at a time, so that a silent name server does not fill the process with threads.
    MOST = 256
    # Errors that mean a lack of system resources. Any other error is a bug and is raised.
    LACKS = [SystemCallError, IOError, ThreadError].freeze
    private_constant :MOST, :LACKS

    # The look-up of one name.
    #
    # The system's resolver has no timeout, cannot be interrupted before Ruby 3.3, and would block a Fiber scheduler and
    # a {Batch}. Callers can abandon the thread that runs it; the thread ends with the look-up. It is not killed: Ruby
    # 3.1 would retry the kill in a busy loop.
    class LookUp
      # @return [Latch, nil] opened when the outcome is known; nil if it is known from the beginning
      attr_reader :latch

      # @param host [String]
      # @param busy [Boolean] whether the maximum number of look-ups is reached
      def initialize(host, busy: false)
        raise ThreadError, "#{MOST} other names are being looked up" if busy

        @latch = Latch.new
        @thread = Thread.new { run(host) }
        @thread.name = "simple_connect resolver"
      rescue *LACKS => e
        fail_with(:io, e)
      end

      # @return [Boolean] whether the look-up is running
      def pending? = @outcome.nil? && @thread&.alive?

      # @return [Array(Array<String>), Array(nil, String, String, String), nil] the addresses; or nil, the kind of
      #   network error, the class and the message of the exception; nil while the look-up is running
      # @raise [Exception] if the resolver raised an unexpected error
      def outcome
        raise @unexpected if @unexpected

        @outcome
      end

      private

      def run(host)
        # Loaded when needed: if the host is an address, it never is.
        require "socket"
        settle([find(host)])
      rescue SocketError, *resolv_errors => e
        fail_with(:dns, e)
      rescue *LACKS => e
        fail_with(:io, e)
      rescue Exception => e # rubocop:disable Lint/RescueException -- raised again in the caller's thread
        @unexpected = e
        settle([])
      ensure
        # It was killed.
        fail_with(:io, ThreadError.new("the thread that looked it up was killed")) unless @outcome
      end

      # Libraries such as resolv-replace redefine this method to replace the system's resolver.
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
        # A signal handler cannot lock a Mutex.
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
