# frozen_string_literal: true

require "etc"
require_relative "../internal/autoload"
require_relative "checks"

module SimpleConnect
  class Doctor
    # Checks the compiled extension, and the platforms in Bundler's lockfile.
    # @api private
    class Installation
      include Checks

      LIB = File.expand_path("../..", __dir__)
      RUBY = RUBY_VERSION[/\A\d+\.\d+/]
      private_constant :LIB, :RUBY

      # @param env [Hash{String => String}, ENV]
      def initialize(env) = @env = env

      # @return [Array<Finding>]
      def findings
        [check("extension", slow: "check whether the disk responds") { extension },
         check("lockfile", slow: "check whether the disk responds") { lockfile }]
      end

      # @return [String]
      def inspect = "#<#{self.class.name}>"

      private

      def extension
        require_relative "../internal/extension"
        green("extension", "version #{VERSION}, #{here}")
      rescue LoadError => e
        refused(e.message)
      end

      def here = "Ruby #{RUBY_VERSION}, #{RUBY_PLATFORM}, #{libc}"

      def refused(message)
        built = Dir.glob("simple_connect_client/*/simple_connect_client.*", base: LIB).map { |path| path.split("/")[1] }
        incompatible = message.match?(/incompatible library version|libruby/)
        if incompatible || (built.any? && !built.include?(RUBY))
          versions = built.reject { |version| version == RUBY }.sort
          red("extension", "built for #{versions.empty? ? "another Ruby" : "Ruby #{versions.join(", ")}"}, not for " \
                           "#{here}", "install the gem with this Ruby: gem pristine simple_connect-client")
        elsif built.empty? && message.include?("extension is missing")
          red("extension", "it is missing; this is #{here}",
              "in a checkout, run rake compile; otherwise run gem pristine simple_connect-client")
        else
          unloadable(message)
        end
      end

      def unloadable(message)
        # Its second line is the advice of internal/extension.rb.
        advice = message.lines[1]&.chomp if musl?
        red("extension", "it cannot be loaded on #{here}: #{message.lines.first.chomp[0, 300]}",
            advice || "install the gem on this machine, or in an image with the same libc: " \
                      "gem pristine simple_connect-client")
      end

      def libc
        Etc.confstr(Etc::CS_GNU_LIBC_VERSION)
      rescue SystemCallError, NameError
        musl? ? "musl" : "no glibc"
      end

      def musl? = RUBY_PLATFORM.include?("musl")

      def lockfile
        path = lockfile_path
        return skipped("lockfile", "there is no #{path}") unless File.file?(path)

        text = File.read(path, encoding: Encoding::UTF_8).scrub.delete("\r")
        return skipped("lockfile", "simple_connect-client is not in #{path}") unless text.match?(GEM)

        names = text[/^PLATFORMS\n((?:  .+\n?)+)/, 1].to_s.split("\n").map(&:strip)
        judged(path, names)
      end

      GEM = /^    simple_connect-client \(/
      private_constant :GEM

      def lockfile_path
        gemfile = @env["BUNDLE_GEMFILE"].to_s
        gemfile = File.file?("gems.rb") ? "gems.rb" : "Gemfile" if gemfile.empty?
        File.basename(gemfile) == "gems.rb" ? gemfile.sub(/rb\z/, "locked") : "#{gemfile}.lock"
      end

      def judged(path, names)
        seen = "#{path} is for #{names.join(", ")}"
        return green("lockfile", seen) if names.any? { |name| here?(name) }

        add = "bundle lock --add-platform #{platform}"
        if musl? && names.any? { |name| this_processor?(Gem::Platform.new(name)) }
          red("lockfile", "#{seen}, but not for #{platform}: Bundler may install the gem for glibc, which does not " \
                          "load here", "run: #{add}, then install into an empty folder")
        elsif names.include?("ruby")
          yellow("lockfile", "#{seen}: installing the gem compiles the extension, which needs Rust",
                 "for the compiled gem: #{add}")
        else
          red("lockfile", "#{seen}, but not for #{platform}: a frozen bundle cannot be installed here", "run: #{add}")
        end
      end

      # A Linux platform without a libc in its name means glibc.
      def here?(name)
        platform = Gem::Platform.new(name)
        local = Gem::Platform.local
        return false unless this_processor?(platform)
        return platform.version.nil? || platform.version == local.version unless local.os == "linux"

        name.include?("musl") == musl?
      end

      # Whether it differs in the libc at most.
      def this_processor?(platform)
        local = Gem::Platform.local
        platform.is_a?(Gem::Platform) && [platform.cpu, platform.os] == [local.cpu, local.os]
      end

      # The name for Bundler. RubyGems before 3.3.22 does not know -gnu.
      def platform
        local = Gem::Platform.local
        return [local.cpu, local.os].join("-") if local.os == "darwin"
        return local.to_s unless local.os == "linux"

        libc = if musl? then "-musl"
               elsif Gem.rubygems_version >= Gem::Version.new("3.3.22") then "-gnu"
               end
        "#{local.cpu}-linux#{libc}"
      end
    end
    private_constant :Installation
  end
end
