# frozen_string_literal: true

require "open3"
require "rbconfig"
require "tempfile"

# Small suites of users', run by the real thing in a process of its own.
module Suite
  CLIENT = <<~'RUBY'
    CLIENT = SimpleConnect::Client.new(
      endpoint_url: "https://service.test/api/v1/integrations/demo/events", key_id: "k", secret: "s"
    )
    def pay!(id: 1, **fields)
      event = { event_id: "pp_#{id}", payment_amount: "450.00", payment_mode: "UPI", **fields }
      CLIENT.events.deliver("customer_payment_received",
                            recipient: { name: "Lakshmi Nair", mobile_no: "+919812345678" }, event:)
    end
  RUBY

  # @return [Array(String, Boolean)] what was printed, and whether all was well
  def self.rspec(source, *options)
    run(source, "-S", "rspec", "--no-color", "--options", File::NULL, *options)
  end

  # @return [Array(String, Boolean)] likewise
  def self.minitest(source, *options) = run("require \"minitest/autorun\"\n#{source}", arguments: options)

  def self.run(source, *command, arguments: [])
    Tempfile.open(["suite", ".rb"]) do |file|
      file.write(source)
      file.close
      output, status = Open3.capture2e({ "SPEC_OPTS" => nil, "TESTOPTS" => nil }, RbConfig.ruby, "-I",
                                       File.expand_path("../../lib", __dir__), *command, file.path, *arguments)
      [output, status.success?]
    end
  end
  private_class_method :run
end
