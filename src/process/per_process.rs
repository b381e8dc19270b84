//! What may not cross a fork.

use std::sync::{Arc, Mutex, PoisonError};

/// A value that belongs to the process that made it. After a fork the child makes its own and leaves the parent's
/// alone: whoever held its locks is not in the child, and its sockets are still the parent's.
///
/// Use it where no other thread may fork: it takes a lock, for as long as a pointer takes to be copied.
///
/// ```
/// use simple_connect_core::process::per_process::PerProcess;
///
/// static STARTED: PerProcess<std::time::Instant> = PerProcess::new();
///
/// let started = STARTED.get(std::time::Instant::now);
/// assert_eq!(STARTED.existing(), Some(started));
/// ```
#[derive(Debug)]
pub struct PerProcess<T> {
    slot: Mutex<Option<(u32, Arc<T>)>>,
}

impl<T> PerProcess<T> {
    /// Without a value yet.
    pub const fn new() -> Self {
        Self { slot: Mutex::new(None) }
    }

    /// This process's value; made, if there is none yet.
    pub fn get(&self, make: impl FnOnce() -> T) -> Arc<T> {
        let mut slot = self.slot.lock().unwrap_or_else(PoisonError::into_inner);
        abandon_foreign(&mut slot);
        slot.get_or_insert_with(|| (std::process::id(), Arc::new(make()))).1.clone()
    }

    /// This process's value, if there is one.
    pub fn existing(&self) -> Option<Arc<T>> {
        let mut slot = self.slot.lock().unwrap_or_else(PoisonError::into_inner);
        abandon_foreign(&mut slot);
        slot.as_ref().map(|(_, value)| value.clone())
    }
}

impl<T> Default for PerProcess<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Drop for PerProcess<T> {
    fn drop(&mut self) {
        abandon_foreign(self.slot.get_mut().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Empties `slot` where its value is another process's, without dropping that value.
fn abandon_foreign<T>(slot: &mut Option<(u32, Arc<T>)>) {
    if slot.as_ref().is_some_and(|(process, _)| *process != std::process::id()) {
        std::mem::forget(slot.take());
    }
}
