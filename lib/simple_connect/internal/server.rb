# frozen_string_literal: true

require_relative "../errors"

module SimpleConnect
  # Serves a Rack app through Puma, in the background.
  # @api private
  class Server
    # How much larger than the app's limit a body may be to be read.
    MARGIN = 64 * 1024
    private_constant :MARGIN

    # @return [String] such as `http://127.0.0.1:9292`
    attr_reader :url

    # @param app [#call]
    # @param name [String] what errors call it
    # @param host [String] the address to listen on
    # @param port [Integer] 0 for any that is free
    # @param max_body_bytes [Integer, nil] the largest body that the app takes. From version 6 on Puma refuses a larger
    #   one before it reads it, if it has a Content-Length. Else, and in Puma 5, it is read into a file first
    # @raise [LoadError] where Puma is missing
    # @raise [SystemCallError, SocketError] where it cannot listen there
    def initialize(app, name, host, port, max_body_bytes: nil)
      # What is just too large gets the app's answer, in JSON. Up to 112 KiB Puma keeps a body in memory.
      limit = max_body_bytes && (max_body_bytes + MARGIN)
      @puma = puma(app, name, limit)
      @puma.add_tcp_listener(host, port)
      @puma.run
      @url = "http://#{host.include?(":") ? "[#{host.delete("[]")}]" : host}:#{@puma.connected_ports.first}"
    end

    # Stops, after answering what is under way.
    def stop = @puma.stop(true)

    # Serves until INT or TERM; yields the URL before.
    def self.run(*arguments, **options)
      server = nil
      until_stopped do
        server = new(*arguments, **options)
        yield server.url
      end
    ensure
      server&.stop
    end

    # Runs the block, and then waits for INT or TERM.
    def self.until_stopped
      signals = Queue.new
      handlers = %w[INT TERM].to_h { |signal| [signal, trap(signal) { signals << signal }] }
      yield
      signals.pop
    ensure
      handlers&.each { |signal, handler| trap(signal, handler || "DEFAULT") }
    end

    private

    def puma(app, name, limit)
      # Puma sets this where it is missing, and an application loaded later would go by it.
      environment = ENV.fetch("RACK_ENV", nil)
      require "puma"
      require "puma/server"
      # Without an environment, Puma shows whoever asks the message and the backtrace of what escapes an app. Puma 6 has
      # its log writer elsewhere.
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
