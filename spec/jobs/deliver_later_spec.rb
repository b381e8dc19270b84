# frozen_string_literal: true

require "simple_connect"
require "timeout"
require_relative "../support/jobs"
require_relative "../support/scripted_server"

# What deliver_later checks, and what it enqueues. Redis is real, and so are the processes.
RSpec.describe "events.deliver_later", unchecked: true do
  include Jobs

  around { |example| Timeout.timeout(60) { example.run } }

  # Prints what each of these calls gives or raises.
  def outcomes(file, *calls)
    code = calls.map do |call|
      "begin; p(eval(#{call.dump})); rescue Exception => e; puts \"\#{e.class}: \#{e.message}\"; end"
    end
    ruby(file, code.join("\n")).lines(chomp: true)
  end

  def without_server(*libraries, more: "") = initializer(*libraries, ScriptedServer.open(&:itself), more:)

  it "raises mistakes to whoever made them, and enqueues nothing then" do
    file = without_server("active_job", more: "config.event_keys = %w[order_paid]")
    printed = outcomes(
      file,
      "ActiveJob::Base.queue_adapter = :test",
      'SimpleConnect.client.events.deliver_later("")',
      'SimpleConnect.client.events.deliver_later("order_sent", recipient: { mobile_no: "+919812345678" })',
      'SimpleConnect.client.events.deliver_later("order_paid", recipient: { name: "Asha" })',
      'SimpleConnect.client.events.deliver_later("order_paid", amount: Float::NAN)',
      'SimpleConnect.client.events.later(queue: "").deliver("order_paid")',
      'SimpleConnect.client.events.later(wait: -1).deliver("order_paid")',
      'SimpleConnect.client.events.later(priority: "high").deliver("order_paid")',
      'SimpleConnect.client.events.later(attempts: 3).deliver("order_paid")',
      "SimpleConnect.client.events.later.deliver_all(7)",
      'SimpleConnect.client.events.later.deliver_all([["order_paid", {}], ["", {}]])',
      "ActiveJob::Base.queue_adapter.enqueued_jobs.size"
    )
    expect(printed.drop(1)).to match(
      ["ArgumentError: event_key is required", /\ASimpleConnect::UnknownEventError: Unknown event_key 'order_sent'/,
       /\AArgumentError: .*mobile_no/, /\AJSON::GeneratorError: /,
       'ArgumentError: queue: must be a name, such as "low", not ""',
       "ArgumentError: wait: must be a number of seconds, such as 60, not -1",
       'ArgumentError: priority: must be an Integer, such as 5, not "high"',
       "ArgumentError: unknown keyword: :attempts",
       "ArgumentError: deliveries must be an Array or another Enumerable, not Integer",
       "ArgumentError: delivery 1: event_key is required (0 before it are enqueued)", "0"]
    )
  end

  it "refuses a client that a job could not find" do
    file = without_server("active_job")
    printed = outcomes(
      file,
      'SimpleConnect::Client.new(endpoint_url: "http://127.0.0.1:1/e", key_id: "k", secret: "s").events.later',
      "SimpleConnect.client.with(timeout: 3).events.later", "SimpleConnect.client.events.tap(&:later)"
    )
    expect(printed).to match([*[/\ASimpleConnect::ConfigurationError: a job finds its client by name: /] * 2,
                              "#<SimpleConnect::Api::Events>"])
  end

  it "finds a client for each tenant" do
    file = without_server("active_job", more: <<~RUBY)
      config.clients do |name|
        SimpleConnect::Client.from_env({ "SIMPLECONNECT_ENDPOINT_URL" => "http://127.0.0.1:1/\#{name}",
                                         "SIMPLECONNECT_KEY_ID" => "k", "SIMPLECONNECT_SECRET" => "s" })
      end
    RUBY
    printed = outcomes(file, "ActiveJob::Base.queue_adapter = :test",
                       'SimpleConnect.client(:acme).events.deliver_later("order_paid", event_id: "o7")',
                       'ActiveJob::Base.queue_adapter.enqueued_jobs.first[:args].first["client"]')
    expect(printed.last(2)).to eq(['"o7"', '"acme"'])
  end

  describe "config.job" do
    calls = ["config = SimpleConnect.configuration; config.job = nil",
             "SimpleConnect.client.events.later.inspect[/ .*? /].strip"]

    it "is ActiveJob where it is loaded, else Sidekiq, else nothing" do
      printed = [["active_job"], ["sidekiq"], %w[sidekiq active_job], []].map do |libraries|
        next "skipped" if libraries.any? { |library| Libraries.missing(library) }

        outcomes(without_server(*libraries), *calls).last
      end
      expected = ['"SimpleConnect::DeliverJob"', '"SimpleConnect::Sidekiq::DeliverJob"', '"SimpleConnect::DeliverJob"',
                  "SimpleConnect::ConfigurationError: there is no queue: require Active Job or Sidekiq before " \
                  "deliver_later"]
      expect(printed).to match(expected.map { |wanted| eq(wanted).or(eq("skipped")) })
    end

    it "is a name, whose class is looked up when it is used" do
      printed = outcomes(
        without_server("active_job", more: 'config.job = "MyJob"'), calls.last,
        "class MyJob < SimpleConnect::DeliverJob; self; end", calls.last,
        "class Other; end; SimpleConnect.configuration.job = \"Other\"", calls.last,
        "SimpleConnect.configuration.job = :sidekiq", calls.last,
        *["MyJob", ":resque", '"my_job"', "7"].map { |job| "SimpleConnect.configuration.job = #{job}" }
      )
      expect(printed.grep_v(/\A"Other"|:sidekiq\z|\AMyJob/)).to match(
        [/ConfigurationError: config.job is "MyJob", which cannot be loaded: uninitialized constant MyJob/, '"MyJob"',
         /must be a class that inherits from SimpleConnect::DeliverJob or SimpleConnect::Sidekiq::DeliverJob/,
         /config.job is :sidekiq, but Sidekiq is not loaded/, *[/config.job must be :active_job, :sidekiq, /] * 4]
      )
    end

    it "does not load ActiveJob::Base before the first job" do
      printed = outcomes(without_server("active_job"), "ActiveSupport.on_load(:active_job) { puts :loaded }",
                         "SimpleConnect.client.events.class", 'SimpleConnect.client.events.later && "later"')
      # The initializer's logger of this spec has loaded it.
      expect(printed.first).to eq("loaded")
      file = Tempfile.new(["plain", ".rb"]).tap { |plain| plain.write(<<~RUBY) && plain.close }
        $LOAD_PATH.unshift(#{File.expand_path("../../lib", __dir__).dump})
        require "active_job"
        require "simple_connect"
        SimpleConnect.configure do |config|
          config.endpoint_url = "http://127.0.0.1:1/e"
          config.key_id = config.secret = "k"
          config.job = :active_job
          config.max_wait = 60
        end
      RUBY
      expect(outcomes(file, "ActiveSupport.on_load(:active_job) { puts :loaded }", "SimpleConnect.client.events.class",
                      "SimpleConnect.client.events.later.class").last(3))
        .to eq(["SimpleConnect::Api::Events", "loaded", "SimpleConnect::Api::Later"])
    end
  end

  it "the options of jobs refuse what they cannot be" do
    config = SimpleConnect::Configuration.new(env: {})
    { max_wait: [0, "an hour"], give_up_after: [-1, nil], rejected: [:keep, nil], queue: ["", 7], job: [Object],
      on_rejected: [7], on_unauthorized: ["puts"], on_exhausted: [:puts] }.each do |option, values|
      values.each do |value|
        expect { config.public_send("#{option}=", value) }
          .to raise_error(SimpleConnect::ConfigurationError, /\Aconfig\.#{option} must (be|respond to) /)
      end
    end
  end

  describe "ActiveJob" do
    it "gets one argument that is JSON, and shows no phone number" do
      printed = outcomes(
        without_server("active_job"), "ActiveJob::Base.queue_adapter = :test", 'deliver("order_paid", amount: 7)',
        'SimpleConnect.client.events.later(queue: :low, wait: 60, priority: 5).deliver("order_sent", event_id: "o8")',
        "puts JSON.generate(ActiveJob::Base.queue_adapter.enqueued_jobs)"
      )
      expect(printed.join).not_to include("9812345678")
      one, two = JSON.parse(printed[-2])
      expect(one["args"].first.except("_aj_symbol_keys", "body"))
        .to eq("v" => 1, "client" => "default", "event_key" => "order_paid", "event_id" => "id_order_paid")
      body = one["args"].first["body"].unpack1("m0")
      expect(JSON.parse(body)).to include("recipient" => { "name" => "", "mobile_no" => "+919812345678" })
      expect([two["queue"], two["priority"], two["at"].class]).to eq(["low", 5, Float])
      expect([one["queue"], one["at"]]).to eq(["default", nil])
    end

    it "raises where a callback refuses a job" do
      printed = outcomes(without_server("active_job"), "ActiveJob::Base.queue_adapter = :test",
                         "SimpleConnect::DeliverJob.before_enqueue { throw :abort }", 'deliver("order_paid")',
                         'SimpleConnect.client.events.later.deliver_all([["a", { n: 1 }], ["b", { n: 1 }]])')
      # perform_all_later, of Rails 7.1 and later, does not call callbacks.
      expect(printed.grep(/Error/).uniq)
        .to eq(["SimpleConnect::EnqueueError: a callback of SimpleConnect::DeliverJob rejected the job"])
    end

    it "takes many, from a lazy list too" do
      printed = outcomes(
        without_server("active_job", more: 'config.queue = "whatsapp"'), "ActiveJob::Base.queue_adapter = :test",
        "ActiveJob::Base.logger = nil",
        'SimpleConnect.client.events.later.deliver_all((1..2500).lazy.map { |n| ["n", { amount: n }] })',
        "ActiveJob::Base.queue_adapter.enqueued_jobs.map { |job| job[:queue] }.tally"
      )
      expect(printed.last(2)).to match(["2500", /\A\{"whatsapp" ?=> ?2500\}\z/])
    end
  end

  describe "Sidekiq", skip: RedisServer.missing || Libraries.missing("sidekiq") do
    around { |example| with_redis { example.run } }

    it "gets one argument that is JSON, and shows no phone number" do
      file = without_server("sidekiq", more: "config.queue = :whatsapp")
      outcomes(file, "Sidekiq.strict_args!", 'deliver("order_paid")',
               'SimpleConnect.client.events.later(queue: :low, wait: 60).deliver("order_sent", event_id: "o8")')
      kept = kept(file)
      expect(JSON.generate(kept)).not_to include("9812345678")
      expect(kept[:queues].map { |job| [job[:queue], job[:retry], delivery(job)[:event_id]] })
        .to eq([["whatsapp", 0, "id_order_paid"]])
      expect(kept[:scheduled].map { |job| [job[:queue], delivery(job)[:event_id]] }).to eq([%w[low o8]])
      expect(kept[:scheduled].first[:at]).to be_within(10).of(Time.now.to_f + 60)
    end

    it "takes many in bulk, and has no priorities" do
      file = without_server("sidekiq")
      printed = outcomes(
        file, <<~RUBY,
          Sidekiq::Client.prepend(Module.new { def raw_push(all) = ($pushed = [*$pushed, all.size]) && super })
        RUBY
        'SimpleConnect.client.events.later(wait: 9).deliver_all((1..2500).lazy.map { |n| ["n", { amount: n }] })',
        "$pushed", 'SimpleConnect.client.events.later(priority: 3).deliver("order_paid")'
      )
      expect(printed.last(3)).to eq(
        ["2500", "[1000, 1000, 500]",
         "ArgumentError: priority: is ActiveJob's; in Sidekiq use a queue of that priority, with queue:"]
      )
      expect(kept(file)[:scheduled].size).to eq(2500)
    end

    it "goes through Sidekiq's own test mode, which does not come back for ever" do
      file = without_server("sidekiq")
      printed = outcomes(file, 'require "sidekiq/testing"', 'deliver("order_paid")',
                         "SimpleConnect::Sidekiq::DeliverJob.jobs.size", "SimpleConnect::Sidekiq::DeliverJob.drain",
                         'SimpleConnect.test!; deliver("order_paid")', "SimpleConnect::Sidekiq::DeliverJob.drain",
                         "SimpleConnect::Testing.deliveries.map(&:event_id)")
      expect(printed.drop(2)).to match(["1", /\ASimpleConnect::ConnectionError/, '"id_order_paid"', "nil",
                                        '["id_order_paid"]'])
    end
  end
end
