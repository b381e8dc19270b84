# frozen_string_literal: true

require "digest"
require "fileutils"
require "json"
require "open3"
require "rbconfig"
require "rubygems/package"
require "socket"
require "tmpdir"

# What decides whether a release that broke off pushes a gem.
RSpec.describe "bin/published", unchecked: true do
  root = File.expand_path("..", __dir__)

  around do |example|
    Dir.mktmpdir do |folder|
      @file = "#{folder}/a_gem-1.0-x86_64-linux.gem"
      spec = Gem::Specification.new("a_gem", "1.0") do |gem|
        gem.platform = "x86_64-linux"
        gem.authors = ["us"]
        gem.summary = "a gem"
      end
      Gem::DefaultUserInteraction.use_ui(Gem::SilentUI.new) { Gem::Package.build(spec, true, false, @file) }
      example.run
    end
  end

  # Runs it with a registry that gives this answer; returns its exit status, what it prints and what it asked for.
  define_method(:published) do |status, body = ""|
    server = TCPServer.new("127.0.0.1", 0)
    asked = nil
    thread = Thread.new do
      socket = server.accept
      asked = socket.gets("\r\n\r\n")[/\AGET (\S+)/, 1]
      socket.write("HTTP/1.1 #{status}\r\nContent-Length: #{body.bytesize}\r\nConnection: close\r\n\r\n#{body}")
      socket.close
    end
    env = { "RUBYGEMS_HOST" => "http://127.0.0.1:#{server.addr[1]}", "RUBYOPT" => nil, "http_proxy" => nil }
    printed, result = Open3.capture2e(env, RbConfig.ruby, "#{root}/bin/published", @file)
    thread.join
    [result.exitstatus, printed, asked]
  ensure
    server.close
  end

  it "succeeds if the registry has the same bytes for the platform" do
    status, printed, asked = published("200 OK", JSON.generate(sha: Digest::SHA256.file(@file).hexdigest))
    expect([status, printed]).to eq([0, "a_gem-1.0-x86_64-linux.gem: the registry has it\n"])
    expect(asked).to eq("/api/v2/rubygems/a_gem/versions/1.0.json?platform=x86_64-linux")
  end

  it "exits with 3 if the registry does not have the version: it can be pushed" do
    expect(published("404 Not Found").first(2))
      .to eq([3, "a_gem-1.0-x86_64-linux.gem: the registry does not have it\n"])
  end

  it "exits with 1 if the registry has other bytes, or does not say" do
    expect(published("200 OK", JSON.generate(sha: "0")).first(2))
      .to eq([1, "a_gem-1.0-x86_64-linux.gem: the registry has other bytes\n"])
    expect(published("503 Service Unavailable").first(2)).to match([1, / answers 503$/])
    expect(published("200 OK", "<html>").first).to eq(1)
  end
end
