//! Idle connections, kept for the next request.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::http::connection::Connection;

/// The idle connections to one server.
///
/// The lock is only ever held to move a connection in or out, never while anything waits.
#[derive(Debug)]
pub struct Pool {
    idle: Mutex<Vec<Connection>>,
    size: usize,
    idle_timeout: Duration,
}

/// A server that announces when it closes idle connections may do so a little early.
const MARGIN: Duration = Duration::from_millis(500);

impl Pool {
    /// A pool that keeps up to `size` connections, each for up to `idle_timeout`.
    pub fn new(size: usize, idle_timeout: Duration) -> Self {
        Self { idle: Mutex::default(), size, idle_timeout }
    }

    /// The connection that was used last, of those still usable. The others met on the way are closed.
    pub fn take(&self) -> Option<Connection> {
        loop {
            let mut connection = self.idle().pop()?;
            if connection.usable(Instant::now()) {
                return Some(connection);
            }
        }
    }

    /// Keeps `connection` for later, unless the pool is full. Its last answer must have been read to the end.
    /// `idle_limit` is how long the server says that it keeps it open.
    pub fn put(&self, mut connection: Connection, idle_limit: Option<Duration>) {
        let limit =
            idle_limit.map_or(self.idle_timeout, |limit| limit.saturating_sub(MARGIN).min(self.idle_timeout));
        if limit.is_zero() || !connection.quiet() {
            return;
        }
        let now = Instant::now();
        connection.reused = true;
        connection.idle_until = now.checked_add(limit);
        let mut idle = self.idle();
        // The oldest stand first; where they are past their time, nobody would take them any more.
        let expired =
            idle.iter().take_while(|other| other.idle_until.is_some_and(|until| until <= now)).count();
        idle.drain(..expired);
        if idle.len() < self.size {
            idle.push(connection);
        }
    }

    /// Closes every idle connection. Those in use return as before.
    pub fn clear(&self) {
        let closed = std::mem::take(&mut *self.idle());
        drop(closed);
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        // A Vec of connections is as good after a panic as before it.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
