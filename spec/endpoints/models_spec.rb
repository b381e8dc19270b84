# frozen_string_literal: true

require_relative "../support/endpoint_tables"

RSpec.describe SimpleConnect::Endpoints, unchecked: true do
  EndpointTables.each(self) do |database|
    it "has a migration that rolls back" do
      EndpointTables.migrate(:down)
      expect(EndpointTables::Base.connection.tables.grep(/simple_connect/)).to eq([])
    ensure
      EndpointTables.migrate
    end

    it "stores applications and endpoints, and gives them back as they would be built in code" do
      shop = application(rate_limit: 50, retry_schedule: { strategy: "fixed_wait", wait: 60, max_retries: 2 })
      shop.endpoints.create!(
        uid: "acme", url: "https://acme.example/hooks", version: "1.0.0", filter_types: %w[order.paid],
        topics: ["north"], rate_limit: 10, secret: "s3cret",
        headers: { headers: { "X-Tenant" => "9" }, sensitive: { "Authorization" => "Bearer é" } }
      )
      found = described_class.find_application("shop")
      built = SimpleConnect::Outbound::Endpoint.new(
        uid: "acme", url: "https://acme.example/hooks", version: "1.0.0", filter_types: %w[order.paid],
        topics: ["north"], rate_limit: 10, secret: ["s3cret"],
        headers: { headers: { "X-Tenant" => "9" }, sensitive: { "Authorization" => "Bearer é" } }
      )
      expect(found.endpoints).to eq([built])
      expect([found.name, found.rate_limit, found.retry_schedule.delay(2), found.retry_schedule.delay(3)])
        .to eq(["Shop", 50, 60, nil])
      expect(described_class.find_application("SHOP")).to be_nil
    end

    it "stores an application that was built in code" do
      attributes = { uid: "a", url: "https://a.example", topics: ["t"], secret: "s" }
      endpoints = [SimpleConnect::Outbound::Endpoint.new(**attributes)]
      code = SimpleConnect::Outbound::Application.new(name: "Code", uid: "code", endpoints:)
      2.times { SimpleConnect::Endpoints::Application.import!(code) }
      expect(described_class.find_application("code").endpoints.map(&:to_h)).to eq(endpoints.map(&:to_h))
      sensitive = { sensitive: { "X-Key" => "1" } }
      secretive = SimpleConnect::Outbound::Endpoint.new(url: "https://a.example", headers: sensitive)
      code = SimpleConnect::Outbound::Application.new(name: "Code", uid: "other", endpoints: [secretive])
      expect { SimpleConnect::Endpoints::Application.import!(code) }.to raise_error(ArgumentError, /sensitive headers/)
    end

    it "keeps the stored secret of an endpoint that was built in code without one" do
      secrets = Array.new(2) do
        endpoints = [SimpleConnect::Outbound::Endpoint.new(uid: "a", url: "https://a.example")]
        code = SimpleConnect::Outbound::Application.new(name: "Code", uid: "code", endpoints:)
        SimpleConnect::Endpoints::Application.import!(code)
        described_class.find_application("code").endpoint("a").secret
      end
      expect(secrets.uniq.size).to eq(1)
    end

    it "stores the retry schedule of an application that was built in code" do
      schedule = SimpleConnect::Outbound::RetrySchedule.new(:fixed_wait_with_deadline, wait: 1.5r, deadline: 3600)
      code = SimpleConnect::Outbound::Application.new(name: "Code", uid: "code", retry_schedule: schedule)
      SimpleConnect::Endpoints::Application.import!(code)
      expect(described_class.find_application("code").retry_schedule.to_h).to eq(schedule.to_h)
      code = SimpleConnect::Outbound::Application.new(name: "Code", uid: "code")
      SimpleConnect::Endpoints::Application.import!(code)
      expect(described_class.find_application("code").retry_schedule.to_h).to eq(code.retry_schedule.to_h)
    end

    it "validates as Outbound::Endpoint does" do
      shop = application
      entered = { url: "acme.example", rate_limit: 0, uid: "a b", filter_types: "order.paid",
                  headers: { headers: { "Content-Length" => "1" } } }
      endpoint = shop.endpoints.build(entered)
      expect(endpoint).not_to be_valid
      expect(endpoint.errors.attribute_names).to match_array(%i[url rate_limit uid filter_types headers])
      built = SimpleConnect::Outbound::Endpoint.new(**entered)
      expect(endpoint.errors.map { |error| "#{error.attribute}: #{error.message}" }).to match_array(built.errors)
      expect(shop.endpoints.build(url: "https://a.example", headers: [1]).tap(&:valid?).errors[:headers].size).to eq(1)
      expect(shop.endpoints.build(url: "https://a.example", headers: { other: {} })).not_to be_valid
    end

    it "refuses applications that cannot be used" do
      refused = lambda do |**attributes|
        SimpleConnect::Endpoints::Application.new(name: "n", **attributes).tap(&:valid?).errors.attribute_names
      end
      expect([refused[uid: "a b"], refused[scheme: "md5"], refused[rate_limit: 0], refused[name: ""],
              refused[retry_schedule: { strategy: "never" }], refused[retry_schedule: { wait: "x" }],
              refused[retry_schedule: { wat: 1 }]])
        .to eq([[:uid], [:scheme], [:rate_limit], [:name], [:retry_schedule], [:retry_schedule], [:retry_schedule]])
    end

    it "refuses a scheme that the endpoints' secrets do not fit" do
      shop = application
      shop.endpoints.create!(uid: "fits", url: "https://a.example", secret: "whsec_c2VjcmV0")
      others = Array.new(4) { |number| shop.endpoints.create!(uid: "e#{number}", url: "https://a.example") }
      expect([shop.update(scheme: "standard_webhooks"), shop.errors.attribute_names]).to eq([false, [:scheme]])
      expect(shop.errors[:scheme].first)
        .to match(/cannot be standard_webhooks: .* e0, e1, e2 and 1 more .*rotate_secret!\(overlap: 0, secret/)
      others.each { |endpoint| endpoint.rotate_secret!(overlap: 0, secret: "whsec_c2VjcmV0") }
      shop.update!(scheme: "standard_webhooks")
      expect(described_class.find_application("shop").endpoint("e0").secret).to eq(["whsec_c2VjcmV0"])
    end

    it "refuses a scheme with one signature while two secrets are valid" do
      shop = application
      endpoint = shop.endpoints.create!(uid: "a", url: "https://a.example")
      endpoint.rotate_secret!(overlap: 60)
      expect(shop.update(scheme: "kiket")).to be(false)
      expect(shop.errors[:scheme].first).to match(/cannot be kiket: the secret of a .*one secret, not 2.*overlap: 0/)
      allow(Time).to receive(:now).and_return(Time.now + 120)
      expect(shop.update(scheme: "kiket")).to be(true)
      expect(endpoint.reload.update(secret: %w[one two])).to be(false)
      expect(endpoint.errors[:secret].first).to match(/one signature/)
    end

    it "never shows a secret or a sensitive header again, and leaves nothing of them in the database" do
      shop = application
      secret = shop.endpoints.create!(uid: "generated", url: "https://acme.example").secret
      endpoint = shop.endpoints.create!(uid: "entered", url: "https://acme.example", secret: "open-sesame-42",
                                        headers: { sensitive: { "X-Token" => "gate-seven-77" } })
      expect([endpoint.secret, secret]).to match(["open-sesame-42", start_with("enps_")])
      found = shop.endpoints.reload.last
      expect([found.secret, endpoint.reload.secret]).to eq([nil, nil])
      shown = [found.inspect, found.to_json, found.as_json.inspect, found.to_h.inspect, found.attributes.inspect,
               found.headers.inspect, found.errors.inspect, rows.inspect].join
      hidden = [secret, secret.delete_prefix("enps_"), "open-sesame-42", "gate-seven-77"]
      hidden += hidden.map { |text| [text].pack("m0").delete("=") }
      expect(hidden.select { |text| shown.include?(text) }).to eq([])
      expect(found.as_json["headers"]).to eq("headers" => {}, "sensitive" => true)
      expect { Marshal.dump(found) }.to raise_error(TypeError)
    end

    it "keeps the sensitive headers where an update says so" do
      endpoint = application.endpoints.create!(url: "https://a.example", headers: { sensitive: { "X-Key" => "1" } })
      endpoint.update!(headers: { "headers" => { "X-A" => "2" }, "sensitive" => true })
      expect(endpoint.reload.headers).to eq(headers: { "X-A" => "2" }, sensitive: true)
      expect(endpoint.to_endpoint.header_lines.names).to match_array(%w[X-A X-Key])
      endpoint.update!(headers: nil)
      expect(endpoint.reload.headers).to eq(headers: {})
    end

    it "takes each uid once, and tells upper from lower case" do
      shop = application
      shop.endpoints.create!(uid: "a", url: "https://a.example")
      expect(shop.endpoints.build(uid: "a",
                                  url: "https://a.example").tap(&:valid?).errors.attribute_names).to eq([:uid])
      expect([shop.endpoints.build(uid: "A", url: "https://a.example").save,
              shop.class.new(uid: "shop", name: "n").save])
        .to eq([true, false])
      expect(application(uid: "other").endpoints.build(uid: "a", url: "https://a.example").save).to be(true)
    end

    it "lets neither uid change" do
      endpoint = application.endpoints.create!(uid: "a", url: "https://a.example")
      expect([endpoint.update(uid: "b"), endpoint.application.update(uid: "b")]).to eq([false, false])
    end

    it "encrypts again with another key, and reads what an earlier one has encrypted" do
      endpoint = application.endpoints.create!(uid: "a", url: "https://a.example", secret: "s",
                                               headers: { sensitive: { "X-Key" => "1" } })
      settings = SimpleConnect.configuration.endpoints
      settings.encryption_key = ["n" * 32, EndpointTables::KEY]
      expect(described_class.find_application("shop").endpoint("a").secret).to eq(["s"])
      expect(described_class.rotate_encryption_key).to eq(1)
      settings.encryption_key = "n" * 32
      described_class.reset
      expect(endpoint.reload.to_endpoint.secret).to eq(["s"])
      settings.encryption_key = EndpointTables::KEY
      described_class.reset
      expect { described_class.find_application("shop") }.to raise_error(SimpleConnect::Error, /cannot be decrypted/)
    end

    it "sees a change at the next look, and keeps what has not changed" do
      endpoint = application.endpoints.create!(uid: "a", url: "https://a.example")
      first = described_class.find_application("shop")
      expect(described_class.find_application("shop")).to be(first)
      endpoint.update!(url: "https://b.example")
      expect(described_class.find_application("shop").endpoint("a").url).to eq("https://b.example")
      endpoint.application.update!(rate_limit: 3)
      expect(described_class.find_application("shop").rate_limit).to eq(3)
      endpoint.destroy!
      expect(described_class.find_application("shop").endpoints).to eq([])
    end

    describe "what is kept in memory" do
      found = -> { described_class.find_application("shop") }

      it "is read again after a change by an object that was read before others" do
        shop = application
        endpoint = shop.endpoints.create!(uid: "a", url: "https://old.example")
        found.call
        shop.update!(rate_limit: 7)
        expect(found.call.rate_limit).to eq(7)
        stale = shop.class.find_by!(uid: "shop")
        endpoint.update!(url: "https://new.example")
        stale.update!(name: "Other")
        expect([found.call.endpoint("a").url, found.call.name]).to eq(["https://new.example", "Other"])
      end

      it "is read again after a transaction that was rolled back" do
        endpoint = application.endpoints.create!(uid: "a", url: "https://a.example")
        EndpointTables::Base.transaction do
          endpoint.update!(url: "https://never-committed.example")
          expect(found.call.endpoint("a").url).to eq("https://never-committed.example")
          raise ActiveRecord::Rollback
        end
        endpoint.class.find(endpoint.id).update!(rate_limit: 9)
        expect(found.call.endpoint("a").url).to eq("https://a.example")
      end

      it "is read again where the same ids come again, such as in transactional tests" do
        urls = %w[https://a.example https://b.example].map do |url|
          seen = nil
          EndpointTables::Base.transaction do
            application(id: 77).endpoints.create!(id: 78, uid: "a", url:)
            seen = found.call.endpoint("a").url
            raise ActiveRecord::Rollback
          end
          seen
        end
        expect(urls).to eq(%w[https://a.example https://b.example])
      end
    end

    it "repeats the transaction that the database ends to solve a deadlock" do
      skip("SQLite locks the whole database") if database.engine == "SQLite"
      shop = application
      ids = %w[a b].map { |uid| shop.endpoints.create!(uid:, url: "https://a.example").id }
      arrived = Queue.new
      within = []
      change = lambda do |first, second|
        described_class.store.transaction do
          within << SimpleConnect::Endpoints::Endpoint.connection.open_transactions
          [first, second].each do |id|
            SimpleConnect::Endpoints::Endpoint.where(id:).update_all("rate_limit = COALESCE(rate_limit, 0) + 1")
            arrived << id
            Timeout.timeout(20) { sleep(0.01) until arrived.size >= 2 }
          end
        end
      end
      [ids, ids.reverse].map { |each| Thread.new { change.call(*each) } }.each(&:value)
      expect(within).to eq([1, 1, 1])
      expect(shop.endpoints.pluck(:rate_limit)).to eq([2, 2])
    end

    it "repeats what MariaDB refuses because a row has changed meanwhile" do
      skip("MariaDB only") unless database.engine == "MariaDB"
      refusals = Array.new(2) { Mysql2::Error.new("Record has changed since last read", nil, 1020) }
      value = described_class.store.transaction do
        refusal = refusals.pop or next 7
        begin
          raise refusal
        rescue Mysql2::Error
          raise ActiveRecord::StatementInvalid, "refused"
        end
      end
      expect(value).to eq(7)
    end

    describe "rotating a secret" do
      it "has both sign until the overlap is over" do
        endpoint = application.endpoints.create!(uid: "a", url: "https://a.example", secret: "old")
        second = endpoint.rotate_secret!(overlap: 60)
        expect(described_class.find_application("shop").endpoint("a").secret).to eq([second, "old"])
        third = endpoint.rotate_secret!(overlap: 3600, secret: "third")
        expect([third, endpoint.secret]).to eq(%w[third third])
        expect(described_class.find_application("shop").endpoint("a").secret).to eq(["third", second, "old"])
        allow(Time).to receive(:now).and_return(Time.now + 120)
        expect(described_class.find_application("shop").endpoint("a").secret).to eq(["third", second])
        endpoint.rotate_secret!(overlap: 0, secret: "fourth")
        expect(described_class.find_application("shop").endpoint("a").secret).to eq(["fourth"])
      end

      it "keeps others from writing meanwhile, from the beginning" do
        skip("SQLite only") unless database.engine == "SQLite"
        endpoint = application.endpoints.create!(uid: "a", url: "https://a.example")
        other = SQLite3::Database.new(database.config[:database])
        allow(endpoint).to receive(:lock!).and_wrap_original do |lock|
          lock.call
          expect { other.execute("UPDATE #{endpoint.class.table_name} SET uid = uid") }
            .to raise_error(SQLite3::BusyException)
        end
        endpoint.rotate_secret!(secret: "new")
        expect(endpoint.reload.to_endpoint.secret.first).to eq("new")
      ensure
        other&.close
      end

      it "has Standard Webhooks' secrets, and refuses others" do
        shop = application(scheme: "standard_webhooks")
        endpoint = shop.endpoints.create!(uid: "a", url: "https://a.example")
        expect([endpoint.secret, endpoint.rotate_secret!]).to all(start_with("whsec_"))
        expect(shop.endpoints.build(url: "https://a.example",
                                    secret: "plain").tap(&:valid?).errors[:secret].size).to eq(1)
      end

      it "refuses an overlap where only one can sign" do
        endpoint = application(scheme: "kiket").endpoints.create!(uid: "a", url: "https://a.example", secret: "old")
        expect { endpoint.rotate_secret! }.to raise_error(SimpleConnect::ConfigurationError, /pass overlap: 0/)
        endpoint.rotate_secret!(overlap: 0, secret: "new")
        expect(endpoint.reload.to_endpoint.secret).to eq(["new"])
      end
    end
  end

  it "refuses settings that cannot be used" do
    settings = SimpleConnect::Endpoints::Settings.new
    { base: :Record, encryption_key: "short", scheme: :md5, connection: { timeout: 0 }, limiter: 1, retain: 0,
      disable_after_failures: 0, disable_after: -1, on_failing: 1, on_exhausted: 1, jobs: :resque, queue: "" }
      .each do |name, value|
      expect { settings.public_send("#{name}=", value) }.to raise_error(SimpleConnect::ConfigurationError), name.name
    end
    { { on_attempt: -> {} } => /Attempt/, { on_exhausted: -> {} } => /set config.endpoints.on_exhausted/,
      { limiter: nil } => /set config.endpoints.limiter/, { queue: "q" } => /set config.endpoints.queue/,
      { jobs: :sidekiq } => /set config.endpoints.jobs/, { scheme: :kiket } => /update the application's scheme/,
      { store: 1 } => /takes .*total_timeout:, .*not :store/, { "timeout" => 1 } => /not "timeout"/, nil => /a Hash/ }
      .each do |options, message|
      expect { settings.connection = options }.to raise_error(SimpleConnect::ConfigurationError, message)
    end
    expect(settings.connection).to eq({})
    expect { settings.keys }.to raise_error(SimpleConnect::ConfigurationError, /encryption_key is required/)
  end
end
