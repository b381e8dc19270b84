# frozen_string_literal: true

require "open3"
require "rbconfig"
require_relative "support/libraries"

RSpec.describe "rbi/simple_connect-client.rbi", unchecked: true do
  root = File.expand_path("..", __dir__)
  path = "#{root}/rbi/simple_connect-client.rbi"

  it "is what `rake rbi` generates from sig/", skip: Libraries.missing("rbs") do
    made, status = Open3.capture2(RbConfig.ruby, "#{root}/bin/rbi")
    expect([made == File.read(path), status.success?]).to eq([true, true]), "run `bin/rake rbi`"
  end

  it "is Ruby" do
    expect(Open3.capture2e(RbConfig.ruby, "-wc", path).first).to eq("Syntax OK\n")
  end

  it "is in the gem, and says what a reader of a response returns" do
    gem = Gem::Specification.load("#{root}/simple_connect-client.gemspec")
    expect(gem.files).to include("rbi/simple_connect-client.rbi")
    expect(File.read(path)).to include(<<~RUBY)
      class SimpleConnect::Responses::DeliverResponse
        sig { params(json: T.untyped).void }
        def initialize(json); end
    RUBY
    expect(File.read(path)).to include("  sig { returns(T.nilable(::String)) }\n  def event_id; end\n")
  end
end
