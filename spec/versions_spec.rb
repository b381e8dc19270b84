# frozen_string_literal: true

# A lower bound that is stated is one that is tested: Debian 12 has the oldest versions that are supported.
RSpec.describe "The lower bounds of the Gemfile" do
  bounds = Class.new do
    def self.all = new.tap { |gemfile| gemfile.instance_eval(File.read(File.expand_path("../Gemfile", __dir__))) }.found

    attr_reader :found

    def initialize = @found = {}
    def source(*) = nil
    def gemspec = nil
    def gem(name, *requirement) = @found[name] = Gem::Requirement.new(requirement)
  end

  debian = RUBY_VERSION.start_with?("3.1.") && File.exist?("/usr/share/rubygems-integration")
  elsewhere = "takes the gems of Debian 12" unless debian

  bounds.all.each do |name, requirement|
    it "for #{name} is the version that is tested", skip: elsewhere do
      bound = requirement.requirements.find { |operator, _| [">=", "~>"].include?(operator) }.last
      installed = Gem::Specification.find_all_by_name(name, requirement).map(&:version)
      expect(installed.map { |version| version.segments.first(bound.segments.length) }).to include(bound.segments)
    end
  end
end
