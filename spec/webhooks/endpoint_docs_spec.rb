# frozen_string_literal: true

require_relative "../support/documented_code"

RSpec.describe "docs/endpoints.md", skip: DocumentedCode.missing do
  it "shows only what works" do
    document = File.read(File.expand_path("../../docs/endpoints.md", __dir__))
    blocks = DocumentedCode.blocks(document).map do |source, line|
      [source.gsub('"https://acme.example/hooks"', "ACME.url"), line]
    end
    # Acme takes its events with a receiver of ours.
    acme = <<~'RUBY'
      require "simple_connect/webhooks"
      ENV["ACME_WEBHOOK_SECRET"] = "hush-hush"
      ActiveJob::Base.queue_adapter = :async

      class Acme
        attr_reader :url

        def initialize
          @failures = 0
          @server = SimpleConnect.const_get(:Server).new(self, "Acme", "127.0.0.1", 0)
          @url = "#{@server.url}/hooks"
        end

        def fail_next = @failures += 1

        def call(env)
          body = env["rack.input"].read
          SimpleConnect::Signature.verify!(body, env, secret: "hush-hush", scheme: :simplyq)
          fine = env["CONTENT_TYPE"] == "application/acme+json" && env["HTTP_X_SUPER_SECRET"] == "s3cr3t"
          fine &&= (@failures -= 1).negative?
          @failures = [@failures, 0].max
          [fine ? 200 : 500, { "content-type" => "text/plain" }, []]
        end
      end
      ACME = Acme.new
    RUBY
    expect(blocks.size).to be > 8
    output, fine = DocumentedCode.run(blocks, acme)
    expect(fine).to be(true), output
  end
end
