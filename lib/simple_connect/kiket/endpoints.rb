# frozen_string_literal: true

require "time"
require "uri"
require_relative "../internal/autoload"

module SimpleConnect
  class Kiket < Webhooks::App
    # The API of Kiket for extensions: `context[:endpoints]`. Each call raises the errors of {Client#get} and
    # {Client#post}.
    class Endpoints
      # @param client [Client]
      # @param extension_id [String, nil]
      # @param event_version [String]
      # @example In a script
      #   SimpleConnect::Kiket::Endpoints.new(client, "org.glasshouse.watering", "v1")
      def initialize(client, extension_id, event_version)
        @client = client
        @extension_id = extension_id
        @event_version = event_version
      end

      # Writes to the extension's log.
      #
      # @param event [String] such as `"issue.created"`
      # @param data [Hash]
      # @return [Object, nil] the parsed JSON of the response
      # @raise [ConfigurationError] if the extension has no id
      # @raise [Error] as for {Client#post}
      # @example
      #   context[:endpoints].log_event("watering.planned", bed: "tomatoes")
      def log_event(event, data)
        @client.post("#{extension_path}/events",
                     { event:, version: @event_version, data:, timestamp: Time.now.utc.iso8601 })
      end

      # Shows a notification to the people of the workspace.
      #
      # @param title [String]
      # @param body [String]
      # @param level [String] such as `"info"` or `"warning"`
      # @return [Object, nil] the parsed JSON of the response
      # @raise [Error] as for {Client#post}
      # @example
      #   context[:endpoints].notify("Little water", "The tank is at 10 %", "info")
      def notify(title, body, level)
        @client.post("/api/v1/extensions/notifications", { title:, body:, level: })
      end

      # @return [Hash{String => Object}] `limit`, `remaining`, `window_seconds` and `reset_in`
      # @raise [Error] as for {Client#get}
      # @example
      #   context[:endpoints].rate_limit["remaining"] # => 97
      def rate_limit
        answer = @client.get("/api/v1/ext/rate_limit")
        limits = answer["rate_limit"] if answer.is_a?(Hash)
        limits.is_a?(Hash) ? limits : raise(MalformedResponseError, "Kiket's response has no rate_limit object")
      end

      # @return [Secrets] the extension's secrets
      # @raise [ConfigurationError] if the extension has no id
      # @example
      #   context[:endpoints].secrets.get("VALVE_PIN")
      def secrets = Secrets.new(SecretStore.new(@client, extension_path))

      # @param project_id [String, Integer]
      # @return [CustomData] the project's records
      # @raise [ArgumentError] if it is blank
      # @example
      #   context[:endpoints].custom_data(7).list("org.glasshouse.diary", "entries")
      def custom_data(project_id) = CustomData.new(@client, project_id)

      # @param project_id [String, Integer]
      # @return [SlaEvents] the project's SLA events
      # @raise [ArgumentError] if it is blank
      # @example
      #   context[:endpoints].sla_events(7).list(state: "breached")
      def sla_events(project_id) = SlaEvents.new(@client, project_id)

      # @return [String]
      def inspect = "#<#{self.class.name} #{@extension_id} #{@event_version}>"

      private

      def extension_path
        id = @extension_id.to_s
        if id.strip.empty?
          raise ConfigurationError, "extension_id is required for this call: pass it, or set id in the manifest"
        end

        "/extensions/#{Transport.segment("extension_id", id)}"
      end
    end

    # Stores secrets through Kiket's API, for {Kiket::Secrets}.
    # @api private
    class SecretStore
      def initialize(client, extension_path)
        @client = client
        @path = "#{extension_path}/secrets"
      end

      # @return [String, nil] nil if there is none
      def get(key)
        answer = @client.get(path(key))
        answer["value"] if answer.is_a?(Hash)
      rescue RequestError => e
        raise unless e.result.status_code == 404
      end

      def set(key, value) = @client.post(path(key), { value: })

      def delete(key) = @client.delete(path(key))

      # @return [Array<String>]
      def list
        answer = @client.get(@path)
        answer.is_a?(Hash) ? Array(answer["keys"]) : []
      end

      private

      def path(key) = "#{@path}/#{Transport.segment("key", key)}"
    end
    private_constant :SecretStore

    # Base class for the API of one project.
    # @api private
    class OfProject
      def initialize(client, project_id)
        raise ArgumentError, "project_id is required" if project_id.to_s.strip.empty?

        @client = client
        @project_id = project_id.to_s
      end

      # @return [String]
      def inspect = "#<#{self.class.name} #{@project_id}>"

      private

      def query(more = {}) = "?#{URI.encode_www_form({ project_id: @project_id, **more.compact })}"
    end
    private_constant :OfProject

    # The records of modules in a project: {Endpoints#custom_data}. Each call raises the errors of {Client#get} and
    # {Client#post}.
    class CustomData < OfProject
      # @param module_key [String] such as `"com.example.crm.contacts"`
      # @param table [String]
      # @param limit [Integer, nil] the maximum number of records
      # @param filters [Hash, nil] values that the records must have
      # @return [Hash{String => Object}] the records are in `"data"`
      # @raise [Error] as for {Client#get}
      # @example
      #   custom_data.list("org.glasshouse.diary", "entries", limit: 25, filters: { kind: "watering" })
      def list(module_key, table, limit: nil, filters: nil)
        @client.get(path(module_key, table) + query(limit:, filters: filters && Codec.generate(filters)))
      end

      # @param module_key [String]
      # @param table [String]
      # @param id [String, Integer]
      # @return [Hash{String => Object}] the record
      # @raise [Error] as for {Client#get}
      # @example
      #   custom_data.get("org.glasshouse.diary", "entries", 7)
      def get(module_key, table, id) = @client.get(path(module_key, table, id) + query)

      # @param module_key [String]
      # @param table [String]
      # @param record [Hash]
      # @return [Hash{String => Object}] the stored record
      # @raise [Error] as for {Client#post}
      # @example
      #   custom_data.create("org.glasshouse.diary", "entries", { litres: 12 })
      def create(module_key, table, record) = @client.post(path(module_key, table) + query, { record: })

      # @param module_key [String]
      # @param table [String]
      # @param id [String, Integer]
      # @param record [Hash] the members to change
      # @return [Hash{String => Object}] the stored record
      # @raise [Error] as for {Client#post}
      # @example
      #   custom_data.update("org.glasshouse.diary", "entries", 7, { litres: 12 })
      def update(module_key, table, id, record) = @client.patch(path(module_key, table, id) + query, { record: })

      # @param module_key [String]
      # @param table [String]
      # @param id [String, Integer]
      # @return [Object, nil] the parsed JSON of the response
      # @raise [Error] as for {Client#get}
      # @example
      #   custom_data.delete("org.glasshouse.diary", "entries", 7)
      def delete(module_key, table, id) = @client.delete(path(module_key, table, id) + query)

      private

      def path(module_key, table, *id)
        segments = { "module_key" => module_key, "table" => table, "id" => id.first }.first(2 + id.size)
        "/api/v1/ext/custom_data/#{segments.map { |name, value| segment(name, value.to_s) }.join("/")}"
      end

      def segment(name, value)
        raise ArgumentError, "#{name} is required" if value.strip.empty?

        Transport.segment(name, value)
      end
    end

    # SLA events of a project's issues, breached or imminent: {Endpoints#sla_events}.
    class SlaEvents < OfProject
      # @param issue_id [String, Integer, nil] only events of this issue
      # @param state [String, nil] such as `"imminent"`
      # @param limit [Integer, nil] the maximum number of events
      # @return [Hash{String => Object}] the events are in `"data"`
      # @raise [Error] as for {Client#get}
      # @example
      #   context[:endpoints].sla_events(7).list(state: "breached", limit: 2)
      def list(issue_id: nil, state: nil, limit: nil)
        @client.get("/api/v1/ext/sla/events#{query(issue_id:, state:, limit:)}")
      end
    end
  end
end
