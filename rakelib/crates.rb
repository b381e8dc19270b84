# frozen_string_literal: true

require "digest"
require "fileutils"
require "json"
require "open3"
require "time"
require_relative "../lib/simple_connect/version"

# What the gems carry because of the crates that they are made of: their sources, their licences and a list of them.
# All of it comes from cargo itself and from Cargo.lock.
module Crates
  CRATE = "simple_connect_client"
  # Where the source gem compiles: everywhere but on Windows, which has no Ruby that the gem supports.
  TARGETS = %w[x86_64-unknown-linux-gnu x86_64-unknown-linux-musl aarch64-unknown-linux-gnu aarch64-unknown-linux-musl
               i686-unknown-linux-gnu armv7-unknown-linux-gnueabihf powerpc64le-unknown-linux-gnu
               riscv64gc-unknown-linux-gnu s390x-unknown-linux-gnu x86_64-apple-darwin aarch64-apple-darwin
               x86_64-unknown-freebsd].freeze
  # Folders of a crate that no build of it reads.
  UNREAD = %w[tests benches examples fuzz ci .github .cargo docs doc].freeze
  # What only Windows links.
  WINDOWS = "**/*.{o,obj,lib,a,asm}"
  LICENCE = /\A(?:licen[cs]e|copying|notice|unlicense|copyright)/i
  # Cargo looks for it from ext/ upwards, and in the home folder last.
  CONFIG = <<~TOML
    # The sources of all crates are in this gem: it compiles without a network.
    [source.crates-io]
    replace-with = "vendored-sources"

    [source.vendored-sources]
    directory = "vendor"

    [net]
    offline = true
  TOML

  module_function

  # Copies the crates' sources to `folder`/vendor, as Cargo.lock has them, and the configuration that has cargo use
  # them. Of a crate that only tests or other platforms need, cargo reads the manifest alone: its sources stay out.
  def vendor(folder)
    directory = File.join(folder, "vendor")
    FileUtils.rm_rf(directory)
    cargo("vendor", "--locked", "--versioned-dirs", "--quiet", directory) do
      "The sources of the crates come from cargo's cache, or from crates.io: run `cargo fetch --locked` once with a " \
        "network."
    end
    needed = tree("normal,build", TARGETS).keys
    Dir.children(directory).sort.each do |name|
      crate = File.join(directory, name)
      needed.include?(name) ? trim(crate) : hollow(crate)
      list(crate)
    end
    FileUtils.mkdir_p(File.join(folder, ".cargo"))
    File.write(File.join(folder, ".cargo/config.toml"), CONFIG)
  end

  # @return [String] the licences of the crates that are linked into the extension for `target`, each text once
  def notices(target)
    crates = linked(target)
    texts = crates.each_with_object({}) do |crate, all|
      files(crate).each { |text| (all[text] ||= []) << "#{crate["name"]} #{crate["version"]}" }
    end
    list = crates.map { |crate| "- #{crate["name"]} #{crate["version"]}: #{crate["license"]}\n" }.join
    parts = texts.map { |text, users| "#{"=" * 80}\n#{users.join(", ")}\n#{"-" * 80}\n\n#{text}\n" }
    <<~TEXT + parts.join("\n")
      Third-party notices of simple_connect-client #{SimpleConnect::VERSION}

      The compiled extension contains these crates, and the standard library of Rust (MIT OR Apache-2.0):

      #{list}
    TEXT
  end

  # @return [String] a bill of materials of the gem for `platform`, as CycloneDX JSON
  def sbom(target, platform)
    sums = checksums
    edges = tree("normal,no-proc-macro", [target])
    root = "pkg:gem/simple_connect-client@#{SimpleConnect::VERSION}?platform=#{platform}"
    reference = lambda do |name|
      name.start_with?("simple_connect_") ? root : "pkg:cargo/#{name.sub(/-(?=\d+\.)/, "@")}"
    end
    depends = Hash.new { |all, ref| all[ref] = [] }
    edges.each { |name, needs| depends[reference.call(name)].concat(needs.map(&reference)) }
    components = linked(target).map { |crate| component(crate, sums) }
    "#{JSON.pretty_generate(
      bomFormat: "CycloneDX", specVersion: "1.5", version: 1,
      metadata: {
        timestamp: Time.at(Integer(ENV.fetch("SOURCE_DATE_EPOCH"))).utc.iso8601,
        component: { type: "library", "bom-ref": root, name: "simple_connect-client", version: SimpleConnect::VERSION,
                     purl: root, licenses: [{ license: { id: "MIT" } }] }
      },
      components:,
      dependencies: depends.sort.map { |ref, needs| { ref:, dependsOn: (needs - [ref]).uniq.sort } }
    )}\n"
  end

  def component(crate, sums)
    name = crate.values_at("name", "version")
    purl = "pkg:cargo/#{name.join("@")}"
    { type: "library", "bom-ref": purl, name: name.first, version: name.last, purl:,
      # Cargo took a slash for OR, once.
      licenses: [{ expression: crate["license"].gsub(%r{\s*/\s*}, " OR ") }],
      hashes: [{ alg: "SHA-256", content: sums.fetch(name.join("-")) }] }
  end

  # The crates in the extension for `target` that are not ours, as `cargo metadata` describes them.
  def linked(target)
    names = tree("normal,no-proc-macro", [target])
    # All that cargo knows about the crates of a platform: those that only tests take, too.
    known = JSON.parse(cargo("metadata", "--locked", "--format-version", "1", "--filter-platform", target))["packages"]
    crates = known.select { |crate| crate["source"] && names.key?("#{crate["name"]}-#{crate["version"]}") }
    abort "cargo lists no crate for #{target}" if crates.empty?
    crates.sort_by { |crate| crate.values_at("name", "version") }
  end

  # The texts of a crate's licences.
  def files(crate)
    folder = File.dirname(crate["manifest_path"])
    names = Dir.children(folder).grep(LICENCE).select { |name| File.file?(File.join(folder, name)) }.sort
    abort "#{crate["name"]} has no file with its licence" if names.empty?
    names.map { |name| File.read(File.join(folder, name), encoding: "UTF-8").gsub("\r\n", "\n").strip }
  end

  # For each crate that a build for `targets` takes, "name-version", those that it depends on.
  def tree(edges, targets)
    lines = cargo("tree", "--locked", "-p", CRATE, "-e", edges, "--prefix", "depth", "--no-dedupe", "-f", "|{p}",
                  *targets.flat_map { |target| ["--target", target] }).lines
    path = []
    lines.each_with_object({}) do |line, all|
      depth, crate = line.chomp.split("|")
      next unless crate

      name = crate[/\A\S+ v\S+/].sub(" v", "-")
      path[Integer(depth)..] = [name]
      all[name] ||= []
      all[path[-2]] |= [name] if path.length > 1
    end
  end

  # The checksums of Cargo.lock.
  def checksums
    File.read("Cargo.lock").scan(/^name = "(.+)"\nversion = "(.+)"\nsource = .*\nchecksum = "(\h+)"/)
        .to_h { |name, version, sum| ["#{name}-#{version}", sum] }
  end

  def trim(crate)
    FileUtils.rm_rf(UNREAD.map { |name| File.join(crate, name) } + Dir[File.join(crate, WINDOWS)])
  end

  def hollow(crate)
    (Dir.children(crate) - %w[Cargo.toml .cargo-checksum.json]).each { |name| FileUtils.rm_rf(File.join(crate, name)) }
    FileUtils.mkdir_p(File.join(crate, "src"))
    FileUtils.touch(File.join(crate, "src/lib.rs"))
  end

  # Cargo checks each file that is listed.
  def list(crate)
    file = File.join(crate, ".cargo-checksum.json")
    package = JSON.load_file(file).fetch("package")
    names = Dir.glob("**/*", File::FNM_DOTMATCH, base: crate).select { |name| File.file?(File.join(crate, name)) }.sort
    names.delete(".cargo-checksum.json")
    sums = names.to_h { |name| [name, Digest::SHA256.file(File.join(crate, name)).hexdigest] }
    File.write(file, JSON.generate(files: sums, package:))
  end

  # The block's sentences say what to do if cargo fails; cargo itself prints why.
  def cargo(*arguments)
    out, status = Open3.capture2("cargo", *arguments)
    return out if status.success?

    abort ["`cargo #{arguments.first}` failed, see above.", *(yield if block_given?)].join(" ")
  end
end
