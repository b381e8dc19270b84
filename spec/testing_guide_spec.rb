# frozen_string_literal: true

require_relative "support/documented_code"
require_relative "support/suite"

# Each section runs in a process of its own: by RSpec or Minitest where it has examples or tests, else like the README.
# Those on WebMock and VCR need more: spec/webmock/guide_spec.rb has them.
RSpec.describe "docs/testing.md", unchecked: true do
  guide = File.read(File.expand_path("../docs/testing.md", __dir__))
  # The application's, to which the guide comes.
  client = <<~RUBY
    require "simple_connect"
    SIMPLECONNECT = SimpleConnect::Client.new(
      endpoint_url: "https://service.invalid/api/v1/integrations/demo/events", key_id: "k", secret: "s"
    )
  RUBY
  # What RSpec and Minitest say where not a single one ran is fine, too.
  count = /^[1-9]\d* (examples|runs),/

  guide.split(/^(?=## )/).each do |section|
    blocks = DocumentedCode.blocks(section)
    next if blocks.empty? || section.start_with?("## WebMock\n", "## VCR\n")

    it "shows only what works, in: #{section.lines.first.chomp}" do
      source = [client, *blocks.map(&:first)].join("\n")
      output, fine = case source
                     when /RSpec\.describe/ then Suite.rspec(source)
                     when /< Minitest::Test/ then Suite.minitest(source)
                     else
                       skip(DocumentedCode.missing) if DocumentedCode.missing
                       DocumentedCode.run(blocks)
                     end
      expect(fine).to be(true), output
      expect(output).to match(count) if source.match?(/RSpec\.describe|< Minitest::Test/)
    end
  end

  it "shows the matcher's failure as it is" do
    shown = guide[/^```text\n(.*?)^```$/m, 1]
    output, = Suite.rspec(<<~RUBY)
      require "simple_connect/rspec"
      SimpleConnect.test!
      #{client}
      RSpec.describe("a payment") do
        it "is told" do
          expect do
            SIMPLECONNECT.events.deliver(
              "customer_payment_received", recipient: { mobile_no: "+919812345678" },
                                           event: { event_id: "payment_42", payment_amount: "400.00" }
            )
          end.to deliver_event("customer_payment_received")
            .to_recipient("+919812345678").with(payment_amount: "450.00").once
        end
      end
    RUBY
    expect(output.gsub(/^ {7}/, "")).to include(shown)
  end
end
