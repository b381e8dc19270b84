# frozen_string_literal: true

require "json"
require "open3"
require "rbconfig"

# A process with a network of its own (Linux): routes, names and name servers as a spec wants them, and nothing of the
# machine is touched.
module Namespace
  UNSHARE = %w[unshare --map-root-user --net --mount].freeze
  PREAMBLE = <<~RUBY.freeze
    require "json"
    require "simple_connect"
    require "#{File.expand_path("delivering", __dir__)}"
    include Delivering
  RUBY
  private_constant :UNSHARE, :PREAMBLE

  # @return [String, nil] why there can be none here
  def self.unavailable
    return @unavailable if defined?(@unavailable)

    possible = Open3.capture2e(*UNSHARE, "ip", "link").last.success?
    @unavailable = possible ? nil : "takes unshare(1) and ip(8), and leave to use them"
  rescue Errno::ENOENT
    @unavailable = "takes unshare(1), which only Linux has"
  end

  # @param script [String] Ruby, with Delivering at hand
  # @param routes [Array<String>] for `ip route add`
  # @param mounts [Hash{String => String}] what is seen in the place of these files and folders of the system
  # @return [Object] the value of `script`, by way of JSON
  def self.run(script, routes: [], mounts: {})
    commands = ["ip link set lo up", *routes.map { |route| "ip route add #{route}" },
                *mounts.map { |place, path| "mount --bind #{path} #{place}" }]
    code = "#{PREAMBLE}\nputs JSON.generate(begin\n#{script}\nend)"
    output, status = Open3.capture2e(*UNSHARE, "sh", "-ec", "#{commands.join("\n")}\nexec \"$@\"", "sh",
                                     RbConfig.ruby, "-I", File.expand_path("../../lib", __dir__), "-e", code)
    raise output unless status.success?

    JSON.parse(output.lines.last)
  end
end
