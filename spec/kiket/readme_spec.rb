# frozen_string_literal: true

require "json"
require "open3"
require "rbconfig"
require "tmpdir"
require_relative "../support/documented_code"
require_relative "../support/namespace"

# Whoever has written an extension by the README of Kiket's SDK has it work with ours.
RSpec.describe "The README of Kiket's SDK" do
  root = File.expand_path("../..", __dir__)
  load_path = ["-I", "#{root}/lib", "-I", "#{root}/spec/fixtures/kiket_sdk"]
  document = File.read("#{root}/spec/fixtures/kiket_readme.md")
  blocks = document.scan(/^## ([^\n]+)\n\n```(?:ruby|yaml)\n(.*?)^```$/m).to_h

  # Runs what registers handlers. Gives what they print, the answers, and what Kiket's API was asked.
  define_method(:run_extension) do
    command = [RbConfig.ruby, *load_path, "#{root}/spec/support/kiket_extension.rb"]
    # Its port is 8080, which somebody else may have.
    command = Namespace.command(*command) unless Namespace.unavailable(mounts: false)
    out, err, status = Open3.capture3(*command, stdin_data: JSON.generate(blocks))
    raise err unless status.success?

    *printed, result = out.lines
    [printed, *JSON.parse(result)]
  end

  it "has extensions that work as written", skip: Libraries.missing("puma") do
    printed, answers, requests = run_extension
    token = { "authorization" => "Bearer wk_test", "x-kiket-api-key" => "ek_1" }
    v1 = { **token, "x-kiket-event-version" => "v1" }
    v2 = { **token, "x-kiket-event-version" => "v2" }
    extension = "/extensions/com.example.marketing"
    custom_data = "/api/v1/ext/custom_data/com.example.crm.contacts/automation_records"
    project = { "project_id" => "42" }
    timed = ->(body) { a_hash_including(**body, "timestamp" => a_string_matching(/\A\d{4}-\d\d-\d\dT[\d:]+Z\z/)) }
    query = { **project, "limit" => "10", "filters" => '{"status":"active"}' }
    email = blocks["Custom Data Client"][/email: '(.*)'/, 1]
    record = { "record" => { "email" => email, "metadata" => { "source" => "webhook" } } }

    expect(printed).to eq(["Event version: v1\n"])
    expect(answers).to eq([
                            [200, { "ok" => true }], [200, { "ok" => true, "version" => "v2" }],
                            [200, { "synced" => 0 }], [200, { "synced" => 1 }],
                            [200, { "acknowledged" => true }], [200, { "ok" => true }],
                            [200, { "ok" => true }], [200, { "deferred" => true }]
                          ])
    expect(requests).to match(
      [
        ["POST", "#{extension}/events", {}, v1,
         timed[{ "event" => "issue.created", "version" => "v1", "data" => { "summary" => "A title" } }]],
        ["POST", "#{extension}/secrets/WEBHOOK_TOKEN", {}, v1, { "value" => "abc123" }],
        ["POST", "#{extension}/events", {}, v2,
         timed[{ "event" => "issue.created", "version" => "v2",
                 "data" => { "summary" => "A title", "schema" => "v2" } }]],
        *[["GET", custom_data, query, v1, nil], ["POST", custom_data, project, v1, record]] * 2,
        ["GET", "/api/v1/ext/sla/events", { **project, "state" => "imminent", "limit" => "5" }, v1, nil],
        ["POST", "#{extension}/events", {}, v1,
         timed[{ "event" => "sla.warning", "version" => "v1", "data" => { "issue_id" => 7, "state" => "imminent" } }]],
        ["GET", "/api/v1/ext/sla/events", { **project, "state" => "imminent", "limit" => "5" }, v1, nil],
        ["GET", "/api/v1/ext/rate_limit", {}, v1, nil], ["GET", "/api/v1/ext/rate_limit", {}, v1, nil],
        ["POST", "/api/v1/extensions/notifications", {}, v1,
         { "title" => "Rate limit warning", "body" => "Only 3 requests remain (reset in 12s)", "level" => "warning" }]
      ]
    )
  end

  it "has a spec that passes as written, and fails where it should" do
    works = blocks["Testing"]
    results = [works, works.sub("'test-secret', body", "'other', body")].map do |source|
      Dir.mktmpdir do |dir|
        File.write("#{dir}/webhook_spec.rb", source)
        Open3.capture2e(RbConfig.ruby, *load_path, "-S", "rspec", "--options", File::NULL, "webhook_spec.rb",
                        chdir: dir)
      end
    end
    expect(results.map { |out, _| out[/^\d+ example.*/] }).to eq(["1 example, 0 failures", "1 example, 1 failure"])
  end

  it "has a manifest that is taken as written" do
    code = <<~RUBY
      require "kiket_sdk"
      sdk = KiketSDK.new
      sdk.register("a", version: "v1") { |_, context| [context.settings, context.extension_id, context.extension_version] }
      signed = KiketSDK::Auth.generate_signature("sh_production_secret", "{}")
      env = { "REQUEST_METHOD" => "POST", "PATH_INFO" => "/v/1/webhooks/a", "rack.input" => StringIO.new("{}"),
              "HTTP_X_KIKET_SIGNATURE" => signed[:signature], "HTTP_X_KIKET_TIMESTAMP" => signed[:timestamp] }
      puts sdk.call(env).last
    RUBY
    Dir.mktmpdir do |dir|
      File.write("#{dir}/extension.yaml", blocks["Manifest File"])
      out, status = Open3.capture2e({ "KIKET_SECRET_API_KEY" => "k" }, RbConfig.ruby, *load_path, "-r", "stringio",
                                    "-e", code, chdir: dir)
      expect(status).to be_success, out
      expect(JSON.parse(out)).to eq([{ "API_KEY" => "k", "MAX_RETRIES" => 3, "TIMEOUT_MS" => 5000 },
                                     "com.example.marketing", "1.0.0"])
    end
  end

  # These two are no programs, but tables: each name has the class of its value.
  describe "has tables of classes:" do
    require "simple_connect/kiket"
    require "rack"

    examples = { "String" => "x", "Hash" => { "a" => 1 }, "Boolean" => true, "Proc" => ->(_) {} }
    rows = ->(name) { blocks[name].scan(/^ +(\w+): ([\w:]+),?$/) }

    it "the options" do
      Dir.mktmpdir do |dir|
        File.write("#{dir}/extension.yaml", blocks["Manifest File"])
        own = { "base_url" => "http://127.0.0.1:1", "telemetry_url" => "http://127.0.0.1:1",
                "manifest_path" => "#{dir}/extension.yaml" }
        options = rows["KiketSDK"].to_h { |name, type| [name.to_sym, own.fetch(name, examples.fetch(type))] }

        expect(options.size).to eq(11)
        expect(SimpleConnect::Kiket.new(**options)).to be_a(SimpleConnect::Kiket)
      end
    end

    it "the context" do
      sdk = SimpleConnect::Kiket.new(webhook_secret: "s", extension_id: "x", extension_version: "1")
      types = {}
      sdk.register("a", version: "v1") do |_, context|
        rows["Handler Context"].each do |name, type|
          types[name] = context[name.to_sym].is_a?(Object.const_get(type.sub("KiketSDK", "SimpleConnect::Kiket")))
        end
        nil
      end
      headers = SimpleConnect::Webhooks::Testing.signed_env("{}", secret: "s", scheme: :kiket)
      expect(Rack::MockRequest.new(sdk).post("/v/1/webhooks/a", input: "{}", **headers).status).to eq(200)
      expect(types.size).to eq(9)
      expect(types.values).to all(be(true))
    end
  end
end
