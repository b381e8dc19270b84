# frozen_string_literal: true

require_relative "../internal/clock"
require_relative "checks"
require_relative "route"

module SimpleConnect
  class Doctor
    # Checks the network between this machine and the service. Each step needs the previous ones.
    # @api private
    class Network
      include Checks

      # A certificate with fewer days left should be renewed.
      SOON = 21
      DAY = 86_400
      private_constant :SOON, :DAY

      # @param settings [Settings]
      def initialize(settings) = @settings = settings

      # @return [Array<Finding>]
      def findings
        return skip_all unless @settings.url

        @route = Route.new(@settings.url, @settings[:proxy])
        steps = { "proxy" => "check the environment variables", "dns" => "check whether the name servers respond",
                  "tcp" => "a firewall may drop the packets: check the rules for outgoing connections",
                  "tunnel" => "check whether the proxy works",
                  "tls" => "check for a firewall or proxy between this machine and the service" }
        steps.delete("tunnel") unless @route.proxied? && @route.tls?
        steps.map { |name, slow| step(name, slow) }
      end

      # @return [String]
      def inspect = "#<#{self.class.name}>"

      private

      def skip_all
        why = @settings.foreign? ? "config.clients builds this client" : "there is no URL"
        %w[proxy dns tcp tls].map { |name| skipped(name, why) }
      end

      def step(name, slow)
        return skipped(name, "#{@failed} failed") if @failed

        finding = check(name, slow:) { __send__(name) }
        @failed = name if finding.level == :red
        finding
      end

      def proxy
        origin = @settings[:proxy].nil? ? @route.variable : "proxy in #{@settings.place(:proxy)}"
        return green("proxy", "none#{" (#{origin})" if origin}") unless @route.proxy_set?
        return green("proxy", "none for this host: #{exception}, although #{origin} is set") if @route.bypassed?

        if @route.unusable_proxy?
          return red("proxy", "the URL in #{origin} cannot be used",
                     "write it like http://user:password@proxy.example:3128")
        end

        green("proxy", "#{@route.peer.join(":")} (#{origin})")
      end

      def exception = @route.local? ? "it is this machine" : "no_proxy names it"

      def dns
        host, = @route.peer
        if @route.address?(host)
          @addresses = [host]
          return green("dns", "#{host} is an address")
        end

        seconds = time { @addresses = look_up(host) }
        green("dns", "#{host} is #{@addresses.join(", ")} (#{milliseconds(seconds)})")
      rescue SocketError => e
        red("dns", "#{host} has no address#{" of the ip_version" if @settings[:ip_version]}: #{e.message}",
            "check the name, and whether this machine's name servers know it")
      end

      # With the system's resolver, as the clients do.
      def look_up(host)
        family = { ipv4: :INET, ipv6: :INET6 }[@settings[:ip_version]]
        Addrinfo.getaddrinfo(host, nil, family, :STREAM).map(&:ip_address).uniq
      end

      def tcp
        address = nil
        seconds = time do
          socket, address = @route.connect(@addresses)
          socket.close
        end
        @addresses = [address]
        green("tcp", "connected to #{peer(address)} (#{milliseconds(seconds)})")
      rescue SystemCallError => e
        red("tcp", "no connection to #{@addresses.map { |each| peer(each) }.join(", ")}: #{words(e)}", advice(e))
      end

      def peer(address) = "#{address.include?(":") ? "[#{address}]" : address}:#{@route.peer.last}"

      def words(error) = SystemCallError.new(nil, error.errno).message

      def advice(error)
        case error
        when Errno::ECONNREFUSED then "nothing listens there: check host and port"
        when Errno::ETIMEDOUT then "a firewall may drop the packets: check the rules for outgoing connections"
        else "check whether this machine has a route to it"
        end
      end

      def tunnel
        @route.tunnel(socket = @route.connect(@addresses).first)
        green("tunnel", "the proxy connects to #{@route.host}:#{@route.port}")
      rescue Route::Refused => e
        todo = "let the proxy connect there, or name the host in no_proxy"
        todo = "write user and password in the proxy's URL" if e.message.match?(/ 40[17] /)
        red("tunnel", "the proxy #{e.message}", todo)
      ensure
        socket&.close
      end

      def tls
        return plain unless @route.tls?

        require "openssl"
        socket = @route.connect(@addresses).first
        @route.tunnel(socket) if @route.proxied?
        handshake(socket)
      rescue SystemCallError, EOFError, Route::Refused => e
        red("tls", "the connection ended: #{e.message[/\A[\w ]+/]}",
            "check for a firewall or proxy between this machine and the service")
      ensure
        socket&.close
      end

      def plain
        return green("tls", "none: http on this machine") if @route.local?

        yellow("tls", "none: anyone on the network path can read the data", "use the URL with https")
      end

      def handshake(socket)
        store = store()
        problems = []
        ssl = OpenSSL::SSL::SSLSocket.new(socket, context(store, problems))
        ssl.hostname = @route.host unless @route.address?
        ssl.connect
        problems << :host unless OpenSSL::SSL.verify_certificate_identity(ssl.peer_cert, @route.host)
        judged(ssl, problems)
      rescue OpenSSL::X509::StoreError
        red("tls", "the certificates of ca_file cannot be read", "write the path of a PEM file")
      rescue OpenSSL::SSL::SSLError => e
        red("tls", "no TLS: #{refusal(e.message)}",
            "check the port, and whether the server supports TLS 1.2 or 1.3")
      end

      # Translates OpenSSL's message.
      def refusal(message)
        case message
        when /SYSCALL|EOF/i then "the connection was closed during the handshake"
        when /wrong version number|http request|packet length/ then "the server on this port does not use TLS"
        when /alert|unsupported protocol|no protocols/ then "the server accepts none of the versions and ciphers"
        else message[/state=(?:error: )?(.*)/, 1].to_s
        end
      end

      # Trusts the same certificates as the clients. Problems are collected, so that the chain can be shown.
      def context(store, problems)
        OpenSSL::SSL::SSLContext.new.tap do |context|
          context.min_version = OpenSSL::SSL::TLS1_2_VERSION
          context.cert_store = store
          context.verify_mode = OpenSSL::SSL::VERIFY_PEER
          context.verify_callback = lambda do |fine, state|
            problems << state.error unless fine
            true
          end
        end
      end

      def store
        OpenSSL::X509::Store.new.tap do |store|
          store.set_default_paths
          store.add_file(@settings[:ca_file].to_s) if @settings[:ca_file]
          # A trusted certificate needs no issuer.
          store.flags = OpenSSL::X509::V_FLAG_PARTIAL_CHAIN
        end
      end

      def judged(ssl, problems)
        chain = ssl.peer_cert_chain
        days = ((chain.map(&:not_after).min - Time.now) / DAY).floor
        subjects = chain.map { |certificate| certificate.subject.to_utf8 }.join(" < ")
        seen = "#{ssl.ssl_version}, #{subjects}, #{days.negative? ? "expired" : "#{days} days left"}"
        return red("tls", "#{seen}: #{problem(problems.first)}", remedy(problems.first)) if problems.any?
        return green("tls", seen) if days >= SOON

        yellow("tls", seen, "have the certificate of #{@route.host} renewed")
      end

      def problem(code)
        case code
        when :host then "the certificate is not for #{@route.host}"
        when OpenSSL::X509::V_ERR_CERT_HAS_EXPIRED then "a certificate has expired"
        when OpenSSL::X509::V_ERR_CERT_NOT_YET_VALID then "a certificate is not valid yet"
        else "no trusted authority has signed the certificate"
        end
      end

      def remedy(code)
        case code
        when :host then "check the host in the URL"
        when OpenSSL::X509::V_ERR_CERT_HAS_EXPIRED, OpenSSL::X509::V_ERR_CERT_NOT_YET_VALID
          "have it renewed, or set the clock of this machine"
        else "install the system's certificates (ca-certificates), or pass the authority's certificate as ca_file"
        end
      end

      def time
        start = Clock.now
        yield
        Clock.now - start
      end

      def milliseconds(seconds) = "#{(seconds * 1000).round} ms"
    end
    private_constant :Network
  end
end
