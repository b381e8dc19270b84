# frozen_string_literal: true

require_relative "internal/autoload"
require_relative "internal/clock"

module SimpleConnect
  # A Kiket extension: {Webhooks::App} with the interface of Kiket's own SDK. Code for that SDK works with
  # `KiketSDK = SimpleConnect::Kiket`.
  #
  # Loaded on first use. Handlers get a {Context} and call Kiket's API through `context[:endpoints]` ({Endpoints}),
  # `context[:secrets]` ({Secrets}) and `context[:client]` ({Client}).
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

    # The default URL of Kiket's API.
    BASE_URL = "https://kiket.dev"
    private_constant :BASE_URL

    # @param webhook_secret [String, nil] default: KIKET_WEBHOOK_SECRET, then the manifest's `delivery_secret`
    # @param workspace_token [String, nil] default: KIKET_WORKSPACE_TOKEN; needed for API calls
    # @param base_url [String, nil] default: KIKET_BASE_URL, then `https://kiket.dev`
    # @param settings [Hash] take precedence over the manifest's
    # @param extension_id [String, nil] default: the manifest's
    # @param extension_version [String, nil] default: the manifest's
    # @param manifest_path [String, nil] default: `extension.yaml` or `manifest.yaml`, if it exists
    # @param auto_env_secrets [Boolean] whether to read the manifest's secret settings from KIKET_SECRET_…
    # @param telemetry_enabled [Boolean] whether to post telemetry; KIKET_SDK_TELEMETRY_OPTOUT=1 also turns it off
    # @param feedback_hook [#call, nil] see {Telemetry}
    # @param telemetry_url [String, nil] default: KIKET_SDK_TELEMETRY_URL
    # @param extension_api_key [String, nil] default: KIKET_EXTENSION_API_KEY
    # @param options [Hash] `replay_guard:`, `tolerance:` and others, see {Webhooks::App#initialize}
    # @raise [ConfigurationError] if an option is invalid; the message says what to write
    # @example In a spec
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

    # The part of the context that is the same for each event.
    def extension(manifest, settings, id, version)
      { settings: (manifest&.settings || Settings.new).merge(Settings.of(settings)).freeze,
        extension_id: id || manifest&.id, extension_version: version || manifest&.version }.freeze
    end

    def context(registration, headers)
      Context.new(registration.event, registration.version, headers, client: @client, **@extension)
    end

    # @return [String] the response body
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
