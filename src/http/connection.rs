//! One connection to the server: a non-blocking socket, TLS on top where the scheme asks for it.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Instant;

use rustls::ClientConnection;

use crate::http::wait::Interest;

/// How much is read at once.
const READ_SIZE: usize = 16 * 1024;
/// How often TLS may have something of its own to say while a connection is idle.
const MOST_ASIDES: u32 = 16;

/// Bytes that have come and wait to be read.
#[derive(Debug, Default)]
pub struct Buffer {
    /// Room for what comes; `start..end` of it is unread.
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl Buffer {
    /// What has not been consumed yet.
    pub fn unread(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// Marks the first `count` unread bytes as read.
    pub fn consume(&mut self, count: usize) {
        self.start = self.end.min(self.start + count);
    }

    /// Appends what one call of `read` delivers; returns its count.
    ///
    /// # Errors
    /// Those of `read`.
    pub fn fill(&mut self, read: impl FnOnce(&mut [u8]) -> io::Result<usize>) -> io::Result<usize> {
        if self.start > 0 {
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        if self.bytes.len() < self.end + READ_SIZE {
            self.bytes.resize(self.end + READ_SIZE, 0);
        }
        let count = read(&mut self.bytes[self.end..])?;
        self.end += count;
        Ok(count)
    }
}

/// What became of an operation on a socket that never blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Io {
    /// So many bytes were moved; for a read, 0 means that the other side has closed.
    Moved(usize),
    /// Nothing could be moved now.
    Blocked,
}

/// A connection and what has been read from it ahead of time. Dropping it closes the socket.
#[derive(Debug)]
pub struct Connection {
    socket: TcpStream,
    tls: Option<Box<ClientConnection>>,
    records: Records,
    /// What has come and was not yet asked for.
    pub input: Buffer,
    /// Whether an earlier request was answered on it.
    pub reused: bool,
    /// How many bytes have left for the present request.
    pub sent: usize,
    /// How many bytes have come since, on the wire: with TLS they may not make a whole record yet.
    pub received: usize,
    /// While idle: when to stop trusting it.
    pub idle_until: Option<Instant>,
}

impl Connection {
    /// A connection over `socket`, which must be non-blocking.
    pub fn new(socket: TcpStream) -> Self {
        let (records, input) = Default::default();
        Self { socket, tls: None, records, input, reused: false, sent: 0, received: 0, idle_until: None }
    }

    /// From here on everything goes through `tls`.
    pub fn wrap(&mut self, tls: ClientConnection) {
        self.tls = Some(Box::new(tls));
    }

    /// The socket, to wait on.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Drives the TLS handshake: None when it is done, else what it waits for.
    ///
    /// # Errors
    /// What the socket reports, or [`io::ErrorKind::InvalidData`] around a [`rustls::Error`].
    pub fn handshake(&mut self) -> io::Result<Option<Interest>> {
        let Self { socket, tls: Some(tls), records, received, .. } = self else { return Ok(None) };
        while tls.is_handshaking() || tls.wants_write() {
            if tls.wants_write() {
                if let Io::Blocked = blocked(tls.write_tls(socket))? {
                    return Ok(Some(Interest::Write));
                }
            } else {
                match blocked(tls.read_tls(&mut Wire { socket, records, received }))? {
                    Io::Blocked => return Ok(Some(Interest::Read)),
                    Io::Moved(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                    Io::Moved(_) => process(tls, socket)?,
                }
            }
        }
        Ok(None)
    }

    /// Sends what it can of `bytes`. With TLS they may wait in its buffer: see [`flush`](Self::flush).
    ///
    /// # Errors
    /// What the socket reports.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<Io> {
        let Some(tls) = &mut self.tls else {
            let outcome = blocked(self.socket.write(bytes))?;
            if let Io::Moved(count) = outcome {
                self.sent += count;
            }
            return Ok(outcome);
        };
        match tls.writer().write(bytes)? {
            // Its buffer is full.
            0 => self.flush(),
            taken => Ok(Io::Moved(taken)),
        }
    }

    /// Sends what TLS has buffered; says Blocked while something is left.
    ///
    /// # Errors
    /// What the socket reports.
    pub fn flush(&mut self) -> io::Result<Io> {
        if let Some(tls) = &mut self.tls {
            while tls.wants_write() {
                match blocked(tls.write_tls(&mut self.socket))? {
                    Io::Blocked => return Ok(Io::Blocked),
                    Io::Moved(count) => self.sent += count,
                }
            }
        }
        Ok(Io::Moved(0))
    }

    /// Reads once into [`input`](Self::input). Blocked may also mean that what came was of TLS's own, and that there may
    /// be more.
    ///
    /// # Errors
    /// What the socket reports; with TLS also [`io::ErrorKind::UnexpectedEof`] where the other side closed without
    /// saying so, and [`io::ErrorKind::InvalidData`] around a [`rustls::Error`].
    pub fn read(&mut self) -> io::Result<Io> {
        let Self { socket, tls, records, input, received, .. } = self;
        let Some(tls) = tls else {
            let outcome = blocked(input.fill(|space| socket.read(space)))?;
            if let Io::Moved(count) = outcome {
                *received += count;
            }
            return Ok(outcome);
        };
        match blocked(input.fill(|space| tls.reader().read(space)))? {
            Io::Blocked => {}
            moved => return Ok(moved),
        }
        if let Io::Moved(_) = blocked(tls.read_tls(&mut Wire { socket, records, received }))? {
            // At the end of the stream, too: the reader then tells a proper end from a cut.
            process(tls, socket)?;
            return blocked(input.fill(|space| tls.reader().read(space)));
        }
        Ok(Io::Blocked)
    }

    /// Whether what comes next must come from the socket, so that it can be waited for there.
    pub fn drained(&self) -> bool {
        self.tls.as_ref().is_none_or(|tls| tls.wants_read())
    }

    /// Whether a part of a TLS record has come, and the rest not yet.
    pub fn within_record(&self) -> bool {
        !self.records.whole()
    }

    /// Whether all that has come was read: nothing is left of it here, in TLS's buffers, or in half a record.
    pub fn quiet(&self) -> bool {
        self.input.unread().is_empty() && self.drained() && !self.within_record()
    }

    /// Whether a new request may go out on this idle connection: the other side has neither closed it nor said
    /// anything unasked, such as the answer to a request that nobody waits for any more.
    pub fn usable(&mut self, now: Instant) -> bool {
        if self.idle_until.is_some_and(|until| until <= now) {
            return false;
        }
        // TLS may have spoken on its own account, to hand out a ticket: read, and see whether that was all. Whoever goes
        // on and on is left.
        for _ in 0..MOST_ASIDES {
            match self.socket.peek(&mut [0]) {
                Err(error) => return error.kind() == io::ErrorKind::WouldBlock && self.quiet(),
                Ok(unread) if unread > 0 && self.tls.is_some() && matches!(self.read(), Ok(Io::Blocked)) => {}
                Ok(_) => return false,
            }
        }
        false
    }
}

/// Where TLS reads from: counts what comes, and where in a record it ends. TLS itself does not tell.
struct Wire<'a> {
    socket: &'a mut TcpStream,
    records: &'a mut Records,
    received: &'a mut usize,
}

impl Read for Wire<'_> {
    fn read(&mut self, space: &mut [u8]) -> io::Result<usize> {
        let count = self.socket.read(space)?;
        self.records.pass(&space[..count]);
        *self.received += count;
        Ok(count)
    }
}

