//! Counters of a client's calls, connections and bytes, per process.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counters that only grow. They are not updated together, so one may be ahead of another for a moment.
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

/// The values of the counters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Calls with a 2xx answer.
    pub succeeded: u64,
    /// All other finished calls.
    pub failed: u64,
    /// Attempts, including retries.
    pub attempts: u64,
    /// Opened connections.
    pub opened: u64,
    /// How often an idle connection was reused.
    pub reused: u64,
    /// Bytes sent; with TLS, the bytes of its records.
    pub sent: u64,
    /// Bytes received; with TLS, the bytes of its records.
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
