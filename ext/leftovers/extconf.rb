# frozen_string_literal: true

# Runs after the extension is compiled, where the gem is installed from source. RubyGems before 3.4.6 keeps cargo's
# target folder, some 280 MB, beside what it notes about the extension. Ruby loads the copy in lib/.
require "fileutils"

gem = File.expand_path("../..", __dir__)
kept = File.join(File.dirname(gem, 2), "extensions", Gem::Platform.local.to_s, Gem.extension_api_version,
                 File.basename(gem))
if File.exist?(File.join(kept, "release/.fingerprint")) && Dir.exist?(File.join(gem, "lib"))
  FileUtils.rm_rf(%w[release .rustc_info.json CACHEDIR.TAG].map { |name| File.join(kept, name) })
end

File.write("Makefile", "all clean install:\n")
