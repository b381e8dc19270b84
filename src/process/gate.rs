//! Lets one thread in at a time, with a limit on the wait.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::process::per_process::Abandon;

/// Lets in one thread at a time. Other threads wait until it leaves, but no longer than their patience.
///
/// ```
/// use std::time::Duration;
///
/// use simple_connect_core::process::gate::Gate;
///
/// let gate = Gate::default();
/// let place = gate.enter(Duration::from_millis(1));
/// assert!(gate.enter(Duration::from_millis(1)).is_none());
/// drop(place);
/// assert!(gate.enter(Duration::from_millis(1)).is_some());
/// ```
#[derive(Debug, Default)]
pub struct Gate {
    taken: AtomicBool,
    /// The number of threads that spin before they sleep.
    looking: AtomicUsize,
    /// The number of sleeping threads. Without any, leaving the gate needs no system call.
    sleeping: Mutex<usize>,
    left: Condvar,
}

/// How often a thread tries before it sleeps. To sleep and wake, maybe on another core, takes several times longer than
/// a typical thread is inside.
const LOOKS: usize = 30;

/// The maximum number of threads that spin at once. More would take the core from the thread inside.
const MOST_LOOKING: usize = 4;

/// The place inside a [`Gate`]. Dropping it frees the place.
#[derive(Debug)]
pub struct Place<'a>(&'a Gate);

impl Abandon for Gate {}

impl Gate {
    /// Waits for the place; None if it was not free within `patience`.
    pub fn enter(&self, patience: Duration) -> Option<Place<'_>> {
        if self.take() || self.look() {
            return Some(Place(self));
        }
        let mut sleeping = self.sleeping();
        *sleeping += 1;
        let (mut sleeping, waited) = self
            .left
            .wait_timeout_while(sleeping, patience, |_| !self.take())
            .unwrap_or_else(PoisonError::into_inner);
        *sleeping -= 1;
        (!waited.timed_out()).then(|| Place(self))
    }

    fn take(&self) -> bool {
        !self.taken.swap(true, SeqCst)
    }

    /// Tries to take the place a few times, and yields to other threads before each try.
    fn look(&self) -> bool {
        let others = self.looking.fetch_add(1, SeqCst);
        let taken = others < MOST_LOOKING
            && (0..LOOKS).any(|_| {
                thread::yield_now();
                self.take()
            });
        self.looking.fetch_sub(1, SeqCst);
        taken
    }

    fn sleeping(&self) -> MutexGuard<'_, usize> {
        self.sleeping.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.taken.store(false, SeqCst);
        // A spinning thread will take the place, so no sleeping thread needs to wake.
        if self.0.looking.load(SeqCst) == 0 && *self.0.sleeping() > 0 {
            self.0.left.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    const LONG: Duration = Duration::from_secs(10);

    #[test]
    fn one_thread_is_inside_and_all_get_in() {
        let gate = Gate::default();
        let (inside, entered) = (AtomicUsize::new(0), AtomicUsize::new(0));
        thread::scope(|scope| {
            for _ in 0..20 {
                scope.spawn(|| {
                    for _ in 0..500 {
                        let place = gate.enter(LONG);
                        assert_eq!(inside.fetch_add(1, SeqCst), 0);
                        thread::yield_now();
                        inside.fetch_sub(1, SeqCst);
                        entered.fetch_add(usize::from(place.is_some()), SeqCst);
                    }
                });
            }
        });
        assert_eq!(entered.into_inner(), 20 * 500);
        assert!(!gate.taken.into_inner());
    }

    #[test]
    fn no_thread_waits_longer_than_its_patience() {
        let gate = Gate::default();
        let place = gate.enter(LONG);
        assert!(gate.enter(Duration::from_millis(1)).is_none());
        assert!(gate.taken.load(SeqCst), "a thread that gives up does not free the place");
        drop(place);
        assert!(gate.enter(LONG).is_some());
    }

    #[test]
    fn a_sleeping_thread_is_woken() {
        let gate = Gate::default();
        let place = gate.enter(LONG);
        thread::scope(|scope| {
            let sleeper = scope.spawn(|| {
                let started = Instant::now();
                gate.enter(LONG).is_some() && started.elapsed() < LONG
            });
            while *gate.sleeping() == 0 {
                thread::yield_now();
            }
            drop(place);
            assert!(sleeper.join().is_ok_and(|woken| woken));
        });
    }
}
