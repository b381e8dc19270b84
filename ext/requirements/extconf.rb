# frozen_string_literal: true

# Runs before the extension is compiled, where the gem is installed from source: what the machine lacks is reported
# in sentences, before a compiler has printed a screenful about it. There is nothing to make here.
require "rbconfig"

missing = IO.popen(["sh", File.join(__dir__, "missing.sh"), RbConfig.ruby], &:readlines)
unless missing.empty?
  abort <<~MESSAGE

    simple_connect-client is compiled where it is installed, and this machine lacks what that takes:
    #{missing.map { |line| "- #{line.split("\t", 2).last}" }.join}
  MESSAGE
end

File.write("Makefile", "all clean install:\n")
