//! Values that must not be shared with a forked child.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::process::fork::generation;

/// A value that a forked child inherits but must not use.
pub trait Abandon {
    /// Closes this process's copies of the value's descriptors. Called in the child. A lock that a thread of the parent
    /// held at the fork is never released here, so only try to lock, and skip what is locked.
    fn abandon(&self) {}
}

/// A value that belongs to the process that created it. After a fork, the child creates its own and
/// [abandons](Abandon) the parent's.
///
/// Use it only where no other thread can fork, because it briefly takes a lock.
///
/// ```
/// use simple_connect_core::process::per_process::{Abandon, PerProcess};
///
/// struct Started(std::time::Instant);
/// impl Abandon for Started {}
///
/// static STARTED: PerProcess<Started> = PerProcess::new();
///
/// let started = STARTED.get(|| Started(std::time::Instant::now()));
/// assert_eq!(STARTED.existing().map(|existing| existing.0), Some(started.0));
/// ```
#[derive(Debug)]
pub struct PerProcess<T: Abandon> {
    /// The value, and the generation of the process that created it.
    slot: Mutex<Option<(u64, Arc<T>)>>,
}

impl<T: Abandon> PerProcess<T> {
    /// An empty slot.
    pub const fn new() -> Self {
        Self { slot: Mutex::new(None) }
    }

    /// This process's value; `make` creates it if there is none.
    pub fn get(&self, make: impl FnOnce() -> T) -> Arc<T> {
        self.get_in(generation(), make)
    }

    /// This process's value, if there is one.
    pub fn existing(&self) -> Option<Arc<T>> {
        self.slot(generation()).as_ref().map(|(_, value)| value.clone())
    }

    fn get_in(&self, generation: u64, make: impl FnOnce() -> T) -> Arc<T> {
        self.slot(generation).get_or_insert_with(|| (generation, Arc::new(make()))).1.clone()
    }

    /// The slot, emptied if its value is from another generation.
    fn slot(&self, generation: u64) -> MutexGuard<'_, Option<(u64, Arc<T>)>> {
        let mut slot = self.slot.lock().unwrap_or_else(PoisonError::into_inner);
        abandon_foreign(&mut slot, generation);
        slot
    }
}

impl<T: Abandon> Default for PerProcess<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Abandon> Drop for PerProcess<T> {
    fn drop(&mut self) {
        abandon_foreign(self.slot.get_mut().unwrap_or_else(PoisonError::into_inner), generation());
    }
}

/// Empties `slot` if its value is from another generation. That is safe: a thread that uses the value holds a
/// reference, and the reference of a thread that exists only in the parent is never released here.
fn abandon_foreign<T: Abandon>(slot: &mut Option<(u64, Arc<T>)>, generation: u64) {
    if let Some((_, value)) = slot.take_if(|(made_in, _)| *made_in != generation) {
        value.abandon();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[derive(Default)]
    struct Value(AtomicU32);

    impl Abandon for Value {
        fn abandon(&self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn each_generation_creates_its_own_value_and_abandons_its_ancestors() {
        let slot = PerProcess::default();
        let first = slot.get_in(1, Value::default);
        assert!(Arc::ptr_eq(&first, &slot.get_in(1, Value::default)));
        assert_eq!(first.0.load(Ordering::Relaxed), 0);

        let second = slot.get_in(2, Value::default);
        assert!(!Arc::ptr_eq(&first, &second));
        assert_eq!((first.0.load(Ordering::Relaxed), second.0.load(Ordering::Relaxed)), (1, 0));
        // The slot has dropped the ancestor's value.
        assert_eq!(Arc::strong_count(&first), 1);
    }

    #[test]
    fn dropping_a_slot_in_a_child_abandons_its_value() {
        let slot = PerProcess::default();
        let foreign = slot.get_in(generation() + 1, Value::default);
        drop(slot);
        assert_eq!((foreign.0.load(Ordering::Relaxed), Arc::strong_count(&foreign)), (1, 1));

        let slot = PerProcess::default();
        let own = slot.get(Value::default);
        assert_eq!(slot.existing().map(|existing| Arc::ptr_eq(&existing, &own)), Some(true));
        drop(slot);
        assert_eq!((own.0.load(Ordering::Relaxed), Arc::strong_count(&own)), (0, 1));
    }
}
