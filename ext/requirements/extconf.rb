# frozen_string_literal: true

# Runs before the extension is compiled from source: reports missing requirements before a compiler prints a screenful
# of errors. There is nothing to make here.
require "rbconfig"

missing = IO.popen(["sh", File.join(__dir__, "missing.sh"), RbConfig.ruby], &:readlines)
unless missing.empty?
  abort <<~MESSAGE

    simple_connect-client is compiled from source here, and some requirements are missing:
    #{missing.map { |line| "- #{line.split("\t", 2).last}" }.join}
  MESSAGE
end

File.write("Makefile", "all clean install:\n")
