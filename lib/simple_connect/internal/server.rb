# frozen_string_literal: true

require_relative "../errors"
require_relative "stop_signals"

module SimpleConnect
  # Serves a Rack app through Puma, in the background.
  # @api private
  class Server
    # The bytes above the app's limit that Puma still reads, so that the app can answer with JSON.
    MARGIN = 64 * 1024
    private_constant :MARGIN

    # @return [String] its URL, such as `http://127.0.0.1:9292`
    attr_reader :url

    # @param app [#call]
    # @param name [String] its name in errors
    # @param host [String] the address to listen on
    # @param port [Integer] 0 for any free port
    # @param max_body_bytes [Integer, nil] the app's maximum body size. Puma 6 and later reject a body with a larger
    #   Content-Length before they read it. Puma 5, or without Content-Length, reads it into a file first
    # @raise [LoadError] if Puma is missing
    # @raise [SystemCallError, SocketError] if it cannot listen on that address
    def initialize(app, name, host, port, max_body_bytes: nil)
      # Slightly too large bodies get the app's JSON response. Puma keeps bodies up to 112 KiB in memory.
      limit = max_body_bytes && (max_body_bytes + MARGIN)
      @puma = puma(app, name, limit)
      @puma.add_tcp_listener(host, port)
      @puma.run
      @url = "http://#{host.include?(":") ? "[#{host.delete("[]")}]" : host}:#{@puma.connected_ports.first}"
    end

    # Stops after answering requests that are in progress.
    def stop = @puma.stop(true)

    # Serves until INT or TERM. Yields the URL before.
    def self.run(*arguments, **options)
      server = nil
      until_stopped do
        server = new(*arguments, **options)
        yield server.url
      end
    ensure
      server&.stop
    end

    # Runs the block, then waits for INT or TERM.
    def self.until_stopped
      signals = Queue.new
      StopSignals.call(-> { signals << true }) do
        yield
        signals.pop
      end
    end

    private

    def puma(app, name, limit)
      # Puma sets RACK_ENV if it is missing, and an application loaded later would read it.
      environment = ENV.fetch("RACK_ENV", nil)
      require "puma"
      require "puma/server"
      # Without an environment, Puma sends message and backtrace of unhandled errors to the client. Puma 6 has its log
      # writer elsewhere.
      events = Puma::Events.stdio if Puma::Events.respond_to?(:stdio)
      Puma::Server.new(app, events, { environment: "production", http_content_length_limit: limit })
    rescue LoadError => e
      raise unless e.path == "puma"

      raise LoadError, "#{name} is served by Puma, which is missing: add gem \"puma\" to your Gemfile, " \
                       "or run gem install puma"
    ensure
      ENV["RACK_ENV"] = environment
    end
  end
  private_constant :Server
end
