# frozen_string_literal: true

require "open3"
require "rbconfig"
require "tmpdir"

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

      pages = Dir.glob("*.html", base: directory).to_h { |page| [page, File.read("#{directory}/#{page}")] }
      links = pages.select { |page, _| page.start_with?("file.") }.flat_map do |page, html|
        html.scan(/href="(?!\w+:)([^"#]*)(?:#([^"]*))?"/).map do |target, anchor|
          [page, target.empty? ? page : target, anchor]
        end
      end
      dead = links.reject do |_, target, anchor|
        File.exist?("#{directory}/#{target}") && (anchor.to_s.empty? || pages[target]&.include?(%( id="#{anchor}")))
      end
      expect(dead).to eq([])
      readme = "file.README.html"
      expect(links).to include([readme, "file.testing.html", nil], [readme, readme, "install"])
    end
  end
end
