# frozen_string_literal: true

# A little of everything that the extension does, for valgrind and for GC.stress: see memory.rb, which has the servers.
#
# @example
#   ruby -Ilib spec/soak/deliveries.rb http://127.0.0.1:4567 https://127.0.0.1:4568 ca.pem [--stress]

require "simple_connect"
# Ruby is not to read this under stress.
require "socket"
require "timeout"

# Raises where something comes to anything else than it should.
class Deliveries
  ANSWER = {
    "status" => "accepted", "log_id" => 7, "event_id" => "e",
    "more" => [nil, true, -1, 2.5, "ü", { "a" => [] }, "ü\u{fffd}", 12_345_678_901_234_567_890]
  }.freeze

  def initialize(url, tls_url, ca_file)
    @url = url
    @tls_url = tls_url
    @ca_file = ca_file
  end

  def run
    write_and_read
    deliver
    fail_in_every_way
    interrupt
    share
    fork_and_deliver
    panic
  end

  private

  def client(path = "/accept", url: @url, **options)
    retryable = SimpleConnect::Retryable.new(max_attempts: 2, delay: ->(_) { 0.001 })
    SimpleConnect::Client.new(endpoint_url: "#{url}#{path}", key_id: "k", secret: "s", ca_file: @ca_file, retryable:,
                              **options)
  end

  def expect(expected, client, **fields)
    result = client.events.deliver("order_paid", order: 7, event_id: "e", **fields)
    outcome = result.network_error || result.status_code
    raise "#{expected} was expected, not #{result.inspect}" unless outcome == expected

    client
  end

  def write_and_read
    client = client("/read")
    event = { event_id: "e", text: "ü" * 300, list: [1, 2.5, nil, true, { deep: [[]] }], "key" => :symbol }
    10.times do
      data = client.events.deliver("order_paid", recipient: { name: "Asha", mobile_no: "+91" }, event:).data
      raise "#{data.to_h} was not what was sent" unless data.to_h == ANSWER
    end
    raise "no such event" unless client.events.detail("e").success?
  end

  def deliver
    [@url, @tls_url].each do |url|
      reused = client(url:)
      5.times { expect(202, reused) }
      expect(202, reused, text: "x" * 100_000)
      expect(202, reused.with(total_timeout: 30))
      reused.close
      expect(202, reused)
    end
  end

  def fail_in_every_way
    expect(503, client("/fail"))
    expect(:eof, client("/close"))
    expect(:malformed, client("/nonsense"))
    expect(:too_large, client("/large"))
    expect(:timeout, client("/silence", read_timeout: 0.05))
    expect(:refused, client(url: "http://127.0.0.1:1"))
    expect(:tls, client(url: @tls_url, ca_file: nil))
    expect(:dns, client(url: "http://#{"a" * 64}.example"))
  end

  def interrupt
    [@url, @tls_url].each do |url|
      stuck = client("/silence", url:)
      begin
        Timeout.timeout(0.3) { expect(202, stuck) }
      rescue Timeout::Error
        nil
      end
      thread = Thread.new { expect(202, stuck) }
      sleep(0.3)
      thread.kill.join
    end
  end

  def share
    shared = client
    Array.new(3) { Thread.new { 3.times { expect(202, shared) } } }.each(&:join)
    shared.events.deliver_all(Array.new(5) { ["order_paid", { order: 7 }] }, concurrency: 2)
  end

  # The child does not come to its end: what it has inherited it must leave alone, and that looks like a loss.
  def fork_and_deliver
    used = expect(202, client)
    child = fork do
      expect(202, used)
      exec("true")
    end
    raise "the child ended badly" unless Process.wait2(child).last.success?
  end

  def panic
    codec = SimpleConnect.const_get(:Codec)
    [-> { codec.panic(true) }, -> { codec.panic_in({ a: { b: 1 } }) }].each do |panic|
      panic.call
    rescue SimpleConnect::InternalError
      nil
    end
  end
end

GC.stress = true if ARGV.delete("--stress")
Deliveries.new(*ARGV).run
GC.stress = false
GC.start
