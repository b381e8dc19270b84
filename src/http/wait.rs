//! Waiting, which each caller of an [`Attempt`](crate::http::attempt::Attempt) does in its own way.

use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::http::error::ErrorKind;

/// What to wait for on a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interest {
    /// Readable.
    Read,
    /// Writable.
    Write,
    /// Either.
    ReadOrWrite,
}

/// Why a name was not resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResolveError {
    /// The resolver failed.
    Failed {
        /// The kind of error: `Dns`, or a lack of resources.
        kind: ErrorKind,
        /// The resolver's name for the error.
        name: String,
        /// The resolver's message.
        message: String,
    },
    /// It took too long.
    TimedOut,
}

/// A way to wait. After an error of type `Stop`, the attempt is dropped or continued later.
pub trait Wait {
    /// Why waiting was interrupted.
    type Stop;

    /// Returns when `fd` is ready or `until` has passed. May return earlier, because the caller checks again.
    ///
    /// # Errors
    /// `Stop`, without delay, if waiting is interrupted.
    fn wait(&mut self, fd: BorrowedFd<'_>, interest: Interest, until: Instant) -> Result<(), Self::Stop>;

    /// Resolves `host` before `until` to its addresses, in the order in which to try them.
    ///
    /// # Errors
    /// `Stop`, without delay, if waiting is interrupted.
    fn resolve(
        &mut self,
        host: &str,
        until: Instant,
    ) -> Result<Result<Vec<IpAddr>, ResolveError>, Self::Stop>;
}

/// Wakes a thread that waits in [`poll_with`]; each thread needs its own waker. A waker that is never reset can wake
/// all threads that wait for its descriptor.
#[derive(Debug)]
pub struct Waker {
    reader: OwnedFd,
    writer: OwnedFd,
}

impl Waker {
    /// A new waker.
    ///
    /// # Errors
    /// If the process has no descriptors left.
    pub fn new() -> Result<Self, Errno> {
        let (reader, writer) = pipe()?;
        Ok(Self { reader, writer })
    }

    /// Ends the current or the next wait. Never blocks.
    pub fn wake(&self) {
        // If the pipe is full, an earlier write wakes the thread.
        let _ = rustix::io::write(&self.writer, &[0]);
    }

    /// Clears all earlier calls of [`wake`](Self::wake).
    pub fn reset(&self) {
        while let Ok(1..) = rustix::io::read(&self.reader, &mut [0u8; 64]) {}
    }
}

/// The descriptor is readable while the waker is awake.
impl AsFd for Waker {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.reader.as_fd()
    }
}

/// A non-blocking, close-on-exec pipe.
#[cfg(not(target_vendor = "apple"))]
fn pipe() -> Result<(OwnedFd, OwnedFd), Errno> {
    use rustix::pipe::{PipeFlags, pipe_with};
    pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)
}

/// A non-blocking, close-on-exec pipe.
#[cfg(target_vendor = "apple")]
fn pipe() -> Result<(OwnedFd, OwnedFd), Errno> {
    let (reader, writer) = rustix::pipe::pipe()?;
    privately(&reader)?;
    privately(&writer)?;
    Ok((reader, writer))
}

/// Makes `fd` non-blocking and close-on-exec, which macOS cannot do when it opens one.
#[cfg(target_vendor = "apple")]
pub(crate) fn privately(fd: &OwnedFd) -> Result<(), Errno> {
    rustix::io::fcntl_setfd(fd, rustix::io::FdFlags::CLOEXEC)?;
    rustix::io::ioctl_fionbio(fd, true)
}

/// Waits until `fd` is ready, `until` has passed, a signal arrives, or `waker` is woken. Returns whether it was a
/// signal or the waker.
pub fn poll_with(fd: BorrowedFd<'_>, interest: Interest, until: Instant, waker: Option<&Waker>) -> bool {
    let fd = PollFd::from_borrowed_fd(fd, interest.flags());
    let Some(waker) = waker else {
        let _ = poll(&mut [fd], timeout(until).as_ref());
        return false;
    };
    let mut fds = [fd, PollFd::new(&waker.reader, PollFlags::IN)];
    // The only possible error is EINTR, after a signal.
    poll(&mut fds, timeout(until).as_ref()).is_err() || !fds[1].revents().is_empty()
}

