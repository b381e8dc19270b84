//! Opens a TCP connection to the first of several addresses that accepts it.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketType, connect, ipproto, sockopt};

use crate::http::error::Phase;
use crate::http::failure::Failure;

/// How long to wait for one address before also trying the next (RFC 8305, section 5).
const HEAD_START: Duration = Duration::from_millis(250);
/// How often to check the other addresses while waiting for the one tried last.
const LOOK: Duration = Duration::from_millis(50);

/// Tries addresses in order. After a head start, a silent address is tried in parallel with the next ones, and can
/// still win.
pub(crate) struct Dial {
    /// Addresses that were not tried yet.
    addresses: std::vec::IntoIter<SocketAddr>,
    /// Addresses that are being tried, in order.
    trying: Vec<(TcpStream, SocketAddr)>,
    /// When to try the next address.
    next: Instant,
    /// The failure to report if all addresses fail: the last one's.
    failure: Failure,
    /// The deadline for all addresses.
    pub(crate) until: Instant,
}

/// The result of one step.
pub(crate) enum Dialled {
    Connected(TcpStream, IpAddr),
    /// No connection yet: call [`Dial::step`] when [`Dial::fd`] is writable, or at this time.
    Waiting(Instant),
}

impl Dial {
    /// `failure` is reported if there are no `addresses`.
    pub(crate) fn new(addresses: Vec<SocketAddr>, failure: Failure, now: Instant, until: Instant) -> Self {
        Self { addresses: addresses.into_iter(), trying: Vec::new(), next: now, failure, until }
    }

    /// The socket to wait for.
    pub(crate) fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.trying.last().map(|(socket, _)| socket.as_fd())
    }

    pub(crate) fn step(&mut self, now: Instant) -> Result<Dialled, Failure> {
        loop {
            let mut position = 0;
            while let Some((socket, address)) = self.trying.get(position) {
                match connected(socket) {
                    Ok(true) => {
                        let address = address.ip();
                        return Ok(Dialled::Connected(self.trying.swap_remove(position).0, address));
                    }
                    Ok(false) => position += 1,
                    Err(error) => self.failed(position, &error, now),
                }
            }
            if self.trying.is_empty() || self.next <= now {
                match self.addresses.next() {
                    Some(address) => {
                        self.begin(address, now);
                        continue;
                    }
                    None if self.trying.is_empty() => return Err(self.failure.clone()),
                    None => {}
                }
            }
            let next = if self.addresses.len() > 0 { self.next } else { self.until };
            let look = if self.trying.len() > 1 { now + LOOK } else { self.until };
            return Ok(Dialled::Waiting(next.min(look)));
        }
    }

    fn begin(&mut self, address: SocketAddr, now: Instant) {
        // If time is short, all addresses get the same share of it.
        let shares = u32::try_from(self.addresses.len() + 1).unwrap_or(u32::MAX);
        self.next = now + HEAD_START.min(self.until.saturating_duration_since(now) / shares);
        match open(address) {
            Ok(socket) => self.trying.push((socket, address)),
            Err(error) => self.refused(&error, now),
        }
    }

    fn failed(&mut self, position: usize, error: &io::Error, now: Instant) {
        self.trying.remove(position);
        self.refused(error, now);
    }

    fn refused(&mut self, error: &io::Error, now: Instant) {
        self.failure = Failure::io(Phase::Connect, error);
        self.next = now;
    }
}

/// Whether `socket` is connected; false while it is still connecting.
fn connected(socket: &TcpStream) -> io::Result<bool> {
    if let Some(error) = socket.take_error()? {
        return Err(error);
    }
    match (socket.local_addr(), socket.peer_addr()) {
        // TCP may connect a socket to itself, if nothing listens on a local port of the ephemeral range.
        (Ok(local), Ok(peer)) if local == peer => Err(Errno::CONNREFUSED.into()),
        (_, peer) => Ok(peer.is_ok()),
    }
}

