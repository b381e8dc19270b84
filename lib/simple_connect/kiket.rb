# frozen_string_literal: true

require "json"
require_relative "webhooks"
require_relative "kiket/auth"
require_relative "kiket/client"
require_relative "kiket/endpoints"

module SimpleConnect
  # An extension of Kiket: {Webhooks::App} as Kiket's own SDK has it. Code that was written for that SDK works with
  # `KiketSDK = SimpleConnect::Kiket`.
  #
  # It must be asked for, with `require "simple_connect/kiket"`. Handlers reach Kiket's API by `context[:endpoints]`
  # ({Endpoints}), `context[:secrets]` ({Secrets}) and `context[:client]` ({Client}).
  #
  # @example
  #   require "simple_connect/kiket"
  #
  #   greenhouse = SimpleConnect::Kiket.new(
  #     extension_id: "org.glasshouse.watering", webhook_secret: "rainwater", workspace_token: "wk_glasshouse"
  #   )
  #   greenhouse.register("bed.dry", version: "v1") do |payload, context|
  #     context[:endpoints].log_event("watering.planned", bed: payload["bed"]["name"])
  #     { planned: true }
  #   end
  #   greenhouse.run!(port: 9292)
  class Kiket < Webhooks::App
    # Where Kiket's API is, unless told otherwise.
    BASE_URL = "https://kiket.dev"
    # What the names of environment variables with secrets begin with.
    SECRET_PREFIX = "KIKET_SECRET"
    # Set this variable to 1, and there is no telemetry.
    OPT_OUT = "KIKET_SDK_TELEMETRY_OPTOUT"
    private_constant :BASE_URL, :SECRET_PREFIX, :OPT_OUT

    # The extension's secrets, kept by Kiket.
    Secrets = Webhooks::Secrets

    # @param webhook_secret [String, nil] by default KIKET_WEBHOOK_SECRET, or else the manifest's `delivery_secret`
    # @param workspace_token [String, nil] by default KIKET_WORKSPACE_TOKEN; needed by calls of the API
    # @param base_url [String, nil] by default KIKET_BASE_URL, or else `https://kiket.dev`
    # @param settings [Hash] they win over the manifest's
    # @param extension_id [String, nil] by default the manifest's
    # @param extension_version [String, nil] by default the manifest's
    # @param manifest_path [String, nil] by default `extension.yaml` or `manifest.yaml`, where there is one
    # @param auto_env_secrets [Boolean] whether the manifest's secret settings come from KIKET_SECRET_…
    # @param telemetry_enabled [Boolean] KIKET_SDK_TELEMETRY_OPTOUT turns it off, too
    # @param feedback_hook [#call, nil] see {Webhooks::Telemetry}
    # @param telemetry_url [String, nil] by default KIKET_SDK_TELEMETRY_URL
    # @param extension_api_key [String, nil] by default KIKET_EXTENSION_API_KEY
    # @param options [Hash] `replay_guard:`, `tolerance:` and the like, see {Webhooks::App#initialize}
    # @raise [ConfigurationError] where an option cannot be used; the message says what to write
    # @example For a spec
    #   SimpleConnect::Kiket.new(webhook_secret: "rainwater")
    def initialize(webhook_secret: nil, workspace_token: nil, base_url: nil, settings: {}, extension_id: nil,
                   extension_version: nil, manifest_path: nil, auto_env_secrets: true, telemetry_enabled: true,
                   feedback_hook: nil, telemetry_url: nil, extension_api_key: nil, **options)
      manifest = Webhooks::Manifest.load(manifest_path, env: auto_env_secrets ? ENV : {}, prefix: SECRET_PREFIX)
      client = Client.new(base_url || variable("BASE_URL") || BASE_URL,
                          workspace_token: workspace_token || variable("WORKSPACE_TOKEN"),
                          extension_api_key: extension_api_key || variable("EXTENSION_API_KEY"))
      super(scheme: :kiket, secret: webhook_secret || variable("WEBHOOK_SECRET"), manifest:, settings:, extension_id:,
            extension_version:, feedback_hook:, telemetry_url: telemetry_url || variable("SDK_TELEMETRY_URL"),
            telemetry_enabled: telemetry_enabled && !Webhooks::Telemetry.opted_out?(ENV, OPT_OUT),
            **parts_with(client), **options)
    end

    private

    # In a method of its own: a Proc keeps all variables of the method that makes it, and those here are no secrets.
    def parts_with(client)
      endpoints = lambda do |context|
        Endpoints.new(client.for_version(context.event_version), context.extension_id, context.event_version)
      end
      { client: ->(context) { client.for_version(context.event_version) }, endpoints:,
        secrets: ->(context) { endpoints.call(context).secrets },
        rate_limit: ->(context) { endpoints.call(context).rate_limit } }
    end

    def variable(name)
      value = ENV.fetch("KIKET_#{name}", nil)
      value unless value.to_s.empty?
    end
  end
end
