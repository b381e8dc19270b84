# frozen_string_literal: true

require "ipaddr"
require "socket"
require "uri"
require_relative "../internal/autoload"
require_relative "../internal/environment_proxy"
require_relative "../internal/keeps_secrets"

module SimpleConnect
  class Doctor
    # The way to the service: directly, or through a proxy. It is found as the clients find theirs, without the
    # extension.
    # @api private
    class Route
      include KeepsSecrets

      # What a proxy did not do.
      class Refused < StandardError; end

      # An HTTP proxy; `authorization` is the value of a header field, or nil.
      Proxy = Struct.new(:host, :port, :authorization)
      # The longest answer to CONNECT that is read.
      LONGEST = 16 * 1024
      ADDRESS = /\A[\d.]+\z|:/
      private_constant :Proxy, :LONGEST, :ADDRESS

      # @return [String] the service's host, an IPv6 address without brackets
      attr_reader :host
      # @return [Integer]
      attr_reader :port

      # @param url [String] of the service
      # @param proxy [String, #host, false, nil] the client's option
      def initialize(url, proxy)
        uri = URI.parse(url)
        @host = uri.hostname
        @port = uri.port
        @tls = uri.scheme == "https"
        @options = case proxy
                   when nil then EnvironmentProxy.options(url)
                   when false then { proxy: nil }
                   else { proxy: proxy.to_s }
                   end.transform_values { |value| value&.scrub }
      end

      # @return [Boolean]
      def tls? = @tls

      # @return [Boolean] whether the service's host is an address
      def address?(name = host) = name.match?(ADDRESS)

      # @return [Boolean] whether the service is on this machine
      def local? = host.casecmp?("localhost") || (address? && IPAddr.new(host).loopback?)

      # @return [Boolean] whether a proxy is set
      def proxy_set? = !@options[:proxy].nil?

      # @return [Boolean] whether the environment's proxy is not used for this host
      def bypassed? = @options.key?(:no_proxy) && (local? || excepted?)

      # @return [String, nil] the environment's variable that names the proxy
      def variable = @options[:proxy_variable]

      # @return [Boolean] whether the proxy's URL cannot be used
      def unusable_proxy? = proxied? && proxy.nil?

      # @return [Boolean]
      def proxied? = proxy_set? && !bypassed?

      # @return [Array(String, Integer)] whom to connect to
      def peer = proxied? ? [proxy.host, proxy.port] : [host, port]

      # @param addresses [Array<String>] of the peer
      # @return [Array(Socket, String)] connected to the first that takes it, and that one
      # @raise [SystemCallError] what the last of them said
      def connect(addresses)
        addresses.each_with_index do |address, index|
          # Each is given its part of the time.
          return [dial(address, (LIMIT - 0.5) / addresses.size), address]
        rescue SystemCallError
          raise if index == addresses.size - 1
        end
      end

      # Asks the proxy for a tunnel.
      #
      # @param socket [Socket] connected to it
      # @return [Socket]
      # @raise [Refused] where there is none
      def tunnel(socket)
        target = "#{host.include?(":") ? "[#{host}]" : host}:#{port}"
        lines = ["CONNECT #{target} HTTP/1.1", "Host: #{target}"]
        lines << "Proxy-Authorization: #{proxy.authorization}" if proxy.authorization
        socket.write("#{lines.join("\r\n")}\r\n\r\n")
        status = head(socket)[%r{\AHTTP/1\.[01] (\d{3})}, 1]
        raise Refused, status ? "answered #{status} to CONNECT" : "gave no HTTP answer to CONNECT" if status != "200"

        socket
      end

      # @return [String]
      def inspect = "#<#{self.class.name}>"

      private

      def dial(address, seconds)
        Socket.tcp(address, peer.last, connect_timeout: seconds)
      rescue IOError
        # So says Ruby 4.0.
        raise Errno::ETIMEDOUT
      end

      def head(socket)
        head = "".b
        head << socket.readpartial(4096) until head.include?("\r\n\r\n") || head.bytesize > LONGEST
        head
      rescue EOFError
        head
      end

      def proxy = @proxy ||= parse(@options[:proxy])

      def parse(url)
        authority, path = url.sub(%r{\Ahttp://}i, "").match(%r{\A([^/?#]*)(.*)\z}m).captures
        credentials, _, server = authority.rpartition("@")
        return if url.match?(/[[:cntrl:]]/) || path.include?("@")

        uri = URI.parse("http://#{server}")
        return if uri.hostname.to_s.empty?

        Proxy.new(uri.hostname, uri.port, (basic(credentials) if authority.include?("@")))
      rescue URI::InvalidURIError
        nil
      end

      def basic(credentials)
        user, _, password = credentials.partition(":")
        pair = [user, password].map { |part| part.b.gsub(/%\h\h/n) { |escape| escape[1..].to_i(16).chr } }.join(":")
        "Basic #{[pair].pack("m0")}"
      end

      def excepted?
        @options[:no_proxy].split(/[, ]/).map(&:strip).reject(&:empty?).any? { |entry| entry == "*" || names?(entry) }
      end

      # A host, a domain, an address, each with a port or without; or a network.
      def names?(entry)
        return network?(entry) if entry.match?(%r{/\d+\z}) && address?

        name, entry_port = entry.match(/\A\[?(.*?)\]?(?::(\d+))?\z/m).captures unless bare_address?(entry)
        return false if entry_port && entry_port.to_i != port
        return IPAddr.new(host) == IPAddr.new(name || entry) if address?

        name = (name || entry).sub(/\A\*\./, "").gsub(/\A\.+|\.+\z/, "").downcase
        !name.empty? && ".#{host.sub(/\.+\z/, "").downcase}".end_with?(".#{name}")
      rescue IPAddr::Error
        false
      end

      def network?(entry) = IPAddr.new(entry).include?(IPAddr.new(host))

      # Its last part is no port.
      def bare_address?(entry) = entry.count(":") > 1 && !entry.start_with?("[")
    end
    private_constant :Route
  end
end
