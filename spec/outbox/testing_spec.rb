# frozen_string_literal: true

require_relative "../support/outbox_config"

RSpec.describe "The outbox in test mode" do
  include OutboxConfig

  around { |example| SimpleConnect.test! { example.run } }

  Databases.each(self) do |database|
    OutboxConfig.with(self, database)

    before { configure }

    let(:session) { SimpleConnect::Testing.session }

    it "is drained in the transaction around a test, in order" do
      connection.begin_transaction(joinable: false)
      3.times { |number| write("o#{number}") }
      expect(session.deliveries).to eq([])
      SimpleConnect::Outbox::Testing.drain
      expect(session.deliveries.map(&:event_id)).to eq(%w[o0 o1 o2])
      SimpleConnect::Outbox::Testing.drain
      expect(session.deliveries.size).to eq(3)
      expect(SimpleConnect::Outbox.stats).to include(new: 0, pending: 0, parked: 0, lag: nil, clients: [])
      connection.rollback_transaction
      expect(rows).to eq([])
    end

    it "is drained again after the tables were emptied, as between tests" do
      2.times do |number|
        connection.begin_transaction(joinable: false)
        write("o#{number}")
        SimpleConnect::Outbox::Testing.drain
        connection.rollback_transaction
      end
      write("o2")
      SimpleConnect::Outbox::Testing.drain
      connection.execute("DELETE FROM simple_connect_outbox_clients")
      connection.execute("DELETE FROM simple_connect_outbox_lanes")
      write("o3")
      SimpleConnect::Outbox::Testing.drain
      expect(session.deliveries.map(&:event_id)).to eq(%w[o0 o1 o2 o3])
    end

    it "is seen by what watches a block, with what fails, and without what was rolled back" do
      write("before")
      session.fail_with(:timeout)
      seen = session.deliveries_during do
        write("during")
        OutboxBase.transaction do
          outbox.deliver("order_sent", { order: 7 }, event_id: "o8")
          raise ActiveRecord::Rollback
        end
      end
      # The one before it is of the same recipient, and failed.
      expect([session.deliveries, seen].map { |list| list.map(&:event_id) }).to eq([%w[before], []])
      seen = session.deliveries_during { write("alone", ordered: false) }
      expect(seen.map { |delivery| [delivery.event_id, delivery.requests.last.answer] }).to eq([["alone", :timeout]])
      expect(session.deliveries_during { nil }).to eq([])
    end

    it "is not drained within a transaction, whose events are not committed" do
      write
      expect { OutboxBase.transaction { SimpleConnect::Outbox::Testing.drain } }
        .to raise_error(SimpleConnect::Error, /drain is called within a transaction.*: call it after the transaction/)
    end

    it "parks what is refused; it is listed, sent again, or deleted" do
      session.respond_with(422, message: "no such template")
      write("a")
      write("b")
      SimpleConnect::Outbox::Testing.drain
      parked = SimpleConnect::Outbox.parked
      expect(parked.map(&:event_id)).to eq(%w[a b])
      expect(parked.first).to have_attributes(client: "default", event_key: "order_paid", attempts: 1, status: 422,
                                              error: "http_422", age: be_between(0, 60))
      expect(SimpleConnect::Outbox.parked(client: :billing).to_a).to eq([])
      session.respond_with(:accepted)
      expect(SimpleConnect::Outbox.retry_parked(parked.first(1))).to eq(1)
      expect(session.deliveries_with_outbox.map(&:event_id)).to eq(%w[a b a])
      expect(SimpleConnect::Outbox.retry_parked(parked.first)).to eq(1)
      SimpleConnect::Outbox::Testing.drain
      expect(rows).to eq([])
      session.respond_with(422)
      %w[c d].each { |event_id| write(event_id) }
      SimpleConnect::Outbox::Testing.drain
      expect(SimpleConnect::Outbox.purge_parked([parked.first.id])).to eq(1)
      expect(SimpleConnect::Outbox.purge_parked(parked.first)).to eq(1)
      expect(rows).to eq([])
    end

    it "takes parked events and their ids, and nothing else", unchecked: true do
      expect { SimpleConnect::Outbox.purge_parked(7) }.to raise_error(ArgumentError, /\Aevents must be a list/)
      expect(SimpleConnect::Outbox.purge_parked(["7"])).to eq(0)
      expect { SimpleConnect::Outbox.retry_parked(["x"], old: true) }.to raise_error(ArgumentError, /"x"/)
    end

    it "warns before it sends a parked event of long ago again" do
      session.respond_with(422)
      write("a")
      SimpleConnect::Outbox::Testing.drain
      connection.execute("UPDATE simple_connect_outbox_events SET created_at = created_at - 4 * 86400000000")
      expect { SimpleConnect::Outbox.retry_parked(SimpleConnect::Outbox.parked) }
        .to raise_error(ArgumentError, /\Amore than three days old: a; .* then pass old: true\z/)
      expect(SimpleConnect::Outbox.retry_parked(SimpleConnect::Outbox.parked, old: true)).to eq(1)
    end

    it "sends a parked event of long ago again that was never sent" do
      write("a", expires_at: Time.now - 1)
      SimpleConnect::Outbox::Testing.drain
      connection.execute("UPDATE simple_connect_outbox_events SET created_at = created_at - 4 * 86400000000")
      expect(SimpleConnect::Outbox.retry_parked(SimpleConnect::Outbox.parked)).to eq(1)
      expect(session.deliveries_with_outbox.map(&:event_id)).to eq(%w[a])
    end

    it "deletes parked events after keep_parked, and never without it" do
      session.respond_with(422)
      %w[old new].each { |event_id| write(event_id) }
      SimpleConnect::Outbox::Testing.drain
      # The other one was written earlier, but is parked for a shorter time.
      connection.execute("UPDATE simple_connect_outbox_events SET created_at = created_at - 7200000000 " \
                         "WHERE event_id = 'new'")
      connection.execute("UPDATE simple_connect_outbox_events SET first_attempt_at = first_attempt_at - 3600000000 " \
                         "WHERE event_id = 'old'")
      config.outbox.keep_parked = nil
      expect(SimpleConnect::Outbox.clean).to eq(0)
      config.outbox.keep_parked = 1800
      expect(SimpleConnect::Outbox.clean).to eq(1)
      expect(SimpleConnect::Outbox.parked.map(&:event_id)).to eq(%w[new])
    end

    it "resumes a client that was paused" do
      session.respond_with(401)
      write
      SimpleConnect::Outbox::Testing.drain
      expect(SimpleConnect::Outbox.stats).to include(pending: 1, lag: be_between(0, 60), clients: [
                                                       { name: "default", paused_reason: "http_401",
                                                         probe_in: be_between(1, 600) }
                                                     ])
      expect(SimpleConnect::Outbox.summary.last).to match(/\Aclient default  paused: http_401, tried again in [\d.]+ s/)
      session.respond_with(:accepted)
      expect([SimpleConnect::Outbox.resume, SimpleConnect::Outbox.resume(:default)]).to eq([true, false])
      expect(session.deliveries_with_outbox.map(&:accepted?)).to eq([false, true])
    end

    it "resumes clients that the configuration or the outbox knows, and names them for any other" do
      config.client(:billing) { nil }
      expect([SimpleConnect::Outbox.resume, SimpleConnect::Outbox.resume("billing")]).to eq([false, false])
      connection.execute("INSERT INTO simple_connect_outbox_clients (name) VALUES ('gone')")
      expect(SimpleConnect::Outbox.resume(:gone)).to be(false)
      ["typo", :"", ""].each do |name|
        expect { SimpleConnect::Outbox.resume(name) }
          .to raise_error(SimpleConnect::ConfigurationError, /\Ano client is called "#{name}": .* billing, gone/)
      end
      config.clients { |_| raise("not to be built") }
      expect(SimpleConnect::Outbox.resume("tenant 7")).to be(false)
    end

    it "opens what was encrypted, and pauses the client where no key fits" do
      config.outbox.encrypt = true
      write("a")
      config.outbox.encryption_key = "n" * 32
      SimpleConnect::Outbox::Testing.drain
      expect(session.deliveries).to eq([])
      expect(SimpleConnect::Outbox.stats[:clients]).to match([include(name: "default")])
      config.outbox.previous_encryption_keys = ["k" * 32]
      SimpleConnect::Outbox.resume
      expect(session.deliveries_with_outbox.map(&:event_id)).to eq(%w[a])
    end
  end
end