/// Begins to connect to `address`.
fn open(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = socket(if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 })?;
    sockopt::set_tcp_nodelay(&socket, true)?;
    match connect(&socket, &address) {
        Ok(()) | Err(Errno::INPROGRESS | Errno::INTR) => Ok(socket.into()),
        Err(error) => Err(error.into()),
    }
}

/// A non-blocking, close-on-exec socket.
#[cfg(not(target_vendor = "apple"))]
fn socket(family: AddressFamily) -> Result<OwnedFd, Errno> {
    use rustix::net::{SocketFlags, socket_with};
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    socket_with(family, SocketType::STREAM, flags, Some(ipproto::TCP))
}

/// A non-blocking, close-on-exec socket that raises no SIGPIPE.
#[cfg(target_vendor = "apple")]
fn socket(family: AddressFamily) -> Result<OwnedFd, Errno> {
    let socket = rustix::net::socket(family, SocketType::STREAM, Some(ipproto::TCP))?;
    crate::http::wait::privately(&socket)?;
    sockopt::set_socket_nosigpipe(&socket, true)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    use crate::http::error::ErrorKind;
    use crate::http::wait::{Interest, poll_with};

    /// A listener that accepts no connection, because its backlog is full.
    fn silent(host: &str) -> (SocketAddr, TcpListener, Vec<TcpStream>) {
        let (address, listener) = listening(host);
        rustix::net::listen(&listener, 0).unwrap();
        (address, listener, (0..3).map(|_| open(address).unwrap()).collect())
    }

    fn dial(addresses: &[SocketAddr], time: Duration) -> Dial {
        let now = Instant::now();
        Dial::new(addresses.to_vec(), Failure::no_address(None), now, now + time)
    }

    fn end(mut dial: Dial) -> Result<IpAddr, ErrorKind> {
        loop {
            let now = Instant::now();
            match dial.step(now).map_err(|failure| failure.kind)? {
                Dialled::Connected(_, address) => return Ok(address),
                Dialled::Waiting(_) if now >= dial.until => return Err(ErrorKind::Timeout),
                Dialled::Waiting(until) => {
                    poll_with(dial.fd().unwrap(), Interest::Write, until, None);
                }
            }
        }
    }

    fn listening(address: &str) -> (SocketAddr, TcpListener) {
        let listener = TcpListener::bind((address, 0)).unwrap();
        (listener.local_addr().unwrap(), listener)
    }

    #[test]
    fn addresses_that_are_silent_or_refuse_give_way_to_one_that_answers() {
        let (silent, ..) = &silent("127.0.0.1");
        let (refusing, _) = listening("127.0.0.1");
        let (answering, _listener) = listening("127.0.0.2");
        let all = [*silent, refusing, *silent, answering];
        assert_eq!(end(dial(&all, Duration::from_secs(20))), Ok(answering.ip()));
        // Each address gets its share of the time.
        assert_eq!(end(dial(&all, Duration::from_millis(400))), Ok(answering.ip()));
    }

    #[test]
    fn a_slow_address_can_still_win() {
        let (slow, listener, waiting) = silent("127.0.0.3");
        let (silent, ..) = &silent("127.0.0.1");
        let mut dial = dial(&[slow, *silent], Duration::from_secs(20));
        assert!(matches!(dial.step(Instant::now()), Ok(Dialled::Waiting(_))));
        // With room in the backlog, the system's retry succeeds, a second after its first try.
        drop(waiting);
        listener.accept().unwrap();
        assert_eq!(end(dial), Ok(slow.ip()));
    }

    #[test]
    fn the_last_failure_is_reported_if_all_fail() {
        let (refusing, _) = listening("127.0.0.1");
        assert_eq!(end(dial(&[refusing, refusing], Duration::from_secs(20))), Err(ErrorKind::Refused));
        assert_eq!(end(dial(&[], Duration::from_secs(20))), Err(ErrorKind::Dns));
        let (silent, ..) = &silent("127.0.0.1");
        assert_eq!(end(dial(&[*silent, refusing], Duration::from_millis(100))), Err(ErrorKind::Timeout));
    }
}
