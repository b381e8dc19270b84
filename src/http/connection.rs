//! One connection to the server: a non-blocking socket, with TLS for https.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Instant;

use rustls::ClientConnection;

use crate::http::wait::Interest;

/// The maximum size of one read, in bytes.
const READ_SIZE: usize = 16 * 1024;
/// How many reads without application data an idle TLS connection may need before it is closed.
const MOST_ASIDES: u32 = 16;

/// Received bytes that were not read yet.
#[derive(Debug, Default)]
pub struct Buffer {
    /// The buffer; `start..end` is unread.
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl Buffer {
    /// The bytes that were not consumed yet.
    pub fn unread(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// Marks the first `count` unread bytes as read.
    pub fn consume(&mut self, count: usize) {
        self.start = self.end.min(self.start + count);
    }

    /// Appends the bytes of one call of `read`, and returns their number.
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

/// The result of a non-blocking read or write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Io {
    /// The number of bytes read or written; 0 from a read means that the peer has closed the connection.
    Moved(usize),
    /// The operation would block.
    Blocked,
}

/// A connection with its input buffer. Dropping it closes the socket.
#[derive(Debug)]
pub struct Connection {
    socket: TcpStream,
    tls: Option<Box<ClientConnection>>,
    records: Records,
    /// Received bytes that were not read yet.
    pub input: Buffer,
    /// Whether it has served an earlier request.
    pub reused: bool,
    /// The number of bytes sent for the current request.
    pub sent: usize,
    /// The number of bytes received since, on the wire: with TLS, they may be an incomplete record.
    pub received: usize,
    /// When the idle connection expires.
    pub idle_until: Option<Instant>,
}

impl Connection {
    /// A connection over `socket`, which must be non-blocking.
    pub fn new(socket: TcpStream) -> Self {
        let (records, input) = Default::default();
        Self { socket, tls: None, records, input, reused: false, sent: 0, received: 0, idle_until: None }
    }

    /// Sends and receives everything through `tls` from now on.
    pub fn wrap(&mut self, tls: ClientConnection) {
        self.tls = Some(Box::new(tls));
    }

    /// The socket to wait for.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Continues the TLS handshake. Returns what it waits for; None when it is complete.
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

    /// Sends as much of `bytes` as possible. TLS may buffer them: see [`flush`](Self::flush).
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
            // TLS's buffer is full.
            0 => self.flush(),
            taken => Ok(Io::Moved(taken)),
        }
    }

    /// Sends what TLS has buffered; Blocked if something is left.
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

    /// Reads once into [`input`](Self::input). Blocked may also mean that only TLS's own messages were received, and
    /// that more data is available.
    ///
    /// # Errors
    /// What the socket reports; with TLS also [`io::ErrorKind::UnexpectedEof`] if the peer closed the connection
    /// without a close_notify alert, and [`io::ErrorKind::InvalidData`] around a [`rustls::Error`].
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
            // Also at the end of the stream: the reader tells a proper end from a truncated stream.
            process(tls, socket)?;
            return blocked(input.fill(|space| tls.reader().read(space)));
        }
        Ok(Io::Blocked)
    }

    /// Whether TLS has no buffered data, so that waiting for the socket is right.
    pub fn drained(&self) -> bool {
        self.tls.as_ref().is_none_or(|tls| tls.wants_read())
    }

    /// Whether an incomplete TLS record was received.
    pub fn within_record(&self) -> bool {
        !self.records.whole()
    }

    /// Whether everything received was read: nothing is left in the input, in TLS's buffers, or in an incomplete
    /// record.
    pub fn quiet(&self) -> bool {
        self.input.unread().is_empty() && self.drained() && !self.within_record()
    }

    /// Whether this idle connection can carry a new request: the peer has neither closed it nor sent unrequested data,
    /// such as a late answer to an abandoned request.
    pub fn usable(&mut self, now: Instant) -> bool {
        if self.idle_until.is_some_and(|until| until <= now) {
            return false;
        }
        // The data may be a message of TLS itself, such as a session ticket: read it, and check again. Give up on a
        // peer that never stops.
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

/// The socket that TLS reads from. Counts bytes, and tracks the ends of records, which rustls does not report.
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

/// The position of a stream of TLS records within its last record.
#[derive(Debug, Default)]
struct Records {
    /// How many bytes of its header were received.
    header: usize,
    /// How many bytes of its content are missing, as far as the header gives its length.
    left: usize,
}

impl Records {
    /// The size of a header; its last two bytes are the length of the content.
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

/// Processes the records that were read. On an error, sends TLS's alert to the peer.
fn process(tls: &mut ClientConnection, socket: &mut TcpStream) -> io::Result<()> {
    tls.process_new_packets().map(drop).map_err(|error| {
        // Report the error even if the alert cannot be sent.
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

    /// The valid and invalid answers of the table.
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
        fn records_are_whole_at_their_ends(lengths in proptest::collection::vec(0usize..700, 1..5), sizes in proptest::collection::vec(1usize..900, 1..5)) {
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

        /// Over TLS, an answer may end within a record, or at the end of one read.
        #[test]
        fn bytes_after_an_answer_do_not_answer_the_next_request(
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
                            // The client may have closed the connection with the answer complete.
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
                // Unrequested data is not taken for the answer to the next request.
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

    /// Waits until the socket is readable.
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
            // Closing with unread data resets the connection.
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

    /// A record that changes the server's keys. Later records cannot be decrypted without it.
    fn new_keys(wire: &mut Wire) -> Vec<u8> {
        wire.tls().conn.refresh_traffic_keys().unwrap();
        wire.seal(b"")
    }

    #[test]
    fn messages_of_tls_leave_an_idle_connection_usable() {
        let (mut connection, mut wire) = connected("https");
        let sealed = new_keys(&mut wire);
        let (begin, rest) = sealed.split_at(sealed.len() / 2);
        wire.socket().write_all(begin).unwrap();
        await_news(&connection);
        // An incomplete record could be anything.
        assert!(!connection.usable(Instant::now()));
        wire.socket().write_all(rest).unwrap();
        await_news(&connection);
        assert!(connection.usable(Instant::now()));
    }

    // SEQPACKET sockets return one write per read.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_peer_that_never_stops_sending_tls_messages_is_closed() {
        for (asides, usable) in [(MOST_ASIDES - 1, true), (MOST_ASIDES, false)] {
            let (mut connection, mut wire) = connected_by_packets();
            // Reads the server's session tickets.
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
            // The last record the server gets is an alert.
            assert_eq!(heard[heard.len() - 7] == 21, kind == io::ErrorKind::InvalidData, "{heard:?}");
        }
    }

    #[test]
    fn buffered_bytes_are_counted_when_they_are_sent() {
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
