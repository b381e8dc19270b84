# frozen_string_literal: true

require_relative "support/delivering"
require_relative "support/libraries"
require_relative "support/subprocess"

# In a process of their own: Rails changes how everything becomes JSON.
RSpec.describe "ActionController::Parameters as recipients", skip: Libraries.missing("action_controller") do
  include Delivering

  accepted = Delivering::ACCEPTED
  body = '{"recipient":{"name":"Asha","mobile_no":"+919812345678"},"event":{"event_id":"e","occurred_at":"t",' \
         '"name":"order_paid","language":"en"}}'

  # What the block gives, called with a client of each kind and with Parameters that are not permitted as yet.
  def with_parameters(server)
    Subprocess.run do
      require "action_controller"
      parameters = ActionController::Parameters.new(name: "Asha", mobile_no: "+919812345678", admin: true)
      yield client_of(server).events, messages_client_of(server).messages, parameters
    end
  end

  def error
    yield.error
  rescue StandardError => e
    [e.class.name, e.message]
  end

  it "are sent where they are permitted" do
    ScriptedServer.open([accepted]) do |server|
      with_parameters(server) do |events, messages, parameters|
        recipient = parameters.permit(:name, :mobile_no)
        delivery = { recipient:, event: { event_id: "e", occurred_at: "t" } }
        events.deliver("order_paid", **delivery)
        events.deliver_all([["order_paid", delivery]])
        messages.deliver(template_name: "t", recipients: [recipient])
        messages.deliver_all([{ template_name: "t", recipients: [recipient] }])
      end
      message = '{"messages":[{"message_type":"template","template_name":"t",' \
                '"recipients":[{"name":"Asha","mobile_no":"+919812345678"}]}]}'
      expect(server.requests.map(&:body)).to eq([body, body, message, message])
    end
  end

  it "raise their own error where they are not" do
    ScriptedServer.open([accepted]) do |server|
      errors = with_parameters(server) do |events, messages, recipient|
        [error { events.deliver("order_paid", recipient:) },
         error { messages.deliver(template_name: "t", recipients: [recipient]) },
         error { events.deliver_all([["order_paid", { recipient: }]]).first },
         error { messages.deliver_all([{ template_name: "t", recipients: [recipient] }]).first }]
      end
      unfiltered = ["ActionController::UnfilteredParameters", "unable to convert unpermitted parameters to hash"]
      expect(errors).to eq([unfiltered, unfiltered, unfiltered.join(": "), unfiltered.join(": ")])
      expect(server.requests).to eq([])
    end
  end
end
