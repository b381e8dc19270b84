# frozen_string_literal: true

module SimpleConnect
  # Looks host names up with Ruby's own resolver, on behalf of the transport.
  # @api private
  module Resolver
    # @param host [String]
    # @param seconds [Float] how long it may take
    # @return [Array(Array<String>, String, String)] the addresses; or nil, the class and the message of the error;
    #   or three nils where the time was up
    def self.addresses(host, seconds)
      # Not before it is needed: an endpoint may well be an address.
      require "socket"
      # A Fiber scheduler has its own way to look a name up without blocking, and to end that.
      return [lookup(host), nil, nil] if Fiber.current_scheduler

      # The system's resolver cannot be interrupted before Ruby 3.3, nor told when to give up. A thread of its own can
      # be left behind; it ends when the resolver does.
      thread = Thread.new { lookup(host) }
      thread.report_on_exception = false
      thread.join(seconds) ? [thread.value, nil, nil] : [nil, nil, nil]
    rescue SocketError => e
      [nil, e.class.name, e.message]
    ensure
      thread&.kill
    end

    def self.lookup(host) = Addrinfo.getaddrinfo(host, nil, nil, :STREAM).map(&:ip_address)
    private_class_method :lookup
  end
  private_constant :Resolver
end
