# frozen_string_literal: true

require "shellwords"
require_relative "../support/command"
require_relative "../support/documented_code"
require_relative "../support/rails_app"

# Follows docs/rails.md in the application that its generator has been run in.
RSpec.describe "docs/rails.md", skip: Libraries.missing("rails", "sqlite3", "puma"), unchecked: true do
  document = File.read(File.expand_path("../../docs/rails.md", __dir__))
  ruby = document.scan(/^```ruby\n(.*?)^```$/m).flatten
  shell = document.scan(/^```bash\n(.*?)^```$/m).flatten

  around { |example| RailsApp.open { |app| example.run(@app = app) } }

  it "leads from the sandbox to a delivery" do
    arguments = shell.grep(/sandbox/).first[/simple_connect (sandbox) --port/, 1]
    Command.serve({}, arguments) do |out, _err, pid|
      exports = Array.new(3) { Shellwords.split(out.gets).last.split("=", 2) }.to_h
      code, expected = shell.grep(/runner/).first.match(/runner '(.*)'\n# (\w+)/m).captures
      expect(@app.rails("runner", code, env: exports)).to eq("#{expected}\n")
      Process.kill("INT", pid)
    end
  end

  it "shows only what works" do
    initializer, clients, tenants, later = ruby
    @app.write("config/initializers/simple_connect.rb", initializer)
    code = [<<~'RUBY', clients, tenants, later, <<~'SHOWN']
      Tenant = Struct.new(:endpoint_url, :key_id, :secret) do
        def self.find_by(slug:) = new("http://127.0.0.1:1/#{slug}", "k", "s")
      end
      ENV.update("SIMPLECONNECT_ENDPOINT_URL" => "http://127.0.0.1:1/e", "SIMPLECONNECT_KEY_ID" => "k",
                 "SIMPLECONNECT_SECRET" => "s", "BILLING_KEY_ID" => "b", "BILLING_SECRET" => "s")
      ActiveJob::Base.queue_adapter = :test
    RUBY
      print ActiveJob::Base.queue_adapter.enqueued_jobs.size, SimpleConnect.client("acme").name.inspect,
            SimpleConnect.client(:billing).tap(&:events).inspect[/key_id=\S+/]
    SHOWN
    expect(@app.run(code.join("\n"))).to eq('1:acmekey_id="b">')
  end

  it "has no block that is not run here, but for the tests'" do
    expect([ruby.size, shell.size]).to eq([7, 4])
  end
end
