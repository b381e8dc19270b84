# frozen_string_literal: true

require "simple_connect"
require "timeout"
require_relative "../support/jobs"
require_relative "../support/libraries"
require_relative "../support/scripted_server"

# What jobs of an application's own include.
RSpec.describe "Retries", unchecked: true do
  include Jobs

  around { |example| Timeout.timeout(90) { example.run } }

  taken = { "status" => 202, "body" => "{}" }
  call = "SimpleConnect.client.with(max_attempts: 1).events.deliver!(\"order_paid\", order: 7, event_id: \"o7\")"

  # A server of this script, and an initializer with the job of an application.
  define_method(:serve) do |libraries, script, job, more = "", &block|
    ScriptedServer.open(script) do |server|
      file = initializer(*libraries, server, more:)
      File.write(file.path, job, mode: "a")
      block.call(server, file)
    end
  end

  describe "of ActiveJob", skip: Libraries.missing("active_job") do
    job = <<~RUBY
      class ReceiptJob < ActiveJob::Base
        include SimpleConnect::ActiveJob::Retries
        def perform = #{call}
      end
    RUBY

    it "bring the job back, never sooner than Retry-After" do
      script = [{ "status" => 503 }, { "status" => 429, "headers" => { "Retry-After" => "2" } }, taken]
      serve(%w[active_job], script, job, "config.max_wait = 0.5") do |server, file|
        ruby(file, <<~RUBY)
          ActiveJob::Base.queue_adapter = :async
          require "stringio"
          ActiveJob::Base.logger = Logger.new(log = StringIO.new)
          ReceiptJob.perform_later
          sleep(0.02) until log.string.scan("Performed ").size + log.string.scan("Error performing").size == 3
        RUBY
        expect(gaps(server)).to match([be_between(0.4, 2), be >= 2])
      end
    end

    # What comes of one job whose server answers so.
    define_method(:outcome) do |step, more = ""|
      serve(%w[active_job], [step], job, more) do |_, file|
        ruby(file, <<~RUBY).lines(chomp: true).grep(/\A(\[|ended|raised|back)/)
          ActiveJob::Base.queue_adapter = :test
          begin
            ActiveJob::Base.execute(ReceiptJob.new.serialize)
            puts ActiveJob::Base.queue_adapter.enqueued_jobs.any? ? "back" : "ended"
          rescue SimpleConnect::DeliveryError => e
            puts "raised \#{e.class}"
          end
        RUBY
      end
    end

    it "do what the table says" do
      hook = '"client":null,"event_key":null,"event_id":null,"job":"ReceiptJob"'
      expect(outcome(taken)).to eq(["ended"])
      expect(outcome({ "status" => 202, "body" => "<html>" })).to eq(["ended"])
      expect(outcome({ "fault" => "close" })).to eq(["back"])
      expect(outcome({ "status" => 401 })).to eq(["[\"on_unauthorized\",401,{#{hook}}]",
                                                  "raised SimpleConnect::AuthenticationError"])
      expect(outcome({ "status" => 422 })).to eq(["[\"on_rejected\",422,{#{hook}}]",
                                                  "raised SimpleConnect::InvalidRequestError"])
      expect(outcome({ "status" => 422 }, "config.rejected = :discard").last).to eq("ended")
      expect(outcome({ "status" => 503, "headers" => { "Retry-After" => "9" } }, "config.give_up_after = 1"))
        .to eq(["[\"on_exhausted\",503,{#{hook}}]", "raised SimpleConnect::ServerError"])
    end

    it "give up when config.give_up_after is over, counted from the first attempt" do
      more = "config.max_wait = 0.2; config.give_up_after = 0.7"
      serve(%w[active_job], [{ "status" => 503 }], job, more) do |server, file|
        output = ruby(file, <<~RUBY)
          ActiveJob::Base.queue_adapter = :async
          ActiveJob::Base.logger = nil
          SimpleConnect.configuration.on_exhausted = ->(*) { $over = puts("over") || true }
          ReceiptJob.perform_later
          sleep(0.02) until $over
        RUBY
        expect(output.lines.grep(/over/).size).to eq(1)
        expect(server.requests.size).to be_between(3, 6)
      end
    end
  end

  describe "of Sidekiq", skip: RedisServer.missing || Libraries.missing("sidekiq") do
    around { |example| with_redis { example.run } }

    job = <<~RUBY
      class ReceiptJob
        include Sidekiq::Job
        include SimpleConnect::Sidekiq::Retries
        def perform = #{call}
      end
    RUBY
    # From this version on its block can end jobs.
    ends = 'Gem::Version.new(Sidekiq::VERSION) >= Gem::Version.new("6.5.2")'

    it "bring the job back, never sooner than Retry-After" do
      script = [{ "status" => 429, "headers" => { "Retry-After" => "2" } }, taken]
      serve(%w[sidekiq], script, job, "config.max_wait = 0.5") do |server, file|
        ruby(file, "ReceiptJob.perform_async")
        sidekiq(file) { server.wait_for(2) }
        expect(gaps(server)).to match([be >= 2])
        expect(kept(file).values).to eq([[]] * 4)
      end
    end

    it "end it as the table says, from 6.5.2 on; before, it comes back after config.max_wait" do
      serve(%w[sidekiq], [{ "status" => 422 }], job, "config.max_wait = 1000") do |server, file|
        can_end = ruby(file, "p(#{ends})") == "true\n"
        ruby(file, "ReceiptJob.perform_async")
        sidekiq(file) do
          server.wait_for(1)
          wait_until { kept(file).slice(:dead, :retry).values.any?(&:any?) }
        end
        kept = kept(file)
        expect(kept.slice(:dead, :retry).values.map(&:size)).to eq(can_end ? [1, 0] : [0, 1])
        expect(kept[:retry].map { |retried| retried[:at] - retried[:failed_at].to_f }).to all(be_between(999, 1020))
      end
    end

    it "say for each error what Sidekiq is to do" do
      serve(%w[sidekiq], [taken], job) do |_, file|
        printed = ruby(file, <<~RUBY).lines(chomp: true).grep_v(/\A\[/)
          Sidekiq.send(:remove_const, :VERSION)
          def say(error, failed_at = nil)
            p ReceiptJob.new.then { |job| job.class.sidekiq_retry_in_block.call(0, error, { "failed_at" => failed_at }) }
          end
          failed = ->(status) { SimpleConnect::Result.new(success: false, status_code: status) }
          errors = [KeyError.new, SimpleConnect::MalformedResponseError.new, SimpleConnect::TimeoutError.new,
                    *[401, 422, 503].map { |status| SimpleConnect::ServerError.new(result: failed.(status)) }]
          %w[7.3.2 6.4.1].each do |version|
            Sidekiq.const_set(:VERSION, version)
            errors.each { |error| say(error) }
            Sidekiq.send(:remove_const, :VERSION)
          end
          Sidekiq.const_set(:VERSION, "8.0.0")
          say(errors.last, Time.now.to_f - 300_000)
          say(errors.last, ((Time.now.to_f - 300_000) * 1000).to_i)
          say(errors.last, Time.now.to_f - 60)
        RUBY
        expect(printed).to match(
          ["nil", ":discard", /\A[67]\z/, ":kill", ":kill", /\A[67]\z/,
           "nil", "3600", /\A[67]\z/, "3600", "3600", /\A[67]\z/, ":kill", ":kill", /\A[67]\z/]
        )
      end
    end
  end
end
