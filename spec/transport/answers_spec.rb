# frozen_string_literal: true

require "json"
require "timeout"
require "zlib"
require_relative "../support/delivering"

# Promise 18, and what else a server may do to an answer. Each is told by its kind, and none reaches another request.
RSpec.describe "The transport, reading answers" do
  include Delivering

  table = JSON.parse(File.read(File.expand_path("../conformance/own/answers.json", __dir__)))
  whole = "HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\n{}"
  wires = Delivering.wires

  # A step that sends these bytes, and then keeps the connection open or ends it.
  def sending(*pieces, ending: :keep)
    lambda do |connection, _|
      pieces.each_with_index do |piece, index|
        # So that they arrive one by one.
        sleep(0.003) if index.positive?
        connection.io.write(piece)
      end
      connection.reset if ending == :reset
      # Over TLS it says so first.
      connection.io.close if ending == :close
      ending == :keep
    end
  end

  # The answer as it came, before anybody makes sense of its body.
  def answer_to_a_delivery(server, **options)
    answer = nil
    client = client_of(server, retryable: ->(**, &attempt) { answer = attempt.call(1) }, **options)
    begin
      deliver(client)
    rescue SimpleConnect::MalformedResponseError
      # Some bodies of the table are no JSON.
    end
    [client, answer]
  end

  cut = ->(bytes) { [bytes[0, bytes.size / 2], bytes[bytes.size / 2..]] }
  in_one = ->(bytes) { [bytes] }
  ways = { "" => [in_one, *wires["HTTP"]], ", in two pieces" => [cut, *wires["HTTP"]],
           ", over TLS" => [in_one, *wires["HTTPS"]] }

  ways.each do |way, (pieces, serving, trusting)|
    table["answers"].each do |row|
      it "reads #{row["name"]}#{way}" do
        sent = sending(*pieces.call(row["bytes"]), ending: row["closed"] ? :close : :keep)
        serve(sent, Delivering::ACCEPTED, **serving) do |server|
          client, answer = answer_to_a_delivery(server, **trusting)
          expect([answer.status_code, answer.response_body]).to eq(row.values_at("status", "body"))
          expect(answer.headers).to eq(row["headers"]) if row["headers"]
          expect(client.integrations.verify.status_code).to eq(202)
          # The connection serves again where the answer allows it and nothing else came along.
          expect(server.connections).to eq(row["close"] || row["left"] ? 2 : 1)
        end
      end
    end

    table["failures"].each do |row|
      it "refuses #{row["name"]}#{way}" do
        serve(sending(*pieces.call(row["bytes"]), ending: :close), Delivering::ACCEPTED, **serving) do |server|
          client = client_of(server, max_response_bytes: 1000, **trusting)
          result = deliver(client)
          kind = row["kind"] == "cut" ? :eof : row["kind"].to_sym
          expect([result.status_code, result.network_error, result.network_phase]).to eq([0, kind, :read])
          expect(result.error).to match(/\A\S+: 127.0.0.1:#{server.port}: #{Regexp.escape(row["message"])}/)
          server.closed.pop
          expect(deliver(client)).to be_success
        end
      end
    end
  end

  describe "cut short" do
    head, = whole.split("{}")
    stages = { "before the answer" => "", "in the middle of its head" => head[0, 30], "behind its head" => head,
               "in the middle of its body" => "#{head}{" }

    stages.each do |stage, bytes|
      it "takes an end #{stage} for an error that another attempt may mend" do
        serve(sending(bytes, ending: :close), Delivering::ACCEPTED) do |server|
          result = deliver(client_of(server))
          expect([result.network_error, result.network_phase]).to eq(%i[eof read])
          expect(result.error).to start_with("EOFError: 127.0.0.1:#{server.port}: the connection was closed ")
            .and end_with("; the server may have taken the request")
        end
        serve(sending(bytes, ending: :close), Delivering::ACCEPTED) do |server|
          expect(deliver(client_of(server, retryable: quick))).to have_attributes(success: true, attempts: 2)
        end
      end

      it "takes a reset #{stage} for an error that another attempt may mend" do
        serve(sending(bytes, ending: :reset), Delivering::ACCEPTED) do |server|
          result = deliver(client_of(server))
          expect([result.network_error, result.network_phase]).to eq(%i[reset read])
          expect(result.error).to start_with("Errno::ECONNRESET: 127.0.0.1:#{server.port}: the connection was reset")
        end
        serve(sending(bytes, ending: :reset), Delivering::ACCEPTED) do |server|
          expect(deliver(client_of(server, retryable: quick))).to have_attributes(success: true, attempts: 2)
        end
      end
    end

    %i[close reset].each do |ending|
      it "takes a complete answer, whatever follows (#{ending})" do
        serve(sending(whole, ending:), Delivering::ACCEPTED) do |server|
          client = client_of(server)
          expect(deliver(client)).to be_success
          server.closed.pop
          expect(deliver(client)).to have_attributes(success: true, attempts: 1)
          expect(server.requests.map(&:connection)).to eq([0, 1])
        end
      end
    end
  end

  what = "that began with a 2xx and broke off or cannot be read (promise 18)"
  Delivering.over_each_wire(self, what) do
    head = "HTTP/1.1 202 Accepted\r\nContent-Length: 41\r\n\r\n"
    begun = { "in its status line" => "HTTP/1.1 202 Acc", "behind its head" => head, "in its body" => "#{head}{",
              "by a length that is none" => "HTTP/1.1 202 Accepted\r\nContent-Length: 4I\r\n\r\n{}" }
    policies = { "Retryable" => SimpleConnect::Retryable.new(delay: ->(_) { 0.01 }),
                 "Retryable.exponential" => SimpleConnect::Retryable.exponential(base: 0.01),
                 "a policy of one's own" => lambda do |retriable_if:, &attempt|
                   first = attempt.call(1)
                   first.failed? && retriable_if.call(first) ? attempt.call(2) : first
                 end }

    policies.each do |name, retryable|
      begun.each do |where, bytes|
        it "has the message not sent again, by #{name} (#{where})" do
          serve(sending(bytes, ending: :close), Delivering::ACCEPTED) do |server|
            result = send_message(messages_client_of(server, retryable:))
            expect(result).to have_attributes(success: false, attempts: 1, retryable?: false)
            expect(result.error).to end_with("; the server has taken the request")
            expect(server.requests.size).to eq(1)
          end
        end

        it "has the event sent again, which the server knows by its id, by #{name} (#{where})" do
          serve(sending(bytes, ending: :close), Delivering::ACCEPTED) do |server|
            expect(deliver(client_of(server, retryable:))).to have_attributes(success: true, attempts: 2)
          end
        end
      end

      it "has the message sent again where nothing says that it was taken, by #{name}" do
        unclear = ["", "HTTP/1.1 20", head.sub("202", "503"), "HTTP/1.1 100 Continue\r\n\r\n"]
        unclear.each do |bytes|
          serve(sending(bytes, ending: :close), Delivering::ACCEPTED) do |server|
            result = send_message(messages_client_of(server, retryable:))
            expect(result).to have_attributes(success: true, attempts: 2)
          end
        end
      end
    end

    it "has the message not sent again when its time is up" do
      serve(sending(head), Delivering::ACCEPTED) do |server|
        result = send_message(messages_client_of(server, retryable: quick, read_timeout: 0.2))
        expect(result).to have_attributes(network_error: :timeout, attempts: 1, retryable?: false)
        expect(result.with(attempts: 1)).not_to be_retryable
      end
    end
  end

  it "takes a refusal for complete, however the connection ends, where its body has no announced end" do
    refusal = "HTTP/1.0 422 Unprocessable\r\n\r\n{\"error\":\"no such template\"}"
    serve(sending(refusal, ending: :reset)) do |server|
      result = deliver(client_of(server, retryable: quick))
      expect(result).to have_attributes(status_code: 422, attempts: 1)
      expect(result.data.message).to eq("no such template")
    end
    serve(sending(refusal.sub("422", "200"), ending: :reset)) do |server|
      expect(deliver(client_of(server)).network_error).to eq(:reset)
    end
  end

  it "leaves what exceeds the Content-Length where it is" do
    stale = '{"event_id":"of another request"}'
    serve(sending("#{whole}#{stale}"), Delivering::ACCEPTED) do |server|
      client = client_of(server)
      expect(deliver(client).response_body).to eq("{}")
      expect(deliver(client).data.event_id).to eq("payment_42")
      expect(server.requests.map(&:connection)).to eq([0, 1])
    end
  end

  describe "in drips" do
    drips = { "status" => 202, "body" => "{}#{" " * 10}", "drip" => { "pieces" => 12, "gap" => 0.1 } }

    it "counts each silence, not the whole, towards read_timeout" do
      serve(drips) do |server|
        result = nil
        expect(time { result = deliver(client_of(server, read_timeout: 0.9)) }).to be > 1.0
        expect(result).to be_success
      end
    end

    it "counts the whole towards total_timeout" do
      serve(drips) do |server|
        result = deliver(client_of(server, total_timeout: 0.4))
        expect(result).to have_attributes(network_error: :timeout, network_phase: :read)
        expect(server.closed.pop).to eq(0)
      end
    end
  end

  describe "of a size" do
    fields = ->(count) { "X-Field: 1\r\n" * count }

    it "reads a head of 100 lines, and no more" do
      serve(sending("HTTP/1.1 202 OK\r\n#{fields[99]}Content-Length: 2\r\n\r\n{}"),
            sending("HTTP/1.1 202 OK\r\n#{fields[100]}Content-Length: 2\r\n\r\n{}")) do |server|
        client = client_of(server, retryable: quick)
        expect(deliver(client).headers["x-field"].scan("1").size).to eq(99)
        expect(deliver(client)).to have_attributes(network_error: :too_large, attempts: 1, error: /100 header lines/)
      end
    end

    it "refuses a head that does not end, long before the memory does" do
      endless = lambda do |connection, _|
        connection.io.write("HTTP/1.1 202 OK\r\n")
        loop { connection.io.write("X-Field: #{"x" * 1000}\r\n") }
      end
      serve(endless) do |server|
        result = deliver(client_of(server, retryable: quick))
        expect(result).to have_attributes(network_error: :too_large, attempts: 1, error: /head is larger than 65536 b/)
        expect(server.closed.pop).to eq(0)
      end
    end

    it "refuses a body that does not end, long before the memory does" do
      sent = 0
      endless = lambda do |connection, _|
        connection.io.write("HTTP/1.1 202 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        loop { sent += connection.io.write("1000\r\n#{"x" * 4096}\r\n") }
      end
      serve(endless) do |server|
        result = deliver(client_of(server, retryable: quick))
        expect(result).to have_attributes(network_error: :too_large, attempts: 1, error: /larger than 1048576 bytes/)
        expect(server.closed.pop).to eq(0)
        # What lies in the buffers of both sockets comes on top.
        expect(sent).to be < 32 * 1024 * 1024
      end
    end

    it "refuses a chunked body whose extensions do not end" do
      endless = lambda do |connection, _|
        connection.io.write("HTTP/1.1 202 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        chunks = "1;#{"x" * 4000}\r\n \r\n" * 50
        loop { connection.io.write(chunks) }
      end
      serve(endless) do |server|
        result = Timeout.timeout(10) { deliver(client_of(server, retryable: quick)) }
        expect(result).to have_attributes(network_error: :too_large, attempts: 1, error: /extensions .+ 16384 bytes/)
      end
    end

    it "refuses announcements of an answer that do not end" do
      endless = lambda do |connection, _|
        announcements = "HTTP/1.1 102 Processing\r\n\r\n" * 50_000
        loop { connection.io.write(announcements) }
      end
      serve(endless) do |server|
        result = Timeout.timeout(10) { deliver(client_of(server, retryable: quick)) }
        expect(result).to have_attributes(network_error: :too_large, attempts: 1, error: /head is larger than 65536 b/)
      end
    end

    it "heeds deadlines and interrupts where it never has to wait for more" do
      # Chunks of one byte: the body does not exceed its limit before some gigabytes have come.
      endless = lambda do |connection, _|
        connection.io.write("HTTP/1.1 202 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        chunks = "1\r\n \r\n" * 300_000
        loop { connection.io.write(chunks) }
      end
      serve(endless) do |server|
        result = nil
        client = client_of(server, max_response_bytes: 1024**3)
        expect(time { result = deliver(client.with(total_timeout: 0.2)) }).to be_between(0.2, 1)
        expect(result).to have_attributes(network_error: :timeout, network_phase: :read)
        taken = time do
          expect { Timeout.timeout(0.2) { deliver(client) } }.to raise_error(Timeout::Error)
        end
        expect(taken).to be_between(0.2, 1)
      end
    end
  end

  describe "that lead elsewhere" do
    [301, 302, 303, 307, 308].each do |status|
      it "does not follow a #{status}, and says where it leads" do
        serve(Delivering::ACCEPTED) do |elsewhere|
          redirect = { "status" => status, "headers" => { "Location" => "#{elsewhere.url}/moved" } }
          serve(redirect) do |server|
            result = deliver(client_of(server, retryable: quick))
            expect(result).to have_attributes(success: false, status_code: status, attempts: 1, network_error: nil)
            expect(result.error).to eq("HTTP #{status}:  (redirects are not followed; this one leads to " \
                                       "#{elsewhere.url}/moved)")
          end
          expect(elsewhere.connections).to eq(0)
        end
      end
    end

    it "says so too where the head is not UTF-8" do
      head = "HTTP/1.1 302 Gefunden\r\nX-Name: caf\xE9\r\nLocation: /caf\xE9\r\nContent-Length: 0\r\n\r\n".b
      serve(sending(head)) do |server|
        expect(deliver(client_of(server)).error).to include("this one leads to /caf\uFFFD")
      end
    end
  end

  describe "in gzip, which was not requested" do
    gzip = ->(status, body) { { "status" => status, "headers" => { "Content-Encoding" => "gzip" }, "body" => body } }

    it "does not ask for it" do
      serve(Delivering::ACCEPTED) do |server|
        deliver(client_of(server))
        expect(server.requests.first.headers["accept-encoding"]).to eq("identity")
      end
    end

    it "says what a success is that nobody can read" do
      serve(gzip[202, Zlib.gzip('{"status":"accepted"}')]) do |server|
        expect { deliver(client_of(server, retryable: quick)) }
          .to raise_error(SimpleConnect::MalformedResponseError, /gzip.*not requested/)
        expect(server.requests.size).to eq(1)
      end
    end

    it "says what a refusal is that nobody can read" do
      serve(gzip[422, Zlib.gzip('{"error":"no such template"}')]) do |server|
        result = deliver(client_of(server))
        expect(result).to have_attributes(status_code: 422, data: nil, error: /\AHTTP 422: .*gzip.*not requested/)
        expect(result.response_body.b).to start_with("\x1F\x8B".b)
      end
    end
  end

  describe "to a large request" do
    large = "x" * (12 * 1024 * 1024)
    early = "HTTP/1.1 413 Too Large\r\nContent-Length: 19\r\n\r\n{\"error\":\"too big\"}"

    # Reads a request's head and nothing of its body.
    def read_head(connection)
      nil until connection.io.gets == "\r\n"
    end

    it "hears a server that refuses it early and closes" do
      refuse = lambda do |connection|
        read_head(connection)
        connection.io.write(early)
      end
      ScriptedServer.open(refuse) do |server|
        result = deliver(client_of(server, retryable: quick), note: large)
        expect(result).to have_attributes(status_code: 413, attempts: 1)
        expect(result.data.message).to eq("too big")
      end
    end

    it "does not use a connection again on which it did not send all" do
      # If the server read at once, it could get all before the client looks for an answer.
      heard = Queue.new
      refuse = lambda do |connection|
        read_head(connection)
        connection.io.write(early)
        heard.pop
        connection.wait_for_client_to_close
      end
      ScriptedServer.open(refuse) do |server|
        expect(deliver(client_of(server), note: large).status_code).to eq(413)
        heard.close
        expect(server.closed.pop).to eq(0)
      end
    end

    it "gives up on a server that does not read" do
      over = Queue.new
      deaf = lambda do |connection|
        over.pop
        connection.wait_for_client_to_close
      end
      ScriptedServer.open(deaf) do |server|
        result = nil
        expect(time { result = deliver(client_of(server, write_timeout: 0.3), note: large) }).to be < 5
        expect([result.network_error, result.network_phase]).to eq(%i[timeout write])
        expect(result.error).to eq("Net::WriteTimeout: 127.0.0.1:#{server.port}: nothing could be sent for 0.3 s " \
                                   "(write_timeout); the server may have taken the request")
        over << true
        expect(server.closed.pop).to eq(0)
      end
    end

    it "counts each silence, not the whole, towards write_timeout" do
      slow = lambda do |connection|
        read_head(connection)
        left = large.size
        while left.positive?
          left -= connection.io.readpartial(256 * 1024).size
          sleep(0.03)
        end
        connection.io.write(whole)
      end
      ScriptedServer.open(slow) do |server|
        result = nil
        expect(time { result = deliver(client_of(server, write_timeout: 0.8), note: large) }).to be > 1.2
        expect(result).to be_success
      end
    end

    it "says while doing what the connection was reset" do
      rude = lambda do |connection|
        read_head(connection)
        connection.reset
      end
      ScriptedServer.open(rude) do |server|
        result = deliver(client_of(server), note: large)
        expect([result.network_error, result.network_phase]).to eq(%i[reset write])
      end
    end
  end
end
