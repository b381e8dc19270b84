# frozen_string_literal: true

# docs/architecture.md speaks of the code as it is.
RSpec.describe "docs/architecture.md", unchecked: true do
  root = File.expand_path("..", __dir__)
  text = File.read("#{root}/docs/architecture.md")
  locks = text.lines.grep(/\A\| .*`(src|ext)/).join
  sources = Dir["src/**/*.rs", "ext/**/*.rs", base: root]

  it "names files that exist, as the other documents of the project do" do
    others = %w[docs/guarantees.md CONTRIBUTING.md SECURITY.md UPGRADING.md]
    documents = [text, *others.map { |path| File.read("#{root}/#{path}") }].join
    named = documents.scan(%r{`((?:src|ext|lib|spec|sig|tests|docs|bench|fuzz)/[^`]*)`}).flatten.uniq
    expect(named.size).to be > 10
    expect(named.reject { |path| File.exist?("#{root}/#{path}") }).to be_empty
  end

  it "has each lock in its table" do
    with_locks = sources.select do |path|
      File.read("#{root}/#{path}").split("#[cfg(test)]").first.match?(%r{^[^/]*\b(Mutex|RwLock)<})
    end
    expect(with_locks.size).to be > 5
    expect(with_locks.reject { |path| locks.include?("`#{path}`") }).to be_empty
  end

  it "has the table of the code" do
    table = text[/^\| lock .*?\n\n/m].lines(chomp: true).reject(&:empty?)
    expect(File.read("#{root}/src/process/mod.rs").scan(%r{^//! (\|.*)$}).flatten).to eq(table)
  end
end
