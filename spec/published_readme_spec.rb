# frozen_string_literal: true

require_relative "support/documented_code"

# Whoever has written his code by the published gem's README has it work with ours.
RSpec.describe "The published gem's README", skip: DocumentedCode.missing do
  let(:blocks) do
    document = File.read(File.expand_path("fixtures/published_readme.md", __dir__))
    DocumentedCode.blocks(document).map { |source, line| [fill_in(source), line] }
  end

  # What the README leaves to its reader, or to the server.
  def fill_in(source)
    source.gsub('endpoint_url: "..."', "endpoint_url: SANDBOX.endpoint_url")
          .gsub("endpoint_url: ..., key_id: ..., secret: ...",
                'endpoint_url: SANDBOX.endpoint_url, key_id: "k", secret: "s"')
          .gsub('{ customer_name: "...", ... }', '{ customer_name: "Ramesh Kumar", payment_amount: "450.00" }')
          .gsub('result = SIMPLECONNECT.events.deliver("some_event"', 'SANDBOX.fail_next(422); \\0')
          .then { |filled| filled.include?("event_keys:") ? whitelist(filled) : filled }
  end

  # This block is an alternative to the one before; the others go on with that.
  def whitelist(source)
    source.gsub("SIMPLECONNECT", "LISTED")
          .gsub(", ...) # typo", ", {}) rescue $!.class # => SimpleConnect::UnknownEventError")
  end

  it "works as written" do
    application = <<~RUBY
      class ApplicationJob < ActiveJob::Base; end
      payment = Struct.new(:id).new(42)
      fields = { customer_name: "Ramesh Kumar", payment_amount: "450.00" }
    RUBY
    output, fine = DocumentedCode.run(blocks, application)
    expect(fine).to be(true), output
  end
end
