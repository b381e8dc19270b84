# frozen_string_literal: true

require "json"
require "net/http"
require "rack"
require "simple_connect/sandbox"
require "simple_connect/webhooks"
require "tempfile"
require_relative "../support/browser"

# The page in Chromium, with a sandbox and a receiver on real sockets.
RSpec.describe "The inbox's page", skip: Libraries.missing("puma") || Browser.missing do
  templates = <<~YAML
    - event_key: order_paid
      header: "Payment received ✅"
      body: "Hi *{{name}}*, we received _₹ {{amount}}_.\\n\\n- order {{order}}\\n- due {{due_on}}"
      footer: Green Valley Dairy
      buttons: [Thank you, { text: Track, url: "https://shop.example/{{order}}" }]
    - event_key: order_sent
      language: ar
      body: "مرحباً {{name}}، تم إرسال طلبك."
  YAML

  before(:all) do
    @calls = Queue.new
    app = SimpleConnect::Webhooks::App.new(secret: "sandbox-webhook-secret")
    %w[message.status message.incoming].each do |event|
      app.register(event, version: 1) { |payload, _| @calls << payload }
    end
    @receiver = SimpleConnect.const_get(:Server).new(app, "the receiver", "127.0.0.1", 0)
    @templates = Tempfile.create(["templates", ".yml"])
    @templates.write(templates)
    @templates.close
    @sandbox = SimpleConnect::Sandbox.new(status_callback_url: "#{@receiver.url}/v/1/webhooks/message.status")
    SimpleConnect::Sandbox::Inbox.new(@sandbox, store: :memory, templates: @templates.path)
    @sandbox.start
  end

  after(:all) do
    @sandbox&.stop
    @receiver&.stop
    File.delete(@templates.path) if @templates
  end

  let(:browser) { Browser.instance }
  let(:ravi) { { name: "Ravi Kumar", mobile_no: "+919900112233" } }
  let(:client) { client_with(@sandbox.secret) }

  before do
    @sandbox.reset
    @calls.clear
    browser.open("#{@sandbox.url}/")
    browser.see("#live[data-state=on]")
  end

  # Each example ends without an error on the console, and without a violation of the content security policy.
  after do
    expect(browser.violations).to eq([])
    expect(browser.logged).to eq([])
  end

  def client_with(secret, url = @sandbox.endpoint_url)
    SimpleConnect::Client.new(endpoint_url: url, key_id: @sandbox.key_id, secret:, max_attempts: 1)
  end

  def deliver(key = "order_paid", to: ravi, with: client, **event)
    with.events.deliver(key, recipient: to, event: { amount: "450.00", order: 7, **event })
  end

  # What the receiver has got until now: also what the sandbox sends by itself.
  def received = Array.new(@calls.size) { @calls.pop["data"] }

  def now = Process.clock_gettime(Process::CLOCK_MONOTONIC)
  def names = browser.all(".row:not([hidden]) .row-name").map(&:text)

  it "shows what to type as long as there is nothing, and that line works" do
    expect(browser.text("#empty")).to include("No messages yet", @sandbox.endpoint_url)
    line = browser.text("#empty .line-to-type code")
    env = { "RUBYLIB" => File.expand_path("../../lib", __dir__),
            "PATH" => "#{File.expand_path("../../exe", __dir__)}:#{ENV.fetch("PATH")}" }
    expect(system(env, "sh", "-c", line, out: File::NULL)).to be(true)
    browser.see("#message")
  end

  it "shows what comes within a second, by itself" do
    seconds = Array.new(3) do |count|
      started = now
      deliver(to: { name: "Number #{count}", mobile_no: "+9198" })
      browser.see(".row:first-child .row-name", text: /Number #{count}/)
      browser.see("#who", text: /Number #{count}/)
      now - started
    end
    expect(seconds.min).to be < 1
    expect(names).to eq(["Number 2", "Number 1", "Number 0"])
  end

  it "shows a message as a phone does, and marks variables without a value" do
    deliver
    expect(browser.text(".bubble-header")).to eq("Payment received ✅")
    expect(browser.text(".bubble-body strong")).to eq("Ravi Kumar")
    expect(browser.text(".bubble-body em")).to eq("₹ 450.00")
    expect(browser.all(".bubble-body li").map(&:text)).to eq(["order 7", "due {{due_on}}"])
    expect(browser.text(".bubble-body mark")).to eq("{{due_on}}")
    expect(browser.text(".bubble-footer")).to eq("Green Valley Dairy")
    expect(browser.all(".bubble-button").map(&:text)).to eq(["Thank you", "Track"])
    expect(browser.text("#phone-note")).to include("1 variable without a value: {{due_on}}")
    browser.see(".bubble-time .tick-delivered")
  end

  it "writes Arabic from right to left" do
    client.events.deliver("order_sent", recipient: { name: "فاطمة", mobile_no: "+9715" }, event: { language: "ar" })
    browser.see(".bubble-body", text: /مرحباً فاطمة/)
    expect(browser.style(".bubble-body", "direction")).to eq("rtl")
  end

  it "shows the fields of an event without a template" do
    deliver("order_lost", tags: %w[a b])
    browser.see("#who", text: /Ravi/)
    expect(browser.text(".bubble-fields")).to include("amount\n450.00", "tags[1]\nb")
    expect(browser.text("#phone-note")).to include("No template")
    expect(browser.text("#panel-fields")).to match(/tags\[0\]\s+a\n/)
  end

  it "makes the next delivery fail at a click, and tells what happened" do
    browser.click("[data-kind='429']")
    browser.see("#armed", text: /The next delivery gets a 429, Retry-After 2 s/)
    result = deliver(event_id: "evt_1")
    expect([result.status_code, result.retry_after]).to eq([429, 2])
    browser.see("#why", text: /429 Too Many Requests was planned in this inbox.*not tried again yet/m)
    browser.eventually { !browser.sees?("#armed") }
    expect(deliver(event_id: "evt_1").status_code).to eq(202)

    browser.see("#why", text: /was accepted with attempt 2/)
    expect(browser.text(".row .tries")).to eq("2 attempts")
    browser.click("#tab-attempts")
    expect(browser.all("#panel-attempts strong").map(&:text)).to eq(["429 Too Many Requests", "202 Accepted"])
    expect(browser.text("#panel-attempts")).to include("planned", "Retry-After 2 s")
  end

  it "plans several answers in a row, and forgets them" do
    %w[500 reset 500].each do |kind|
      browser.click("[data-kind='#{kind}']")
      browser.see("[data-kind='#{kind}'][aria-pressed=true]")
    end
    browser.see("#armed", text: /gets a 500, then Reset, 500/)
    expect(deliver.status_code).to eq(500)
    browser.see("#armed", text: /is cut, then 500/)
    browser.click("#cancel-faults")
    browser.eventually { !browser.sees?("#armed") }
    expect(deliver.status_code).to eq(202)
  end

  { "422" => 422, "duplicate" => 200 }.each do |kind, status|
    it "answers the next delivery with #{kind}" do
      browser.click("[data-kind='#{kind}']")
      browser.see("#armed")
      expect(deliver.status_code).to eq(status)
      browser.see("#badges .state", text: kind == "422" ? /Rejected/ : /Duplicate/)
    end
  end

  it "tells why a recipient is refused, also in an answer that accepts others" do
    body = { messages: [{ message_type: "template", template_name: "order_update",
                          recipients: [{ mobile_no: "+9198", name: "Asha" }, { name: "Nobody" }] }] }
    headers = { "Content-Type" => "application/json", "Authorization" => "Bearer #{@sandbox.api_key}" }
    answer = Net::HTTP.post(URI("#{@sandbox.url}/api/v1/whatsapp_messages"), JSON.generate(body), headers)
    expect(answer.code).to eq("200")
    browser.click(".row a", text: /Nobody/)
    browser.see("#badges .state", text: /Rejected/)
    browser.see("#why.bad", text: /200 OK: mobile_no is required/)
    browser.click("#tab-attempts")
    browser.see("#panel-attempts li.bad", text: /mobile_no is required/)
    browser.click("#replay")
    # Only this recipient is sent again.
    browser.see(".toast.bad", text: /Replayed: 422/)
    browser.click(".row a", text: /Asha/)
    browser.see("#badges .state", text: /Accepted/)
    expect(browser.sees?("#why")).to be(false)
    expect(browser.all("#panel-attempts li.good").size).to eq(1)
  end

  it "explains step by step why a signature is refused" do
    expect(deliver(with: client_with("another")).status_code).to eq(401)
    browser.see("#badges .state", text: /Rejected/)
    browser.see("#why", text: /401 Unauthorized: The signature does not match/)
    browser.click("#why button")
    browser.see("#panel-signature .verdict.bad", text: /The signature does not match/)
    expect(browser.all(".steps li.good h4").map(&:text)).to include("Key id", "Timestamp")
    expect(browser.all(".steps li.bad h4").map(&:text)).to include("Signature that came")
    expect(browser.text("#panel-signature")).to include("x-simpleconnect-timestamp")
    expect(browser.run("return document.getElementById('message').outerHTML")).not_to include(@sandbox.secret)
  end

  it "sends a status to a receiver that runs" do
    deliver
    browser.see("#message .tick-delivered")
    browser.click("[data-status=read]")
    browser.see(".toast", text: /Your receiver got “read”/)
    expect(received).to include(include("status" => "read"))
    browser.see("#badges .ticked", text: /Read/)
    browser.see(".row .tick-read")
  end

  it "sends an incoming message to a receiver that runs" do
    browser.click("#open-incoming")
    browser.see("#incoming textarea").tap(&:clear).send_keys("Where is it? *now* <b>")
    browser.click("#incoming [type=submit]")
    browser.see(".bubble.own", text: /Where is it\? now <b>/)
    browser.see(".toast")
    expect(received).to include(include("text" => "Where is it? *now* <b>"))
  end

  it "rotates the secret" do
    sandbox = SimpleConnect::Sandbox.new.tap { |it| SimpleConnect::Sandbox::Inbox.new(it, store: :memory) }.start
    browser.open("#{sandbox.url}/")
    browser.click("#open-rotate")
    browser.click("#do-rotate")
    line = browser.text("#rotate .line-to-type code")
    browser.click("#rotate button", text: /Done/)
    secret = line[/SIMPLECONNECT_SECRET=(\S+)/, 1]
    used_previous = [secret, "sandbox-secret"].map do |each|
      deliver(with: client_with(each, sandbox.endpoint_url)).data.used_previous_secret?
    end
    expect(used_previous).to eq([false, true])
    browser.see("#why", text: /made with the previous secret/)
  ensure
    sandbox&.stop
  end

  it "replays a message" do
    deliver(event_id: "evt_1")
    browser.see("#message")
    browser.click("#replay")
    browser.see(".toast", text: /Replayed/)
    browser.see(".row .tries", text: /2 attempts/)
  end

  it "copies a message as code" do
    browser.cdp("Browser.grantPermissions", origin: @sandbox.url,
                                            permissions: %w[clipboardReadWrite clipboardSanitizedWrite])
    deliver
    browser.see("#message")
    copied = %w[curl ruby rspec].map do |name|
      browser.click("[data-copy=#{name}]")
      browser.see(".toast:last-child", text: /as #{name}/i)
      browser.wait_for("return navigator.clipboard.readText()")
    end
    expect(copied).to match([/openssl.*curl |curl .*openssl/m, /client\.events\.deliver\(\s*"order_paid"/,
                             /deliver_event\("order_paid"\)/])
  end

  it "searches and filters" do
    deliver("order_paid", order: "INV-1042")
    deliver("order_sent", to: { name: "Asha", mobile_no: "+9111" })
    deliver("order_lost", to: { name: "Asha", mobile_no: "+9111" }, with: client_with("another"))
    browser.eventually { names.size == 3 }
    browser.see("#search").send_keys("inv-1042")
    browser.eventually { names == ["Ravi Kumar"] }
    expect(browser.text("#count")).to eq("1 of 3 messages")
    browser.type(:escape)
    browser.eventually { names.size == 3 }
    browser.choose("by-recipient", "+9111")
    expect(names).to eq(%w[Asha Asha])
    browser.choose("by-state", "rejected")
    expect(browser.all(".row:not([hidden]) .tag").map(&:text)).to eq(["order_lost"])
    browser.choose("by-state", "")
    browser.choose("by-event", "order_sent")
    expect(browser.all(".row:not([hidden]) .tag").map(&:text)).to eq(["order_sent"])
  end

  it "clears the messages, and says that planned answers stay" do
    deliver
    browser.see("#message")
    browser.click("[data-kind='500']")
    browser.see("#armed", text: /gets a 500/)
    browser.click("#open-clear")
    expect(browser.text("#clear p")).to include("Planned answers stay")
    browser.click("#do-clear")
    browser.see("#empty", text: /No messages yet/)
    expect(browser.text("#armed")).to include("The next delivery gets a 500")
    expect(deliver.status_code).to eq(500)
  end

  it "clears, also when another does" do
    2.times { deliver }
    browser.see("#message")
    browser.click("#open-clear")
    browser.click("#do-clear")
    browser.see("#empty", text: /No messages yet/)
    expect(@sandbox.events).to eq([])
    deliver
    browser.see("#message")
    @sandbox.reset
    browser.see("#empty", text: /No messages yet/)
    expect(names).to eq([])
  end

  it "shows what is hostile as text" do
    evil = "<script>window.hit = 1</script><img src=x onerror='window.hit = 1'>"
    client.events.deliver(
      "order_paid", recipient: { name: evil, mobile_no: "+91\u202e98" },
                    event: { amount: "\"onmouseover=\"hit=1", order: "*#{evil}*", "<b>": "javascript:hit()",
                             event_id: "'><svg onload=hit=1>" }
    )
    browser.see("#who", text: /<script>window.hit = 1/)
    %w[fields json signature attempts].each { |tab| browser.click("#tab-#{tab}") }
    expect(browser.run("return window.hit")).to be_nil
    expect(browser.all("main script, main img, main [onload], main [onerror]")).to eq([])
    expect(browser.all("a[href^='javascript']")).to eq([])
    # What reorders text is spelled out where one looks closely, and isolated elsewhere.
    browser.click("#tab-json")
    expect(browser.text("#panel-json .invisible")).to eq("U+202E")
    expect(browser.style(".number bdi", "unicodeBidi")).to include("isolate")
  end

  it "shows JSON with line breaks, and all else as it was sent" do
    body = '{"event" : {"name":"a\u0041", "amount":450.00,"n":12345678901234567890},' \
           '"none":[ ],"n":{},"n":[1,{"a":null}]}'
    headers = { "Content-Type" => "application/json", "X-SimpleConnect-Key-Id" => @sandbox.key_id,
                **SimpleConnect::Signature.sign(body, secret: "another") }
    Net::HTTP.post(URI(@sandbox.endpoint_url), body, headers)
    browser.see("#badges .state", text: /Rejected/)
    browser.click("#tab-json")
    expect(browser.run("return document.querySelector('#panel-json code').textContent")).to eq(<<~'JSON'.chomp)
      {
        "event": {
          "name": "a\u0041",
          "amount": 450.00,
          "n": 12345678901234567890
        },
        "none": [],
        "n": {},
        "n": [
          1,
          {
            "a": null
          }
        ]
      }
    JSON
  end

  it "says when a message is no longer there, and leads to the others" do
    deliver
    browser.open("#{@sandbox.url}/#/m0")
    browser.see("#empty", text: /no longer there/)
    browser.click("#empty button")
    browser.see("#who", text: /Ravi/)
    # Chromium reports the answer 404.
    expect(browser.logged).to all(include("404"))
  end

  it "is used with the keyboard" do
    3.times { |count| deliver(to: { name: "Number #{count}", mobile_no: "+9198" }) }
    browser.see("#who", text: /Number 2/)
    browser.eventually { names.size == 3 }
    browser.type("j")
    browser.see("#who", text: /Number 1/)
    browser.type("jjk")
    browser.see("#who", text: /Number 1/)
    expect(browser.text(".row a[aria-current=true]")).to include("Number 1")
    browser.type("2")
    browser.see("#panel-json")
    browser.type("/x")
    expect(browser.run("return document.activeElement.id")).to eq("search")
    browser.type(:escape, "?")
    browser.see("#help")
    browser.type(:escape)
    browser.eventually { !browser.sees?("#help") }
    browser.type(:escape)
    browser.see("#who", text: /Number 2/)
    browser.see("#tab-json").send_keys(:arrow_right)
    expect(browser.run("return document.activeElement.id")).to eq("tab-signature")
  end

  describe "what has the focus" do
    let(:focused) { -> { browser.run("return document.activeElement.closest('.row:not([hidden]) a')?.textContent") } }

    it "keeps it when its message changes, or is filtered out" do
      3.times { |count| deliver(to: { name: "Number #{count}", mobile_no: "+9198" }, event_id: "evt_#{count}") }
      browser.eventually { names.size == 3 }
      browser.run("document.querySelector('.row a').focus()")
      browser.type(:arrow_down)
      expect(focused.call).to include("Number 1")
      deliver(event_id: "evt_1")
      browser.see(".row .tries", text: /2 attempts/)
      expect(focused.call).to include("Number 1")
      expect(browser.text(".row a[aria-current]")).to include("Number 1")

      # No longer one of those that are shown.
      browser.choose("by-state", "accepted")
      browser.run("document.querySelector('.row:not([hidden]) a').focus()")
      expect(focused.call).to include("Number 2")
      deliver(event_id: "evt_2")
      browser.eventually { names == ["Number 0"] }
      expect(focused.call).to include("Number 0")
    end

    it "keeps it on a button or a tab's panel that is built again" do
      2.times { browser.click("[data-kind='500']") }
      browser.see("#armed", text: /then 500/)
      browser.run("document.getElementById('cancel-faults').focus()")
      deliver(event_id: "evt_1")
      browser.eventually { browser.text("#armed") !~ /then/ }
      expect(browser.run("return document.activeElement.id")).to eq("cancel-faults")
      deliver(event_id: "evt_1")
      browser.eventually { !browser.sees?("#armed") }
      expect(browser.run("return document.activeElement.dataset.kind")).to eq("429")

      browser.click("#tab-json")
      browser.run("document.querySelector('#panel-json button').focus()")
      deliver(event_id: "evt_1")
      browser.see("#badges .state", text: /Accepted/)
      expect(browser.run("return document.activeElement.closest('#panel-json button') !== null")).to be(true)
    end
  end

  it "ends its stream while nobody looks" do
    browser.run("Object.defineProperty(document, 'hidden', { configurable: true, get: () => true }); " \
                "document.dispatchEvent(new Event('visibilitychange'))")
    deliver
    sleep 0.5
    expect(names).to eq([])
    browser.run("delete document.hidden; document.dispatchEvent(new Event('visibilitychange'))")
    browser.eventually { names == ["Ravi Kumar"] }
    deliver
    browser.eventually { names.size == 2 }
  end

  it "keeps the address of the message that is shown" do
    2.times { |count| deliver(to: { name: "Number #{count}", mobile_no: "+9198" }) }
    browser.eventually { names.size == 2 }
    browser.click(".row:last-child a")
    browser.see("#who", text: /Number 0/)
    browser.run("location.reload()")
    browser.see("#who", text: /Number 0/)
    deliver
    browser.see(".row .row-name", text: /Ravi/)
    expect(browser.text("#who")).to include("Number 0")
  end

  it "shows list and message one after the other on a narrow screen" do
    browser.size(390, 844)
    browser.see("#empty .line-to-type")
    deliver
    browser.click(".row a")
    browser.see("#message .bubble")
    expect(browser.sees?(".row")).to be(false)
    expect(browser.run("return document.documentElement.scrollWidth")).to be <= 390
    browser.click("#back")
    browser.see(".row")
    expect(browser.sees?("#detail")).to be(false)
    expect(browser.run("return document.documentElement.scrollWidth")).to be <= 390
  end

  # Each piece of text that can be seen, against the colour behind it, as WCAG 2 computes it.
  contrast = <<~JS
    const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
    const rgba = (colour) => {
      canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
      return [...canvas.getImageData(0, 0, 1, 1).data];
    };
    const over = (top, below) => top.slice(0, 3).map((value, at) => (value * top[3] + below[at] * (255 - top[3])) / 255);
    const behind = (element) => {
      if (!element) return [255, 255, 255];
      const colour = rgba(getComputedStyle(element).backgroundColor);
      return colour[3] === 255 ? colour : over(colour, behind(element.parentElement));
    };
    const light = (colour) => colour.slice(0, 3).map((value) => value / 255)
      .map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4))
      .reduce((sum, value, at) => sum + value * [0.2126, 0.7152, 0.0722][at], 0);
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    const bad = new Set();
    let seen = 0;
    while (walker.nextNode()) {
      const element = walker.currentNode.parentElement;
      if (!walker.currentNode.data.trim() || !element.checkVisibility() || element.closest(":disabled, .hidden-text, option")) continue;
      const below = behind(element);
      const style = getComputedStyle(element);
      const [one, two] = [light(over(rgba(style.color), below)), light(below)].sort((a, b) => b - a);
      const ratio = (one + 0.05) / (two + 0.05);
      seen += 1;
      if (ratio < 4.5) bad.add(`${element.className || element.localName}: ${ratio.toFixed(2)}`);
    }
    return [seen, [...bad]];
  JS

  %w[light dark].each do |scheme|
    it "has the contrast of WCAG AA in the #{scheme} scheme" do
      deliver(event_id: "evt_1")
      deliver(event_id: "evt_1")
      deliver(with: client_with("another"))
      browser.click("[data-kind='500']")
      deliver("order_lost", event_id: "evt_2")
      browser.click("[data-kind='429']")
      browser.see("#armed")
      browser.scheme(scheme)
      browser.eventually { names.size == 3 }
      3.times do
        %w[fields json signature attempts].each do |tab|
          browser.click("#tab-#{tab}")
          seen, bad = browser.run(contrast)
          expect(seen).to be > 50
          expect(bad).to eq([])
        end
        browser.type("j")
        sleep 0.1
      end
      ground = { "light" => "rgb(244, 246, 245)", "dark" => "rgb(14, 20, 18)" }
      expect(browser.style("body", "backgroundColor")).to eq(ground[scheme])
    end
  end

  it "has a name for each control, and one heading of the first level" do
    deliver
    browser.see("#message")
    nameless = browser.run(<<~JS)
      return [...document.querySelectorAll("button, input, select, textarea, a, [role=tab], dialog, section")].filter((element) => {
        const label = element.getAttribute("aria-label") ?? document.getElementById(element.getAttribute("aria-labelledby"))?.textContent
          ?? element.labels?.[0]?.textContent ?? element.textContent;
        return !label.trim();
      }).map((element) => element.outerHTML);
    JS
    expect(nameless).to eq([])
    expect(browser.run("return document.querySelectorAll('h1').length")).to eq(1)
    ids = browser.run("return [...document.querySelectorAll('[id]')].map((element) => element.id)")
    expect(ids.tally.select { |_, count| count > 1 }).to eq({})
  end

  table = JSON.parse(File.read(File.expand_path("../conformance/own/formatting.json", __dir__)))["texts"]

  it "formats texts as the table has it" do
    html = browser.wait_for(<<~JS, table)
      const { format } = await import(new URL("inbox.js", location.href));
      return parameters[0].map(({ text, unfilled }) => {
        const element = document.createElement("div");
        element.append(format(text, unfilled));
        return element.innerHTML;
      });
    JS
    expect(table.map { |each| each["name"] }.zip(html)).to eq(table.map { |each| each.values_at("name", "html") })
  end

  describe "mounted in another server" do
    around do |example|
      sandbox = SimpleConnect::Sandbox.new
      inbox = SimpleConnect::Sandbox::Inbox.new(sandbox, store: :memory)
      server = SimpleConnect.const_get(:Server).new(Rack::URLMap.new("/deep/inbox" => inbox), "it", "127.0.0.1", 0)
      @url = "#{server.url}/deep/inbox"
      example.run
    ensure
      server&.stop
    end

    it "asks for what is new every second, and does all below its path" do
      browser.open("#{@url}/")
      browser.see("#live[data-state=on][title*=second]")
      browser.click("[data-kind='500']")
      browser.see("#armed")
      client = client_with("sandbox-secret", "#{@url}/api/v1/integrations/sandbox/events")
      expect(deliver(with: client).status_code).to eq(500)
      browser.see("#why", text: /500 Internal Server Error was planned/)

      # This sandbox knows no receiver.
      browser.click("#open-incoming")
      expect(browser.text("#incoming-note")).to include("--callback-url URL")
      expect(browser.see("#send-incoming")).not_to be_enabled
    end

    it "does not ask while nobody looks, and at once when somebody does" do
      browser.open("#{@url}/")
      browser.see("#live[data-state=on]")
      asked = "return performance.getEntriesByType('resource').filter(({ name }) => name.includes('since=')).length"
      browser.eventually { browser.run(asked).positive? }
      browser.run("Object.defineProperty(document, 'hidden', { configurable: true, get: () => true }); " \
                  "document.dispatchEvent(new Event('visibilitychange'))")
      # What was under way.
      sleep 0.3
      before = browser.run(asked)
      sleep 1.2
      expect(browser.run(asked)).to eq(before)
      client = client_with("sandbox-secret", "#{@url}/api/v1/integrations/sandbox/events")
      deliver(with: client)
      browser.run("delete document.hidden; document.dispatchEvent(new Event('visibilitychange'))")
      browser.see(".row")
      browser.eventually { browser.run(asked) > before + 1 }
    end
  end

  it "says so when the sandbox is gone, and goes on when it is back" do
    start = lambda do |port|
      SimpleConnect::Sandbox.new.tap { |it| SimpleConnect::Sandbox::Inbox.new(it, store: :memory) }.start(port:)
    end
    server = start.call(0)
    browser.open("#{server.url}/")
    browser.see("#live[data-state=on]")
    mine = client_with("sandbox-secret", server.endpoint_url)
    3.times { |count| deliver(to: { name: "Old #{count}", mobile_no: "+9198" }, with: mine) }
    browser.eventually { names.size == 3 }
    server.stop
    browser.see("#live[data-state=off]", text: /Offline/)
    server = start.call(Integer(server.url[/\d+\z/]))
    mine = client_with("sandbox-secret", server.endpoint_url)
    4.times { |count| deliver(to: { name: "New #{count}", mobile_no: "+9198" }, with: mine) }
    browser.see("#live[data-state=on]")
    browser.eventually { names == ["New 3", "New 2", "New 1", "New 0"] }
    # Chromium reports each failed request.
    expect(browser.logged).to all(include("ERR_"))
  ensure
    server&.stop
  end
end
