# frozen_string_literal: true

require "open3"
require "rbconfig"

# Runs the Ruby of a document, block after block in one new process, against a sandbox. What a comment says that an
# expression gives (`expression # => value`) is checked.
module DocumentedCode
  PRELUDE = <<~'RUBY'
    require "active_job"
    require "logger"
    require "rails"
    require "simple_connect/sandbox"

    Rails.logger = Logger.new(IO::NULL)
    ActiveJob::Base.logger = Rails.logger
    ActiveJob::Base.queue_adapter = :inline

    def __check(value, expected, line)
      # Prose, or a value cut short: that it can be computed is all there is to check.
      return if expected.match?(/\Aan? |…/)

      shown = value.inspect.gsub(/ ?=> ?/, "=>")
      abort "line #{line}: gives #{shown}, not #{expected}" unless shown == expected.gsub(/ ?=> ?/, "=>")
    end

    SANDBOX = SimpleConnect::Sandbox.start
    ENV.update(
      "SIMPLECONNECT_ENDPOINT_URL" => SANDBOX.endpoint_url, "SIMPLECONNECT_KEY_ID" => SANDBOX.key_id,
      "SIMPLECONNECT_SECRET" => SANDBOX.secret, "SIMPLECONNECT_API_KEY" => SANDBOX.api_key,
      "SIMPLECONNECT_WEBHOOK_SECRET" => SANDBOX.webhook_secret
    )
  RUBY

  # @return [String, nil] why documents cannot be tried here
  def self.missing = Libraries.missing("puma", "rails")

  # @param document [String] Markdown
  # @return [Array<Array(String, Integer)>] each block of Ruby, and the line it begins on
  def self.blocks(document)
    document.to_enum(:scan, /^```ruby\n(.*?)^```$/m).map do
      match = Regexp.last_match
      [match[1], match.pre_match.count("\n") + 2]
    end
  end

  # @param blocks [Array<Array(String, Integer)>]
  # @param more [String] what to run first
  # @return [Array(String, Boolean)] what was printed, and whether all went well
  def self.run(blocks, more = "")
    evaluations = blocks.map do |source, line|
      source = checked(source.gsub("https://app.simplewaconnect.com\"", "\#{SANDBOX.url}\""))
      "eval(#{source.dump}, TOPLEVEL_BINDING, 'document', #{line})"
    end
    script = [PRELUDE, more, *evaluations]
    output, status = Open3.capture2e(RbConfig.ruby, "-W0", "-I", File.expand_path("../../lib", __dir__),
                                     stdin_data: script.join("\n"))
    [output, status.success?]
  end

  # `expression # => value` becomes a call that compares them.
  def self.checked(source)
    source.gsub(/^( *)(?!#)(\S.*?) +# => ([^;\n]+).*$/) do
      "#{Regexp.last_match(1)}__check((#{Regexp.last_match(2)}), #{Regexp.last_match(3).strip.dump}, __LINE__)"
    end
  end
  private_class_method :checked
end
