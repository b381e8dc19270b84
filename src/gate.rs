//! One thread at a time, but not at any price.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Lets in one thread at a time. Whoever else comes waits until it has left, but no longer than they have patience.
///
/// ```
/// use std::time::Duration;
///
/// use simple_connect_core::gate::Gate;
///
/// let gate = Gate::default();
/// let place = gate.enter(Duration::from_millis(1));
/// assert!(gate.enter(Duration::from_millis(1)).is_none());
/// drop(place);
/// assert!(gate.enter(Duration::from_millis(1)).is_some());
/// ```
#[derive(Debug, Default)]
pub struct Gate {
    state: Mutex<State>,
    left: Condvar,
}

#[derive(Debug, Default)]
struct State {
    taken: bool,
    /// How many threads wait. With none there is nobody to be told, which would take a system call.
    waiting: usize,
}

/// The place behind a [`Gate`]. It is free again when this is dropped.
#[derive(Debug)]
pub struct Place<'a>(&'a Gate);

impl Gate {
    /// Waits for the place. None where it was not to be had for as long as `patience`.
    pub fn enter(&self, patience: Duration) -> Option<Place<'_>> {
        let mut state = self.state();
        if state.taken {
            state.waiting += 1;
            (state, _) = self
                .left
                .wait_timeout_while(state, patience, |state| state.taken)
                .unwrap_or_else(PoisonError::into_inner);
            state.waiting -= 1;
        }
        let free = !state.taken;
        state.taken = true;
        free.then(|| Place(self))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.taken = false;
        if state.waiting > 0 {
            drop(state);
            self.0.left.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn one_is_inside_and_everybody_gets_in() {
        let gate = Gate::default();
        let (inside, entered) = (AtomicUsize::new(0), AtomicUsize::new(0));
        thread::scope(|scope| {
            for _ in 0..20 {
                scope.spawn(|| {
                    for _ in 0..500 {
                        let place = gate.enter(LONG);
                        assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                        thread::yield_now();
                        inside.fetch_sub(1, Ordering::SeqCst);
                        entered.fetch_add(usize::from(place.is_some()), Ordering::SeqCst);
                    }
                });
            }
        });
        assert_eq!(entered.into_inner(), 20 * 500);
        assert!(!gate.state().taken);
    }

    #[test]
    fn nobody_waits_for_longer_than_they_have_patience() {
        let gate = Gate::default();
        let place = gate.enter(LONG);
        assert!(gate.enter(Duration::from_millis(1)).is_none());
        assert!(gate.state().taken, "and they take nobody's place");
        drop(place);
        assert!(gate.enter(LONG).is_some());
    }
}
