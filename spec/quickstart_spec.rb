# frozen_string_literal: true

require "json"
require "net/http"
require "open3"
require "rbconfig"
require "timeout"
require "tmpdir"

RSpec.describe "bin/quickstart", skip: Libraries.missing("puma") do
  # Its Ruby part: what it does before is bin/setup's.
  it "delivers to a sandbox and shows each result, from any folder" do
    root = File.expand_path("..", __dir__)
    out, err, status = Dir.mktmpdir do |elsewhere|
      Open3.capture3(RbConfig.ruby, "-x", "-I", "#{root}/lib", "#{root}/bin/quickstart", chdir: elsewhere)
    end

    expect([status.exitstatus, err]).to eq([0, ""])
    expect(out.scan(/=> HTTP (\d+), attempt 1/).flatten).to eq(%w[202 200 202 422 200 200])
    expect(out).to include(
      "accepted: event_id payment_42, log_id 1", "accepted before, so this request did nothing: event_id payment_42",
      "accepted: event_id invoice_7, log_id 2", "refused: Unknown event_key 'customer_payment_recieved'",
      "dispatched, with payment_mode UPI, payment_amount 450.00", "to +919812345678: delivered", "sandbox: connected"
    )
    expect(out.lines.length).to be < 40
  end

  it "stays with --stay, and says where to look" do
    root = File.expand_path("..", __dir__)
    command = [RbConfig.ruby, "-x", "-I", "#{root}/lib", "#{root}/bin/quickstart", "--stay"]
    Open3.popen2(*command) do |_, out, process|
      page = Timeout.timeout(20) { out.each_line.lazy.filter_map { |line| line[%r{inbox .*: (http://\S+/) }, 1] }.first }
      messages = JSON.parse(Net::HTTP.get(URI("#{page}inbox/messages")))["messages"]
      expect(messages.map { |message| message["state"] }).to eq(%w[rejected accepted duplicate])
      Process.kill("INT", process.pid)
      expect(process.value.exitstatus).to eq(0)
    ensure
      Process.kill("KILL", process.pid) if process.alive?
    end
  end
end
