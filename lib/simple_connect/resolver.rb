# frozen_string_literal: true

module SimpleConnect
  # Looks host names up as this process does, on behalf of the transport.
  # @api private
  module Resolver
    # @param host [String]
    # @param seconds [Float] how long it may take
    # @return [Array(Array<String>, String, String)] the addresses; or nil, the class and the message of the error;
    #   or three nils where the time was up
    def self.addresses(host, seconds)
      # Not before it is needed: an endpoint may well be an address.
      require "socket"
      # The system's resolver cannot be told when to give up, cannot be interrupted before Ruby 3.3, and would block a
      # Fiber scheduler. A thread that waits for it can be left behind, and ends when it does. It is not killed: Ruby
      # 3.1 would try that again and again, at full speed.
      found = nil
      # Not Thread#value: where a signal's handler forks, the thread is not in the child, and Ruby 3.1 raises a `fatal`.
      Thread.new { found = look_up(host) }.join(seconds)
      found || [nil, nil, nil]
    end

    def self.look_up(host)
      Thread.current.report_on_exception = false
      # Who replaces this method, as resolv-replace does, wants names looked up otherwise than by the system.
      replaced = IPSocket.method(:getaddress).source_location
      found = replaced ? [IPSocket.getaddress(host)] : Addrinfo.getaddrinfo(host, nil, nil, :STREAM).map(&:ip_address)
      [found, nil, nil]
    rescue SocketError => e
      [nil, e.class.name, e.message]
    end
    private_class_method :look_up
  end
  private_constant :Resolver
end
