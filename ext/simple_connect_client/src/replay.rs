//! `SimpleConnect::SeenKeys`: what a `Webhooks::ReplayGuard` remembers.

use std::time::{Duration, Instant};

use magnus::{Error, Module, RModule, RString, Ruby, Value, function, method, prelude::*};
use simple_connect_core::webhook::replay::ReplayGuard;

use crate::error::guard;
use crate::raw::with_bytes;

/// The guard's lock is held only briefly and with the GVL, and no Ruby code runs meanwhile. A fork holds the GVL too,
/// so it cannot leave the lock held in the child. The child remembers the keys seen before the fork.
#[magnus::wrap(class = "SimpleConnect::SeenKeys", free_immediately, size)]
struct SeenKeys(ReplayGuard);

impl SeenKeys {
    fn new(window: f64, capacity: usize) -> Self {
        // Ruby has checked the seconds, so only a number that a Duration cannot hold fails.
        let window = Duration::try_from_secs_f64(window).unwrap_or(Duration::MAX);
        Self(ReplayGuard::new(window, capacity))
    }

    fn first_time(ruby: &Ruby, this: &Self, key: RString) -> Result<bool, Error> {
        guard(ruby, || Ok(with_bytes(key, |key| this.0.first_time(key, Instant::now()))))
    }

    fn forget(ruby: &Ruby, this: &Self, key: RString) -> Result<(), Error> {
        guard(ruby, || {
            with_bytes(key, |key| this.0.forget(key));
            Ok(())
        })
    }

    fn size(&self) -> usize {
        self.0.size()
    }
}

pub fn init(ruby: &Ruby, module: &RModule) -> Result<(), Error> {
    let class = crate::define_class::<SeenKeys>(ruby, module, "SeenKeys")?;
    class.define_singleton_method("new", function!(SeenKeys::new, 2))?;
    class.define_method("first_time?", method!(SeenKeys::first_time, 1))?;
    class.define_method("forget", method!(SeenKeys::forget, 1))?;
    class.define_method("size", method!(SeenKeys::size, 0))?;
    // Here, because the Ruby half of the class is often not loaded.
    let _: Value = module.funcall("private_constant", ("SeenKeys",))?;
    Ok(())
}
