# frozen_string_literal: true

require "timeout"
require_relative "../support/outboxes"

RSpec.describe "The outbox's relay", unchecked: true do
  include Outboxes

  around { |example| Timeout.timeout(30) { example.run } }

  before { @configuration = SimpleConnect.instance_variable_get(:@configuration) }

  after { SimpleConnect.instance_variable_set(:@configuration, @configuration) }

  Databases.each(self) do |database|
    let(:base) { database.base }

    before(:context) { OutboxTables.migrate(database.base) }

    after { clear }

    def relay(**options) = Outboxes::Relay.new(store:, **options)

    it "sends the events of a recipient in their order, and those of others side by side" do
      lock = Mutex.new
      busy = Hash.new(0)
      most = 0
      overlaps = 0
      answer = lambda do |id, _|
        lane = id[0]
        lock.synchronize do
          overlaps += 1 if (busy[lane] += 1) > 1
          most = [most, busy.values.sum].max
        end
        sleep(0.02)
        lock.synchronize { busy[lane] -= 1 }
        202
      end
      Outboxes.serve(answer) do |server|
        configure(server.endpoint)
        %w[a b c d].each { |lane| write(*(1..7).map { |n| "#{lane}#{n}" }, lane:) }
        relay = relay(concurrency: 3)
        expect(relay.run(seconds: 20)).to be(false)
        expect(relay.counters).to eq(done: 28)
        orders = came(server).group_by { |id| id[0] }.values
        expect(orders).to eq(orders.map(&:sort))
        expect([overlaps, most]).to eq([0, 3])
        expect(sql("SELECT COUNT(*) FROM events")).to eq([[0]])
      end
    end
  end
end
