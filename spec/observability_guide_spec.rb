# frozen_string_literal: true

require_relative "support/documented_code"

RSpec.describe "docs/observability.md", skip: DocumentedCode.missing do
  document = File.read(File.expand_path("../docs/observability.md", __dir__))

  it "shows only what works" do
    output, fine = DocumentedCode.run(DocumentedCode.blocks(document))
    expect([output, fine]).to eq(["deliver.simple_connect order_7: delivered after 1 attempt(s)\n", true])
  end

  # Held to the payloads that spec/observability_spec.rb sees.
  it "names each event that the code has" do
    code = Dir[File.expand_path("../lib/**/*.rb", __dir__)].map { |file| File.read(file) }.join
    named = document.scan(/^\| `(\w+\.simple_connect)`/).flatten
    in_code = code.scan(/"(\w+\.simple_connect)"/).flatten.uniq - ["credentials.simple_connect"]
    expect(in_code).to match_array(named)
  end
end
