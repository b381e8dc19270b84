# frozen_string_literal: true

require_relative "support/documented_code"

# Whoever has written code with the pure-Ruby gem has it work with ours, whatever form its calls have.
RSpec.describe "The call forms of the pure-Ruby gem" do
  source = File.read(File.expand_path("fixtures/call_forms/client.rb", __dir__))
  servers = <<~'RUBY'
    require "json"
    require "openssl"
    require "stringio"
    require "simple_connect"

    STRICT = SimpleConnect::Sandbox.start(previous_secret: "last week's", event_keys: %w[repair_finished])
    # Answers with the status that the path names, in HTML.
    html = lambda do |env|
      status = env["PATH_INFO"].delete("/")
      [Integer(status), { "content-type" => "text/html" }, ["<h1>#{status}</h1>"]]
    end
    PROXY = SimpleConnect.const_get(:Server).new(html, "a proxy", "127.0.0.1", 0)
  RUBY

  it "work", skip: DocumentedCode.missing do
    output, fine = DocumentedCode.run([[source, 1]], servers)
    expect(fine).to be(true), output
  end

  it "are all there" do
    calls = %w[
      deliver detail verify success? status_code response_body error attempts data event_id log_id
      duplicate? used_previous_secret? event_key dispatched? failed? skipped? occurred_at payload error_text
      message? message incoming? status_callback? message_id status timestamp connected? provider
      event_flows event_flow state enabled? needs_attention? configured? template name language approved?
      to_h perform_later
    ]
    options = %w[endpoint_url key_id secret logger event_keys max_attempts retryable delay event_id]
    expect(calls.reject { |name| source.match?(/\.#{Regexp.escape(name)}(?![\w?])/) }).to eq([])
    expect(options.reject { |name| source.match?(/\b#{name}: /) }).to eq([])
  end
end
