# frozen_string_literal: true

require "open3"
require "rbconfig"
require "tmpdir"
require_relative "../support/documented_code"
require_relative "../support/scripted_server"

# What docs/testing.md says of WebMock and of VCR: each section is a file of specs, and passes.
RSpec.describe "docs/testing.md" do
  sections = File.read(File.expand_path("../../docs/testing.md", __dir__)).split(/^## /)

  define_method(:run) do |heading, directory, env = {}|
    section = sections.find { |text| text.start_with?("#{heading}\n") }
    file = File.join(directory, "guide_spec.rb")
    File.write(file, DocumentedCode.blocks(section).map(&:first).join("\n"))
    lib = File.expand_path("../../lib", __dir__)
    command = [RbConfig.ruby, "-I", lib, "-S", "rspec", "--no-color", file]
    Open3.capture2e({ "SPEC_OPTS" => nil, **env }, *command, chdir: directory).first
  end

  around { |example| Dir.mktmpdir { |directory| example.run(@directory = directory) } }

  it "shows what works with WebMock" do
    expect(run("WebMock", @directory)).to match(/^3 examples, 0 failures$/)
  end

  it "shows what works with VCR, recording and replaying" do
    skip "VCR is not installed" unless Gem::Specification.any? { |spec| spec.name == "vcr" }

    ScriptedServer.open([{ "body" => '{"integration":{"status":"connected"}}' }]) do |server|
      env = { "SIMPLECONNECT_ENDPOINT_URL" => server.endpoint, "SIMPLECONNECT_KEY_ID" => "k",
              "SIMPLECONNECT_SECRET" => "s" }
      expect(Array.new(2) { run("VCR", @directory, env) }).to all(match(/^1 example, 0 failures$/))
      expect(server.requests.size).to eq(1)
    end
    cassette = File.read(File.join(@directory, "spec/cassettes/integration.yml"))
    expect(cassette).to include("<SIMPLECONNECT_KEY_ID>")
  end
end
