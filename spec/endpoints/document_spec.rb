# frozen_string_literal: true

require_relative "../support/documented_code"

RSpec.describe "docs/endpoints.md", skip: DocumentedCode.missing || Libraries.missing("sqlite3"), unchecked: true do
  document = File.read(File.expand_path("../../docs/endpoints.md", __dir__))

  it "has Ruby that works" do
    template = File.expand_path("../../lib/generators/simple_connect/endpoints/templates/migration.rb.tt", __dir__)
    tables = <<~RUBY
      require "active_record"
      require "erb"
      ActiveRecord::Base.establish_connection(adapter: "sqlite3", database: ":memory:")
      ActiveRecord::Migration.verbose = false
      eval(ERB.new(File.read(#{template.dump})).result)
      CreateSimpleConnectEndpoints.migrate(:up)
      SimpleConnect.configuration.endpoints.encryption_key = "k" * 32
      SimpleConnect.configuration.endpoints.jobs = false
    RUBY
    output, fine = DocumentedCode.run(DocumentedCode.blocks(document), tables)
    expect(fine).to be(true), output
  end

  it "names each setting, and no other" do
    settings = SimpleConnect::Endpoints::Settings.instance_methods(false).grep(/\w=\z/).map { |name| name[0..-2] }
    rows = document[/^## Settings\n(.*?)^## /m, 1].lines.grep(/\A\| `/)
    expect(rows.flat_map { |row| row.split("|")[1].scan(/`(\w+)`/).flatten }).to match_array(settings)
    expect(document.scan(/config\.endpoints\.(\w+)/).flatten.uniq - settings).to eq([])
  end

  it "names the tasks that there are" do
    tasks = File.read(File.expand_path("../../lib/simple_connect/rails/tasks.rake", __dir__))
    named = document.scan(%r{bin/rails simple_connect:(\w+)}).flatten.uniq
    expect(named).to include("relay", "rotate_encryption_key", "clean_endpoints", "doctor")
    expect(named.reject { |name| tasks.match?(/task #{name}: :environment/) }).to eq([])
  end
end
