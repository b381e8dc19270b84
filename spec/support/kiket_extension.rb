# frozen_string_literal: true

# An extension of Kiket in a process of its own, by the blocks of a README (standard input: a JSON object of them). Here
# is also who sends it events, and the API it calls. Prints the answers, and what the API was asked.

require "json"
require "net/http"
require "kiket_sdk"
require_relative "kiket_api"

blocks = JSON.parse($stdin.read)
api = KiketApi.new
server = SimpleConnect.const_get(:Server).new(api, "Kiket's API", "127.0.0.1", 0)
ENV.update("KIKET_BASE_URL" => server.url, "KIKET_EXTENSION_API_KEY" => "ek_1")

evaluate = ->(name) { eval(blocks.fetch(name), TOPLEVEL_BINDING, name) } # rubocop:disable Security/Eval -- it is our own
reachable = lambda do
  TCPSocket.new("127.0.0.1", 8080).close
  true
rescue Errno::ECONNREFUSED
  false
end
answers = []
post = lambda do |path, payload, headers = {}|
  # No two requests are the same.
  body = JSON.generate({ **payload, number: answers.size })
  signed = KiketSDK::Auth.generate_signature("sh_123", body)
  headers = { "X-Kiket-Signature" => signed[:signature], "X-Kiket-Timestamp" => signed[:timestamp], **headers }
  answer = Net::HTTP.post(URI("http://127.0.0.1:8080#{path}"), body, headers)
  answers << [Integer(answer.code), JSON.parse(answer.body)]
end

app = Thread.new { evaluate["Quickstart"] }
(app.alive? ? Thread.pass : app.value) until reachable.call
issue = { issue: { id: 7, title: "A title", project_id: 42 } }
post["/v/1/webhooks/issue.created", issue]
post["/webhooks/issue.created", issue, { "X-Kiket-Event-Version" => "v2" }]
evaluate["Custom Data Client"]
2.times { post["/v/1/webhooks/issue.created", issue] }
evaluate["SLA Alert Stream"]
post["/v/1/webhooks/workflow.sla_status", issue]
api.sla = []
post["/v/1/webhooks/workflow.sla_status", issue]
evaluate["Rate-Limit Helper"]
post["/v/1/webhooks/automation.dispatch", {}]
api.limits = { limit: 600, remaining: 3, window_seconds: 60, reset_in: 12 }
post["/v/1/webhooks/automation.dispatch", {}]

Process.kill("TERM", Process.pid)
app.value
puts JSON.generate([answers, api.requests.map(&:to_a)])
