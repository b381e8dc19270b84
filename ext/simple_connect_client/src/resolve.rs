//! Looks names up in Ruby: there, a look-up can be interrupted, users can replace the resolver, and a fork is safe. See
//! `lib/simple_connect/internal/resolver.rb`.

use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};

use magnus::{Error, Module, RArray, RModule, Ruby, TryConvert, Value, prelude::*};
use simple_connect_core::http::error::ErrorKind;
use simple_connect_core::http::wait::ResolveError;

use crate::wakers::Latch;

/// Looks up a name; `TimedOut` if the look-up is not finished when `wait` returns.
///
/// # Errors
/// Those of `wait`, which waits until a descriptor is readable, and those of bugs in a replaced resolver.
pub fn resolve(
    ruby: &Ruby,
    host: &str,
    wait: impl FnOnce(BorrowedFd<'_>) -> Result<(), Error>,
) -> Result<Result<Vec<IpAddr>, ResolveError>, Error> {
    let resolver: RModule =
        ruby.class_object().const_get::<_, RModule>("SimpleConnect")?.const_get("Resolver")?;
    let look_up: Value = resolver.funcall("look_up", (host,))?;
    let latch: Option<&Latch> = look_up.funcall("latch", ())?;
    if let Some(waker) = latch.and_then(Latch::waker) {
        wait(waker.as_fd())?;
    }
    let Some(outcome): Option<RArray> = look_up.funcall("outcome", ())? else {
        return Ok(Err(ResolveError::TimedOut));
    };
    if outcome.len() == 1 {
        // Drops addresses with a zone (fe80::1%eth0), which IpAddr cannot hold.
        let (addresses,) = <(Vec<String>,)>::try_convert(outcome.as_value())?;
        return Ok(Ok(addresses.iter().filter_map(|address| address.parse().ok()).collect()));
    }
    let (_, kind, name, message) = <(Value, String, String, String)>::try_convert(outcome.as_value())?;
    let kind = ErrorKind::named(&kind).unwrap_or(ErrorKind::Dns);
    Ok(Err(ResolveError::Failed { kind, name, message }))
}
