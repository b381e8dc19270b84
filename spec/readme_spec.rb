# frozen_string_literal: true

require_relative "support/documented_code"

RSpec.describe "README.md", skip: DocumentedCode.missing do
  let(:readme) { File.read(File.expand_path("../README.md", __dir__)) }

  it "shows only what works" do
    output, fine = DocumentedCode.run(DocumentedCode.blocks(readme))
    expect(fine).to be(true), output
  end

  it "is checked: a value that is not so is told" do
    output, fine = DocumentedCode.run([["6 * 7 # => 41\n", 1]])
    expect([output.strip, fine]).to eq(["line 1: gives 42, not 41", false])
  end
end
