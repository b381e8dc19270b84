# frozen_string_literal: true

require "ipaddr"
require_relative "../../internal/autoload"

module SimpleConnect
  class Sandbox
    class Inbox
      # Keeps other web sites away from an inbox: they could point a name of theirs to this machine, or let a browser
      # send requests here.
      # @api private
      class Guard
        # Names that no other web site can have: those without a dot, and reserved ones.
        LOCAL = /\A(?:[^.]+|(?:.+\.)?(?:localhost|test))\.?\z/i
        # What a page may do: only what this inbox serves. Everything else is refused by the browser.
        POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " \
                 "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        # Header fields of each response.
        HEADERS = {
          "content-security-policy" => POLICY, "x-content-type-options" => "nosniff", "x-frame-options" => "DENY",
          "referrer-policy" => "no-referrer", "cross-origin-opener-policy" => "same-origin",
          "cross-origin-resource-policy" => "same-origin", "cache-control" => "no-store"
        }.freeze
        FOREIGN = "this inbox takes no requests from other web sites"
        private_constant :LOCAL, :POLICY, :FOREIGN

        # @param auth [#call, nil] gets the Rack env
        # @param known [Boolean] whether everybody knows some of the sandbox's credentials
        def initialize(auth, known)
          @auth = auth
          @known = known
        end

        # @param env [Hash] Rack's
        # @param api [Boolean] whether it is a request to the API, which no other site may make
        # @return [String, nil] why it is refused
        def refusal(env, api:)
          if @auth
            return "the auth: of this inbox refuses the request" unless @auth.call(env)
          elsif !local?(env)
            return foreign_host(env, "pass auth:")
          end
          FOREIGN if foreign?(env, api)
        end

        # @param env [Hash] Rack's, of a request to the sandbox that this inbox shows
        # @return [String, nil] why it is refused
        def refusal_of_service(env)
          return FOREIGN if foreign?(env, true)
          # The signature or the key protects it, unless it is a known one.
          return if (@auth && !@known) || sent?(env) || local?(env)

          foreign_host(env, @auth ? "pass your own secret: and api_key: to Sandbox.new" : "pass auth:")
        end

        private

        # Whether something is sent, and by no browser. A host may have any name for those who send.
        def sent?(env) = env["REQUEST_METHOD"] == "POST" && !env["HTTP_ORIGIN"] && !env["HTTP_SEC_FETCH_SITE"]

        def foreign_host(env, way)
          "this inbox is not served for the host #{env["HTTP_HOST"].to_s[0, 100].inspect}: use localhost or an IP " \
            "address, or #{way}"
        end

        # An address is not a name that could be pointed here.
        def local?(env)
          host = (env["HTTP_HOST"] || env["SERVER_NAME"]).to_s.b
          name = host[%r{\A(\[[\h:.]+\]|[^:\s/]+)(?::\d+)?\z}, 1] or return false
          name.match?(LOCAL) || !IPAddr.new(name).nil?
        rescue IPAddr::Error
          false
        end

        def foreign?(env, api)
          origin = env["HTTP_ORIGIN"]
          # The scheme is left out: behind a proxy, a server does not know it.
          return origin.b[%r{\Ahttps?://(.+)\z}, 1] != env["HTTP_HOST"]&.b if origin

          api && %w[cross-site same-site].include?(env["HTTP_SEC_FETCH_SITE"])
        end
      end
    end
  end
end
