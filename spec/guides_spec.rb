# frozen_string_literal: true

require "open3"
require "rbconfig"
require "tmpdir"
require_relative "../rakelib/site"

# The guides as YARD renders them: whoever reads them there can follow their links.
RSpec.describe "The rendered guides", skip: Libraries.missing("yard") do
  root = File.expand_path("..", __dir__)
  options, = File.read("#{root}/.yardopts").split("lib/**/*.rb\n")
  extra = File.read("#{root}/.yardopts")[/^-\n(.*)\z/m, 1].split("\n")
  packaged = Gem::Specification.load("#{root}/simple_connect-client.gemspec").files

  it "are all that the gem has, and the gem has what renders them" do
    guides = packaged.grep(/\.md\z/)
    expect(guides - extra).to eq([])
    expect(extra - packaged).to eq([])
    expect(packaged).to include(".yardopts", "docs/yard.rb")
  end

  it "have no dead link and no dead anchor" do
    Dir.mktmpdir do |directory|
      # Almost without the code, which takes ten seconds: the guides link only to each other.
      yard = [RbConfig.ruby, "-W0", "-S", "yard", "doc", "--no-yardopts", *options.split, "--quiet", "--output-dir",
              directory]
      output, status = Open3.capture2e(*yard, "lib/simple_connect/version.rb", "-", *extra, chdir: root)
      expect([output, status.success?]).to eq(["", true])

      guides = Dir.glob("file.*.html", base: directory).to_h { |page| [page, File.read("#{directory}/#{page}")] }
      # Without the code, its pages are missing.
      expect(Site.dead_links(directory).grep(/\Afile\./)).to eq([])
      links = Site.links(guides)
      readme = "file.README.html"
      expect(links).to include([readme, "file.testing.html", nil], [readme, readme, "install"])
    end
  end

  it "are searched for links to missing pages and anchors" do
    Dir.mktmpdir do |directory|
      File.write("#{directory}/index.html", <<~HTML)
        <h1 id="a=-b">x</h1> <a href="#a%3D-b">x</a> <a href="https://a.example/b">x</a> <script src="x.js"></script>
        <a href="Guide.html?1">x</a> <a href="Guide.html#there">x</a> <a href="Guide.html#gone">x</a> <a href="#no">x</a>
        <a href="Lost.html">x</a>
      HTML
      File.write("#{directory}/Guide.html", '<a name="there">x</a>')
      expect(Site.dead_links(directory)).to eq(["x.js", "Guide.html#gone", "index.html#no", "Lost.html"]
                                                 .map { |link| "index.html: #{link}" })
    end
  end
end
