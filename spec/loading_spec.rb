# frozen_string_literal: true

require "open3"
require "rbconfig"

# What `require "simple_connect"` brings into a process.
RSpec.describe "Loading" do
  # In a process of its own, without what Bundler or this suite has loaded.
  def loaded_by(code)
    lib = File.expand_path("../lib", __dir__)
    code += "; puts $LOADED_FEATURES"
    out, status = Open3.capture2e({ "RUBYOPT" => nil }, RbConfig.ruby, "-I", lib, "-e", code)
    raise out unless status.success?

    out
  end

  unwanted = %w[simple_connect/sandbox simple_connect/cli.rb simple_connect/webhooks simple_connect/signature puma rack
                net/http openssl optparse socket yaml]

  it "of the gem, and making clients, loads none of #{unwanted.join(", ")}" do
    loaded = loaded_by(<<~RUBY)
      require "simple_connect"
      SimpleConnect::Client.new(endpoint_url: "http://127.0.0.1:1/events", key_id: "k", secret: "s")
      SimpleConnect::MessagesClient.new(base_url: "http://127.0.0.1:1", api_key: "k")
    RUBY

    expect(loaded).to include("/simple_connect/client.rb")
    expect(unwanted.select { |feature| loaded.include?("/#{feature}") }).to eq([])
  end

  it "of what receives webhooks loads neither Puma nor Rack, nor Rails" do
    loaded = loaded_by('require "simple_connect/kiket"; SimpleConnect::Kiket.new(webhook_secret: "s")')

    expect(loaded).to include("simple_connect/webhooks/app.rb")
    unwanted = %w[/puma /rack /redis /action /yaml /net/http /openssl]
    expect(unwanted.select { |feature| loaded.include?(feature) }).to eq([])
  end

  it "of the sandbox loads neither Puma nor Rack, nor the extension" do
    loaded = loaded_by('require "simple_connect/sandbox"; SimpleConnect::Sandbox.new')

    expect(loaded).to include("simple_connect/sandbox.rb")
    expect(%w[/puma /rack simple_connect_client].select { |feature| loaded.include?(feature) }).to eq([])
  end
end
