//! Tells the linker what this Ruby needs (on macOS, that its symbols come with the process), and the code which Ruby
//! it is built for.
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (major, minor) = rb_sys_env::activate()?.ruby_major_minor();
    println!("cargo::rustc-env=BUILT_FOR_RUBY={major}.{minor}");
    Ok(())
}
