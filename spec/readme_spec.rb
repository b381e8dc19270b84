# frozen_string_literal: true

require "open3"
require "shellwords"
require_relative "support/command"
require_relative "support/documented_code"
require_relative "support/scripted_server"
require_relative "support/suite"

RSpec.describe "README.md", skip: DocumentedCode.missing do
  readme = File.read(File.expand_path("../README.md", __dir__))
  specs, code = DocumentedCode.blocks(readme).partition { |text, _| text.start_with?("# spec/") }
  # What the application has already.
  application = <<~RUBY
    require "simple_connect" # as Bundler does
    require "active_support/core_ext/integer/time"
    SimpleConnect.configure { |config| config.allow_private = true }
    ApplicationJob = Class.new(ActiveJob::Base)
    ActiveJob::Base.queue_adapter = :test
    Payment = Struct.new(:id, :customer_name, :mobile_no, :amount, keyword_init: true)
  RUBY

  it "shows only what works" do
    ScriptedServer.open do |endpoint|
      blocks = code.map { |text, line| [text.gsub("https://acme.example", endpoint.url), line] }
      output, fine = DocumentedCode.run(blocks, application)
      expect(fine).to be(true), output
      expect(endpoint.requests.map(&:body)).to eq(['{"parcel":1203}'])
    end
  end

  it "shows a job and its spec, which passes" do
    job = code.map(&:first).grep(/^# app.*Job/m)
    expect(job.size).to eq(1)
    rails = "require 'active_job'\nrequire 'rails'\nActiveJob::Base.logger = nil"
    output, = Suite.rspec([rails, application, *job, *specs.map(&:first)].join("\n"))
    expect(output).to match(/^1 example, 0 failures$/)
  end

  it "shows commands that work as typed, in two terminals" do
    first, second = readme.scan(/^```bash\n(simple_connect .*?)^```$/m).flatten
    # The port may be somebody else's.
    arguments = first[/^simple_connect (sandbox) --port \d+ #/, 1]
    Command.serve({}, arguments) do |out, err, pid|
      exports = Array.new(3) { out.gets }
      installed = "simple_connect() { #{Command::LINE.shelljoin} \"$@\"; }"
      printed, status = Open3.capture2e("bash", "-euc", [installed, *exports, second].join("\n"))
      expect(status).to be_success, printed
      expect(printed).to match(/\Aaccepted: event_id payment_42.*"payment_42".*^sandbox: connected$/m)
      expect(exports).to all(start_with("export "))
      expect(err.gets).to include("Ctrl-C")
      Process.kill("INT", pid)
    end
  end

  it "shows files that the import accepts" do
    csv, json = readme.scan(/^```(?:csv|json)\n(.*?)^```$/m).flatten
    [csv, json].each do |rows|
      printed, = Open3.capture2e(*Command::LINE, "import", "-", "--dry-run", stdin_data: rows)
      expect(printed).to match(/^#{rows == csv ? 1 : 2} can be delivered, 0 cannot/)
    end
  end

  it "has each of its sections in its contents" do
    sections = readme.scan(/^## (.+)$/).flatten - %w[Contents License]
    expect(sections - readme[/^## Contents\n(.*?)^## /m, 1].scan(/\[([^\]]+)\]/).flatten).to eq([])
  end

  it "is checked: a wrong value is reported" do
    output, fine = DocumentedCode.run([["6 * 7 # => 41\n", 1]])
    expect([output.strip, fine]).to eq(["line 1: gives 42, not 41", false])
  end
end
