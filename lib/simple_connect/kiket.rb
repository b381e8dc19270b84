# frozen_string_literal: true

require_relative "internal/autoload"
require_relative "internal/clock"

module SimpleConnect
  # An extension of Kiket: {Webhooks::App} as Kiket's own SDK has it. Code that was written for that SDK works with
  # `KiketSDK = SimpleConnect::Kiket`.
  #
  # Not loaded by default: it is when you first use it. Handlers get a {Context}, and reach Kiket's API by
  # `context[:endpoints]` ({Endpoints}), `context[:secrets]` ({Secrets}) and `context[:client]` ({Client}).
  #
  # @example
  #   greenhouse = SimpleConnect::Kiket.new(
  #     extension_id: "org.glasshouse.watering", webhook_secret: "rainwater", workspace_token: "wk_glasshouse"
  #   )
  #   greenhouse.register("bed.dry", version: "v1") do |payload, context|
  #     context[:endpoints].log_event("watering.planned", bed: payload["bed"]["name"])
  #     { planned: true }
  #   end
  #   greenhouse.run!(port: 9292)
  class Kiket < Webhooks::App
    autoload :Auth, File.expand_path("kiket/auth.rb", __dir__)
    autoload :Client, File.expand_path("kiket/client.rb", __dir__)
    autoload :Context, File.expand_path("kiket/context.rb", __dir__)
    autoload :CustomData, File.expand_path("kiket/endpoints.rb", __dir__)
    autoload :Endpoints, File.expand_path("kiket/endpoints.rb", __dir__)
    autoload :Manifest, File.expand_path("kiket/manifest.rb", __dir__)
    autoload :RequestError, File.expand_path("kiket/client.rb", __dir__)
    autoload :Secrets, File.expand_path("kiket/secrets.rb", __dir__)
    autoload :Settings, File.expand_path("kiket/settings.rb", __dir__)
    autoload :SlaEvents, File.expand_path("kiket/endpoints.rb", __dir__)
    autoload :Telemetry, File.expand_path("kiket/telemetry.rb", __dir__)

    # Where Kiket's API is, unless told otherwise.
    BASE_URL = "https://kiket.dev"
    private_constant :BASE_URL

    # @param webhook_secret [String, nil] by default KIKET_WEBHOOK_SECRET, or else the manifest's `delivery_secret`
    # @param workspace_token [String, nil] by default KIKET_WORKSPACE_TOKEN; needed by calls of the API
    # @param base_url [String, nil] by default KIKET_BASE_URL, or else `https://kiket.dev`
    # @param settings [Hash] they win over the manifest's
    # @param extension_id [String, nil] by default the manifest's
    # @param extension_version [String, nil] by default the manifest's
    # @param manifest_path [String, nil] by default `extension.yaml` or `manifest.yaml`, where there is one
    # @param auto_env_secrets [Boolean] whether the manifest's secret settings come from KIKET_SECRET_…
    # @param telemetry_enabled [Boolean] whether records are posted; KIKET_SDK_TELEMETRY_OPTOUT=1 turns that off, too
    # @param feedback_hook [#call, nil] see {Telemetry}
    # @param telemetry_url [String, nil] by default KIKET_SDK_TELEMETRY_URL
    # @param extension_api_key [String, nil] by default KIKET_EXTENSION_API_KEY
    # @param options [Hash] `replay_guard:`, `tolerance:` and the like, see {Webhooks::App#initialize}
    # @raise [ConfigurationError] where an option cannot be used; the message says what to write
    # @example For a spec
    #   SimpleConnect::Kiket.new(webhook_secret: "rainwater")
    def initialize(webhook_secret: nil, workspace_token: nil, base_url: nil, settings: {}, extension_id: nil,
                   extension_version: nil, manifest_path: nil, auto_env_secrets: true, telemetry_enabled: true,
                   feedback_hook: nil, telemetry_url: nil, extension_api_key: nil, **options)
      manifest = Manifest.load(manifest_path, env: auto_env_secrets ? ENV : {})
      secret = webhook_secret || variable("WEBHOOK_SECRET") || manifest&.delivery_secret
      super(scheme: :kiket, secret:, **options)
      extension_api_key ||= variable("EXTENSION_API_KEY")
      @client = Client.new(base_url || variable("BASE_URL") || BASE_URL,
                           workspace_token: workspace_token || variable("WORKSPACE_TOKEN"),
                           extension_api_key:)
      @extension = extension(manifest, settings, extension_id, extension_version)
      @telemetry = Telemetry.new(feedback_hook:, url: telemetry_url || variable("SDK_TELEMETRY_URL"),
                                 enabled: telemetry_enabled, extension_api_key:,
                                 **@extension.slice(:extension_id, :extension_version))
    end

    private

    # What is the same for each event.
    def extension(manifest, settings, id, version)
      { settings: (manifest&.settings || Settings.new).merge(Settings.of(settings)).freeze,
        extension_id: id || manifest&.id, extension_version: version || manifest&.version }.freeze
    end

    def context(registration, headers)
      Context.new(registration.event, registration.version, headers, client: @client, **@extension)
    end

    # @return [String] the answer
    def handle(registration, payload, env)
      started = Clock.now
      answer = super
      @telemetry.record(registration.event, registration.version, Clock.now - started)
      answer
    rescue *FAILURES => e
      @telemetry.record(registration.event, registration.version, Clock.now - started, e)
      raise
    end

    def variable(name)
      value = ENV.fetch("KIKET_#{name}", nil)
      value unless value.to_s.empty?
    end
  end
end
