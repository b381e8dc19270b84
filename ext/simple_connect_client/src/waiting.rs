//! The two ways in which a Ruby thread waits for an attempt.

use std::net::IpAddr;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use magnus::{Error, Module, RModule, Ruby, Value, kwargs, prelude::*};
use simple_connect_core::attempt::{Attempt, Outcome};
use simple_connect_core::wait::{Interest, ResolveError, Wait, Waker, poll_with};

use crate::error::{error, go_on_panicking};
use crate::raw;

/// Drives `attempt` to its end and lets other threads, or other fibers, go on meanwhile.
///
/// # Errors
/// What is raised at this thread meanwhile. Nothing that merely wakes it disturbs the attempt.
pub fn drive(ruby: &Ruby, attempt: &mut Attempt) -> Result<Outcome, Error> {
    if raw::fiber_scheduler(ruby).is_some() {
        return attempt.run(&mut OnScheduler { ruby });
    }
    let waker = Wakers::borrow(ruby)?;
    let outcome = drive_without_gvl(ruby, attempt, &waker);
    Wakers::give_back(waker);
    outcome
}

fn drive_without_gvl(ruby: &Ruby, attempt: &mut Attempt, waker: &Waker) -> Result<Outcome, Error> {
    loop {
        match raw::without_gvl(ruby, waker, || attempt.run(&mut WithoutGvl { waker })) {
            Ok(Some(Ok(outcome))) => return Ok(outcome),
            Ok(Some(Err(Pause::Resolve(host, until)))) => attempt.resolved(resolve(ruby, &host, until)?),
            Ok(Some(Err(Pause::Woken)) | None) => {
                // Before the check, so that whoever wakes us during it wakes us again.
                waker.reset();
                raw::check_interrupts(ruby)?;
            }
            Err(panic) => go_on_panicking(panic),
        }
    }
}

/// Runs `work` as an attempt runs.
#[cfg(feature = "testing")]
pub fn without_gvl(ruby: &Ruby, work: impl FnOnce() + Send) -> Result<(), Error> {
    let waker = Wakers::borrow(ruby)?;
    match raw::without_gvl(ruby, &waker, work) {
        Ok(_) => Ok(()),
        Err(panic) => go_on_panicking(panic),
    }
}

/// Why waiting without the GVL ends early: only with it can the rest be done.
enum Pause {
    Woken,
    Resolve(String, Instant),
}

/// Waits in poll(2), without the GVL.
struct WithoutGvl<'a> {
    waker: &'a Waker,
}

impl Wait for WithoutGvl<'_> {
    type Stop = Pause;

    fn wait(&mut self, fd: BorrowedFd<'_>, interest: Interest, until: Instant) -> Result<(), Pause> {
        if poll_with(fd, interest, until, Some(self.waker)) { Err(Pause::Woken) } else { Ok(()) }
    }

    fn resolve(&mut self, host: &str, until: Instant) -> Result<Result<Vec<IpAddr>, ResolveError>, Pause> {
        Err(Pause::Resolve(host.to_owned(), until))
    }
}

/// Waits as the Fiber scheduler does, so that other fibers of this thread go on.
struct OnScheduler<'a> {
    ruby: &'a Ruby,
}

impl Wait for OnScheduler<'_> {
    type Stop = Error;

    fn wait(&mut self, fd: BorrowedFd<'_>, interest: Interest, until: Instant) -> Result<(), Error> {
        let (readable, writable) = (1, 4);
        let events = match interest {
            Interest::Read => readable,
            Interest::Write => writable,
            Interest::ReadOrWrite => readable | writable,
        };
        // The socket stays ours to close.
        let io: Value =
            self.ruby.class_io().funcall("for_fd", (fd.as_raw_fd(), kwargs!("autoclose" => false)))?;
        raw::wait_on_io(self.ruby, io, events, until.saturating_duration_since(Instant::now()))
    }

    fn resolve(&mut self, host: &str, until: Instant) -> Result<Result<Vec<IpAddr>, ResolveError>, Error> {
        resolve(self.ruby, host, until)
    }
}

/// Asks Ruby's resolver: it can be interrupted, knows the Fiber scheduler, and is not disturbed by forks.
fn resolve(ruby: &Ruby, host: &str, until: Instant) -> Result<Result<Vec<IpAddr>, ResolveError>, Error> {
    let resolver: RModule =
        ruby.class_object().const_get::<_, RModule>("SimpleConnect")?.const_get("Resolver")?;
    let seconds = until.saturating_duration_since(Instant::now()).as_secs_f64();
    let (addresses, class, message): (Option<Vec<String>>, Option<String>, Option<String>) =
        resolver.funcall("addresses", (host, seconds))?;
    Ok(match (addresses, class, message) {
        // An address with a zone (fe80::1%eth0) is of no use without it.
        (Some(addresses), ..) => Ok(addresses.iter().filter_map(|address| address.parse().ok()).collect()),
        (None, Some(class), Some(message)) => Err(ResolveError::Failed { class, message }),
        (None, ..) => Err(ResolveError::TimedOut),
    })
}

/// The wakers of this process that no thread needs at the moment.
///
/// The lock is taken only with the GVL held and never while waiting; so a fork, which holds the GVL too, cannot leave
/// it locked in the child.
struct Wakers {
    process: u32,
    free: Vec<Waker>,
}

static WAKERS: Mutex<Wakers> = Mutex::new(Wakers { process: 0, free: Vec::new() });

/// More than that are not kept.
const MOST_WAKERS: usize = 25;

impl Wakers {
    fn borrow(ruby: &Ruby) -> Result<Waker, Error> {
        let mut wakers = WAKERS.lock().unwrap_or_else(PoisonError::into_inner);
        if wakers.process != std::process::id() {
            // The parent's are shared with it: what it wakes would wake us.
            *wakers = Wakers { process: std::process::id(), free: Vec::new() };
        }
        match wakers.free.pop() {
            Some(waker) => Ok(waker),
            None => Waker::new()
                .map_err(|errno| error(ruby, "Error", format!("no descriptor to wait with: {errno}"))),
        }
    }

    fn give_back(waker: Waker) {
        waker.reset();
        let mut wakers = WAKERS.lock().unwrap_or_else(PoisonError::into_inner);
        if wakers.process == std::process::id() && wakers.free.len() < MOST_WAKERS {
            wakers.free.push(waker);
        }
    }
}
