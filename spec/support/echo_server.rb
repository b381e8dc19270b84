# frozen_string_literal: true

require "json"
require_relative "scripted_server"

# A server whose answers name the event that they are for. It can hold one back.
class EchoServer < ScriptedServer
  # What the answer of a held event waits for, and what tells that the event is there.
  Hold = Struct.new(:event_id, :arrived, :released) do
    # Returns when the request has come.
    def wait = arrived.pop

    def release = released.close
  end

  def initialize(**options)
    @hold = nil
    super([method(:echo).to_proc], **options)
  end

  # @return [Hold] for the next event of this id
  def hold(event_id) = @hold = Hold.new(event_id, Queue.new, Queue.new)

  # @return [Array<String>] the events' ids in the order in which they came
  def event_ids = requests.map { |request| event_id(request) }

  # @return [Hash{Integer => Array<String>}] the events' ids by the connection on which they came
  def event_ids_by_connection
    requests.group_by(&:connection).transform_values { |requests| requests.map { |request| event_id(request) } }
  end

  private

  def event_id(request) = JSON.parse(request.body).fetch("event_id")

  def echo(connection, request)
    id = event_id(request)
    if @hold&.event_id == id
      @hold.arrived << true
      @hold.released.pop
    end
    body = JSON.generate(status: "accepted", log_id: 7, event_id: id)
    connection.io.write("HTTP/1.1 202 Accepted\r\nContent-Length: #{body.bytesize}\r\n\r\n#{body}")
    true
  end
end
