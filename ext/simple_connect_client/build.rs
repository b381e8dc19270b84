//! Tells the linker what this Ruby needs; on macOS, that its symbols come with the process.
fn main() -> Result<(), Box<dyn std::error::Error>> {
    rb_sys_env::activate()?;
    Ok(())
}
