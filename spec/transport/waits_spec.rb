# frozen_string_literal: true

require_relative "../support/delivering"

# Promise 3 of the transport, between attempts: what merely wakes a thread up does not shorten the wait. What is done in
# other phases, and by whom else, is in interrupts_spec.rb.
RSpec.describe "The wait between attempts (promise 3)" do
  include Delivering

  unavailable = { "status" => 503 }
  delay = 0.3

  around do |example|
    ScriptedServer.open([unavailable, unavailable, Delivering::ACCEPTED]) do |server|
      @server = server
      example.run
    end
  end

  attr_reader :server

  # Wakes this thread up, again and again, as long as the block runs.
  def while_woken
    thread = Thread.current
    waker = Thread.new do
      loop do
        thread.wakeup
        sleep(0.002)
      end
    end
    yield
  ensure
    waker.kill.join
  end

  def gaps = server.requests.each_cons(2).map { |before, after| after.at - before.at }

  define_method(:patient) { |**options| SimpleConnect::Retryable.new(delay: ->(_) { delay }, **options) }

  it "lasts as long as it should" do
    client = client_of(server, retryable: patient)
    expect(while_woken { deliver(client) }).to have_attributes(success: true, attempts: 3)
    expect(gaps).to all(be_between(delay, delay * 3))
  end

  it "lasts as long as it should in a batch" do
    client = client_of(server, retryable: patient)
    results = while_woken { client.events.deliver_all([["order_paid", { order: 7 }]]) }
    expect(results).to contain_exactly(have_attributes(success: true, attempts: 3))
    expect(gaps).to all(be_between(delay, delay * 3))
  end

  describe "under a monotonic clock that a test has stopped" do
    before { allow(Process).to receive(:clock_gettime).and_return(1.0) }

    # On a thread of its own: it may never end.
    def ended(&)
      thread = Thread.new(&)
      thread.join(20)&.value
    ensure
      thread.kill
    end

    exponential = SimpleConnect::Retryable.exponential(base: delay, max: delay, jitter: nil, max_elapsed: 60)
    [SimpleConnect::Retryable.new(delay: ->(_) { delay }), exponential].each do |retryable|
      it "ends, and takes its time (#{retryable.class})" do
        started = Time.now
        result = ended { deliver(client_of(server, retryable:, total_timeout: 60)) }
        expect(result).to have_attributes(success: true, attempts: 3)
        expect(Time.now - started).to be >= 2 * delay
      end

      it "ends, and takes its time, in a batch (#{retryable.class})" do
        started = Time.now
        results = ended { client_of(server, retryable:).events.deliver_all([["order_paid", { order: 7 }]]) }
        expect(results).to contain_exactly(have_attributes(success: true, attempts: 3))
        expect(Time.now - started).to be >= 2 * delay
      end
    end

    it "ends in its turn while the others of a batch are busy" do
      order = []
      batch = SimpleConnect.const_get(:Batch).new(2) do |wait|
        # The second one waits again and again, until the first has ended.
        200.times { order.empty? && batch.sleep(0.02) } if wait.nil?
        batch.sleep(wait) if wait
        wait
      end
      batch.run([delay, nil]) { |wait, _, _| order << wait }
      expect(order).to eq([delay, nil])
    end

    it "is cut short by total_timeout" do
      retryable = SimpleConnect::Retryable.exponential(max_attempts: 1000, base: 0.01, max: 0.01)
      ScriptedServer.open([unavailable]) do |server|
        expect(ended { deliver(client_of(server, retryable:, total_timeout: 0.3)) }).to have_attributes(success: false)
      end
    end
  end

  it "is left to a sleep of one's own, which is called once for each" do
    slept = []
    client = client_of(server, retryable: patient(sleep: ->(seconds) { slept << seconds }))
    expect(deliver(client).attempts).to eq(3)
    expect(slept).to eq([delay, delay])
  end

  { "a call" => :deliver, "a batch" => :deliver_all }.each do |name, call|
    it "is left to what a test has put in the place of Kernel.sleep (#{name})" do
      slept = []
      allow(Kernel).to receive(:sleep) { |seconds| slept << seconds }
      client = client_of(server, retryable: patient)
      case call
      when :deliver then deliver(client)
      when :deliver_all then client.events.deliver_all([["order_paid", { order: 7 }]])
      end
      expect(slept).to eq([delay, delay])
      expect(server.requests.size).to eq(3)
    end
  end
end
