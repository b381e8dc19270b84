//! Idle connections, kept for the next request.

use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use crate::http::connection::Connection;

/// The idle connections to one server.
///
/// The lock is held only to move a connection in or out, never while waiting.
#[derive(Debug)]
pub struct Pool {
    idle: Mutex<Vec<Connection>>,
    size: usize,
    idle_timeout: Duration,
}

/// How much earlier than announced a server may close idle connections.
const MARGIN: Duration = Duration::from_millis(500);

impl Pool {
    /// A pool that keeps up to `size` connections, each for up to `idle_timeout`.
    pub fn new(size: usize, idle_timeout: Duration) -> Self {
        Self { idle: Mutex::default(), size, idle_timeout }
    }

    /// Takes the most recently used connection that is still usable. Closes unusable ones that it finds first.
    pub fn take(&self, now: Instant) -> Option<Connection> {
        loop {
            let mut connection = self.idle().pop()?;
            if connection.usable(now) {
                return Some(connection);
            }
        }
    }

    /// Keeps `connection`, whose last answer must be complete. Closes the oldest one if the pool is full. `idle_limit`
    /// is how long the server keeps idle connections open.
    pub fn put(&self, mut connection: Connection, idle_limit: Option<Duration>, now: Instant) {
        let limit =
            idle_limit.map_or(self.idle_timeout, |limit| limit.saturating_sub(MARGIN).min(self.idle_timeout));
        if self.size == 0 || limit.is_zero() || !connection.quiet() {
            return;
        }
        connection.reused = true;
        connection.idle_until = now.checked_add(limit);
        let mut idle = self.idle();
        // Remove expired connections. They can be anywhere in the list, because limits may differ.
        idle.retain(|other| other.idle_until.is_none_or(|until| until > now));
        if idle.len() == self.size {
            idle.remove(0);
        }
        idle.push(connection);
    }

    /// Closes all idle connections. Connections in use can still be put back.
    pub fn clear(&self) {
        let closed = std::mem::take(&mut *self.idle());
        drop(closed);
    }

    /// Like [`clear`](Self::clear), but does nothing if the pool is locked: in a forked child, the thread that holds
    /// the lock may not exist.
    pub fn abandon(&self) {
        let idle = match self.idle.try_lock() {
            Ok(mut idle) => std::mem::take(&mut *idle),
            Err(TryLockError::Poisoned(idle)) => std::mem::take(&mut *idle.into_inner()),
            Err(TryLockError::WouldBlock) => return,
        };
        drop(idle);
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        // A panic leaves the list valid.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::net::TcpStream;
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixStream;
    use std::thread;

    use proptest::prelude::*;

    const SIZE: usize = 3;
    const IDLE: Duration = Duration::from_secs(30);

    /// A connection and its other end.
    fn connect() -> (Connection, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        theirs.set_nonblocking(true).unwrap();
        (Connection::new(TcpStream::from(OwnedFd::from(ours))), theirs)
    }

    fn closed(theirs: &mut UnixStream) -> bool {
        matches!(theirs.read(&mut [0]), Ok(0))
    }

    #[derive(Debug, Clone)]
    enum Move {
        Put(Option<u64>),
        Take,
        Clear,
        Pass(u64),
    }

    fn moves() -> impl Strategy<Value = Vec<Move>> {
        let limit = proptest::option::weighted(0.7, 0..40u64);
        let each = prop_oneof![
            4 => limit.prop_map(Move::Put),
            2 => Just(Move::Take),
            1 => Just(Move::Clear),
            3 => (0..15u64).prop_map(Move::Pass),
        ];
        proptest::collection::vec(each, 1..60)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

        /// The model: a list of the kept connections, oldest first, each with the second at which it expires.
        #[test]
        fn a_pool_is_a_list_that_forgets(moves in moves()) {
            let start = Instant::now();
            let pool = Pool::new(SIZE, IDLE);
            let (mut second, mut list, mut ends) = (0, Vec::<(usize, u64)>::new(), Vec::new());
            for step in moves {
                let now = start + Duration::from_secs(second);
                match step {
                    Move::Put(limit) => {
                        let (mut connection, theirs) = connect();
                        // Identifies the connection.
                        connection.sent = ends.len();
                        pool.put(connection, limit.map(|limit| Duration::from_secs(limit) + MARGIN), now);
                        ends.push(theirs);
                        let limit = limit.unwrap_or(u64::MAX).min(IDLE.as_secs());
                        if limit > 0 {
                            list.push((ends.len() - 1, second + limit));
                            list.retain(|(_, until)| *until > second);
                            if list.len() > SIZE {
                                list.remove(0);
                            }
                        }
                    }
                    Move::Take => {
                        let taken = pool.take(now).map(|connection| connection.sent);
                        while list.last().is_some_and(|(_, until)| *until <= second) {
                            list.pop();
                        }
                        prop_assert_eq!(taken, list.pop().map(|(number, _)| number));
                    }
                    Move::Clear => {
                        pool.clear();
                        list.clear();
                    }
                    Move::Pass(seconds) => second += seconds,
                }
                for (number, theirs) in ends.iter_mut().enumerate() {
                    let kept = list.iter().any(|(other, _)| *other == number);
                    prop_assert_eq!(!closed(theirs), kept, "connection {}", number);
                }
            }
        }
    }

    #[test]
    fn abandon_skips_a_locked_pool() {
        let pool = Pool::new(SIZE, IDLE);
        let (connection, mut theirs) = connect();
        pool.put(connection, None, Instant::now());
        let held = pool.idle();
        thread::scope(|scope| scope.spawn(|| pool.abandon()).join()).unwrap();
        assert!(!closed(&mut theirs));
        drop(held);
        pool.abandon();
        assert!(closed(&mut theirs));
    }
}