/// How far a stream of TLS records has come within its last one.
#[derive(Debug, Default)]
struct Records {
    /// How much of its header has come.
    header: usize,
    /// The length that the header has given so far, less what has come of it.
    left: usize,
}

impl Records {
    /// The size of a header; its last two bytes are the length of what follows.
    const HEADER: usize = 5;

    fn pass(&mut self, mut bytes: &[u8]) {
        while let [first, rest @ ..] = bytes {
            if self.header < Self::HEADER {
                if self.header >= Self::HEADER - 2 {
                    self.left = (self.left << 8) | usize::from(*first);
                }
                self.header += 1;
                bytes = rest;
            } else {
                let passed = self.left.min(bytes.len());
                self.left -= passed;
                bytes = &bytes[passed..];
            }
            if self.header == Self::HEADER && self.left == 0 {
                *self = Self::default();
            }
        }
    }

    fn whole(&self) -> bool {
        self.header == 0
    }
}

/// Lets TLS work on what has been read. Where it refuses, the other side is told why before we go.
fn process(tls: &mut ClientConnection, socket: &mut TcpStream) -> io::Result<()> {
    tls.process_new_packets().map(drop).map_err(|error| {
        // The alert is a courtesy; the error stands whether it gets through or not.
        let _ = tls.write_tls(socket);
        io::Error::new(io::ErrorKind::InvalidData, error)
    })
}

