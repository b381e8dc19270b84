# frozen_string_literal: true

require "open3"
require "tmpdir"
require_relative "../rakelib/musl"

# A library for musl runs where nothing but musl is installed.
RSpec.describe Musl, unchecked: true do
  target = "x86_64-unknown-linux-musl"
  loader = "/lib/ld-musl-x86_64.so.1"
  libraries = IO.popen(["rustc", "--print", "target-libdir", "--target", target], &:read).strip
  installed = File.exist?("#{libraries}/self-contained")
  lacking = if !installed then "Rust is not installed for #{target}"
            elsif !File.exist?(loader) || !system("musl-gcc", "--version", out: File::NULL, err: File::NULL)
              "musl-tools is not installed"
            end

  around { |example| Dir.mktmpdir { |folder| (@folder = folder) && example.run } }

  # A command that fails is shown with its output.
  def run(*command)
    printed, status = Open3.capture2e(*command, chdir: @folder)
    status.success? ? printed : raise(printed)
  end

  it "links a library that needs musl's libc alone, and catches a panic", skip: lacking do
    File.write("#{@folder}/library.rs", <<~RUST)
      #[unsafe(no_mangle)]
      pub extern "C" fn caught() -> i32 {
          std::panic::set_hook(Box::new(|_| {}));
          std::panic::catch_unwind(|| panic!("a panic")).is_err() as i32
      }
    RUST
    File.write("#{@folder}/program.c", <<~C)
      #include <dlfcn.h>
      #include <stdio.h>
      int main(void) {
        void *library = dlopen("./library.so", RTLD_NOW);
        if (!library) return puts(dlerror()), 1;
        return ((int (*)(void))dlsym(library, "caught"))() != 1;
      }
    C
    run("rustc", "--edition", "2024", "--crate-type", "cdylib", "-Copt-level=1", "--target", target,
        "-Clinker=musl-gcc", *described_class.flags(target, "#{@folder}/the folder"), "-o", "library.so", "library.rs")
    needed = run("objdump", "-p", "library.so").scan(/NEEDED +(\S+)/).flatten
    expect(needed).to eq(["libc.so"])

    run("musl-gcc", "program.c", "-o", "program")
    run(loader, "./program")
  end
end
