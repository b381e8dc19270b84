//! Passes Ruby's linker flags to the linker, and the Ruby version to the code.
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (major, minor) = rb_sys_env::activate()?.ruby_major_minor();
    println!("cargo::rustc-env=BUILT_FOR_RUBY={major}.{minor}");
    Ok(())
}