fn blocked(outcome: io::Result<usize>) -> io::Result<Io> {
    match outcome {
        Ok(count) => Ok(Io::Moved(count)),
        Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
            Ok(Io::Blocked)
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;
    use std::thread;

    use proptest::prelude::*;
    use proptest::sample::Index;

    use crate::http::answer::Limits;
    use crate::http::fuzzing::pieces;
    use crate::http::testing::{
        ACCEPTED, SCHEMES, TIMEOUTS, Wire, client_config, connected, connected_by_packets,
        exchange_in_pieces, send, serve, status, to,
    };
    use crate::http::tls;
    use crate::http::wait::poll_with;

    const LIMITS: Limits = Limits { head: 2000, body: 1000 };

    /// Every answer of the table, and everything that is none.
    fn table() -> Vec<String> {
        let table: serde_json::Value =
            serde_json::from_str(include_str!("../../spec/conformance/own/answers.json")).unwrap();
        let rows = ["answers", "failures"].map(|list| table[list].as_array().unwrap().clone());
        rows.concat().iter().map(|row| row["bytes"].as_str().unwrap().to_owned()).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn it_does_not_matter_in_which_records_and_pieces_an_answer_comes(
            index in any::<Index>(),
            records in proptest::collection::vec(1usize..60, 1..10),
            sizes in proptest::collection::vec(1usize..60, 1..10),
        ) {
            let table = table();
            let bytes = index.get(&table).as_bytes();
            let (mut plain, mut wire) = connected("http");
            let mut all = std::iter::once(bytes).filter(|all| !all.is_empty());
            let whole = exchange_in_pieces(&mut plain, &mut wire, LIMITS, true, &mut all);
            for scheme in SCHEMES {
                let (mut connection, mut wire) = connected(scheme);
                let sealed: Vec<u8> = pieces(bytes, &records).flat_map(|record| wire.seal(record)).collect();
                let made =
                    exchange_in_pieces(&mut connection, &mut wire, LIMITS, true, &mut pieces(&sealed, &sizes));
                prop_assert_eq!(&made, &whole, "{}", scheme);
            }
        }

        #[test]
        fn records_are_whole_where_they_are(lengths in proptest::collection::vec(0usize..700, 1..5), sizes in proptest::collection::vec(1usize..900, 1..5)) {
            let record = |length: usize| [&[23, 3, 3, (length >> 8) as u8, length as u8], &vec![0; length][..]].concat();
            let bytes: Vec<u8> = lengths.iter().flat_map(|length| record(*length)).collect();
            let ends = lengths.iter().scan(0, |end, length| { *end += 5 + length; Some(*end) });
            let ends: Vec<usize> = ends.collect();
            let (mut records, mut passed) = (Records::default(), 0);
            for piece in pieces(&bytes, &sizes) {
                records.pass(piece);
                passed += piece.len();
                prop_assert_eq!(records.whole(), ends.contains(&passed));
            }
        }

        /// Over TLS an answer may end within a record, or where what is read at once ends.
        #[test]
        fn what_comes_behind_an_answer_answers_nothing(
            total in prop_oneof![100..60_000usize, Just(16_384), Just(32_768)],
            records in proptest::collection::vec(prop_oneof![1..300usize, 16_000..17_000usize, Just(16_384)], 1..4),
            sizes in proptest::collection::vec(prop_oneof![200..5000usize, Just(100_000)], 1..4),
            behind in prop_oneof![Just(""), Just("H"), Just("HTTP/1.1 500 Stale\r\nContent-Length: 0\r\n\r\n")],
            withheld in prop_oneof![Just(0), 1..40usize],
        ) {
            for scheme in SCHEMES {
                let expected = of_size(total);
                let (answer, records, sizes) = (expected.clone(), records.clone(), sizes.clone());
                let (sent, all_sent) = channel();
                let port = serve(scheme, move |number, mut wire| {
                    if number == 0 && wire.request().is_some() {
                        let mut bytes: Vec<u8> =
                            pieces(&answer, &records).flat_map(|record| wire.seal(record)).collect();
                        let unasked = wire.seal(behind.as_bytes());
                        bytes.extend(&unasked[..unasked.len().saturating_sub(withheld).max(unasked.len().min(1))]);
                        for piece in pieces(&bytes, &sizes) {
                            // It may have been closed, with all that it needs.
                            let _ = wire.socket().write_all(piece);
                        }
                        let _ = sent.send(());
                    }
                    while wire.request().is_some() {
                        let _ = wire.send(ACCEPTED);
                    }
                });
                let transport = to(scheme, port);
                let answer = send(&transport).answer.unwrap();
                prop_assert!([answer.head, answer.body.unwrap()].concat() == expected, "{}", scheme);
                all_sent.recv().unwrap();
                // Whatever was not asked for is no answer to the next request.
                prop_assert_eq!(status(send(&transport)), (202, behind.is_empty(), 0), "{}", scheme);
            }
        }
    }

    /// An answer of `total` bytes.
    fn of_size(total: usize) -> Vec<u8> {
        let with_body = |length: usize| {
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
            [head.as_bytes(), &vec![b'x'; length]].concat()
        };
        (0..total).rev().map(with_body).find(|answer| answer.len() <= total).unwrap()
    }

    /// Waits until the other side has done something that can be seen here.
    fn await_news(connection: &Connection) {
        poll_with(connection.fd(), Interest::Read, Instant::now() + TIMEOUTS.read, None);
    }

    #[test]
    fn an_idle_connection_is_usable_until_something_unasked_comes() {
        for scheme in SCHEMES {
            let unasked: [fn(&mut Wire); 5] = [
                |wire| wire.send(ACCEPTED).unwrap(),
                |wire| {
                    let sealed = wire.seal(ACCEPTED);
                    wire.socket().write_all(&sealed[..10]).unwrap();
                },
                |wire| wire.notify_close(),
                |wire| wire.socket().shutdown(std::net::Shutdown::Write).unwrap(),
                |wire| wire.socket().write_all(b"nonsense, whatever is spoken").unwrap(),
            ];
            for (number, act) in unasked.into_iter().enumerate() {
                let (mut connection, mut wire) = connected(scheme);
                assert!(connection.usable(Instant::now()), "{scheme}");
                if scheme == "http" && number == 2 {
                    continue;
                }
                act(&mut wire);
                await_news(&connection);
                assert!(!connection.usable(Instant::now()), "{scheme}, {number}");
            }
            let (mut connection, mut wire) = connected(scheme);
            connection.write(b"unread").unwrap();
            connection.flush().unwrap();
            assert!(wire.socket().peek(&mut [0]).unwrap() > 0);
            // Who closes without having read all resets the connection.
            drop(wire);
            await_news(&connection);
            assert!(!connection.usable(Instant::now()), "{scheme}, a reset");
        }
    }

    #[test]
    fn an_idle_connection_is_not_usable_when_its_time_is_up() {
        let (mut connection, _wire) = connected("http");
        let now = Instant::now();
        connection.idle_until = Some(now);
        assert!(!connection.usable(now));
        connection.idle_until = Some(now + TIMEOUTS.read);
        assert!(connection.usable(now));
    }

    /// A record that changes the server's keys: what comes after it can only be read by who has read it.
    fn new_keys(wire: &mut Wire) -> Vec<u8> {
        wire.tls().conn.refresh_traffic_keys().unwrap();
        wire.seal(b"")
    }

    #[test]
    fn what_tls_says_on_its_own_account_leaves_an_idle_connection_usable() {
        let (mut connection, mut wire) = connected("https");
        let sealed = new_keys(&mut wire);
        let (begin, rest) = sealed.split_at(sealed.len() / 2);
        wire.socket().write_all(begin).unwrap();
        await_news(&connection);
        // Not while half of it is missing: it could be anything.
        assert!(!connection.usable(Instant::now()));
        wire.socket().write_all(rest).unwrap();
        await_news(&connection);
        assert!(connection.usable(Instant::now()));
    }

    // Where a read brings no more than was written at once.
    #[cfg(target_os = "linux")]
    #[test]
    fn whoever_sends_without_end_what_is_no_answer_is_left() {
        for (asides, usable) in [(MOST_ASIDES - 1, true), (MOST_ASIDES, false)] {
            let (mut connection, mut wire) = connected_by_packets();
            // The server has handed out tickets.
            assert!(connection.usable(Instant::now()));
            for _ in 0..asides {
                let aside = new_keys(&mut wire);
                wire.send_sealed(&aside);
            }
            assert_eq!(connection.usable(Instant::now()), usable, "{asides}");
        }
    }

    #[test]
    fn a_handshake_fails_where_the_server_ends_it_or_speaks_no_tls() {
        for (said, kind) in [
            (&b""[..], io::ErrorKind::UnexpectedEof),
            (b"HTTP/1.1 400 No\r\n\r\n", io::ErrorKind::InvalidData),
        ] {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let socket = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            socket.set_nonblocking(true).unwrap();
            let (mut server, _) = listener.accept().unwrap();
            let mut connection = Connection::new(socket);
            assert_eq!(connection.handshake().unwrap(), None, "there is no TLS yet");
            connection.wrap(tls::session(&client_config(), "localhost").unwrap());
            assert_eq!(connection.handshake().unwrap(), Some(Interest::Read));
            server.write_all(said).unwrap();
            server.shutdown(std::net::Shutdown::Write).unwrap();
            await_news(&connection);
            assert_eq!(connection.handshake().unwrap_err().kind(), kind);
            drop(connection);
            let mut heard = Vec::new();
            server.read_to_end(&mut heard).unwrap();
            // It is told why: an alert comes last.
            assert_eq!(heard[heard.len() - 7] == 21, kind == io::ErrorKind::InvalidData, "{heard:?}");
        }
    }

    #[test]
    fn what_cannot_be_sent_yet_is_kept_and_counted_when_it_leaves() {
        for scheme in SCHEMES {
            let (mut connection, mut wire) = connected(scheme);
            connection.sent = 0;
            let piece = vec![b'x'; 100_000];
            let mut written = 0;
            while let Io::Moved(count) = connection.write(&piece).unwrap() {
                written += count;
            }
            let before = connection.sent;
            assert!(before > 0 && written > 0);
            assert_eq!(connection.flush().unwrap() == Io::Blocked, scheme == "https");
            let reader = thread::spawn(move || {
                let (mut read, mut space) = (0, vec![0; 1 << 20]);
                while read < written {
                    read += wire.read(&mut space).unwrap();
                }
                wire
            });
            while connection.flush().unwrap() == Io::Blocked {
                poll_with(connection.fd(), Interest::Write, Instant::now() + TIMEOUTS.write, None);
            }
            let mut wire = reader.join().unwrap();
            assert_eq!(connection.sent > before, scheme == "https");
            assert!(connection.sent >= written);
            wire.send(b"answer").unwrap();
            await_news(&connection);
            while connection.input.unread().len() < 6 {
                connection.read().unwrap();
            }
            assert!(connection.received >= 6 && !connection.within_record());
        }
    }
}
