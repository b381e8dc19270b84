# frozen_string_literal: true

require "open3"
require "rbconfig"

# Each measurement once, with the least to do: that it runs and has our figures, not what they are.
RSpec.describe "bench/", unchecked: true do
  number = /[\d.]+/
  rates = /(\| \d+ \([\d.]+ ms\) +){4}\|$/
  {
    "load 1" => /^\| simple_connect +\| #{number} ms +\| #{number} MiB +\|$/,
    "run 1" => /^\| simple_connect-client +(\| #{number} +){7}\|$/,
    "threads 0.01 1" => /^\| simple_connect-client +#{rates}.*^\| of 10,000 +#{rates}/m,
    "body_size 1" => %r{^\| 976\.9 KB +\| #{number} \(#{number} / KB\) +\|},
    "decode 1" => /^\| flat objects +(\| #{number} +){5}\|$/,
    "observability 1" => /^\| without ActiveSupport::Notifications +(\| #{number} +){2}\| \+0\.0 % \|$/,
    "inbox 10 1" => /^\| first paint +\| \d+ +\|$.*^\| an arrival shows +\| \d+ +\|$/m,
    "memory 100" => /^\| 100 +\| #{number} MiB +\|$/
  }.each do |command, figures|
    it "#{command} prints its table" do
      out, err, status = Open3.capture3(RbConfig.ruby, *"#{File.expand_path("../bench", __dir__)}/#{command}".split)
      skip err.chomp if err.match?(/\Abench: .* (is missing|cannot be loaded)/)

      expect(out).to match(figures)
      expect(status).to be_success
    end
  end
end
