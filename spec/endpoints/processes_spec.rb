# frozen_string_literal: true

require "timeout"
require "io/wait"
require_relative "../support/endpoint_tables"
require_relative "../support/redis_server"
require_relative "../support/subprocess"

# What several processes do with the same stored endpoints.
RSpec.describe SimpleConnect::Endpoints, unchecked: true do
  around { |example| Timeout.timeout(60) { example.run } }

  ok = { "status" => 200 }

  # A process with connections of its own.
  def process(database, &block)
    Subprocess.new do |io|
      EndpointTables.connect(database.config, migrate: false)
      block.call(io)
    end
  end

  # Four processes that begin at the same time, and share 15 events for an endpoint that takes 10 a second.
  def four_processes(database, &configure)
    EndpointTables::Base.connection_pool.disconnect!
    processes = Array.new(4) do |number|
      process(database) do |io|
        configure&.call
        described_class.find_application("shop")
        io.puts
        io.gets
        (number == 0 ? 3 : 4).times { described_class.publish("shop", event) }
        described_class.deliver_due while deliveries.exists?(state: "pending")
      end
    end
    processes.each(&:gets)
    began = Process.clock_gettime(Process::CLOCK_MONOTONIC)
    processes.each { |each| each.io.puts }
    processes.each(&:value)
    began
  end

  # The eleventh cannot come before a second is over, however slow this machine is.
  def expect_ten_then_five(server, began)
    times = server.requests.map { |request| request.at - began }.sort
    expect([times.size, times[10], times[14]]).to match([15, be_between(1, 20), be < 25])
  end

  EndpointTables.each(self) do |database|
    it "keeps four processes together to 10 in the first second and 5 in the next, by the database" do
      ScriptedServer.open([ok]) do |server|
        application(rate_limit: 10).endpoints.create!(url: server.url)
        expect_ten_then_five(server, four_processes(database))
      end
    end

    if database.engine == "SQLite"
      it "keeps four processes together likewise by Redis", skip: RedisServer.missing || Libraries.missing("redis") do
        RedisServer.open do |redis|
          ScriptedServer.open([ok]) do |server|
            application(rate_limit: 10).endpoints.create!(url: server.url)
            began = four_processes(database) do
              require "redis"
              SimpleConnect.configuration.endpoints.limiter =
                SimpleConnect::Outbound::RedisLimiter.new(Redis.new(url: redis.url))
            end
            expect_ten_then_five(server, began)
          end
        end
      end
    end

    it "loses nothing of a process that is killed while it publishes" do
      gate = Queue.new
      ScriptedServer.open([ScriptedServer.held(gate), ScriptedServer.held(gate), ok]) do |server|
        shop = application
        2.times { |number| shop.endpoints.create!(uid: "e#{number}", url: "#{server.url}/#{number}", secret: "s") }
        EndpointTables::Base.connection_pool.disconnect!
        publisher = process(database) { described_class.publish("shop", event(uid: "ev_1")) }
        first = server.wait_for(2).dup
        Process.kill(:KILL, publisher.pid)
        begin
          publisher.value
        rescue StandardError
          nil
        end
        gate.close
        expect(described_class.deliver_due).to eq(0)
        # When the lease is over.
        due!
        expect(described_class.deliver_due).to eq(2)
        again = server.requests.drop(2)
        facts = ->(request) { [request.target, request.body, request.headers["x-simplyq-event-uid"]] }
        expect(again.map(&facts)).to match_array(first.map(&facts))
        expect(deliveries.pluck(:state)).to eq(%w[succeeded succeeded])
      end
    end

    it "lets nobody finish what another process has claimed meanwhile" do
      ScriptedServer.open([ok]) do |server|
        application.endpoints.create!(url: server.url)
        described_class.publish_later("shop", event)
        store = described_class.store
        slow = store.claim(1, "slow", 60).first
        expect(store.claim(1, "other", 60)).to eq([])
        due!
        other = store.claim(1, "other", 60).first
        expect([store.release(slow, state: "failed"), store.renew(slow, 60), store.renew(other, 60),
                store.release(other, state: "succeeded")]).to eq([false, false, true, true])
      end
    end

    it "has another process see a change at its next event" do
      ScriptedServer.open([ok]) do |server|
        endpoint = application.endpoints.create!(uid: "e", url: "#{server.url}/old")
        EndpointTables::Base.connection_pool.disconnect!
        publisher = process(database) do |io|
          3.times do
            described_class.publish("shop", event)
            io.puts
            io.gets
          end
        end
        publisher.gets
        [{ url: "#{server.url}/new" }, { active: false }].each do |change|
          endpoint.update!(change)
          publisher.io.puts
          publisher.gets
        end
        publisher.io.puts
        publisher.value
        expect(server.requests.map(&:target)).to eq(%w[/old /new])
      end
    end

    it "rotates a secret under load without one refused request" do
      secret = "first-secret"
      arrived = Queue.new
      receiver = lambda do |connection, request|
        good = SimpleConnect::Signature.valid?(request.body, request.headers, secret:, scheme: :simplyq)
        arrived << [request.body, request.headers["x-simplyq-signature"].count(",")]
        connection.io.write("HTTP/1.1 #{good ? 200 : 401} X\r\nContent-Length: 0\r\n\r\n")
        true
      end
      ScriptedServer.open([receiver]) do |server|
        endpoint = application.endpoints.create!(uid: "e", url: server.url, secret:)
        EndpointTables::Base.connection_pool.disconnect!
        publishers = Array.new(2) do |number|
          process(database) do |io|
            described_class.publish("shop", event(payload: { number: })) until io.wait_readable(0.005)
          end
        end
        [1, 2].each do |earlier_secrets|
          10.times { arrived.pop }
          new_secret = endpoint.rotate_secret!(overlap: 60)
          # The receiver changes once both processes have seen it: nothing signed by the old one alone is on its way.
          seen = []
          until seen.uniq.size == 2
            body, commas = arrived.pop
            seen << body if commas == earlier_secrets
          end
          secret = new_secret
          arrived.clear
        end
        publishers.each { |publisher| publisher.io.puts }
        publishers.each(&:value)
        expect([server.requests.size, deliveries.pluck(:state).uniq]).to match([be > 20, %w[succeeded]])
        expect(SimpleConnect::Endpoints::Attempt.pluck(:response_status_code).uniq).to eq([200])
      end
    end
  end
end