/// Waits until one of `fds` is ready, `until` has passed, a signal arrives, or `waker` is woken. Returns which of `fds`
/// are ready; None after a signal or the waker.
pub fn poll_many(
    fds: &[(BorrowedFd<'_>, Interest)],
    until: Instant,
    waker: Option<&Waker>,
) -> Option<Vec<bool>> {
    let mut polled: Vec<PollFd<'_>> =
        fds.iter().map(|(fd, interest)| PollFd::from_borrowed_fd(*fd, interest.flags())).collect();
    polled.extend(waker.map(|waker| PollFd::new(&waker.reader, PollFlags::IN)));
    poll(&mut polled, timeout(until).as_ref()).ok()?;
    let mut ready: Vec<bool> = polled.iter().map(|fd| !fd.revents().is_empty()).collect();
    let woken = ready.split_off(fds.len()).contains(&true);
    (!woken).then_some(ready)
}

impl Interest {
    fn flags(self) -> PollFlags {
        match self {
            Self::Read => PollFlags::IN,
            Self::Write => PollFlags::OUT,
            Self::ReadOrWrite => PollFlags::IN | PollFlags::OUT,
        }
    }
}

fn timeout(until: Instant) -> Option<Timespec> {
    Timespec::try_from(until.saturating_duration_since(Instant::now())).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::unix::net::UnixStream;
    use std::thread;
    use std::time::Duration;

    /// Longer than any successful wait of these tests.
    const LONG: Duration = Duration::from_secs(20);
    /// Long enough to see that a wait does not end.
    const SHORT: Duration = Duration::from_millis(50);

    fn soon() -> Instant {
        Instant::now() + SHORT
    }

    fn late() -> Instant {
        Instant::now() + LONG
    }

    #[test]
    fn a_wait_ends_when_a_socket_is_ready_or_time_is_up() {
        let waker = Waker::new().unwrap();
        for waker in [None, Some(&waker)] {
            let (ours, mut theirs) = UnixStream::pair().unwrap();
            let start = Instant::now();
            assert!(!poll_with(ours.as_fd(), Interest::Read, soon(), waker));
            assert!(start.elapsed() >= SHORT);
            assert_eq!(poll_many(&[(ours.as_fd(), Interest::Read)], soon(), waker), Some(vec![false]));
            for interest in [Interest::Write, Interest::ReadOrWrite] {
                assert!(!poll_with(ours.as_fd(), interest, late(), waker));
                assert_eq!(poll_many(&[(ours.as_fd(), interest)], late(), waker), Some(vec![true]));
            }
            theirs.write_all(b"x").unwrap();
            assert!(!poll_with(ours.as_fd(), Interest::Read, late(), waker));
            let both = [(theirs.as_fd(), Interest::Read), (ours.as_fd(), Interest::Read)];
            assert_eq!(poll_many(&both, late(), waker), Some(vec![false, true]));
            assert!(start.elapsed() < LONG, "one of them has waited for the end of its time");
        }
    }

    #[test]
    fn a_past_deadline_does_not_wait() {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let start = Instant::now();
        let past = start.checked_sub(SHORT).unwrap();
        assert!(!poll_with(ours.as_fd(), Interest::Read, past, None));
        assert_eq!(poll_many(&[(ours.as_fd(), Interest::Read)], past, None), Some(vec![false]));
        assert_eq!(poll_many(&[], past, None), Some(vec![]));
        assert!(start.elapsed() < LONG);
    }

    #[test]
    fn a_waker_ends_the_current_wait() {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let waker = Waker::new().unwrap();
        let start = Instant::now();
        thread::scope(|scope| {
            let one = scope.spawn(|| poll_with(ours.as_fd(), Interest::Read, late(), Some(&waker)));
            let many = scope.spawn(|| poll_many(&[(ours.as_fd(), Interest::Read)], late(), Some(&waker)));
            thread::sleep(SHORT);
            waker.wake();
            assert!(one.join().unwrap());
            assert_eq!(many.join().unwrap(), None);
        });
        assert!(start.elapsed() < LONG);
    }

    #[test]
    fn a_waker_ends_waits_until_it_is_reset_and_never_blocks() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let waker = Waker::new().unwrap();
        // More than the pipe's capacity.
        for _ in 0..70_000 {
            waker.wake();
        }
        theirs.write_all(b"x").unwrap();
        for _ in 0..2 {
            assert!(poll_with(ours.as_fd(), Interest::Read, late(), Some(&waker)));
            assert_eq!(poll_many(&[(ours.as_fd(), Interest::Read)], late(), Some(&waker)), None);
        }
        assert!(
            !poll_with(waker.as_fd(), Interest::Read, late(), None),
            "a wait for its descriptor ends, too"
        );
        assert_eq!(poll_many(&[(waker.as_fd(), Interest::Read)], late(), None), Some(vec![true]));
        waker.reset();
        assert!(!poll_with(ours.as_fd(), Interest::Read, late(), Some(&waker)));
        assert_eq!(poll_many(&[(waker.as_fd(), Interest::Read)], soon(), None), Some(vec![false]));
        waker.wake();
        assert!(poll_with(ours.as_fd(), Interest::Read, late(), Some(&waker)));
    }

    #[test]
    fn a_waker_is_close_on_exec() {
        let waker = Waker::new().unwrap();
        for fd in [&waker.reader, &waker.writer] {
            let flags = rustix::io::fcntl_getfd(fd).unwrap();
            assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
        }
    }
}
