# frozen_string_literal: true

require "timeout"
require_relative "../support/jobs"
require_relative "../support/outbox_tables"
require_relative "../support/scripted_server"

# Processes that write, and Sidekiq, which relays.
RSpec.describe "The outbox with Sidekiq", unchecked: true, skip: RedisServer.missing ||
                                                                 Libraries.missing("sidekiq", "active_record") do
  include Jobs

  around { |example| Timeout.timeout(60) { with_redis { example.run } } }

  Databases.each(self, %w[SQLite]) do |database|
    before { OutboxTables.migrate(database.base) }

    let(:settings) do
      connection = database.config.map { |name, value| "#{name}: #{value.inspect}" }.join(", ")
      "ActiveRecord::Base.establish_connection(#{connection})\nconfig.outbox.encryption_key = \"k\" * 32\n"
    end

    it "delivers what was committed, in order, also what was written while nothing listened" do
      ScriptedServer.open([{ "status" => 202, "body" => "{}" }]) do |server|
        file = initializer("active_record", "sidekiq", server, more: settings)
        ruby(file, <<~RUBY)
          3.times do |number|
            ActiveRecord::Base.transaction do
              SimpleConnect.outbox.deliver("order_paid", recipient: { mobile_no: "+919812345678" },
                                                         event: { event_id: "o\#{number}" })
            end
          end
        RUBY
        expect(server.requests).to eq([])
        sidekiq(file) { wait_until { server.requests.size == 3 } }
        expect(server.requests.map { |request| request.body[/o\d/] }).to eq(%w[o0 o1 o2])
        expect(kept(file).values.flatten.map { |job| job[:class] } - ["SimpleConnect::Sidekiq::RelayJob"]).to eq([])
      end
    end
  end
end
