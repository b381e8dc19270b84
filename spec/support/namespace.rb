# frozen_string_literal: true

require "json"
require "open3"
require "rbconfig"
require "tempfile"

# A process with a network of its own (Linux): routes, names and name servers as a spec wants them, and nothing of the
# machine is touched.
module Namespace
  # Who is not root can be it in there. A chroot, such as bin/ruby-root makes, forbids that even to root.
  UNSHARE = ["unshare", "--net", *("--map-root-user" unless Process.uid.zero?)].freeze
  INSIDE = "SIMPLE_CONNECT_NAMESPACE"
  PREAMBLE = <<~RUBY.freeze
    require "json"
    require "simple_connect"
    require "#{File.expand_path("delivering", __dir__)}"
    include Delivering
  RUBY
  private_constant :UNSHARE, :INSIDE, :PREAMBLE

  class << self
    # @param mounts [Boolean] whether one with files of its own is asked for
    # @return [String, nil] why there can be none here
    def unavailable(mounts: true)
      @unavailable ||= {}
      @unavailable.fetch(mounts) do
        possible = Open3.capture2e(*UNSHARE, *("--mount" if mounts), "ip", "link").last.success?
        @unavailable[mounts] = possible ? nil : "takes unshare(1) and ip(8), and leave to use them"
      end
    rescue Errno::ENOENT
      "takes unshare(1), which only Linux has"
    end

    # @return [String, nil] why there can be no process ids of one's own here, nor a PID namespace in another
    def pids_unavailable
      return "takes the numbers of Linux's system calls on x86-64" unless RUBY_PLATFORM.start_with?("x86_64-linux")
      # Ruby waits for a thread there, and behind unshare(CLONE_NEWPID) the kernel makes none.
      return "takes a Ruby before 3.3" if RUBY_VERSION.to_f >= 3.3

      "takes leave to make PID namespaces" unless Open3.capture2e("unshare", "--pid", "--fork", "true").last.success?
    rescue Errno::ENOENT
      "takes unshare(1), which only Linux has"
    end

    # @return [Boolean] whether this process is in one
    def inside? = ENV.key?(INSIDE)

    # @param setup [Array<String>] what is run before it, in there
    # @param mounts [Boolean] whether that changes what is mounted
    # @return [Array<String>] the command that runs `command` in a network of its own
    def command(*command, setup: [], mounts: false)
      script = ["ip link set lo up", *setup, 'exec "$@"'].join("\n")
      [*UNSHARE, *("--mount" if mounts), "sh", "-ec", script, "sh", *command]
    end

    # @param script [String] Ruby, with Delivering at hand
    # @param routes [Array<String>] for `ip route add`
    # @param addresses [Array<String>] of this machine
    # @param holes [Array<String>] addresses (192.0.2.x) that swallow what is sent to them
    # @param files [Hash{String => String}] the texts of these files of the system
    # @param mounts [Hash{String => String}] what is seen in the place of these files and folders of the system
    # @return [Object] the value of `script`, by way of JSON
    def run(script, **system)
      code = "#{PREAMBLE}\nputs JSON.generate(begin\n#{script}\nend)"
      output, status = ruby("-I", File.expand_path("../../lib", __dir__), "-e", code, **system)
      raise output unless status.success?

      JSON.parse(output.lines.last)
    end

    # Runs the examples of `file`, which can ask whether they are `inside?`. The rest is as for {run}.
    #
    # @return [Array(String, Process::Status)] what that printed, and how it ended
    def rspec(file, **system) = ruby($PROGRAM_NAME, "--no-color", file, **system)

    private

    # A network with one other machine, which hears nothing of what is sent to these.
    def dig(holes)
      ["ip link add hole type veth peer name bottom", "ip address add 192.0.2.254/24 dev hole", "ip link set hole up",
       "ip link set bottom up", *holes.map { |hole| "ip neighbour add #{hole} lladdr 02:00:00:00:00:01 dev hole" }]
    end

    def ruby(*arguments, routes: [], addresses: [], holes: [], files: {}, mounts: {})
      files = files.transform_values { |text| Tempfile.new.tap { |file| file.write(text) }.tap(&:close) }
      mounts = mounts.merge(files.transform_values(&:path))
      setup = [*(dig(holes) if holes.any?), *addresses.map { |address| "ip address add #{address} dev lo" },
               *routes.map { |route| "ip route add #{route}" },
               *mounts.map { |place, path| "mount --bind #{path} #{place}" }]
      Open3.capture2e({ INSIDE => "1" }, *command(RbConfig.ruby, *arguments, setup:, mounts: mounts.any?))
    end
  end
end
