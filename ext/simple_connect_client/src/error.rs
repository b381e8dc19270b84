//! Creates Ruby's errors. Their classes are defined in Ruby and looked up here.

use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use magnus::{Error, Exception, ExceptionClass, Module, RModule, Ruby, prelude::*};
use simple_connect_core::http::error::{Cause, NetworkError, Phase};
use simple_connect_core::http::guard::Refusal;
use simple_connect_core::http::settings::IpVersion;

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

/// The error text of a failed result: a class, the message, and the client's option to change, if there is one.
///
/// # Errors
/// None: Ruby has a class for every number.
pub fn explain(ruby: &Ruby, error: &NetworkError) -> Result<String, Error> {
    let option = match error.cause {
        Cause::NoAddress(Some(IpVersion::V4)) => " (ip_version: :ipv4)",
        Cause::NoAddress(Some(IpVersion::V6)) => " (ip_version: :ipv6)",
        Cause::UnknownAuthority => "; to trust it, pass its own or its authority's certificate as ca_file:",
        Cause::BodyTooLarge => " (max_response_bytes:)",
        Cause::Refused(refusal) => remedy(refusal),
        _ => "",
    };
    Ok(format!("{}: {error}{option}", ruby_class(ruby, error)?))
}

/// What to write about a server that the guard refuses.
pub fn remedy(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::Private => {
            "; for networks of your own, set allow_private: [\"10.0.0.0/8\"], or true in development and tests"
        }
        Refusal::Cleartext => "; write https://, or set allow_http: true",
        Refusal::Malformed => "; write a name or an address",
    }
}

/// The class that Net::HTTP would raise. Users search their logs for it.
fn ruby_class<'a>(ruby: &Ruby, error: &'a NetworkError) -> Result<Cow<'a, str>, Error> {
    Ok(Cow::Borrowed(match &error.cause {
        Cause::Deadline => match error.phase {
            Phase::Write => "Net::WriteTimeout",
            Phase::Read => "Net::ReadTimeout",
            Phase::Resolve | Phase::Connect | Phase::Proxy | Phase::Tls => "Net::OpenTimeout",
        },
        Cause::NoAddress(_) => "SocketError",
        Cause::UnknownAuthority | Cause::Tls => "OpenSSL::SSL::SSLError",
        Cause::Cut => "EOFError",
        Cause::Malformed | Cause::TooLarge | Cause::BodyTooLarge => "Net::HTTPBadResponse",
        Cause::Status(500..) => "Net::HTTPFatalError",
        Cause::Status(_) => "Net::HTTPClientException",
        // As for a firewall of this machine.
        Cause::Refused(_) => "Errno::EACCES",
        Cause::Named(class) => class,
        Cause::Other => "IOError",
        Cause::System(number) => return Ok(system_error(ruby, *number)?.class().to_string().into()),
    }))
}

/// The `Errno::…` of this number, or a `SystemCallError` if there is none.
pub fn system_error(ruby: &Ruby, number: i32) -> Result<Exception, Error> {
    ruby.exception_system_call_error().new_instance((ruby.qnil(), number))
}

pub fn argument_error(ruby: &Ruby, message: impl Into<String>) -> Error {
    Error::new(ruby.exception_arg_error(), message.into())
}

/// Runs `work`, the whole body of a method. A panic raises an `InternalError`, which can be rescued, instead of magnus'
/// `fatal`, which cannot.
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

/// Continues a panic that was caught before it reached Ruby's frames.
pub fn go_on_panicking(panic: Panic) -> ! {
    resume_unwind(panic)
}
