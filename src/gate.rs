//! A bound on how many threads do something at a time.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Lets in a few threads at a time. Whoever else comes waits until one of them leaves, and is not overtaken by those
/// who come later.
///
/// ```
/// use simple_connect_core::gate::Gate;
///
/// let gate = Gate::new(1);
/// std::thread::scope(|scope| {
///     let place = gate.enter();
///     scope.spawn(|| gate.enter());
///     drop(place);
/// });
/// ```
#[derive(Debug)]
pub struct Gate {
    places: Mutex<Places>,
    handed_over: Condvar,
}

#[derive(Debug)]
struct Places {
    free: usize,
    /// How many threads wait for one.
    waiting: usize,
    /// How many belong to threads that were waiting, and have not noticed yet.
    handed_over: usize,
}

/// A place behind a [`Gate`]. It is free again when this is dropped.
#[derive(Debug)]
pub struct Place<'a>(&'a Gate);

impl Gate {
    /// A gate with room for `width` threads.
    pub fn new(width: usize) -> Self {
        Self {
            places: Mutex::new(Places { free: width, waiting: 0, handed_over: 0 }),
            handed_over: Condvar::new(),
        }
    }

    /// Waits for a place.
    pub fn enter(&self) -> Place<'_> {
        let mut places = self.places();
        if places.free > 0 {
            places.free -= 1;
        } else {
            places.waiting += 1;
            let mut places = self
                .handed_over
                .wait_while(places, |places| places.handed_over == 0)
                .unwrap_or_else(PoisonError::into_inner);
            places.handed_over -= 1;
        }
        Place(self)
    }

    fn places(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut places = self.0.places();
        if places.waiting > 0 {
            places.waiting -= 1;
            places.handed_over += 1;
            drop(places);
            self.0.handed_over.notify_one();
        } else {
            places.free += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc::channel;
    use std::thread;

    #[test]
    fn no_more_than_its_width_are_inside_and_everybody_gets_in() {
        const WIDTH: usize = 3;
        let gate = Gate::new(WIDTH);
        let (inside, most, entered) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
        thread::scope(|scope| {
            for _ in 0..20 {
                scope.spawn(|| {
                    for _ in 0..500 {
                        let _place = gate.enter();
                        most.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        thread::yield_now();
                        inside.fetch_sub(1, Ordering::SeqCst);
                        entered.fetch_add(1, Ordering::SeqCst);
                    }
                });
            }
        });
        assert_eq!((most.into_inner(), entered.into_inner()), (WIDTH, 20 * 500));
        let places = gate.places();
        assert_eq!((places.free, places.waiting, places.handed_over), (WIDTH, 0, 0));
    }

    #[test]
    fn a_place_that_somebody_waits_for_is_not_free() {
        let gate = &Gate::new(1);
        let place = gate.enter();
        thread::scope(|scope| {
            let (enter, entered) = channel();
            let (leave, left) = channel::<()>();
            scope.spawn(move || {
                let _place = gate.enter();
                enter.send(()).unwrap();
                left.recv().unwrap();
            });
            while gate.places().waiting == 0 {
                thread::yield_now();
            }
            drop(place);
            assert_eq!(gate.places().free, 0);
            entered.recv().unwrap();
            leave.send(()).unwrap();
        });
        assert_eq!(gate.places().free, 1);
    }
}
