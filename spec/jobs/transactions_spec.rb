# frozen_string_literal: true

require "simple_connect"
require "timeout"
require_relative "../support/jobs"
require_relative "../support/libraries"
require_relative "../support/scripted_server"

# Jobs that are enqueued within transactions of ActiveRecord, on the ActiveRecord that is here.
RSpec.describe "deliver_later and transactions", unchecked: true,
                                                 skip: Libraries.missing("active_job", "active_record", "sqlite3") do
  include Jobs

  around { |example| Timeout.timeout(60) { example.run } }

  # Two databases, and `step`.
  orders = <<~RUBY
    require "active_record"
    ActiveJob::Base.logger = nil
    ActiveJob::Base.queue_adapter = :test
    class First < ActiveRecord::Base
      self.abstract_class = true
      establish_connection(adapter: "sqlite3", database: ":memory:")
    end
    class Second < ActiveRecord::Base
      self.abstract_class = true
      establish_connection(adapter: "sqlite3", database: ":memory:")
    end
    First.connection.create_table(:orders)
    class Order < First
      after_commit { raise "a callback" if $fail }
    end
    def step(name)
      jobs = ActiveJob::Base.queue_adapter.enqueued_jobs
      puts JSON.generate([name, jobs.map { |job| job["arguments"].first["event_key"] }])
      jobs.clear
    end
  RUBY

  # Prints, after each step, the keys of what was enqueued meanwhile.
  define_method(:steps) do |code|
    file = initializer("active_job", ScriptedServer.open(&:itself), more: "")
    output = ruby(file, orders + code)
    output.lines.grep(/\A\[/).to_h { |line| JSON.parse(line) }
  end

  it "are enqueued when the transaction commits, and not where it is rolled back" do
    expected = { "within" => [], "committed" => ["a"], "rolled back" => [], "raised" => [], "none" => ["d"] }
    expect(steps(<<~RUBY)).to eq(expected)
      First.transaction { Order.create!; deliver("a"); step("within") }
      step("committed")
      First.transaction { deliver("b"); raise ActiveRecord::Rollback }
      step("rolled back")
      begin
        First.transaction { deliver("c"); raise "no" }
      rescue RuntimeError
        step("raised")
      end
      deliver("d")
      step("none")
    RUBY
  end

  it "go by the transaction that they stand in, where there is one within another" do
    expect(steps(<<~RUBY)).to eq("savepoint" => [], "outer" => %w[a c])
      First.transaction do
        deliver("a")
        First.transaction(requires_new: true) { deliver("b"); raise ActiveRecord::Rollback }
        First.transaction(requires_new: true) { deliver("c") }
        step("savepoint")
      end
      step("outer")
      First.transaction { First.transaction(requires_new: true) { deliver("d") }; raise ActiveRecord::Rollback }
    RUBY
  end

  it "wait for the transactions of all databases" do
    expect(steps(<<~RUBY)).to eq("inner" => [], "outer" => ["a"], "one of them" => [])
      First.transaction do
        Second.transaction { deliver("a") }
        step("inner")
      end
      step("outer")
      First.transaction do
        Second.transaction { deliver("b"); raise ActiveRecord::Rollback }
      end
      step("one of them")
    RUBY
  end

  it "do not wait for transactions that are not joinable, such as those of fixtures" do
    expect(steps(<<~RUBY)).to eq("fixture" => ["a"], "within" => [], "committed" => ["b"])
      First.connection.begin_transaction(joinable: false)
      deliver("a")
      step("fixture")
      First.transaction { deliver("b"); step("within") }
      step("committed")
    RUBY
  end

  # From Rails 7.2 on ActiveRecord itself skips them then, as it skips other callbacks.
  it "are enqueued where the callback of a record raises, as the transaction has committed" do
    expect(steps(<<~RUBY)).to include("raised" => ["a"])
      if ActiveRecord.respond_to?(:after_all_transactions_commit)
        deliver("a")
        step("raised")
        exit
      end
      $fail = true
      begin
        First.transaction { Order.create!; deliver("a") }
      rescue RuntimeError
        step("raised")
      end
    RUBY
  end

  it "are so in bulk, too" do
    expect(steps(<<~RUBY)).to eq("within" => [], "committed" => %w[a b], "rolled back" => [])
      many = [["a", { n: 1 }], ["b", { n: 2 }]]
      First.transaction { SimpleConnect.client.events.later.deliver_all(many); step("within") }
      step("committed")
      First.transaction { SimpleConnect.client.events.later.deliver_all(many); raise ActiveRecord::Rollback }
      step("rolled back")
    RUBY
  end

  it "knows nothing of the transactions of other threads" do
    expect(steps(<<~RUBY)).to eq("other" => ["a"], "own" => [])
      First.transaction do
        First.connection.materialize_transactions
        Thread.new { deliver("a") }.join
        step("other")
      end
      step("own")
    RUBY
  end

  it "works where ActiveRecord::Base is not loaded, and does not load it" do
    file = initializer("active_job", "active_record", ScriptedServer.open(&:itself))
    expect(ruby(file, <<~RUBY).lines.last).to eq("nil\n")
      ActiveJob::Base.queue_adapter = :test
      ActiveSupport.on_load(:active_record) { $loaded = true }
      deliver("a")
      p $loaded
    RUBY
  end
end
