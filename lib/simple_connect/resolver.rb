# frozen_string_literal: true

module SimpleConnect
  # Looks host names up with Ruby's own resolver, on behalf of the transport.
  # @api private
  module Resolver
    # @param host [String]
    # @return [Array(Array<String>, String, String)] the addresses, or the class and the message of the error
    def self.addresses(host)
      # Not before it is needed: an endpoint may well be an address.
      require "socket"
      [Addrinfo.getaddrinfo(host, nil, nil, :STREAM).map(&:ip_address), nil, nil]
    rescue SocketError => e
      [[], e.class.name, e.message]
    end
  end
  private_constant :Resolver
end
