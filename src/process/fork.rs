//! Tells a process from those that it was forked from.

use std::sync::atomic::{AtomicU64, Ordering};

/// No process id is as large.
const FIRST: u64 = 1 << 32;

/// `FIRST` and the number of forks since [`count`]; 0 where nobody counts.
static GENERATION: AtomicU64 = AtomicU64::new(0);

/// A number that no ancestor of this process has. Process ids come round again: a grandchild may have its grandparent's,
/// and two are 1 where there are two PID namespaces. So it is the number of forks; before [`count`], it is the process id
/// all the same.
pub fn generation() -> u64 {
    match GENERATION.load(Ordering::Relaxed) {
        0 => std::process::id().into(),
        generation => generation,
    }
}

/// Counts from here on: [`forked`] runs in each child before anything else does.
pub fn count() {
    GENERATION.store(FIRST, Ordering::Relaxed);
}

/// Counts a fork; to be called in the child. It allocates nothing and takes no lock.
pub extern "C" fn forked() {
    GENERATION.fetch_add(1, Ordering::Relaxed);
}
