# frozen_string_literal: true

require "fileutils"
require "json"
require "open3"
require "rack"
require "rbconfig"
require "simple_connect/kiket"
require "tmpdir"
require_relative "../support/environment"
require_relative "../support/namespace"

# Whoever has written an extension with Kiket's SDK has it work with ours, whatever form its calls have.
RSpec.describe "The call forms of Kiket's SDK" do
  include Environment

  root = File.expand_path("../..", __dir__)
  examples = "#{root}/spec/fixtures/call_forms/kiket"
  load_path = ["-I", "#{root}/lib", "-I", examples]

  # Gives what the extension's handlers print, the answers, and what Kiket's API was asked.
  define_method(:run_extension) do
    command = [RbConfig.ruby, *load_path, "#{root}/spec/support/kiket_extension.rb"]
    # Its port is 9292, which somebody else may have.
    command = Namespace.command(*command) unless Namespace.unavailable(mounts: false)
    out, err, status = Open3.capture3(*command)
    raise err unless status.success?

    *printed, result = out.lines
    [printed, *JSON.parse(result)]
  end

  it "work in an extension", skip: Libraries.missing("puma") do
    printed, answers, requests, registered = run_extension
    token = { "authorization" => "Bearer wk_glasshouse", "x-kiket-api-key" => "ek_glasshouse" }
    v1 = { **token, "x-kiket-event-version" => "v1" }
    v2 = { **token, "x-kiket-event-version" => "v2" }
    extension = "/extensions/org.glasshouse.watering"
    pin = "#{extension}/secrets/VALVE_PIN"
    entries = "/api/v1/ext/custom_data/org.glasshouse.diary/entries"
    project = { "project_id" => "42" }
    timed = ->(body) { a_hash_including(**body, "timestamp" => a_string_matching(/\A\d{4}-\d\d-\d\dT[\d:]+Z\z/)) }
    query = { **project, "limit" => "25", "filters" => '{"kind":"watering"}' }
    record = { "record" => { "gardener" => "mira", "note" => { "litres" => 12 } } }

    expect(printed).to eq(["tomatoes is dry, says bed.dry v1\n"])
    expect(registered).to eq("SimpleConnect::Webhooks::Registry::Registration")
    expect(answers.map(&:first)).to eq([200] * 10)
    expect(answers.map(&:last)).to eq(
      [{ "planned" => "tomatoes" }, { "planned_by" => "v2" }, { "humidity" => 31, "pin" => "4711" },
       { "keys" => ["VALVE_PIN"] }, { "entries_before" => 0 }, { "entries_before" => 1 },
       { "late" => 1 }, { "quiet" => true }, { "watered" => true }, { "watered" => false }]
    )
    expect(requests).to match(
      [
        ["POST", "#{extension}/events", {}, v1,
         timed[{ "event" => "watering.planned", "version" => "v1", "data" => { "bed" => "tomatoes" } }]],
        ["POST", pin, {}, v1, { "value" => "4711" }],
        ["POST", "#{extension}/events", {}, v2,
         timed[{ "event" => "watering.planned", "version" => "v2", "data" => { "bed" => "tomatoes", "litres" => 9 } }]],
        ["GET", pin, {}, v1, nil], ["GET", "#{extension}/secrets", {}, v1, nil],
        *[["GET", entries, query, v1, nil], ["POST", entries, project, v1, record]] * 2,
        ["GET", "/api/v1/ext/sla/events", { **project, "state" => "breached", "limit" => "2" }, v1, nil],
        ["GET", pin, {}, v1, nil], ["POST", pin, {}, v1, { "value" => "0815" }],
        ["POST", "#{extension}/events", {}, v1,
         timed[{ "event" => "watering.late", "version" => "v1", "data" => { "bed" => 7, "state" => "imminent" } }]],
        ["GET", "/api/v1/ext/sla/events", { **project, "state" => "breached", "limit" => "2" }, v1, nil],
        ["GET", "/api/v1/ext/rate_limit", {}, v1, nil], ["GET", "/api/v1/ext/rate_limit", {}, v1, nil],
        ["POST", "/api/v1/extensions/notifications", {}, v1,
         { "title" => "Little water", "body" => "3 left for 12 s", "level" => "info" }]
      ]
    )
  end

  it "work in specs, which fail where they should" do
    works = File.read("#{examples}/handler_example.rb")
    results = [works, works.sub('"well", body', '"pond", body')].map do |source|
      Dir.mktmpdir do |dir|
        File.write("#{dir}/handler_spec.rb", source)
        Open3.capture2e(RbConfig.ruby, *load_path, "-S", "rspec", "--options", File::NULL, "handler_spec.rb",
                        chdir: dir)
      end
    end
    expect(results.map { |out, _| out[/^\d+ example.*/] }).to eq(["2 examples, 0 failures", "2 examples, 1 failure"])
  end

  it "work with a manifest in the folder" do
    code = <<~RUBY
      require "kiket_sdk"
      sdk = KiketSDK.new
      sdk.register("a", version: "v1") { |_, context| [context.settings, context.extension_id, context.extension_version] }
      signed = KiketSDK::Auth.generate_signature("from-the-well", "{}")
      env = { "REQUEST_METHOD" => "POST", "PATH_INFO" => "/v/1/webhooks/a", "rack.input" => StringIO.new("{}"),
              "HTTP_X_KIKET_SIGNATURE" => signed[:signature], "HTTP_X_KIKET_TIMESTAMP" => signed[:timestamp] }
      puts sdk.call(env).last
    RUBY
    outputs = %w[extension.yaml manifest.yaml].map do |name|
      Dir.mktmpdir do |dir|
        FileUtils.cp("#{examples}/extension.yaml", "#{dir}/#{name}")
        out, status = Open3.capture2e({ "KIKET_SECRET_VALVE_PIN" => "4711" }, RbConfig.ruby, *load_path,
                                      "-r", "stringio", "-e", code, chdir: dir)
        expect(status).to be_success, out
        JSON.parse(out)
      end
    end
    expect(outputs).to all(eq([{ "VALVE_PIN" => "4711", "LITRES" => 12, "GARDENER" => "mira" },
                               "org.glasshouse.watering", "3.2.1"]))
  end

  it "work with each option" do
    records = []
    options = {
      auto_env_secrets: false, base_url: "http://127.0.0.1:1", extension_id: "org.glasshouse.other",
      extension_version: "4.0.0", feedback_hook: records.method(:push), manifest_path: "#{examples}/extension.yaml",
      settings: { "LITRES" => 20 }, telemetry_enabled: true, telemetry_url: "http://127.0.0.1:1",
      webhook_secret: "well", workspace_token: "wk_other"
    }
    sdk = SimpleConnect::Kiket.new(**options)
    context = with_environment("KIKET_SECRET_VALVE_PIN" => "4711") { context_of(sdk) }

    expect(context[:settings].to_h).to eq("LITRES" => 20, "GARDENER" => "mira")
    expect([context[:extension_id], context[:extension_version]]).to eq(["org.glasshouse.other", "4.0.0"])
    expect(context[:client].inspect).to include("127.0.0.1:1")
    expect(records.map { |record| record[:event] }).to eq(["a"])
  end

  it "work with each member of the context" do
    context = context_of(SimpleConnect::Kiket.new(webhook_secret: "well", extension_id: "x", extension_version: "1"))
    expect(context[:event]).to eq("a")
    expect(context[:event_version]).to eq("v1")
    expect(context[:headers].to_h).to include(/signature/i => a_kind_of(String))
    expect(context[:headers]).to be_a(Hash)
    expect(context[:settings]).to be_a(Hash)
    expect(context[:client]).to be_a(SimpleConnect::Kiket::Client)
    expect(context[:endpoints]).to be_a(SimpleConnect::Kiket::Endpoints)
    expect(context[:secrets]).to be_a(SimpleConnect::Kiket::Secrets)
    expect([context[:extension_id], context[:extension_version]]).to eq(%w[x 1])
  end

  # What a handler of `sdk` gets.
  def context_of(sdk)
    received = nil
    sdk.register("a", version: "v1") { |_, context| (received = context) && nil }
    signed = SimpleConnect::Webhooks::TestHelpers.signed_env("{}", secret: "well", scheme: :kiket)
    answer = Rack::MockRequest.new(sdk).post("/v/1/webhooks/a", input: "{}", **signed)
    raise answer.body unless answer.status == 200

    received
  end
end
