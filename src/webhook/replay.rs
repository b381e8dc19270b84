//! Remembers recently received keys, to detect replays.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

/// Remembers a limited number of keys for a limited time. Thread-safe.
///
/// ```
/// use std::time::{Duration, Instant};
/// use simple_connect_core::webhook::replay::ReplayGuard;
///
/// let guard = ReplayGuard::new(Duration::from_secs(300), 1000);
/// let now = Instant::now();
/// assert!(guard.first_time(b"a", now));
/// assert!(!guard.first_time(b"a", now + Duration::from_secs(300)));
/// assert!(guard.first_time(b"a", now + Duration::from_secs(301)));
/// ```
pub struct ReplayGuard {
    window: Duration,
    capacity: usize,
    seen: Mutex<Seen>,
}

/// Half of a key's SHA-256. Finding two keys with the same half takes about 2^64 tries.
type Key = [u8; 16];

#[derive(Default)]
struct Seen {
    /// Each key's number, in order of arrival.
    keys: HashMap<Key, u64>,
    /// Each number's key, and when it arrived. Has the same entries as `keys`, so forgotten keys take no memory.
    order: BTreeMap<u64, (Key, Instant)>,
    turn: u64,
}

impl ReplayGuard {
    /// Remembers each key for `window`, and at most the last `capacity` keys (at least 1).
    pub fn new(window: Duration, capacity: usize) -> Self {
        Self { window, capacity: capacity.max(1), seen: Mutex::default() }
    }

    /// Remembers `key`, and returns whether it is new.
    pub fn first_time(&self, key: &[u8], now: Instant) -> bool {
        let key = shorten(key);
        let mut seen = self.seen();
        while seen.oldest().is_some_and(|at| now.saturating_duration_since(at) > self.window) {
            seen.drop_oldest();
        }
        if seen.keys.contains_key(&key) {
            return false;
        }
        if seen.keys.len() >= self.capacity {
            seen.drop_oldest();
        }
        seen.add(key, now);
        true
    }

    /// Forgets `key`, so that it is new the next time.
    pub fn forget(&self, key: &[u8]) {
        let mut seen = self.seen();
        if let Some(turn) = seen.keys.remove(&shorten(key)) {
            seen.order.remove(&turn);
        }
    }

    /// The number of remembered keys.
    pub fn size(&self) -> usize {
        self.seen().keys.len()
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    fn add(&mut self, key: Key, now: Instant) {
        self.keys.insert(key, self.turn);
        self.order.insert(self.turn, (key, now));
        self.turn += 1;
    }

    fn oldest(&self) -> Option<Instant> {
        self.order.first_key_value().map(|(_, (_, at))| *at)
    }

    fn drop_oldest(&mut self) {
        if let Some((_, (key, _))) = self.order.pop_first() {
            self.keys.remove(&key);
        }
    }
}

fn shorten(key: &[u8]) -> Key {
    let mut short = Key::default();
    short.copy_from_slice(&Sha256::digest(key)[..16]);
    short
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const WINDOW: Duration = Duration::from_secs(10);

    #[test]
    fn the_oldest_keys_make_room() {
        let guard = ReplayGuard::new(WINDOW, 2);
        let now = Instant::now();
        assert_eq!([b"a", b"b", b"c"].map(|key| guard.first_time(key, now)), [true; 3]);
        assert_eq!([b"c", b"b"].map(|key| guard.first_time(key, now)), [false; 2]);
        assert!(guard.first_time(b"a", now));
        assert_eq!(guard.size(), 2);
    }

    #[test]
    fn a_forgotten_key_is_new_and_then_remembered_for_the_whole_window() {
        let guard = ReplayGuard::new(WINDOW, 10);
        let now = Instant::now();
        let later = now + WINDOW / 2;
        assert!(guard.first_time(b"a", now));
        guard.forget(b"a");
        assert!(guard.first_time(b"a", later));
        // The window of the first time has ended, that of the second has not.
        assert!(!guard.first_time(b"a", later + WINDOW));
        assert!(guard.first_time(b"a", later + WINDOW + Duration::from_nanos(1)));
    }

    #[test]
    fn of_many_threads_one_is_the_first() {
        let guard = ReplayGuard::new(WINDOW, 1000);
        let firsts: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|_| {
                    scope.spawn(|| {
                        let keys = 0u32..1000;
                        keys.filter(|key| guard.first_time(&key.to_be_bytes(), Instant::now())).count()
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(firsts, 1000);
    }

    #[test]
    fn forgetting_a_key_repeatedly_drops_no_other_key() {
        let guard = ReplayGuard::new(WINDOW, 1000);
        let now = Instant::now();
        assert!(guard.first_time(b"x", now));
        for _ in 0..10_000 {
            assert!(guard.first_time(b"a", now));
            guard.forget(b"a");
        }
        assert!(!guard.first_time(b"x", now));
        let seen = guard.seen.lock().unwrap();
        assert_eq!((seen.keys.len(), seen.order.len()), (1, 1));
    }

    #[derive(Debug, Clone)]
    enum Act {
        Come(u8),
        Forget(u8),
    }

    fn act() -> impl Strategy<Value = Act> {
        prop_oneof![2 => (0u8..8).prop_map(Act::Come), 1 => (0u8..8).prop_map(Act::Forget)]
    }

    proptest! {
        /// Compares with a simple model: a list of keys with their times.
        #[test]
        fn remembers_the_last_ones_for_as_long_as_it_should(
            capacity in 1usize..6, acts in proptest::collection::vec((act(), 0u64..6), 0..80)
        ) {
            let guard = ReplayGuard::new(WINDOW, capacity);
            let mut now = Instant::now();
            let mut came: Vec<(u8, Instant)> = Vec::new();
            for (act, pause) in acts {
                now += Duration::from_secs(pause);
                match act {
                    Act::Come(key) => {
                        came.retain(|(_, at)| now - *at <= WINDOW);
                        let first = came.iter().all(|(other, _)| *other != key);
                        prop_assert_eq!(guard.first_time(&[key], now), first);
                        if first {
                            came.push((key, now));
                            let start = came.len().saturating_sub(capacity);
                            came.drain(..start);
                        }
                    }
                    Act::Forget(key) => {
                        guard.forget(&[key]);
                        came.retain(|(other, _)| *other != key);
                    }
                }
                prop_assert_eq!(guard.size(), came.len());
            }
        }
    }
}
