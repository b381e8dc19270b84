//! Pipes that wake those who wait: the wakers of threads, and `SimpleConnect::Latch`.

use std::sync::{Arc, Mutex, PoisonError};

use magnus::{Error, Module, RModule, Ruby, Value, function, method, prelude::*};
use simple_connect_core::http::wait::Waker;

use crate::error::{guard, system_error};

/// The wakers of this process that no thread needs at the moment.
///
/// The lock is taken only with the GVL held and never while waiting; so a fork, which holds the GVL too, cannot leave
/// it locked in the child.
struct Wakers {
    process: u64,
    free: Vec<Waker>,
}

static WAKERS: Mutex<Wakers> = Mutex::new(Wakers { process: 0, free: Vec::new() });

/// More than that are not kept.
const MOST_WAKERS: usize = 25;

/// One for `process`, which is this one.
///
/// # Errors
/// Where the process has no descriptors left.
pub fn borrow(ruby: &Ruby, process: u64) -> Result<Waker, i32> {
    let mut wakers = WAKERS.lock().unwrap_or_else(PoisonError::into_inner);
    if wakers.process != process {
        // The parent's are shared with it: what it wakes would wake us.
        *wakers = Wakers { process, free: Vec::new() };
    }
    let free = wakers.free.pop();
    drop(wakers);
    free.map_or_else(|| new_waker(ruby), Ok)
}

/// Keeps what was borrowed, where no fork was noticed in between. The waker may be awake; then whoever gets it
/// next looks around once for nothing.
pub fn give_back(waker: Waker, process: u64) {
    let mut wakers = WAKERS.lock().unwrap_or_else(PoisonError::into_inner);
    if wakers.process == process && wakers.free.len() < MOST_WAKERS {
        wakers.free.push(waker);
    }
}

/// As Ruby's own sockets and files do it: where there is no descriptor, garbage may have one.
fn new_waker(ruby: &Ruby) -> Result<Waker, i32> {
    let waker = Waker::new().or_else(|errno| if collect_garbage(ruby) { Waker::new() } else { Err(errno) });
    waker.map_err(|errno| errno.raw_os_error())
}

/// Unlike `rb_gc_start` of Ruby 3.1, `GC.start` also closes the files that are garbage. Says whether it could.
pub fn collect_garbage(ruby: &Ruby) -> bool {
    let gc = ruby.class_object().const_get::<_, RModule>("GC");
    gc.and_then(|gc| gc.funcall::<_, _, Value>("start", ())).is_ok()
}

/// What any number of threads and fibers wait for as for a socket, until it is opened.
#[magnus::wrap(class = "SimpleConnect::Latch", free_immediately, size)]
pub struct Latch(Mutex<Option<Arc<Waker>>>);

impl Latch {
    fn new(ruby: &Ruby) -> Result<Self, Error> {
        guard(ruby, || match new_waker(ruby) {
            Ok(waker) => Ok(Self(Mutex::new(Some(Arc::new(waker))))),
            Err(number) => Err(system_error(ruby, number)?.into()),
        })
    }

    /// Lets all go on who wait, now or later.
    fn open(&self) {
        let waker = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// What is readable once it is open; nothing where it is open already.
    pub fn waker(&self) -> Option<Arc<Waker>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

pub fn init(ruby: &Ruby, module: &RModule) -> Result<(), Error> {
    let class = module.define_class("Latch", ruby.class_object())?;
    class.undef_default_alloc_func();
    class.define_singleton_method("new", function!(Latch::new, 0))?;
    class.define_method("open", method!(Latch::open, 0))?;
    let _: Value = module.funcall("private_constant", ("Latch",))?;
    Ok(())
}
