# frozen_string_literal: true

require "open3"
require "rbconfig"
require_relative "../support/certificates"
require_relative "../support/scripted_server"

# What the extension does beneath Ruby, as far as it is about memory: promise 14 of the transport, and more. `rake
# stress` and `rake valgrind` run these.
RSpec.describe "The extension" do
  body = '{"status":"accepted","log_id":7,"event_id":"e",' \
         '"more":[null,true,-1,2.5,"ü",{"a":[]},"\\u00fc\\ude00",12345678901234567890]}'
  answer = lambda do |connection, request|
    io = connection.io
    case request.target
    when "/fail" then io.write("HTTP/1.1 503 Unavailable\r\nContent-Length: 0\r\n\r\n")
    when "/nonsense" then io.write("SSH-2.0\r\n")
    when "/large" then io.write("HTTP/1.1 202 Accepted\r\nContent-Length: 99999999\r\n\r\n")
    when "/silence" then connection.wait_for_client_to_close && false
    when "/close" then false
    else io.write("HTTP/1.1 202 Accepted\r\nContent-Length: #{body.bytesize}\r\n\r\n#{body}")
    end
  end
  authority = Certificates.authority

  # Runs deliveries.rb, by a command that comes before Ruby. Returns what it printed, and how it ended.
  define_method(:deliveries) do |*command, options: []|
    ScriptedServer.open([answer]) do |plain|
      ScriptedServer.open([answer], tls: authority.issue("127.0.0.1").context) do |tls|
        Open3.capture2e(*command, RbConfig.ruby, "--disable=gems", "-W0", "-I", File.expand_path("../../lib", __dir__),
                        "#{__dir__}/deliveries.rb", plain.url, tls.url, authority.file, *options)
      end
    end
  end

  it "loses hold of nothing while garbage is collected at every chance" do
    output, status = deliveries(options: ["--stress"])
    expect(status).to be_success, output
  end

  # For names in the report, build with CARGO_PROFILE_RELEASE_STRIP=none CARGO_PROFILE_RELEASE_DEBUG=line-tables-only.
  it "reads and writes only what is its own under valgrind, and loses nothing (promise 14)" do
    # Ruby's garbage collector looks at what was never set, on purpose; and of what the assembly of TLS computes,
    # valgrind does not know that it is set.
    options = %W[--quiet --error-exitcode=9 --undef-value-errors=no --leak-check=full --num-callers=40
                 --show-leak-kinds=definite,indirect --errors-for-leak-kinds=definite,indirect
                 --suppressions=#{__dir__}/ruby.supp]
    output, status = deliveries("valgrind", *options)
    expect(status).to be_success, output
  end
end
