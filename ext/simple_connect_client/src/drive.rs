//! The three ways a Ruby thread waits for an attempt: without the GVL, on its Fiber scheduler, or together with the
//! other deliveries of a batch.

use std::net::IpAddr;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use magnus::value::LazyId;
use magnus::{Error, RArray, Ruby, Value, kwargs, prelude::*};
use simple_connect_core::http::attempt::{Attempt, Outcome};
use simple_connect_core::http::wait::{Interest, ResolveError, Wait, Waker, poll_many, poll_with};
use simple_connect_core::process::fork::generation;
use simple_connect_core::process::gate::Gate;
use simple_connect_core::process::per_process::PerProcess;

use crate::error::{argument_error, error, go_on_panicking, guard};
use crate::raw;
use crate::resolve::resolve;
use crate::wakers::{self, collect_garbage};

/// Runs `attempt` to its end. Meanwhile the other deliveries of `batch` run, if there is one, otherwise other threads
/// or fibers.
///
/// # Errors
/// What is raised in this thread meanwhile; a mere wakeup does not disturb the attempt. Also if this is a child of
/// `process`, where the attempt began.
pub fn drive(ruby: &Ruby, attempt: &mut Attempt, process: u64, batch: Value) -> Result<Outcome, Error> {
    let outcome = drive_once(ruby, attempt, process, batch)?;
    // Without a free descriptor, collect garbage and try again, as Ruby's own sockets do.
    if attempt.begin_again(&outcome) && collect_garbage(ruby) {
        return drive_once(ruby, attempt, process, batch);
    }
    Ok(outcome)
}

fn drive_once(ruby: &Ruby, attempt: &mut Attempt, process: u64, batch: Value) -> Result<Outcome, Error> {
    // The interceptor may have forked.
    stay_in(ruby, process)?;
    if !batch.is_nil() {
        return attempt.run(&mut InBatch { ruby, batch, process });
    }
    if raw::fiber_scheduler(ruby).is_some() {
        return attempt.run(&mut OnScheduler { ruby, process });
    }
    let waker = match wakers::borrow(ruby, process) {
        Ok(waker) => waker,
        Err(number) => return Ok(attempt.lacking(number)),
    };
    let outcome = drive_without_gvl(ruby, attempt, &waker, process)?;
    wakers::give_back(waker, process);
    Ok(outcome)
}

/// Lets one of our threads at a time queue for the GVL. Ruby grants it in order of arrival: behind 25 threads that have
/// their answers, any other thread of the process would wait for all of them.
///
/// A thread enters without the GVL and leaves with it. So a thread inside waits for nothing but the GVL, and a thread
/// that forks is outside.
static GATE: PerProcess<Gate> = PerProcess::new();

/// How long a thread waits at the gate, in milliseconds. Next to a thread that computes, each turn at the GVL takes
/// 100 ms; with one of our threads per turn, that would be ten deliveries per second. Only specs change it.
static PATIENCE: AtomicU64 = AtomicU64::new(2);

fn drive_without_gvl(
    ruby: &Ruby,
    attempt: &mut Attempt,
    waker: &Waker,
    process: u64,
) -> Result<Outcome, Error> {
    let gate = GATE.get(Gate::default);
    let patience = Duration::from_millis(PATIENCE.load(Ordering::Relaxed));
    loop {
        let ran = raw::without_gvl(ruby, waker, || {
            let end = attempt.run(&mut WithoutGvl { waker });
            (end, gate.enter(patience))
        });
        // This thread has the GVL. Dropping its place lets the next one in.
        match ran.map(|ran| ran.map(|(end, _place)| end)) {
            Ok(Some(Ok(outcome))) => return Ok(outcome),
            Ok(Some(Err(Pause::Resolve(host, until)))) => {
                let outcome =
                    resolve(ruby, &host, |latch| wait_without_gvl(ruby, latch, until, waker, process))?;
                attempt.resolved(outcome);
            }
            Ok(Some(Err(Pause::Woken)) | None) => handle_wakeup(ruby, waker, process)?,
            Err(panic) => go_on_panicking(panic),
        }
    }
}

/// Waits until `fd` is readable, at most until `until`.
fn wait_without_gvl(
    ruby: &Ruby,
    fd: BorrowedFd<'_>,
    until: Instant,
    waker: &Waker,
    process: u64,
) -> Result<(), Error> {
    loop {
        match raw::without_gvl(ruby, waker, || poll_with(fd, Interest::Read, until, Some(waker))) {
            Ok(Some(false)) => return Ok(()),
            Ok(Some(true) | None) => handle_wakeup(ruby, waker, process)?,
            Err(panic) => go_on_panicking(panic),
        }
    }
}

/// Does what this thread was woken for.
fn handle_wakeup(ruby: &Ruby, waker: &Waker, process: u64) -> Result<(), Error> {
    // Before the check, so that a wakeup during the check is not lost.
    waker.reset();
    raw::check_interrupts(ruby)?;
    stay_in(ruby, process)
}

/// Checks that this is still `process`. A signal handler or another fiber may fork in the middle of a delivery; in the
/// child, the delivery would use the parent's connection and send the event twice.
///
/// # Errors
/// `SimpleConnect::Error` in a child process.
pub fn stay_in(ruby: &Ruby, process: u64) -> Result<(), Error> {
    if process == generation() {
        return Ok(());
    }
    Err(error(ruby, "Error", "this delivery belongs to the parent process, which continues it"))
}

#[cfg(feature = "testing")]
pub fn set_patience(milliseconds: u64) {
    PATIENCE.store(milliseconds, Ordering::Relaxed);
}

