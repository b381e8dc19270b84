# frozen_string_literal: true

require "json"
require_relative "../support/documented_code"
require_relative "../support/libraries"

RSpec.describe "docs/jobs.md", skip: DocumentedCode.missing do
  document = File.read(File.expand_path("../../docs/jobs.md", __dir__))
  table = JSON.parse(File.read(File.expand_path("../conformance/own/errors.json", __dir__))).fetch("jobs")

  it "has Ruby that delivers" do
    work = [<<~RUBY, 1]
      ActiveJob::Base.queue_adapter.enqueued_jobs.dup.each { |job| ActiveJob::Base.execute(job) }
      ids = %w[order_7 cart_9 due_1 due_2 order_8 payment_42]
      puts ids.map { |id| SimpleConnect.client.events.detail(id).status_code }.inspect
    RUBY
    output, fine = DocumentedCode.run([*DocumentedCode.blocks(document), work],
                                      "ActiveJob::Base.queue_adapter = :test\n")
    expect([output, fine]).to eq(["[200, 200, 200, 200, 200, 200]\n", true])
  end

  it "has the table's statuses" do
    rows = document.lines.grep(/\A\|/).join
    expect(rows).to include(table["integration"].reject { |status| status < 400 }.join(", "))
    expect(rows).to include(table["retry"].reject { |status| status >= 429 }.join(", "))
  end
end
