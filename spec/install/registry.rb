# frozen_string_literal: true

require "digest"
require "rubygems/package"
require "socket"
require "zlib"

# A registry on this machine that has the gem files which it is made with, as rubygems.org serves them: to RubyGems, to
# Bundler, and to their old versions.
class Registry
  # @return [String] its address
  attr_reader :url

  # @param files [Array<String>] paths of gem files
  def initialize(files)
    @answers = {}
    specs = files.map { |file| [Gem::Package.new(file).spec, file] }
    specs.each { |spec, file| gem(spec, file) }
    indices(specs)
    @server = TCPServer.new("127.0.0.1", 0)
    @url = "http://127.0.0.1:#{@server.addr[1]}/"
    Thread.new { loop { Thread.new(@server.accept) { |socket| answer(socket) } } }
  end

  private

  # The name is the file's: RubyGems 3.3.15 reads x86_64-linux-gnu as x86_64-linux.
  def gem(spec, file)
    name = File.basename(file, ".gem")
    @answers["/gems/#{name}.gem"] = File.binread(file)
    @answers["/quick/Marshal.4.8/#{name}.gemspec.rz"] = Zlib::Deflate.deflate(Marshal.dump(spec))
  end

  def indices(specs)
    name = specs.first.first.name
    tuples = specs.map { |spec, file| [name, spec.version, platform(spec, file)] }
    %w[specs latest_specs].each { |index| @answers["/#{index}.4.8.gz"] = Zlib.gzip(Marshal.dump(tuples)) }
    @answers["/prerelease_specs.4.8.gz"] = Zlib.gzip(Marshal.dump([]))
    info = "---\n#{specs.map { |spec, file| line(spec, file) }.join}"
    versions = tuples.map { |_, version, platform| version(version, platform) }.join(",")
    @answers["/info/#{name}"] = info
    @answers["/versions"] =
      "created_at: 2026-01-01T00:00:00Z\n---\n#{name} #{versions} #{Digest::MD5.hexdigest(info)}\n"
    @answers["/names"] = "---\n#{name}\n"
  end

  def platform(spec,
               file) = File.basename(file, ".gem").delete_prefix("#{spec.name}-#{spec.version}").sub(/\A\z/,
                                                                                                     "-ruby")[1..]

  def version(version, platform) = platform == "ruby" ? version.to_s : "#{version}-#{platform}"

  def line(spec, file)
    needs = { "ruby" => spec.required_ruby_version, "rubygems" => spec.required_rubygems_version }
            .map { |what, requirement| "#{what}:#{requirement.as_list.join("&")}" }
    checksum = "checksum:#{Digest::SHA256.file(file).hexdigest}"
    "#{version(spec.version, platform(spec, file))} |#{[checksum, *needs].join(",")}\n"
  end

  def answer(socket)
    method, path = socket.gets.split
    socket.gets("\r\n\r\n")
    body = @answers[path]
    head = ["HTTP/1.1 #{body ? "200 OK" : "404 Not Found"}", "Content-Length: #{body.to_s.bytesize}",
            *("ETag: \"#{Digest::MD5.hexdigest(body)}\"" if body), "Connection: close"]
    socket.write("#{head.join("\r\n")}\r\n\r\n")
    socket.write(body) if body && method == "GET"
  rescue Errno::EPIPE, Errno::ECONNRESET
    # It has heard enough.
  ensure
    socket.close
  end
end
