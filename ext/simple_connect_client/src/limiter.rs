//! `SimpleConnect::Permits`: what a `RateLimiter` grants.

use std::time::{Duration, Instant};

use magnus::{Error, Module, RModule, Ruby, Value, function, method, prelude::*};
use simple_connect_core::webhook::limiter::{Limiter, Ticket};

use crate::error::guard;

/// The limiter's lock is held only briefly and with the GVL, and no Ruby code runs meanwhile. A fork holds the GVL too,
/// so it cannot leave the lock held in the child.
#[magnus::wrap(class = "SimpleConnect::Permits", free_immediately, size)]
struct Permits(Limiter);

impl Permits {
    fn new(limit: u64, interval: f64) -> Self {
        Self(Limiter::new(limit, duration(interval)))
    }

    fn try_acquire(ruby: &Ruby, this: &Self) -> Result<bool, Error> {
        guard(ruby, || Ok(this.0.try_acquire(Instant::now())))
    }

    fn reserve(ruby: &Ruby, this: &Self) -> Result<f64, Error> {
        guard(ruby, || Ok(this.0.reserve(Instant::now()).as_secs_f64()))
    }

    fn delay(ruby: &Ruby, this: &Self) -> Result<f64, Error> {
        guard(ruby, || Ok(this.0.delay(Instant::now()).as_secs_f64()))
    }

    fn join(ruby: &Ruby, this: &Self, timeout: Option<f64>) -> Result<Option<Ticket>, Error> {
        guard(ruby, || Ok(this.0.join(Instant::now(), timeout.map(duration))))
    }

    fn wait(ruby: &Ruby, this: &Self, ticket: Ticket) -> Result<Option<f64>, Error> {
        guard(ruby, || Ok(this.0.wait(ticket, Instant::now()).map(|wait| wait.as_secs_f64())))
    }

    fn leave(ruby: &Ruby, this: &Self, ticket: Ticket) -> Result<(), Error> {
        guard(ruby, || {
            this.0.leave(ticket, Instant::now());
            Ok(())
        })
    }
}

/// Ruby has checked the seconds, so only a number that a Duration cannot hold fails.
fn duration(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
}

pub fn init(ruby: &Ruby, module: &RModule) -> Result<(), Error> {
    let class = crate::define_class::<Permits>(ruby, module, "Permits")?;
    class.define_singleton_method("new", function!(Permits::new, 2))?;
    class.define_method("try_acquire", method!(Permits::try_acquire, 0))?;
    class.define_method("reserve", method!(Permits::reserve, 0))?;
    class.define_method("delay", method!(Permits::delay, 0))?;
    class.define_method("join", method!(Permits::join, 1))?;
    class.define_method("wait", method!(Permits::wait, 1))?;
    class.define_method("leave", method!(Permits::leave, 1))?;
    // Here, because the Ruby half of the class is often not loaded.
    let _: Value = module.funcall("private_constant", ("Permits",))?;
    Ok(())
}
