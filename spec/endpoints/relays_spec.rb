# frozen_string_literal: true

require "io/wait"
require "timeout"
require_relative "../support/endpoint_tables"
require_relative "../support/outbox_config"
require_relative "../support/subprocess"

# What `rails simple_connect:relay` runs if the tables of both are there.
RSpec.describe "The relays of endpoints and of the outbox", unchecked: true do
  include OutboxConfig

  around { |example| Timeout.timeout(30) { example.run } }

  endpoints = SimpleConnect::Endpoints
  outbox = SimpleConnect::Outbox

  EndpointTables.each(self, ["SQLite"]) do |database|
    before(:context) { OutboxTables.migrate(EndpointTables::Base) }
    before do
      EndpointTables.configure
      stub_const("OutboxBase", EndpointTables::Base)
      config.outbox.base = "OutboxBase"
      config.outbox.job = false
    end

    it "both stop claiming when the process is asked to stop, while requests are under way" do
      gate = Queue.new
      ScriptedServer.open([ScriptedServer.held(gate)]) do |server|
        configure(endpoint_url: server.endpoint)
        write
        EndpointTables::Base.connection_pool.disconnect!
        relay = Subprocess.new do |io|
          EndpointTables.connect(database.config, migrate: false)
          allow(endpoints.sender).to receive(:serve).and_wrap_original do |serve, &stop|
            serve.call(&stop)
            io.puts("stopped")
          end
          endpoints.relay_with_outbox
        end
        server.wait_for(1)
        Process.kill(:TERM, relay.pid)
        expect(relay.io.wait_readable(10)&.gets).to eq("stopped\n")
        gate.close
        relay.value
        expect(outbox.stats).to include(new: 0, pending: 0)
      end
    end

    it "both end with the error of either" do
      faults = { -> { allow(endpoints).to receive(:sender).and_raise(NoMemoryError) } => NoMemoryError,
                 -> { allow(outbox.store).to receive(:passed).and_raise(ActiveRecord::StatementInvalid) } =>
                   ActiveRecord::StatementInvalid }
      faults.each do |fault, error|
        fault.call
        relay = Thread.new { endpoints.relay_with_outbox }
        relay.report_on_exception = false
        expect { relay.join(5) || raise("it goes on") }.to raise_error(error)
        RSpec::Mocks.space.proxy_for(endpoints).reset
      end
    end
  end
end
