# frozen_string_literal: true

# Who has only the gem, or only reads its documents on the web, can follow their links.
RSpec.describe "The documents" do
  root = File.expand_path("..", __dir__)
  packaged = Gem::Specification.load("#{root}/simple_connect-client.gemspec").files
  ours = Dir.glob("**/*.md", base: root).grep_v(%r{\A(?:target|tmp|pkg|doc|vendor)/})

  # Those of the project that its relative links lead to, and `nil` for each that leads elsewhere.
  targets = lambda do |document|
    text = File.read("#{root}/#{document}").gsub(/^```.*?^```$/m, "")
    links = text.scan(/\]\(([^)\s]+)\)/).flatten + text.scan(/^\[[^\]]+\]: *(\S+)/).flatten
    links.grep_v(/\A(?:\w+:|#)/).map { |link| File.expand_path(link[/\A[^#]*/], File.dirname("/#{document}"))[1..] }
  end

  ours.each do |document|
    it "link only to what their readers have: #{document}" do
      dead = targets[document].reject do |target|
        packaged.include?(document) ? packaged.include?(target) : File.exist?("#{root}/#{target}")
      end
      expect(dead).to eq([])
    end
  end

  it "are searched for links" do
    expect(targets["README.md"]).to include("docs/webhooks.md")
    expect(targets["docs/webhooks.md"]).to include("docs/outbound.md")
  end
end
