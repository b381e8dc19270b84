# frozen_string_literal: true

require "json"
require "net/http"
require "open3"
require "shellwords"
require "simple_connect/webhooks"
require_relative "../support/command"
require_relative "../support/documented_code"
require_relative "../support/rack_process"

# Its blocks are run in the order in which a newcomer reads them. Those that begin with the name of a file make an
# application; the shell's are run against that; the rest is run like the README.
RSpec.describe "docs/webhooks.md", skip: Libraries.missing("puma", "rails") do
  root = File.expand_path("../..", __dir__)
  document = File.read("#{root}/docs/webhooks.md")
  blocks = document.scan(/^```(\w+)\n(.*?)^```$/m)
  files = blocks.to_h { |_, text| [text[/\A# (\S+\.(?:ru|rb))$/, 1], text] }.except(nil)
  shell = blocks.filter_map { |language, text| text if language == "bash" }
  secret = { "SIMPLECONNECT_WEBHOOK_SECRET" => "s3cret" }

  # Runs a block of the shell's against a server; its command is found by its name, as if the gem was installed.
  define_method(:run_shell) do |text, url|
    installed = "simple_connect() { #{Command::LINE.shelljoin} \"$@\"; }"
    sent = text.gsub("bundle exec ", "")
    sent.sub!("http://127.0.0.1:3000", url) || sent.sub!(/webhooks send \S+/, "\\0 --url #{url}")
    out, err, status = Open3.capture3("bash", "-euc", "#{installed}\n#{sent}")
    raise err unless status.success?

    out
  end

  define_method(:post) do |url, body = '{"order":7}', headers: SimpleConnect::Signature.sign(body, secret: "s3cret")|
    answer = Net::HTTP.post(URI(url), body, { "Content-Type" => "application/json", **headers })
    [Integer(answer.code), JSON.parse(answer.body)]
  end

  it "leads to a handler in plain Rack" do
    start, send = shell
    expect(start).to include("export SIMPLECONNECT_WEBHOOK_SECRET=s3cret\n", "puma --port 8080")
    log = nil
    RackProcess.open(files.slice("config.ru"), secret) do |server|
      expect(run_shell(send, server.url)).to eq("#{send[/# (\{.*\})$/, 1]}\n")
      expect(post("#{server.url}/v/1/webhooks/order.paid", headers: {}).first).to eq(401)
      log = server.log
    end
    expect(log).to include("order.paid v1: order 7")
  end

  it "leads to handlers in Rails" do
    log = nil
    RackProcess.open({ **RackProcess::RAILS, **files.except("config.ru") }, secret) do |server|
      mounted = "#{server.url}/hooks/v/1/webhooks/order.paid"
      expect(run_shell(shell.last, server.url)).to eq("{\"paid\":7}\n")
      expect(post(mounted, '{"order":8}')).to eq([200, { "paid" => 8 }])
      unsigned = post(mounted, '{"order":9}', headers: {})
      expect(unsigned).to match([401, a_hash_including("reason" => "missing_signature")])

      own = "#{server.url}/deliveries"
      expect(post(own)).to eq([200, { "order" => 7 }])
      expect(post("#{own}?order=999")).to eq([200, { "order" => 7 }])
      other = SimpleConnect::Signature.sign('{"order":7}', secret: "other")
      old = SimpleConnect::Signature.sign('{"order":7}', secret: "s3cret", timestamp: Time.now - 400)
      { {} => "missing_signature", other => "mismatch", old => "too_old" }.each do |headers, reason|
        expect(post(own, headers:)).to match([401, { "error" => a_kind_of(String), "reason" => reason }])
      end
      log = server.log
    end
    expect(log).to include("Completed 401 Unauthorized")
    expect(log).not_to include("s3cret")
  end

  it "shows only what works" do
    ruby = DocumentedCode.blocks(document).reject { |text, _| files.value?(text) }
    # In Debian 13, nothing that the other specs need brings this gem.
    ruby.reject! { |text, _| text.include?("Redis.new") } if Gem::Specification.find_all_by_name("redis").empty?
    with_handler = ruby.index { |text, _| text.include?("X-Request-Id") }
    ruby.insert(with_handler + 1, [<<~'RUBY', 0])
      require "rack"
      signed = SimpleConnect::Webhooks::TestHelpers.signed_env(body, secret: "s3cret")
      answer = Rack::MockRequest.new(app).post("/v/1/webhooks/order.paid", input: body, "HTTP_X_REQUEST_ID" => "7f3a", **signed)
      answer.body # => "{\"order\":7,\"event\":\"order.paid\",\"version\":\"v1\",\"request_id\":\"7f3a\"}"
    RUBY
    more = <<~RUBY
      require "json"
      require "simple_connect"
      require "stringio"
      ENV["REDIS_URL"] = "redis://127.0.0.1:1"
      body = '{"order":7}'
      env = SimpleConnect::Webhooks::TestHelpers.signed_env(body, secret: "s3cret")
      request = Struct.new(:body, :env).new(StringIO.new(body), env)
    RUBY
    output, fine = DocumentedCode.run(ruby, more)
    expect(fine).to be(true), output
    expect(output).to eq("")
  end

  it "leaves no block out" do
    others = blocks.map(&:first).tally
    expect(others).to eq("ruby" => DocumentedCode.blocks(document).length, "bash" => 3)
    expect(files.keys).to eq(%w[config.ru config/initializers/webhooks.rb config/routes.rb
                                app/controllers/deliveries_controller.rb])
  end
end
