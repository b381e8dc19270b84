# frozen_string_literal: true

# The extension of Kiket in spec/fixtures/call_forms/kiket, in a process of its own. Here is also who sends it events,
# and the API it calls. Prints the answers, and what the API was asked.

require "json"
require "net/http"
require "kiket_sdk"
require_relative "kiket_api"

api = KiketApi.new
server = SimpleConnect.const_get(:Server).new(api, "Kiket's API", "127.0.0.1", 0)
ENV.update("KIKET_BASE_URL" => server.url, "KIKET_EXTENSION_API_KEY" => "ek_glasshouse")

reachable = lambda do
  TCPSocket.new("127.0.0.1", 9292).close
  true
rescue Errno::ECONNREFUSED
  false
end
answers = []
post = lambda do |path, payload, headers = {}|
  # No two requests are the same.
  body = JSON.generate({ **payload, number: answers.size })
  signed = KiketSDK::Auth.generate_signature("rainwater", body)
  headers = { "X-Kiket-Signature" => signed[:signature], "X-Kiket-Timestamp" => signed[:timestamp], **headers }
  answer = Net::HTTP.post(URI("http://127.0.0.1:9292#{path}"), body, headers)
  answers << [Integer(answer.code), JSON.parse(answer.body)]
end

app = Thread.new { require "extension" }
(app.alive? ? Thread.pass : app.value) until reachable.call
bed = { bed: { name: "tomatoes", project_id: 42 }, litres: 9, percent: 31 }
post["/v/1/webhooks/bed.dry", bed]
post["/webhooks/bed.dry", bed, { "X-Kiket-Event-Version" => "v2" }]
post["/v/1/webhooks/bed.measured", bed]
post["/v/1/webhooks/bed.flooded", bed]
require "harvest"
2.times { post["/v/1/webhooks/bed.dry", bed] }
require "deadlines"
post["/v/1/webhooks/bed.deadline", bed]
api.sla = []
post["/v/1/webhooks/bed.deadline", bed]
require "quota"
post["/v/1/webhooks/night.fell", {}]
api.limits = { limit: 600, remaining: 3, window_seconds: 60, reset_in: 12 }
post["/v/1/webhooks/night.fell", {}]

Process.kill("TERM", Process.pid)
app.value
puts JSON.generate([answers, api.requests.map(&:to_a), LAST_REGISTERED.class.name])
