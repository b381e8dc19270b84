//! Pipes that wake waiting threads: the threads' wakers, and `SimpleConnect::Latch`.

use std::sync::{Arc, Mutex, PoisonError};

use magnus::{Error, Module, RModule, Ruby, Value, function, method, prelude::*};
use simple_connect_core::http::wait::Waker;

use crate::error::{guard, system_error};

/// The unused wakers of this process.
///
/// The lock is held only with the GVL and never while waiting. A fork holds the GVL too, so it cannot leave the lock
/// held in the child.
struct Wakers {
    process: u64,
    free: Vec<Waker>,
}

static WAKERS: Mutex<Wakers> = Mutex::new(Wakers { process: 0, free: Vec::new() });

/// The maximum number of unused wakers that are kept.
const MOST_WAKERS: usize = 25;

/// A waker for `process`, which must be this one.
///
/// # Errors
/// The errno, if the process has no descriptor left.
pub fn borrow(ruby: &Ruby, process: u64) -> Result<Waker, i32> {
    let mut wakers = WAKERS.lock().unwrap_or_else(PoisonError::into_inner);
    if wakers.process != process {
        // The parent shares its wakers' pipes: it would wake this process.
        *wakers = Wakers { process, free: Vec::new() };
    }
    let free = wakers.free.pop();
    drop(wakers);
    free.map_or_else(|| new_waker(ruby), Ok)
}

/// Keeps a borrowed waker, unless the process has forked since. A waker that is still awake causes one needless check
/// in the next thread.
pub fn give_back(waker: Waker, process: u64) {
    let mut wakers = WAKERS.lock().unwrap_or_else(PoisonError::into_inner);
    if wakers.process == process && wakers.free.len() < MOST_WAKERS {
        wakers.free.push(waker);
    }
}

/// Without a free descriptor, collects garbage and tries again, as Ruby's own sockets and files do.
fn new_waker(ruby: &Ruby) -> Result<Waker, i32> {
    let waker = Waker::new().or_else(|errno| if collect_garbage(ruby) { Waker::new() } else { Err(errno) });
    waker.map_err(|errno| errno.raw_os_error())
}

/// Runs `GC.start`, and returns whether it succeeded. Unlike `rb_gc_start` of Ruby 3.1, it also closes unreferenced
/// files.
pub fn collect_garbage(ruby: &Ruby) -> bool {
    let gc = ruby.class_object().const_get::<_, RModule>("GC");
    gc.and_then(|gc| gc.funcall::<_, _, Value>("start", ())).is_ok()
}

/// A latch that threads and fibers wait for as for a socket, until it opens.
#[magnus::wrap(class = "SimpleConnect::Latch", free_immediately, size)]
pub struct Latch(Mutex<Option<Arc<Waker>>>);

impl Latch {
    fn new(ruby: &Ruby) -> Result<Self, Error> {
        guard(ruby, || match new_waker(ruby) {
            Ok(waker) => Ok(Self(Mutex::new(Some(Arc::new(waker))))),
            Err(number) => Err(system_error(ruby, number)?.into()),
        })
    }

    /// Releases all waiters, now and later.
    fn open(&self) {
        let waker = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// The waker, which is readable once the latch opens; None if it is already open.
    pub fn waker(&self) -> Option<Arc<Waker>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

pub fn init(ruby: &Ruby, module: &RModule) -> Result<(), Error> {
    let class = crate::define_class::<Latch>(ruby, module, "Latch")?;
    class.define_singleton_method("new", function!(Latch::new, 0))?;
    class.define_method("open", method!(Latch::open, 0))?;
    let _: Value = module.funcall("private_constant", ("Latch",))?;
    Ok(())
}
