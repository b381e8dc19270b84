# frozen_string_literal: true

require "json"
require "logger"
require "simple_connect"
require_relative "outbox_tables"
require_relative "scripted_server"

# What specs of the outbox share. A group that includes it defines `base`.
module Outboxes
  Outbox = SimpleConnect::Outbox
  Store = Outbox.const_get(:Store)
  Relay = Outbox.const_get(:Relay)
  Outcome = Outbox.const_get(:Outcome)
  TABLES = %w[events lanes clients].freeze

  # A server that answers with what the block returns for the event's id: a status, or a status and headers.
  # @yieldparam server [ScriptedServer]
  def self.serve(answer, &block)
    step = lambda do |connection, request|
      id = JSON.parse(request.body)["event"]["event_id"]
      status, headers = answer.call(id, request)
      body = status == 202 ? JSON.generate(event_id: id) : "{}"
      fields = headers.to_h.map { |field| "#{field.join(": ")}\r\n" }.join
      connection.io.write("HTTP/1.1 #{status} X\r\n#{fields}Content-Length: #{body.bytesize}\r\n\r\n#{body}")
      true
    end
    ScriptedServer.open([step], &block)
  end

  def store(cipher: nil) = Store.new(base, cipher:)

  # @return [Hash] the row of an event
  def row(id, lane: "asha", client: "default", **more)
    event = { event_id: id, name: "paid", occurred_at: "2026-01-01T00:00:00Z" }
    body = JSON.generate(recipient: { mobile_no: "+919812345678" }, event:)
    { client:, event_id: id, event_key: "paid", body:, lane_key: lane, expires_at: nil, traceparent: nil, **more }
  end

  def write(*ids, **more) = store.insert(ids.map { |id| row(id, **more) })

  # @return [Array<Array>] of the values of a statement on the tables, whose names it has in short
  def sql(text) = base.connection.exec_query(in_full(text)).rows

  def sql!(text) = base.connection.update(in_full(text))

  def in_full(text) = text.gsub(/\b(#{TABLES.join("|")})\b/, 'simple_connect_outbox_\1')

  # In a thread with a connection of its own.
  def aside(&block)
    thread = Thread.new { base.connection_pool.with_connection(&block) }
    thread.report_on_exception = false
    threads << thread
    thread
  end

  # What is to end with the example.
  def threads = @threads ||= []

  def clear
    TABLES.each { |table| sql!("DELETE FROM #{table}") }
  end

  # The ids of the events that came, in their order.
  def came(server) = server.requests.map { |request| JSON.parse(request.body)["event"]["event_id"] }

  def configure(endpoint, **clients)
    SimpleConnect.configure do |config|
      config.endpoint_url = endpoint
      config.key_id = "k"
      config.secret = "s"
      config.timeout = 5
      config.logger = Logger.new(nil)
      clients.each { |name, url| config.client(name) { |client| client.endpoint_url = url } }
    end
  end
end
