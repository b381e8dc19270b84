#!/bin/sh
# Prints the missing requirements for compiling the extension, one per line: a name, a tab, and a sentence that says
# what to do. bin/setup runs it, and extconf.rb when RubyGems builds the gem from source.
#
# usage: missing.sh [RUBY]     the Ruby to compile for; without it, Ruby's headers and libclang are not checked
ruby=${1:-}
root=$(dirname "$0")/../..
rust=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' "$root/Cargo.toml")
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT

missing() { printf '%s\t%s\n' "$1" "$2"; }

# Writes the output of `$1 --version` to "$scratch/$1".
runs() { "$1" --version > "$scratch/$1" 2>&1; }

# Rustup installs commands that fail until a toolchain is installed, so run each one.
for tool in cargo rustc; do
  if ! command -v "$tool" > /dev/null; then
    missing "$tool" "$tool is missing: install Rust $rust or later, see https://rustup.rs"
    break
  elif ! runs "$tool"; then
    missing "$tool" "$tool fails ($(head -n 1 "$scratch/$tool")): run \`rustup default stable\`, or install Rust $rust or later, see https://rustup.rs"
    break
  else
    version=$(cut -d ' ' -f 2 "$scratch/$tool")
    oldest=$(printf '%s\n%s\n' "$rust" "${version%%-*}" | sort -t . -k 1,1n -k 2,2n | head -n 1)
    [ "$oldest" = "$rust" ] ||
      missing "$tool" "$tool is version $version, and Rust $rust or later is required: run \`rustup update\`, or see https://rustup.rs"
  fi
done

# For musl, rustup's Rust links statically unless it is told otherwise, and then makes no library that Ruby can load.
# Cargo splits RUSTFLAGS at spaces, too.
# shellcheck disable=SC2086
rustc --print cfg ${CARGO_BUILD_TARGET:+--target "$CARGO_BUILD_TARGET"} ${RUSTFLAGS:-} > "$scratch/cfg" 2> /dev/null
if grep -qx 'target_env="musl"' "$scratch/cfg" && grep -qx 'target_feature="crt-static"' "$scratch/cfg"; then
  missing rustc "rustc links statically for musl, and Ruby cannot load that: export RUSTFLAGS='${RUSTFLAGS:+$RUSTFLAGS }-Ctarget-feature=-crt-static'"
fi

echo 'int main(void) { return 0; }' > "$scratch/main.c"
cc "$scratch/main.c" -o "$scratch/main" > /dev/null 2>&1 ||
  missing cc "a working C compiler (cc) is missing: on Debian, apt install gcc libc6-dev; on macOS, xcode-select --install"

command -v make > /dev/null || missing make "make is missing: on Debian, apt install make; on macOS, xcode-select --install"

[ -n "$ruby" ] || exit 0

"$ruby" -rrbconfig -e '
  folders = RbConfig::CONFIG.values_at("rubyhdrdir", "rubyarchhdrdir").compact
  files = %w[ruby.h ruby/config.h]
  exit files.all? { |file| folders.any? { |folder| File.exist?(File.join(folder, file)) } }
' || missing headers "the headers of Ruby $("$ruby" -e 'print RUBY_VERSION') are missing (ruby.h): on Debian, apt install ruby-dev; elsewhere, the package that belongs to this Ruby"

# The folders that bindgen searches. llvm-config and LIBCLANG_PATH name others. Not every Ruby has fiddle, which loads
# what is found.
"$ruby" -e '
  begin
    require "fiddle"
  rescue LoadError
    nil
  end
  config = IO.popen(%w[llvm-config --libdir], err: File::NULL, &:read).to_s.chomp rescue ""
  folders = [ENV["LIBCLANG_PATH"], config, "/usr/lib/llvm*/lib", "/usr/lib{,32,64}", "/usr/lib/*-linux-*",
             "/usr/local/lib", "/usr/local/llvm*/lib", "{/opt/homebrew,/usr/local}/opt/llvm/lib",
             "/opt/local/libexec/llvm-*/lib", "/Library/Developer/CommandLineTools/usr/lib",
             "/Applications/Xcode.app/Contents/Developer/Toolchains/XcodeDefault.xctoolchain/usr/lib"]
  # libclang-cpp is another library.
  names = "libclang{,-[0-9]*}.{so,so.*,dylib}"
  files = folders.reject { |folder| folder.to_s.empty? }.flat_map { |folder| Dir[File.join(folder, names)] + Dir[folder] }
  exit(files.any? do |file|
    File.file?(file) && (!defined?(Fiddle) || Fiddle.dlopen(file))
  rescue Fiddle::DLError
    false
  end)
' || missing libclang "libclang, which reads Ruby's headers, is missing or does not load: on Debian, apt install clang; on macOS, xcode-select --install; if it is installed elsewhere, set LIBCLANG_PATH to its folder"
