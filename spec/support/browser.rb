# frozen_string_literal: true

require "fileutils"
require "json"
require "open3"
require "tmpdir"
require "timeout"
require_relative "libraries"

# Chromium without a window, driven by a spec. It is started once for all specs of a run, and reaches nothing but
# 127.0.0.1.
class Browser
  BINARY = "/usr/bin/chromium"
  DRIVER = "/usr/bin/chromedriver"
  ARGUMENTS = %w[
    --headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run --no-default-browser-check
    --disable-background-networking --disable-component-update --disable-sync --disable-extensions
    --disable-default-apps --disable-domain-reliability --disable-breakpad --no-pings --no-proxy-server
    --force-device-scale-factor=1 --window-size=1440,900
    --disable-client-side-phishing-detection --metrics-recording-only
    --disable-features=OptimizationHints,NetworkTimeServiceQuerying,AutofillServerCommunication,MediaRouter
  ].push("--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1").freeze # no name is looked up
  # How many seconds something may take to show.
  PATIENCE = Integer(ENV.fetch("PATIENCE", 20))
  # Violations of the content security policy, from before the page's own script runs.
  VIOLATIONS = "window.violations = []; document.addEventListener('securitypolicyviolation', " \
               "(event) => window.violations.push(event.violatedDirective + ' ' + event.blockedURI));"

  # @return [String, nil] why there is no browser here
  def self.missing
    absent = [BINARY, DRIVER].find { |path| !File.executable?(path) }
    absent ? "#{absent} is missing (Debian: chromium, chromium-driver)" : Libraries.missing("selenium-webdriver")
  end

  # @return [Browser] the one of this run
  def self.instance = @instance ||= new.tap { |browser| at_exit { browser.quit } }

  def initialize
    # Not loaded with each spec.
    require "selenium-webdriver"
    @home = Dir.mktmpdir("browser")
    options = Selenium::WebDriver::Chrome::Options.new(binary: BINARY, args: ARGUMENTS + ["--user-data-dir=#{@home}"])
    options.add_option("goog:loggingPrefs", { browser: "ALL" })
    service = Selenium::WebDriver::Service.chrome(path: DRIVER)
    @driver = Selenium::WebDriver.for(:chrome, options:, service:)
    cdp("Page.addScriptToEvaluateOnNewDocument", source: VIOLATIONS)
  end

  def quit
    @driver.quit
    FileUtils.rm_rf(@home)
  end

  def open(url)
    size(1440, 900)
    scheme("light")
    logged
    # Else only the part behind the # would change.
    @driver.navigate.to("about:blank")
    @driver.navigate.to(url)
  end

  def size(width, height)
    cdp("Emulation.setDeviceMetricsOverride", width:, height:, deviceScaleFactor: 1, mobile: false)
  end

  def scheme(name) = cdp("Emulation.setEmulatedMedia", features: [{ name: "prefers-color-scheme", value: name }])
  def cdp(command, **parameters) = @driver.execute_cdp(command, **parameters)
  def run(script, *arguments) = @driver.execute_script(script, *arguments)

  # Runs the body of an asynchronous function.
  def wait_for(body, *arguments)
    @driver.execute_async_script(<<~JS, *arguments)
      const done = arguments[arguments.length - 1];
      (async (...parameters) => { #{body} })(...arguments).then((value) => done([value]), (error) => done([null, String(error)]));
    JS
           .then { |value, error| error ? raise(error) : value }
  end

  # @return [Selenium::WebDriver::Element] the first that can be seen, once there is one
  def see(css, text: nil)
    eventually("#{css} #{text}") do
      elements = @driver.find_elements(css:)
      elements.find { |element| element.displayed? && (text.nil? || element.text.match?(text)) }
    end
  end

  def sees?(css) = @driver.find_elements(css:).any?(&:displayed?)

  def style(css, name)
    run("return getComputedStyle(document.querySelector(arguments[0]))[arguments[1]]", css, name)
  end

  # Chooses an option of a select.
  def choose(id, value)
    run("const select = document.getElementById(arguments[0]); select.value = arguments[1]; " \
        "select.dispatchEvent(new Event('change'));", id, value)
  end

  def all(css) = @driver.find_elements(css:)
  def click(css, text: nil) = retrying { see(css, text:).click }
  def text(css) = retrying { see(css).text }
  def type(*keys) = @driver.action.send_keys(*keys).perform

  # Waits until the block gives something.
  def eventually(what = "this", &block)
    deadline = now + PATIENCE
    loop do
      value = retrying(&block)
      return value if value
      raise "did not come within #{PATIENCE} s: #{what}" if now > deadline

      sleep 0.02
    end
  end

  # @return [Array<String>] what the console got since the last call
  def logged = @driver.logs.get(:browser).map(&:message)

  # @return [Array<String>] violations of the page's content security policy
  def violations = run("return window.violations")

  private

  def now = Process.clock_gettime(Process::CLOCK_MONOTONIC)

  # The page may have replaced an element since it was found.
  def retrying
    tries ||= 0
    yield
  rescue Selenium::WebDriver::Error::StaleElementReferenceError, Selenium::WebDriver::Error::ElementNotInteractableError
    (tries += 1) < 20 ? (sleep(0.02) && retry) : raise
  end
end
