# frozen_string_literal: true

require "json"
require "rack"

# Kiket's API, as far as extensions call it: a Rack app that keeps secrets and records in memory.
class KiketApi
  Request = Struct.new(:verb, :path, :query, :headers, :body)

  # @return [Array<Request>] in the order in which they came
  attr_reader :requests
  # @return [Hash] what it answers: the rate limit's numbers, and the SLA events
  attr_accessor :limits, :sla

  def initialize
    @lock = Mutex.new
    @requests = []
    @secrets = {}
    @records = []
    @limits = { limit: 600, remaining: 97, window_seconds: 60, reset_in: 12 }
    @sla = [{ issue_id: 7, state: "imminent" }]
  end

  def call(env)
    @lock.synchronize do
      request = read(env)
      @requests << request
      status, json = respond(request)
      [status, { "content-type" => "application/json" }, json.nil? ? [] : [JSON.generate(json)]]
    end
  end

  private

  def read(env)
    body = env["rack.input"].read
    headers = env.select { |name, _| name.match?(/\AHTTP_(AUTHORIZATION|X_KIKET_)/) }
    Request.new(env["REQUEST_METHOD"], env["PATH_INFO"], Rack::Utils.parse_query(env["QUERY_STRING"]),
                headers.transform_keys { |name| name.delete_prefix("HTTP_").downcase.tr("_", "-") },
                body.empty? ? nil : JSON.parse(body))
  end

  def respond(request)
    return [401, { error: "who are you?" }] unless request.headers.key?("authorization")

    case [request.verb, request.path]
    in ["POST", %r{\A/extensions/[^/]+/events\z}] | ["POST", "/api/v1/extensions/notifications"] then [201, { id: 1 }]
    in ["GET", %r{\A/extensions/[^/]+/secrets\z}] then [200, { keys: @secrets.keys }]
    in [verb, %r{\A/extensions/[^/]+/secrets/([^/]+)\z}] then secret(verb, Regexp.last_match(1), request.body)
    in ["GET", "/api/v1/ext/rate_limit"] then [200, { rate_limit: @limits }]
    in ["GET", "/api/v1/ext/sla/events"] then [200, { data: @sla }]
    in [verb, %r{\A/api/v1/ext/custom_data/[^/]+/[^/]+(?:/([^/]+))?\z}]
      record(verb, Regexp.last_match(1)&.to_i, request.body)
    else [404, { error: "not found" }]
    end
  end

  def secret(verb, key, body)
    case verb
    when "GET" then @secrets.key?(key) ? [200, { value: @secrets[key] }] : [404, { error: "no such secret" }]
    when "POST" then [201, { key: }].tap { @secrets[key] = body.fetch("value") }
    when "DELETE" then [204, nil].tap { @secrets.delete(key) }
    else [405, { error: "no" }]
    end
  end

  def record(verb, id, body)
    case [verb, id]
    in ["GET", nil] then [200, { data: @records.compact }]
    in ["POST", nil]
      @records << { id: @records.length, **body.fetch("record") }
      [201, { data: @records.last }]
    in ["GET", Integer] then @records[id] ? [200, { data: @records[id] }] : [404, { error: "no such record" }]
    in ["PATCH", Integer] then [200, { data: @records[id].merge!(body.fetch("record")) }]
    in ["DELETE", Integer] then [204, nil].tap { @records[id] = nil }
    end
  end
end
