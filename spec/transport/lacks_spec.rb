# frozen_string_literal: true

require "timeout"
require_relative "../support/certificates"
require_relative "../support/delivering"
require_relative "../support/namespace"
require_relative "../support/subprocess"

# Promise 16 of the transport: what the machine lacks is a failed result, whose error has the class that Ruby gives it.
RSpec.describe "A delivery on a machine that lacks something (promise 16)" do
  include Delivering

  around { |example| Timeout.timeout(60) { example.run } }

  # Runs the block in a process that has only `free` descriptors left.
  def with_descriptors(free)
    Subprocess.run do
      Process.setrlimit(:NOFILE, 200, Process.getrlimit(:NOFILE).last)
      held = []
      begin
        loop { held << File.open(File::NULL) }
      rescue Errno::EMFILE
        held.pop(free).each(&:close)
      end
      yield
    end
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

      it "fails for want of a descriptor for its socket, with the system's own error" do
        served(tls, retryable: quick(2)) do |client|
          error, kind, attempts = with_descriptors(2) do
            deliver(client).then { |result| [result.error, result.network_error, result.attempts] }
          end
          expect(error).to match(/\AErrno::EMFILE: 127\.0\.0\.1:\d+: .*[Tt]oo many open files/)
          expect([kind, attempts]).to eq([:io, 2])
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
end
