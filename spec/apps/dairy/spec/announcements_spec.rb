# frozen_string_literal: true

RSpec.describe Dairy::Announcements do
  let(:url) { "https://app.simplewaconnect.com/api/v1/whatsapp_messages" }

  it "sends one message to all" do
    stub_request(:post, url)
      .with(headers: { "Authorization" => "Bearer sk_test_dairy" }, body: /"template_name":"holiday"/)
      .to_return(json(200, success: true, queued_messages: [{ message_id: "m1" }, { message_id: "m2" }], errors: []))
    expect(subject.holiday([asha, asha], "2026-08-15")).to eq(%w[m1 m2])
  end

  it "does not send it twice where it is not known whether it was sent" do
    stub_request(:post, url).to_raise(Net::ReadTimeout)
    expect { subject.holiday([asha], "2026-08-15") }.to raise_error(/not sent: Net::ReadTimeout/)
    expect(a_request(:post, url)).to have_been_made.once
  end

  it "knows what was delivered" do
    stub_request(:get, "#{url}/m1").to_return(json(200, message_id: "m1", status: "delivered"))
    stub_request(:get, "#{url}/m2").to_return(json(404, error: "no such message"))
    expect(%w[m1 m2].map { |id| subject.delivered?(id) }).to eq([true, false])
  end
end
