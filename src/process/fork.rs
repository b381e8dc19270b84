//! Tells a process apart from the processes it was forked from.

use std::sync::atomic::{AtomicU64, Ordering};

/// Larger than any process id.
const FIRST: u64 = 1 << 32;

/// `FIRST` plus the number of forks since [`count`]; 0 before [`count`].
static GENERATION: AtomicU64 = AtomicU64::new(0);

/// A number that no ancestor of this process has: it counts forks. Before [`count`], it is the process id, which is not
/// always unique: ids are reused, so a grandchild may have its grandparent's, and process 1 exists in every PID
/// namespace.
pub fn generation() -> u64 {
    match GENERATION.load(Ordering::Relaxed) {
        0 => std::process::id().into(),
        generation => generation,
    }
}

/// Starts counting. The caller has registered [`forked`] to run in each child before any other code.
pub fn count() {
    GENERATION.store(FIRST, Ordering::Relaxed);
}

/// Counts a fork. Runs in the child; allocates nothing and takes no lock.
pub extern "C" fn forked() {
    GENERATION.fetch_add(1, Ordering::Relaxed);
}
