# frozen_string_literal: true

require "open3"
require "rbconfig"
require "securerandom"
require_relative "../support/delivering"

# Promise 12, from outside: what another process finds in the memory of one that has used a secret.
RSpec.describe "The memory of a process that has used a secret" do
  include Delivering

  # Makes and drops clients. What it says before each `gets` is ready to be looked at.
  script = <<~'RUBY'
    require "simple_connect"
    require "simple_connect/kiket"
    origin, reversed, how = ARGV
    key = reversed.reverse
    uses = {
      "an API key of messages" => lambda do
        client = SimpleConnect::MessagesClient.new(base_url: origin, api_key: key, max_attempts: 1)
        client.messages.detail("m")
      end,
      "Kiket's API key" => -> { SimpleConnect::Kiket::Client.new(origin, extension_api_key: key).get("/x") },
      "header fields of a client" => lambda do
        client = SimpleConnect::Client.new(endpoint_url: "#{origin}/x", key_id: "k", secret: "s", max_attempts: 1,
                                           headers: { "X-Token" => key })
        client.with(headers: { "X-More" => "1" }).events.deliver("order_paid", order: 7)
      end,
      "header fields of one request" => lambda do
        transport = SimpleConnect.const_get(:Transport).open({ url: origin, url_option: "url" }, {}, timeout: 5,
                                                                                                     user_agent: nil)
        transport.request("POST", "/x", headers: { "X-Token" => key }, body: "{}")
      end
    }
    ready = lambda do
      $stdout.puts("ready")
      $stdout.flush
      $stdin.gets or exit
    end
    ready.call
    # On a stack of its own, which is gone afterwards.
    Thread.new { uses.fetch(how).call && nil }.join
    3.times { GC.start }
    ready.call
    # It was there all the time.
    key.clear
  RUBY

  # How often parts of `text` are in the memory that the process can write to. Memory that was given back is used again,
  # so it is looked for in pieces.
  def occurrences(pid, text)
    parts = Regexp.union(text.scan(/.{50}/).each_slice(10).map(&:last))
    File.open("/proc/#{pid}/mem", "rb") do |memory|
      writable(pid).sum { |first, last| read(memory, first, last).scan(parts).size }
    end
  end

  # Where the memory that the process can write to begins and ends.
  def writable(pid)
    File.readlines("/proc/#{pid}/maps").filter_map { |line| line[/\A(\h+-\h+) rw/, 1]&.split("-")&.map(&:hex) }
  end

  # What lies there; what nobody can read is left out, such as the guard of a stack.
  def read(memory, first, last)
    bytes = +"".b
    while first < last
      piece = begin
        memory.pread([last - first, 1 << 20].min, first)
      rescue Errno::EIO, EOFError
        ""
      end
      bytes << piece
      first += piece.empty? ? 4096 : piece.bytesize
    end
    bytes
  end

  ["an API key of messages", "Kiket's API key", "header fields of a client",
   "header fields of one request"].each do |how|
    it "holds it no more often than before, after it was #{how}" do
      key = SecureRandom.hex(2500)
      skip "no other process's memory can be read here" unless File.exist?("/proc/self/mem")

      ScriptedServer.open([{ "status" => 200, "body" => "{}" }]) do |server|
        command = [RbConfig.ruby, "-I", File.expand_path("../../lib", __dir__), "-e", script, server.url, key.reverse,
                   how]
        Open3.popen2(*command) do |stdin, stdout, thread|
          counts = Array.new(2) do
            expect(stdout.gets).to eq("ready\n")
            occurrences(thread.pid, key).tap { stdin.puts }
          end
          expect(server.requests.size).to eq(1)
          expect(server.requests.first.headers.values.join).to include(key)
          expect(counts[0]).to be_positive
          expect(counts[1]).to eq(counts[0])
        end
      end
    end
  end
end
