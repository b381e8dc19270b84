# frozen_string_literal: true

require "open3"
require "shellwords"
require_relative "support/command"
require_relative "support/documented_code"

RSpec.describe "README.md", skip: DocumentedCode.missing do
  let(:readme) { File.read(File.expand_path("../README.md", __dir__)) }

  it "shows only what works" do
    # As Bundler does for the line that it shows.
    output, fine = DocumentedCode.run(DocumentedCode.blocks(readme), 'require "simple_connect"')
    expect(fine).to be(true), output
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

  it "is checked: a value that is not so is told" do
    output, fine = DocumentedCode.run([["6 * 7 # => 41\n", 1]])
    expect([output.strip, fine]).to eq(["line 1: gives 42, not 41", false])
  end
end
