# frozen_string_literal: true

module SimpleConnect
  # The proxy that the environment names.
  # @api private
  module EnvironmentProxy
    class << self
      # For https the variable of its own comes first; Net::HTTP, and so the pure-Ruby gem, goes by http_proxy alone.
      # HTTP_PROXY can be set by a request in a CGI script, and does not count there.
      #
      # @param url [String] of the server
      # @return [Hash{Symbol => String, nil}] `proxy:`, the `proxy_variable:` that names it, and what `no_proxy:` holds
      def options(url)
        names = ["http_proxy", *("HTTP_PROXY" unless ENV.key?("REQUEST_METHOD"))]
        names.unshift("https_proxy", "HTTPS_PROXY") if url.match?(/\Ahttps:/i)
        name = names.find { |variable| ENV.key?(variable) }
        found = in_plain_http(ENV.fetch(name)) if name
        no_proxy = ENV["no_proxy"] || ENV["NO_PROXY"] || ""
        { proxy: found.to_s.empty? ? nil : found, proxy_variable: name, no_proxy: }
      end

      private

      # Like Net::HTTP, which takes host and port alone: many write https for a proxy that speaks plain HTTP.
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
