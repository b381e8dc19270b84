# frozen_string_literal: true

require "fileutils"

# How a library for musl is linked.
module Musl
  module_function

  # Flags for rustc, with which the library for `target` needs no other library than musl's libc. Rust's standard
  # library takes the unwinder from libgcc_s.so.1, which Alpine does not always have. In `folder` the linker finds a
  # libgcc_s that stands for the unwinder that comes with Rust.
  def flags(target, folder)
    directory = IO.popen(["rustc", "--print", "target-libdir", "--target", target], &:read).strip
    FileUtils.mkdir_p(folder)
    File.write(File.join(folder, "libgcc_s.so"), "GROUP ( \"#{directory}/self-contained/libunwind.a\" )\n")
    # With crt-static musl's compiler makes no shared libraries.
    ["-Ctarget-feature=-crt-static", "-Lnative=#{folder}"]
  end
end