/// Runs `work` as an attempt runs.
#[cfg(feature = "testing")]
pub fn without_gvl(ruby: &Ruby, work: impl FnOnce() + Send) -> Result<(), Error> {
    let waker = Waker::new().map_err(|errno| error(ruby, "Error", errno.to_string()))?;
    match raw::without_gvl(ruby, &waker, work) {
        Ok(_) => Ok(()),
        Err(panic) => go_on_panicking(panic),
    }
}

/// Why a wait without the GVL ends early: the next step needs the GVL.
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

/// Waits on the Fiber scheduler, so that other fibers of this thread run.
struct OnScheduler<'a> {
    ruby: &'a Ruby,
    process: u64,
}

impl Wait for OnScheduler<'_> {
    type Stop = Error;

    fn wait(&mut self, fd: BorrowedFd<'_>, interest: Interest, until: Instant) -> Result<(), Error> {
        // The attempt closes the socket, not this IO.
        let io: Value =
            self.ruby.class_io().funcall("for_fd", (fd.as_raw_fd(), kwargs!("autoclose" => false)))?;
        raw::wait_on_io(self.ruby, io, events(interest), until.saturating_duration_since(Instant::now()))?;
        stay_in(self.ruby, self.process)
    }

    fn resolve(&mut self, host: &str, until: Instant) -> Result<Result<Vec<IpAddr>, ResolveError>, Error> {
        resolve(self.ruby, host, |latch| self.wait(latch, Interest::Read, until))
    }
}

/// Yields to the other deliveries of a `SimpleConnect::Batch`, which waits for all of them at once.
struct InBatch<'a> {
    ruby: &'a Ruby,
    batch: Value,
    process: u64,
}

impl Wait for InBatch<'_> {
    type Stop = Error;

    fn wait(&mut self, fd: BorrowedFd<'_>, interest: Interest, until: Instant) -> Result<(), Error> {
        let seconds = until.saturating_duration_since(Instant::now()).as_secs_f64();
        let _: Value =
            raw::lend(self.ruby, fd, |fd| self.batch.funcall(*WAIT, (fd, events(interest), seconds)))?;
        stay_in(self.ruby, self.process)
    }

    fn resolve(&mut self, host: &str, until: Instant) -> Result<Result<Vec<IpAddr>, ResolveError>, Error> {
        resolve(self.ruby, host, |latch| self.wait(latch, Interest::Read, until))
    }
}

/// How often a batch polls if the process has no descriptor left for a waker.
const NAP: Duration = Duration::from_millis(10);

static WAIT: LazyId = LazyId::new("wait");

const READABLE: i32 = 1;
const WRITABLE: i32 = 4;

/// The bits of `IO::READABLE` and `IO::WRITABLE`.
fn events(interest: Interest) -> i32 {
    match interest {
        Interest::Read => READABLE,
        Interest::Write => WRITABLE,
        Interest::ReadOrWrite => READABLE | WRITABLE,
    }
}

/// Waits until one or more of `waiting` are ready or past their deadline, and returns their positions. Each one is a
/// descriptor or nil, the events to wait for, and a deadline in seconds, by the clock that `now` comes from.
pub fn poll(ruby: &Ruby, waiting: RArray, now: f64) -> Result<Vec<usize>, Error> {
    guard(ruby, || {
        let started = Instant::now();
        let waiting: Vec<(Option<RawFd>, i32, f64)> = waiting.to_vec()?;
        let first = waiting.iter().map(|(.., deadline)| *deadline).fold(f64::INFINITY, f64::min);
        let until = started + seconds(first - now);
        let sockets: Vec<(RawFd, Interest)> =
            waiting.iter().filter_map(|(fd, events, _)| Some(((*fd)?, interest(*events)))).collect();
        let unknown = |fd| argument_error(ruby, format!("no delivery waits for descriptor {fd}"));
        let ready = raw::with_lent(ruby, &sockets, |sockets| poll_without_gvl(ruby, sockets, until))
            .map_err(unknown)??;
        raw::check_interrupts(ruby)?;
        let now = now + started.elapsed().as_secs_f64();
        let mut ready = ready.unwrap_or_default().into_iter();
        let mut is_ready = |(fd, _, deadline): &(Option<RawFd>, i32, f64)| {
            let io = fd.is_some() && ready.next() == Some(true);
            io || *deadline <= now
        };
        Ok((0..waiting.len()).filter(|position| is_ready(&waiting[*position])).collect())
    })
}

/// Which of `sockets` are ready; None if the wait was interrupted.
fn poll_without_gvl(
    ruby: &Ruby,
    sockets: &[(BorrowedFd<'_>, Interest)],
    until: Instant,
) -> Result<Option<Vec<bool>>, Error> {
    let process = generation();
    let Ok(waker) = wakers::borrow(ruby, process) else {
        // Without a waker, an interrupt is only seen between naps.
        ruby.thread_sleep(NAP.min(until.saturating_duration_since(Instant::now())))?;
        return Ok(poll_many(sockets, Instant::now(), None));
    };
    let polled = raw::without_gvl(ruby, &waker, || poll_many(sockets, until, Some(&waker)));
    let ready = polled.unwrap_or_else(|panic| go_on_panicking(panic)).flatten();
    if ready.is_none() {
        waker.reset();
    }
    wakers::give_back(waker, process);
    Ok(ready)
}

/// Converts seconds from Ruby: negative ones become zero, and more than a year becomes a year.
pub fn seconds(seconds: f64) -> Duration {
    const YEAR: f64 = 365.0 * 86_400.0;
    Duration::try_from_secs_f64(seconds.min(YEAR)).unwrap_or_default()
}

fn interest(events: i32) -> Interest {
    match events {
        READABLE => Interest::Read,
        WRITABLE => Interest::Write,
        _ => Interest::ReadOrWrite,
    }
}
