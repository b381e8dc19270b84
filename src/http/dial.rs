//! Opening a TCP connection to the first of several addresses that takes it.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::time::Instant;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, ipproto, socket_with, sockopt};

use crate::http::error::Phase;
use crate::http::failure::Failure;

pub(crate) struct Dial {
    pub(crate) addresses: std::vec::IntoIter<SocketAddr>,
    /// The address being tried, and until when.
    pub(crate) trying: Option<(TcpStream, SocketAddr, Instant)>,
    /// Why the one before it failed, or what it means that there is none.
    pub(crate) failure: Failure,
    pub(crate) until: Instant,
}

impl Dial {
    /// Tries the addresses one by one: says until when to wait for the present one, or None when there is something
    /// new: a connection in `trying`, or the next address to try.
    pub(crate) fn step(&mut self, now: Instant) -> Result<Option<Instant>, Failure> {
        if let Some((socket, address, until)) = self.trying.take() {
            let outcome = match socket.take_error() {
                Ok(Some(error)) | Err(error) => Err(error),
                Ok(None) => match socket.peer_addr() {
                    Ok(_) if connected_to_itself(&socket) => Err(Errno::CONNREFUSED.into()),
                    Ok(_) => Ok(true),
                    Err(_) => Ok(false),
                },
            };
            match outcome {
                Ok(true) => {
                    self.trying = Some((socket, address, until));
                    return Ok(None);
                }
                Ok(false) if now < until || self.addresses.len() == 0 => {
                    self.trying = Some((socket, address, until));
                    return Ok(Some(until));
                }
                Ok(false) => {}
                Err(error) => self.failure = Failure::io(Phase::Connect, &error),
            }
        }
        let Some(address) = self.addresses.next() else {
            return Err(self.failure.clone());
        };
        match open(address) {
            Ok(socket) => {
                // Each address gets its share of the time that is left.
                let shares = u32::try_from(self.addresses.len() + 1).unwrap_or(u32::MAX);
                let until = now + self.until.saturating_duration_since(now) / shares;
                self.trying = Some((socket, address, until));
                Ok(Some(until))
            }
            Err(error) => {
                self.failure = Failure::io(Phase::Connect, &error);
                Ok(None)
            }
        }
    }
}

/// Begins to connect to `address`.
fn open(address: SocketAddr) -> io::Result<TcpStream> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = socket_with(
        family,
        SocketType::STREAM,
        SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
        Some(ipproto::TCP),
    )?;
    sockopt::set_tcp_nodelay(&socket, true)?;
    match connect(&socket, &address) {
        Ok(()) | Err(Errno::INPROGRESS | Errno::INTR) => Ok(socket.into()),
        Err(error) => Err(error.into()),
    }
}

/// TCP may connect a socket to itself when nothing listens on a local port that is free for clients to use.
fn connected_to_itself(socket: &TcpStream) -> bool {
    matches!((socket.local_addr(), socket.peer_addr()), (Ok(local), Ok(peer)) if local == peer)
}
