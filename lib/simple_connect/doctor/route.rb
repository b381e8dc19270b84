# frozen_string_literal: true

require "ipaddr"
require "socket"
require "uri"
require_relative "../internal/autoload"
require_relative "../internal/environment_proxy"
require_relative "../internal/keeps_secrets"

module SimpleConnect
  class Doctor
    # The route to the service: direct or through a proxy. Chosen as the clients do, but without the extension.
    # @api private
    class Route
      include KeepsSecrets

      # The proxy did not open a tunnel.
      class Refused < StandardError; end

      # An HTTP proxy; `authorization` is the header's value or nil.
      Proxy = Struct.new(:host, :port, :authorization)
      # The maximum bytes of the response to CONNECT.
      LONGEST = 16 * 1024
      ADDRESS = /\A[\d.]+\z|:/
      private_constant :Proxy, :LONGEST, :ADDRESS

      # @return [String] the service's host, an IPv6 address without brackets
      attr_reader :host
      # @return [Integer]
      attr_reader :port

      # @param url [String] the service's URL
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

      # @return [Boolean] whether the proxy of the environment is not used for this host
      def bypassed? = @options.key?(:no_proxy) && (local? || excepted?)

      # @return [String, nil] the environment variable that names the proxy
      def variable = @options[:proxy_variable]

      # @return [Boolean] whether the proxy's URL is invalid
      def unusable_proxy? = proxied? && proxy.nil?

      # @return [Boolean]
      def proxied? = proxy_set? && !bypassed?

      # @return [Array(String, Integer)] the host and port to connect to
      def peer = proxied? ? [proxy.host, proxy.port] : [host, port]

      # @param addresses [Array<String>] the addresses of the peer
      # @return [Array(Socket, String)] the socket, and the first address that accepts a connection
      # @raise [SystemCallError] the error of the last address
      def connect(addresses)
        addresses.each_with_index do |address, index|
          # The addresses share the time.
          return [dial(address, (LIMIT - 0.5) / addresses.size), address]
        rescue SystemCallError
          raise if index == addresses.size - 1
        end
      end

      # Asks the proxy for a tunnel.
      #
      # @param socket [Socket] connected to it
      # @return [Socket]
      # @raise [Refused] if the proxy does not open one
      def tunnel(socket)
        target = "#{host.include?(":") ? "[#{host}]" : host}:#{port}"
        lines = ["CONNECT #{target} HTTP/1.1", "Host: #{target}"]
        lines << "Proxy-Authorization: #{proxy.authorization}" if proxy.authorization
        socket.write("#{lines.join("\r\n")}\r\n\r\n")
        status = head(socket)[%r{\AHTTP/1\.[01] (\d{3})}, 1]
        raise Refused, status ? "answered #{status} to CONNECT" : "sent no HTTP response to CONNECT" if status != "200"

        socket
      end

      # @return [String]
      def inspect = "#<#{self.class.name}>"

      private

      def dial(address, seconds)
        Socket.tcp(address, peer.last, connect_timeout: seconds)
      rescue IOError
        # Ruby 4.0 raises IOError for a timeout.
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

      # Matches a host, a domain or an address, with or without port, or a network.
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

      # Its last part is not a port.
      def bare_address?(entry) = entry.count(":") > 1 && !entry.start_with?("[")
    end
    private_constant :Route
  end
end
