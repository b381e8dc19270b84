# frozen_string_literal: true

require "resolv"
require "timeout"
require_relative "../support/certificates"
require_relative "../support/delivering"
require_relative "../support/namespace"
require_relative "../support/reactor"
require_relative "../support/subprocess"

# Promise 16 of the transport: what the machine lacks is a failed result, whose error has the class that Ruby gives it.
RSpec.describe "A delivery on a machine that lacks something (promise 16)" do
  include Delivering

  around { |example| Timeout.timeout(60) { example.run } }

  # Runs the block in a process that has only `free` descriptors left, and as many that garbage has.
  def with_descriptors(free, garbage: 0, reactor: nil)
    # Loads the adapter of WebMock now, if another spec has loaded WebMock: later no file can be opened.
    SimpleConnect.const_get(:Transport).interceptor
    work = lambda do
      Process.setrlimit(:NOFILE, 200, Process.getrlimit(:NOFILE).last)
      held = []
      # Whoever waits first closes the pipes that this process has inherited, and keeps its own.
      waiting = Thread.new { SimpleConnect.const_get(:Transport).poll([[nil, 0, 60.0]], 0.0) }
      Thread.pass until waiting.stop?
      # Other specs' files may become garbage only now.
      2.times { open_all(held) && GC.start }
      open_all(held)
      held.pop(free + garbage).each(&:close)
      garbage.times { File.open(File::NULL) }
      yield
    ensure
      held.clear
      waiting.kill.join
    end
    Subprocess.run { reactor ? reactor.run(&work) : work.call }
  end

  # Runs the block in a process that can have no more threads.
  def without_threads(reactor = nil, &block)
    Subprocess.run do
      Process.setrlimit(:NPROC, 0)
      # The limit is not root's.
      Process::Sys.setuid(65_534) if Process.uid.zero?
      reactor ? reactor.run(&block) : block.call
    end
  end

  # That is so without the gem, too: behind the ThreadError of its Thread.new not even a write returns.
  threadless = "a fork of Ruby 3.3 hangs once it can make no thread" if RUBY_VERSION.start_with?("3.3.")

  # Opens files until no descriptor is left.
  def open_all(files)
    loop { files << File.open(File::NULL) }
  rescue Errno::EMFILE
    files
  end

  [false, true].each do |tls|
    context "over HTTP#{"S" if tls}" do
      let(:identity) { Certificates.self_signed("127.0.0.1") }

      # A client of a server that answers.
      def served(tls, **options)
        ScriptedServer.open([Delivering::ACCEPTED], tls: (identity.context if tls)) do |server|
          yield client_of(server, ca_file: identity.file, **options)
        end
      end

      def failure(result) = [result.error, result.network_error, result.attempts]

      # A socket takes one, and whoever waits for it two.
      [0, 1, 2].each do |free|
        it "fails for want of descriptors, with the system's own error (#{free} are left)" do
          served(tls, retryable: quick(2)) do |client|
            error, kind, attempts = with_descriptors(free) { failure(deliver(client)) }
            expect(error).to match(/\AErrno::EMFILE: 127\.0\.0\.1:\d+: .*[Tt]oo many open files/)
            expect([kind, attempts]).to eq([:io, 2])
          end
        end

        [nil, *Reactor::ALL].each do |reactor|
          next if reactor&.unavailable

          it "fails for want of descriptors in a batch#{" with #{reactor.label}" if reactor} (#{free} are left)" do
            served(tls, retryable: quick(2)) do |client|
              errors = with_descriptors(free, reactor:) do
                items = Array.new(3) { |number| ["order_paid", { event_id: "e#{number}" }] }
                client.events.deliver_all(items).map { |result| result.error&.split(": ")&.first }
              end
              # With one, one can be delivered after the other.
              expect(errors).to all(be_nil.or(eq("Errno::EMFILE")))
              expect(errors).to eq(["Errno::EMFILE"] * 3) if free.zero?
            end
          end
        end
      end

      Reactor::ALL.each do |reactor|
        next if reactor.unavailable

        it "needs no thread for a batch with #{reactor.label}", skip: threadless do
          served(tls) do |client|
            statuses = without_threads(reactor) do
              client.events.deliver_all([["order_paid", { order: 7 }]] * 3).map(&:status_code)
            end
            expect(statuses).to eq([202] * 3)
          end
        end
      end

      it "is made with the descriptors that garbage has" do
        served(tls) do |client|
          expect(with_descriptors(1, garbage: 20) { failure(deliver(client)) }).to eq([nil, nil, 1])
        end
      end
    end
  end

  { "one by one" => ->(client) { client.events.deliver("order_paid", event_id: "e") },
    "in batches" => ->(client) { client.events.deliver_all([["order_paid", {}]]).first } }.each do |how, call|
    [false, true].each do |tls|
      it "is made #{how} over HTTP#{"S" if tls} where clients that are garbage have all descriptors" do
        identity = Certificates.self_signed("127.0.0.1")
        ScriptedServer.open([Delivering::ACCEPTED], tls: (identity.context if tls)) do |server|
          errors = with_descriptors(30) do
            # As in a large application, where it is not collected for long.
            GC.disable
            Array.new(100) { call.call(client_of(server, ca_file: identity.file)).error }
          end
          expect(errors.tally).to eq(nil => 100)
        end
      end
    end
  end

  it "fails for want of a local port, with the system's own error", skip: Namespace.unavailable do
    error = Namespace.run(<<~RUBY)
      File.write("/proc/sys/net/ipv4/ip_local_port_range", "40000 40000")
      listener = TCPServer.new("127.0.0.1", 9999)
      held = TCPSocket.new("127.0.0.1", 9999)
      deliver(client_of("http://127.0.0.1:9999/events")).error
    RUBY
    expect(error).to match(/\AErrno::EADDRNOTAVAIL: 127\.0\.0\.1:9999: .*[Aa]ssign requested address/)
  end

  describe "to look its server's name up" do
    # Runs the block in a process where looking a name up does this.
    def resolving_by(replacement, reactor = nil, module_with_method: [IPSocket, :getaddress], &block)
      Subprocess.run do
        # An error that is rescued must not end the main thread, either.
        Thread.abort_on_exception = true
        object, method = module_with_method
        object.singleton_class.prepend(Module.new { define_method(method) { |*_| replacement.call } })
        reactor ? reactor.run(&block) : block.call
      end
    end

    client = ->(spec) { spec.client_of("http://app.example:1/events", retryable: spec.quick(2)) }

    { SocketError => :dns, Resolv::ResolvError => :dns, Resolv::ResolvTimeout => :dns, Errno::EBUSY => :io,
      Errno::ENETUNREACH => :io, Errno::EMFILE => :io, IOError => :io, EOFError => :io,
      ThreadError => :io }.each do |error, kind|
      it "fails where the resolver raises a #{error}, and is tried again" do
        spec = self
        seen = resolving_by(-> { raise error, "oops" }) do
          results = [spec.deliver(client[spec]), *client[spec].events.deliver_all([["order_paid", { order: 7 }]])]
          results.map { |result| [result.error, result.network_error, result.network_phase, result.attempts] }
        end
        text = /\A#{error}: app\.example:1: the name cannot be resolved \(.*oops.*\)/
        expect(seen).to all(match([text, kind, :resolve, 2]))
      end
    end

    it "fails where the system's resolver raises something else than a SocketError" do
      spec = self
      error = resolving_by(-> { raise Errno::EBUSY, "getaddrinfo" }, module_with_method: [Addrinfo, :getaddrinfo]) do
        spec.deliver(client[spec]).error
      end
      expect(error).to eq("Errno::EBUSY: app.example:1: the name cannot be resolved (Device or resource busy - " \
                          "getaddrinfo)")
    end

    it "fails where no thread can be had", skip: threadless do
      spec = self
      seen = without_threads do
        spec.deliver(client[spec]).then { |result| [result.error, result.network_error, result.attempts] }
      end
      expect(seen).to match([/\AThreadError: app\.example:1: .*can't create Thread/, :io, 2])
    end

    it "fails with resolv-replace where there is no way to the name server", skip: Namespace.unavailable do
      error = Namespace.run(<<~RUBY, files: { "/etc/resolv.conf" => "nameserver 192.0.2.1\n" })
        require "resolv-replace"
        deliver(client_of("http://app.example:1/events")).error
      RUBY
      expect(error).to match(/\AErrno::ENETUNREACH: app\.example:1: the name cannot be resolved \(/)
    end

    it "raises what is a bug of the resolver's, for all who wait for it" do
      spec = self
      seen = resolving_by(-> { nil.upcase }) do
        spec.deliver(client[spec])
      rescue NoMethodError => e
        [e.message, e.backtrace.first[/\w+_spec/]]
      end
      expect(seen).to match([/undefined method .upcase'/, "lacks_spec"])
    end
  end
end
