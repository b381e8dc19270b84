# frozen_string_literal: true

require_relative "../support/documented_code"
require_relative "../support/rack_process"

RSpec.describe "docs/outbound.md", skip: DocumentedCode.missing do
  it "shows only what works, in two terminals" do
    document = File.read(File.expand_path("../../docs/outbound.md", __dir__))
    receiver, *blocks = DocumentedCode.blocks(document)
    name, secret, port = document.match(/^export (\w+)=(\S+)\npuma --port (\d+)$/).captures
    output = fine = log = nil
    RackProcess.open({ "config.ru" => receiver.first }, { name => secret }) do |server|
      # The port may be somebody else's.
      there = blocks.map { |source, line| [source.gsub("http://127.0.0.1:#{port}/", "#{server.url}/"), line] }
      output, fine = DocumentedCode.run(there, "ENV[#{name.dump}] = #{secret.dump}")
      log = server.log
    end
    expect(fine).to be(true), output
    expect(log.scan("parcel 1203, with gate-7").size).to eq(2)
    expect(blocks.size).to be > 8
  end
end
