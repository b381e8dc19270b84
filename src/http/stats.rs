//! What a client has done in a process, in numbers.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counters that only grow. Threads count at the same time, so one may be ahead of another for a moment.
#[derive(Default)]
pub(crate) struct Stats {
    pub(crate) succeeded: Counter,
    pub(crate) failed: Counter,
    pub(crate) attempts: Counter,
    pub(crate) opened: Counter,
    pub(crate) reused: Counter,
    pub(crate) sent: Counter,
    pub(crate) received: Counter,
}

/// A number that grows.
#[derive(Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, count: usize) {
        self.0.fetch_add(count as u64, Ordering::Relaxed);
    }

    fn total(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The counters at one time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Calls whose answer was a 2xx.
    pub succeeded: u64,
    /// All other calls that came to a result.
    pub failed: u64,
    /// How often a request was sent, or tried to be.
    pub attempts: u64,
    /// Connections that were opened.
    pub opened: u64,
    /// How often an idle connection was used again.
    pub reused: u64,
    /// Bytes of requests.
    pub sent: u64,
    /// Bytes of answers; with TLS, of its records.
    pub received: u64,
}

impl Stats {
    pub(crate) fn totals(&self) -> Totals {
        Totals {
            succeeded: self.succeeded.total(),
            failed: self.failed.total(),
            attempts: self.attempts.total(),
            opened: self.opened.total(),
            reused: self.reused.total(),
            sent: self.sent.total(),
            received: self.received.total(),
        }
    }
}
