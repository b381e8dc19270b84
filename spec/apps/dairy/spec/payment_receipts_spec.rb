# frozen_string_literal: true

require "openssl"

RSpec.describe Dairy::PaymentReceipts do
  subject(:receipts) { described_class.new }

  let(:endpoint) { Fixtures::ENDPOINT }
  let(:accepted) { json(202, status: "accepted", log_id: 7, event_id: "payment_42") }

  describe "#deliver" do
    it "sends the payment" do
      request = stub_request(:post, endpoint).with(
        headers: { "Content-Type" => "application/json", "X-SimpleConnect-Key-Id" => "wa_sec_dairy" },
        body: {
          recipient: { name: "Asha Patil", mobile_no: "+919812345678" },
          event: {
            event_id: "payment_42", occurred_at: "2026-04-16T09:30:00+05:30", payment_amount: "450.00",
            payment_mode: "UPI", name: "customer_payment_received", language: "en"
          }
        }
      ).to_return(accepted)

      response = receipts.deliver(payment)
      expect(response.log_id).to eq(7)
      expect(response).not_to be_duplicate
      expect(request).to have_been_requested.once
    end

    it "signs what it sends" do
      stub_request(:post, endpoint).to_return(accepted)
      receipts.deliver(payment)

      expect(a_request(:post, endpoint).with do |request|
        timestamp = request.headers["X-Simpleconnect-Timestamp"]
        signature = OpenSSL::HMAC.hexdigest("SHA256", ENV.fetch("SIMPLECONNECT_SECRET"), "#{timestamp}.#{request.body}")
        request.headers["X-Simpleconnect-Signature"] == "sha256=#{signature}"
      end).to have_been_made
    end

    it "is fine with a receipt that was sent before" do
      stub_request(:post, endpoint).to_return(json(200, status: "accepted", log_id: 7, duplicate: true))
      expect(receipts.deliver(payment)).to be_duplicate
    end

    it "gets over an outage" do
      stub_request(:post, endpoint).to_return(status: 503).times(2).then.to_return(accepted)
      receipts.deliver(payment)
      expect(a_request(:post, endpoint)).to have_been_made.times(3)
    end

    it "gets over a bad network" do
      stub_request(:post, endpoint).to_timeout.then.to_raise(Errno::ECONNRESET).then.to_return(accepted)
      expect(receipts.deliver(payment).event_id).to eq("payment_42")
    end

    it "has the queue try again after three attempts" do
      stub_request(:post, endpoint).to_return(json(500, error: "oops"))
      expect { receipts.deliver(payment) }.to raise_error(described_class::TryAgain, 'HTTP 500: {"error":"oops"}')
      expect(a_request(:post, endpoint)).to have_been_made.times(3)
    end

    it "has the queue try again when nobody answers" do
      stub_request(:post, endpoint).to_timeout
      expect { receipts.deliver(payment) }.to raise_error(described_class::TryAgain, /\ANet::OpenTimeout/)
      expect(WebMock).to have_requested(:post, endpoint).times(3)
    end

    {
      Errno::ECONNREFUSED => /\AErrno::ECONNREFUSED: Connection refused/,
      SocketError => /\ASocketError: Exception from WebMock\z/,
      OpenSSL::SSL::SSLError => /\AOpenSSL::SSL::SSLError: /,
      EOFError => /\AEOFError: /
    }.each do |error, text|
      it "has the queue try again after #{error}" do
        stub_request(:post, endpoint).to_raise(error)
        expect { receipts.deliver(payment) }.to raise_error(described_class::TryAgain, text)
      end
    end

    it "gives up where the server rejects it, and says why" do
      stub_request(:post, endpoint).with(body: /payment_42/).to_return(json(422, error: "mobile_no is not valid"))
      expect { receipts.deliver(payment) }.to raise_error(described_class::Rejected, "mobile_no is not valid")
      expect(a_request(:post, endpoint)).to have_been_made.once
    end

    it "gives up where a proxy rejects it" do
      stub_request(:post, endpoint).to_return(status: 403, body: "<html>Forbidden</html>")
      expect { receipts.deliver(payment) }
        .to raise_error(described_class::Rejected, "HTTP 403: <html>Forbidden</html>")
    end

    it "never reaches the real server from here" do
      expect { receipts.deliver(payment) }.to raise_error(WebMock::NetConnectNotAllowedError, /POST #{endpoint}/)
      expect(a_request(:post, endpoint)).to have_been_made.once
    end

    it "sends nothing where the event is none of ours" do
      expect { Dairy.simple_connect.events.deliver("customer_payment_recieved", recipient: { mobile_no: "+91" }) }
        .to raise_error(SimpleConnect::UnknownEventError)
      expect(a_request(:any, /simplewaconnect/)).not_to have_been_made
    end

    it "answers each payment with its own" do
      stub_request(:post, endpoint).to_return do |request|
        json(202, status: "accepted", event_id: JSON.parse(request.body).dig("event", "event_id"))
      end
      ids = [1, 2, 3].map { |id| Thread.new { receipts.deliver(payment(id)).event_id } }.map(&:value)
      expect(ids).to eq(%w[payment_1 payment_2 payment_3])
    end

    it "tells monitoring of each request" do
      seen = []
      WebMock.after_request { |request, response| seen << [request.method, request.uri.path, response.status.first] }
      stub_request(:post, endpoint).to_return({ status: 502 }, accepted)
      receipts.deliver(payment)
      expect(seen).to eq([[:post, "/api/v1/integrations/milkways/events", 502],
                          [:post, "/api/v1/integrations/milkways/events", 202]])
    end

    it "logs what happens" do
      log = StringIO.new
      Dairy.logger = Logger.new(log)
      Dairy.simple_connect = nil
      stub_request(:post, endpoint).to_timeout.then.to_return(accepted)
      receipts.deliver(payment)
      expect(log.string.scan(/\[SimpleConnect\] (.*)/).flatten).to match(
        [/\APOST app\.simplewaconnect\.com.* \(\d+B signed body\)\z/, /\APOST failed: Net::OpenTimeout: /,
         /\APOST app\.simplewaconnect\.com/, "Response 202"]
      )
    ensure
      Dairy.logger = Dairy.simple_connect = nil
    end
  end

  describe "#state" do
    let(:url) { "#{endpoint}/payment_42" }

    def event(status, message = nil)
      json(200, event_log: { event_id: "payment_42", status: },
                message: message && { event: "message.status", data: { message_id: "wamid.1", status: message } })
    end

    it "follows the message" do
      stub_request(:get, url).to_return(event("pending"), event("dispatched", "delivered"), event("dispatched", "read"))
      expect(Array.new(3) { receipts.state(payment) }).to eq(%i[waiting delivered read])
    end

    it "is failed, or unknown" do
      stub_request(:get, url).to_return(event("failed")).then.to_return(json(404, error: "no such event"))
      expect(Array.new(2) { receipts.state(payment) }).to eq(%i[failed unknown])
    end
  end

  # Recorded, to see that what we stub is what the server says.
  describe "with the server", vcr: { cassette_name: "payment_receipt" } do
    it "is delivered, and known afterwards" do
      response = receipts.deliver(payment)
      expect(response.event_id).to eq("payment_42")
      expect(response).not_to be_duplicate
      expect(receipts.deliver(payment)).to be_duplicate
      expect(receipts.state(payment)).to eq(:delivered)
      expect(receipts.state(payment(43))).to eq(:unknown)
    end

    it "asks for nothing that is not recorded" do
      expect { receipts.deliver(payment(99)) }.to raise_error(/VCR does not know how to handle/)
    end
  end
end
