#!/bin/sh
# Prints what this machine lacks to compile the extension: for each thing a line with its name, a tab, and a sentence
# that says what to do. Prints nothing where nothing is missing. Runs before anything is compiled: bin/setup calls it,
# and so does extconf.rb when RubyGems builds the gem from source.
#
# usage: missing.sh [RUBY]     the Ruby to compile for; without it, Ruby's own needs are not checked
ruby=${1:-}
root=$(dirname "$0")/../..
rust=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' "$root/Cargo.toml")
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT

missing() { printf '%s\t%s\n' "$1" "$2"; }

# The version that `$1 --version` prints, in "$scratch/$1"; what it prints where it fails.
runs() { "$1" --version > "$scratch/$1" 2>&1; }

# Rustup installs commands that only work once a toolchain is there, so each is tried.
for tool in cargo rustc; do
  if ! command -v "$tool" > /dev/null; then
    missing "$tool" "$tool is missing: install Rust $rust or later, see https://rustup.rs"
    break
  elif ! runs "$tool"; then
    missing "$tool" "$tool does not run (it says: $(head -n 1 "$scratch/$tool")): run \`rustup default stable\`, or install Rust $rust or later, see https://rustup.rs"
    break
  else
    version=$(cut -d ' ' -f 2 "$scratch/$tool")
    oldest=$(printf '%s\n%s\n' "$rust" "${version%%-*}" | sort -t . -k 1,1n -k 2,2n | head -n 1)
    [ "$oldest" = "$rust" ] ||
      missing "$tool" "$tool is $version, and Rust $rust or later is needed: run \`rustup update\`, or see https://rustup.rs"
  fi
done

echo 'int main(void) { return 0; }' > "$scratch/main.c"
cc "$scratch/main.c" -o "$scratch/main" > /dev/null 2>&1 ||
  missing cc "no C compiler that links (cc): on Debian, apt install gcc libc6-dev; on macOS, xcode-select --install"

command -v make > /dev/null || missing make "make is missing: on Debian, apt install make; on macOS, xcode-select --install"

[ -n "$ruby" ] || exit 0

"$ruby" -rrbconfig -e '
  folders = RbConfig::CONFIG.values_at("rubyhdrdir", "rubyarchhdrdir").compact
  files = %w[ruby.h ruby/config.h]
  exit files.all? { |file| folders.any? { |folder| File.exist?(File.join(folder, file)) } }
' || missing headers "the headers of Ruby $("$ruby" -e 'print RUBY_VERSION') are missing (ruby.h): on Debian, apt install ruby-dev; elsewhere, the package that belongs to this Ruby"

# Where bindgen looks. With a clang of its own somewhere else, llvm-config or LIBCLANG_PATH says where.
"$ruby" -rfiddle -e '
  config = IO.popen(%w[llvm-config --libdir], err: File::NULL, &:read).to_s.chomp rescue ""
  folders = [ENV["LIBCLANG_PATH"], config, "/usr/lib/llvm-*/lib", "/usr/lib{,32,64}", "/usr/lib/*-linux-*",
             "/usr/local/lib", "/usr/local/llvm*/lib", "{/opt/homebrew,/usr/local}/opt/llvm/lib",
             "/opt/local/libexec/llvm-*/lib", "/Library/Developer/CommandLineTools/usr/lib",
             "/Applications/Xcode.app/Contents/Developer/Toolchains/XcodeDefault.xctoolchain/usr/lib"]
  names = "libclang{,-*}.{so,so.*,dylib}"
  files = folders.reject { |folder| folder.to_s.empty? }.flat_map { |folder| Dir[File.join(folder, names)] + Dir[folder] }
  exit(files.any? do |file|
    File.file?(file) && Fiddle.dlopen(file)
  rescue Fiddle::DLError
    false
  end)
' || missing libclang "no libclang that loads (it reads Ruby's headers): on Debian, apt install clang; on macOS, xcode-select --install; where it lies elsewhere, set LIBCLANG_PATH to its folder"
