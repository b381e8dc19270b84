# frozen_string_literal: true

require "json"
require "net/http"
require "open3"
require "shellwords"
require "tmpdir"
require "simple_connect/sandbox"
require_relative "../support/command"
require_relative "../support/documented_code"
require_relative "../support/libraries"

RSpec.describe "docs/sandbox.md", skip: DocumentedCode.missing do
  document = File.read(File.expand_path("../../docs/sandbox.md", __dir__))

  it "shows only what works" do
    # Routes need an application: spec/inbox/rails_spec.rb has one.
    blocks = DocumentedCode.blocks(document).reject { |source, _| source.start_with?("# config/routes.rb") }
    output, fine = DocumentedCode.run(blocks)
    expect(fine).to be(true), output
    expect(blocks.size).to eq(5)
  end

  it "shows templates that can be used" do
    yaml = document[/^```yaml\n(.*?)^```$/m, 1]
    Dir.mktmpdir do |dir|
      File.write("#{dir}/templates.yml", yaml)
      expect { SimpleConnect::Sandbox::Inbox.new(SimpleConnect::Sandbox.new, templates: "#{dir}/templates.yml") }
        .not_to raise_error
    end
  end

  it "shows commands of curl that work", skip: system("command -v curl > /dev/null") ? nil : "curl is missing" do
    sandbox = SimpleConnect::Sandbox.new
    SimpleConnect::Sandbox::Inbox.new(sandbox)
    sandbox.start
    commands = document.scan(/^curl .*$/).join("\n").gsub("http://127.0.0.1:4567", sandbox.url).gsub("timeout=2",
                                                                                                     "timeout=0")
    out, status = Open3.capture2e("sh", "-c", commands.gsub(/^curl /, "curl -sS "))
    expect(status).to be_success
    expect(out.scan(/\{"(\w+)"/).flatten).to eq(%w[messages error faults kind cleared])
  ensure
    sandbox.stop
  end

  it "shows commands that work in two terminals" do
    first, second = document.scan(/^simple_connect (?:sandbox|deliver) .*$/)
    # The port may be somebody else's, and nobody looks at a browser here.
    arguments = first[/ (sandbox) --port 4567 --open$/, 1]
    Command.serve({}, arguments) do |out, err, pid|
      exports = Array.new(3) { out.gets }
      page = err.gets[%r{http://\S+/}]
      script = ["simple_connect() { #{Command::LINE.shelljoin} \"$@\"; }", *exports, second].join("\n")
      printed, = Open3.capture2e("bash", "-euc", script)
      expect(printed).to eq("accepted: event_id order_7, log_id 1\n")
      message = JSON.parse(Net::HTTP.get(URI("#{page}inbox/wait")))["message"]
      expect(message).to include("fields" => { "amount" => "450.00" },
                                 "recipient" => { "name" => "Asha", "mobile_no" => "+919812345678" })
      Process.kill("INT", pid)
    end
  end

  it "lists each request that there is" do
    routes = SimpleConnect::Sandbox::Inbox.send(:const_get, :Api).send(:const_get, :ROUTES)
    listed = document.scan(%r{^\| `([A-Z]+) (/inbox[^?`]*)}).map { |verb, path| [verb, path.gsub("ID", "m1")] }
    there = routes.flat_map { |pattern, verbs| verbs.keys.map { |verb| [verb, pattern] } }
    expect(listed.size).to eq(there.size)
    there.each do |verb, pattern|
      expect(listed.count { |name, path| name == verb && pattern.match?(path) }).to eq(1), "#{verb} #{pattern}"
    end
  end
end
