# frozen_string_literal: true

module SimpleConnect
  # Reads the proxy from the environment.
  # @api private
  module EnvironmentProxy
    class << self
      # Reads https_proxy first for https; Net::HTTP, and so the pure-Ruby gem, reads http_proxy only. HTTP_PROXY is
      # ignored in CGI scripts, where a request can set it.
      #
      # @param url [String] of the server
      # @return [Hash{Symbol => String, nil}] `proxy:`, the `proxy_variable:` it comes from, and `no_proxy:`
      def options(url)
        names = ["http_proxy", *("HTTP_PROXY" unless ENV.key?("REQUEST_METHOD"))]
        names.unshift("https_proxy", "HTTPS_PROXY") if url.match?(/\Ahttps:/i)
        name = names.find { |variable| ENV.key?(variable) }
        found = in_plain_http(ENV.fetch(name)) if name
        no_proxy = ENV["no_proxy"] || ENV["NO_PROXY"] || ""
        { proxy: found.to_s.empty? ? nil : found, proxy_variable: name, no_proxy: }
      end

      private

      # Net::HTTP uses only host and port, so many people write https for a proxy that speaks plain HTTP.
      def in_plain_http(url)
        plain = url.b.sub(%r{\Ahttps://([^/?#]*)}i) do
          server = Regexp.last_match(1)
          "http://#{server}#{":443" unless server.match?(/:\d+\z/)}"
        end
        plain.force_encoding(Encoding::UTF_8)
      end
    end
  end
  private_constant :EnvironmentProxy
end
