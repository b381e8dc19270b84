# frozen_string_literal: true

require "open3"
require "rbconfig"

# What this Ruby can load. Debian compiles the libraries that it packages for one Ruby; another one may be under test.
module Libraries
  # @param names [Array<String>] as `require` takes them
  # @return [String, nil] why what needs them cannot be tried here
  def self.missing(*names)
    @reasons ||= Hash.new do |reasons, name|
      _, status = Open3.capture2e(RbConfig.ruby, "-e", "require ARGV.fetch(0)", name)
      reasons[name] = status.success? ? nil : "#{name} cannot be loaded by this Ruby"
    end
    names.filter_map { |name| @reasons[name] }.first
  end
end
