//! Errors on their way to Ruby. Their classes are defined in Ruby; here they are looked up.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use magnus::{Error, ExceptionClass, Module, RModule, Ruby};

use crate::raw::Panic;

/// The error `SimpleConnect::<name>` with this message.
pub fn error(ruby: &Ruby, name: &str, message: impl Into<String>) -> Error {
    let class = ruby
        .class_object()
        .const_get::<_, RModule>("SimpleConnect")
        .and_then(|module| module.const_get::<_, ExceptionClass>(name));
    match class {
        Ok(class) => Error::new(class, message.into()),
        Err(missing) => missing,
    }
}

/// A programmer's mistake.
pub fn argument_error(ruby: &Ruby, message: impl Into<String>) -> Error {
    Error::new(ruby.exception_arg_error(), message.into())
}

/// Runs `work`, a method's whole body; a panic in it becomes an `InternalError`, which can be rescued, unlike the
/// `fatal` that it would be otherwise.
pub fn guard<T>(ruby: &Ruby, work: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let message = match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
            (Some(message), _) => message,
            (_, Some(message)) => message.as_str(),
            _ => "no message",
        };
        let advice = "this is a bug in simple_connect-client, please report it";
        Err(error(ruby, "InternalError", format!("{message} ({advice})")))
    })
}

/// Lets a panic that was caught on its way through Ruby go on.
pub fn go_on_panicking(panic: Panic) -> ! {
    resume_unwind(panic)
}
