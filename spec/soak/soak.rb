# frozen_string_literal: true

require "timeout"
require_relative "../support/certificates"
require_relative "../support/delivering"
require_relative "../support/scripted_server"
require_relative "../support/subprocess"

# Promise 14 of the transport: 100,000 deliveries, 10,000 clients, 1,000 timeouts and 1,000 killed threads leave memory,
# descriptors and threads as they were. `rake soak` runs this.
#
# The clients are in a process of their own, and each storm is preceded by a small one of its kind, so that what Ruby
# keeps for itself is there before it is counted. The clients come first: a process inherits the garbage of the servers
# before it, and it shows in the figures when Ruby tidies that up.
RSpec.describe "A long life (promise 14)", order: :defined do
  include Delivering

  # How much memory may come on top, in MB: two hundred bytes lost by each of 100,000 deliveries would be 20. And how
  # many threads: Ruby keeps some of the system's for the next ones.
  slack = { memory: 14, threads: 10 }

  # Answers at once, but to what asks for silence.
  answer = lambda do |connection|
    io = connection.io
    while (line = io.gets)
      length = 0
      while (field = io.gets) != "\r\n"
        length = Integer(field[/\d+/]) if field.start_with?("Content-Length")
      end
      io.read(length)
      next connection.wait_for_client_to_close if line.include?("/silence")

      io.write("HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\n{}")
    end
  end

  identity = Certificates.self_signed("127.0.0.1")

  around do |example|
    Timeout.timeout(900) do
      ScriptedServer.open(answer) do |plain|
        ScriptedServer.open(answer, tls: identity.context) do |tls|
          @plain = plain
          @tls = tls
          example.run
        end
      end
    end
  end

  # Resident memory in MB, descriptors, threads: of the whole process, not only of Ruby.
  def count
    4.times { GC.start }
    status = File.read("/proc/self/status")
    { memory: status[/VmRSS:\s+(\d+)/, 1].to_i / 1024.0, descriptors: Dir.children("/dev/fd").size,
      threads: status[/Threads:\s+(\d+)/, 1].to_i }
  end

  # Counts before and after `number` rounds of the block, which is given how many.
  def before_and_after(number, &)
    Subprocess.run do
      yield([number / 10, 100].max)
      before = count
      yield(number)
      [before, count]
    end
  end

  define_method(:expect_no_growth) do |what, before, after|
    figures = after.map { |name, value| "#{name} #{before[name].round(1)} to #{value.round(1)}" }
    RSpec.configuration.reporter.message("#{what}: #{figures.join(", ")}")
    expect(after[:memory] - before[:memory]).to be < slack[:memory]
    expect(after[:descriptors]).to be <= before[:descriptors]
    expect(after[:threads] - before[:threads]).to be < slack[:threads]
  end

  def url(path = "/events", server = @plain) = server.url + path

  define_method(:trusting) { |url, **options| client_of(url, ca_file: identity.file, timeout: 30, **options) }

  # Splits `number` rounds among 4 threads.
  def together(number, &)
    Array.new(4) { Thread.new { (number / 4).times(&) } }.each(&:join)
  end

  it "of 10,000 clients that nobody closes" do
    counts = before_and_after(10_000) do |number|
      number.times { deliver(trusting(url)).success? || raise("not delivered") }
    end
    expect_no_growth("10,000 clients", *counts)
  end

  it "of 100,000 deliveries" do
    counts = before_and_after(100_000) do |number|
      client = trusting(url)
      together(number) { deliver(client).success? || raise("not delivered") }
      client.close
    end
    expect_no_growth("100,000 deliveries", *counts)
  end

  it "of 10,000 deliveries over TLS, each tenth on a connection of its own" do
    counts = before_and_after(10_000) do |number|
      client = trusting(url("/events", @tls))
      (number / 10).times do
        10.times { deliver(client).success? || raise("not delivered") }
        client.close
      end
    end
    expect_no_growth("10,000 deliveries over TLS", *counts)
  end

  it "of 1,000 timeouts" do
    counts = before_and_after(1_000) do |number|
      [@plain, @tls].each do |server|
        client = trusting(url("/silence", server))
        hasty = client.with(read_timeout: 0.001)
        together(number / 4) { deliver(hasty).network_error == :timeout || raise("no timeout") }
        together(number / 4) do
          Timeout.timeout(0.005) { deliver(client) } && raise("no timeout")
        rescue Timeout::Error
          nil
        end
      end
    end
    expect_no_growth("1,000 timeouts", *counts)
  end

  it "of 1,000 killed threads" do
    counts = before_and_after(1_000) do |number|
      [@plain, @tls].each do |server|
        client = trusting(url("/silence", server))
        (number / 20).times do
          threads = Array.new(10) { Thread.new { deliver(client) } }
          # Until they wait: for the connection, for TLS, for the answer.
          Thread.pass until threads.all?(&:stop?)
          threads.each(&:kill).each(&:join)
        end
      end
    end
    expect_no_growth("1,000 killed threads", *counts)
  end
end
