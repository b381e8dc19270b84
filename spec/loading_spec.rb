# frozen_string_literal: true

require "open3"
require "rbconfig"
require "tmpdir"
require_relative "support/scripted_server"

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

  it "finds the extension's classes at once: threads that do so together on first use could wait forever" do
    loaded_by(<<~RUBY)
      require "simple_connect"
      SimpleConnect::Webhooks::App
      class << Object
        def const_get(name, *) = name.to_s.start_with?("SimpleConnect::") ? warn(name) || exit!(1) : super
      end
      client = SimpleConnect::Client.new(endpoint_url: "http://127.0.0.1:1/events", key_id: "k", secret: "s",
                                         headers: { "X-Tenant" => "9" })
      client.events.deliver("order_paid", order: 7)
      SimpleConnect::Signature.sign("{}", secret: "s")
      SimpleConnect::Outbound::Router.new([])
      SimpleConnect::RateLimiter.new(1).try_acquire
      SimpleConnect.const_get(:SeenKeys).new(1, 1)
      SimpleConnect.const_get(:Latch).new
    RUBY
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

  it "of the sandbox alone finds the clients, and loads what else there is in any order" do
    loaded_by(<<~'RUBY')
      require "simple_connect/sandbox"
      sandbox = SimpleConnect::Sandbox.new
      SimpleConnect::Client.new(endpoint_url: "http://127.0.0.1:1/e", key_id: sandbox.key_id, secret: sandbox.secret)
      SimpleConnect::MessagesClient.new(base_url: "http://127.0.0.1:1", api_key: sandbox.api_key)
    RUBY
    %w[simple_connect simple_connect/client simple_connect/messages_client].each do |feature|
      out = loaded_by("$VERBOSE = true; require 'simple_connect/sandbox'; require '#{feature}'; SimpleConnect::Client")
      expect(out).to include("simple_connect/client.rb")
      expect(out).not_to include("warning")
    end
  end

  # A `gem` line without `require:` makes Bundler try `simple_connect-client`, then `simple_connect/client`.
  it "works where the Gemfile's line has no require:", skip: Libraries.missing("bundler") do
    out, status = Dir.mktmpdir do |directory|
      File.write("#{directory}/Gemfile", "gem 'simple_connect-client', path: #{File.expand_path("..", __dir__).dump}\n")
      code = "Bundler.require; print SimpleConnect::MessagesClient"
      environment = { "BUNDLE_GEMFILE" => "#{directory}/Gemfile", "BUNDLE_SILENCE_DEPRECATIONS" => "1",
                      "RUBYOPT" => nil, "RUBYLIB" => nil }
      Open3.capture2e(environment, RbConfig.ruby, "-r", "bundler", "-e", code, chdir: directory)
    end
    expect([out, status.success?]).to match([a_string_ending_with("SimpleConnect::MessagesClient"), true])
  end

  # Jobs load with the library that they adapt to, generators by Rails, models with ActiveRecord.
  files = Dir.glob("**/*.rb", base: File.expand_path("../lib", __dir__)).sort
             .grep_v(%r{outbound/(active_job|sidekiq)_delivery|^generators/|simple_connect/(active_job|sidekiq|rails)/})
             .grep_v(%r{simple_connect/endpoints/(?!settings)})
  # Which this Ruby may not have.
  libraries = { "simple_connect/webmock.rb" => "webmock", "simple_connect/minitest.rb" => "minitest" }

  it "works by any file of lib, whichever comes first, and warns of nothing" do
    loadable = files.reject { |file| libraries.key?(file) && Libraries.missing(libraries[file]) }
    out, status = Open3.capture2e({ "RUBYOPT" => nil }, RbConfig.ruby, "-w", "-I", File.expand_path("../lib", __dir__),
                                  "-e", <<~RUBY, *loadable)
                                    ARGV.each do |file|
                                      Process.wait(fork { require file.delete_suffix(".rb") })
                                      warn "\#{file} cannot be loaded first" unless $?.success?
                                    end
                                  RUBY
    expect([out, status.success?]).to eq(["", true])
    expect(loadable).to include("simple_connect/client.rb", "simple_connect-client.rb")
  end

  %w[simple_connect-client simple_connect/client simple_connect/messages_client].each do |file|
    it "of #{file} alone delivers" do
      ScriptedServer.open([{ "status" => 202, "body" => '{"event_id":"7"}' }]) do |server|
        call = if file.end_with?("messages_client")
                 "MessagesClient.new(base_url: ARGV[0], api_key: 'k').messages" \
                   ".deliver(template_name: 't', recipients: [{ mobile_no: '+919812345678' }])"
               else
                 "Client.new(endpoint_url: ARGV[1], key_id: 'k', secret: 's').events.deliver('order_paid', order: 7)"
               end
        command = [RbConfig.ruby, "-I", File.expand_path("../lib", __dir__), "-r", file]
        out, = Open3.capture2e({ "RUBYOPT" => nil }, *command, "-e", "print SimpleConnect::#{call}.status_code",
                               server.url, server.endpoint)
        expect(out).to eq("202")
      end
    end
  end
end
