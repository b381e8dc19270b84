# frozen_string_literal: true

require_relative "support/comparison"
require_relative "support/conformance"

# What the published gem does, call by call, and what ours does instead where it differs on purpose.
RSpec.describe "Conformance" do
  def run(test_case)
    allow(Time).to receive(:now).and_return(Time.iso8601(test_case["clock"])) if test_case["clock"]
    run = Conformance.new(test_case)
    run.run { |seen| return Comparison.new(test_case, run, seen).differences }
  end

  skipped = ->(test_case) { test_case["differs"] || test_case["defect"] }
  # What works, and is nothing that the signatures allow.
  odd = ["a logger without methods does no harm", "a logger that knows info only", "an API key given as a Symbol",
         "an event_id of false", "occurred_at of false is now", "occurred_at as a Float",
         "with_data makes a copy with other data", "key_id and secret may be any object",
         "an event row with everything", "fields of odd types are passed on"]
  published = Conformance.areas
  own = Conformance.areas("own/*.json")

  published.merge(own).each do |area, cases|
    describe area do
      cases.reject(&skipped).each do |test_case|
        next if test_case["min_ruby"] && Gem::Version.new(RUBY_VERSION) < Gem::Version.new(test_case["min_ruby"])

        # Under the signatures, what they rule out would be refused before the gem sees it.
        unchecked = test_case.to_json.match?(/ArgumentError|ConfigurationError|LocalJumpError/) ||
                    odd.include?(test_case["name"])

        it "#{test_case["name"]} (#{test_case["api"]})", unchecked: do
          expect(run(test_case)).to eq([])
        end
      end
    end
  end

  it "has a case of our own wherever ours differs" do
    differing = published.flat_map { |area, cases| cases.select(&skipped).map { |it| [area, it["name"]] } }
    expect(own["differences"].map { |it| it.values_at("instead_of", "name") }).to match_array(differing)
  end
end
