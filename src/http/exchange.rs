//! Sends a request on a connection and reads its answer.

use std::io;
use std::time::Instant;

use crate::http::answer::AnswerReader;
use crate::http::connection::{Connection, Io};
use crate::http::error::Phase;
use crate::http::failure::Failure;
use crate::http::settings::Timeouts;
use crate::http::wait::Interest;

/// A request being sent on a connection, and its answer being read.
pub(crate) struct Exchange {
    written: usize,
    pub(crate) sent: bool,
    /// Why sending failed. The server may have answered nevertheless.
    pub(crate) broken: Option<io::Error>,
    /// Whether any byte of an answer was received, even an incomplete TLS record.
    pub(crate) heard: bool,
    pub(crate) reader: AnswerReader,
    /// When the current wait times out.
    pub(crate) until: Instant,
}

impl Exchange {
    pub(crate) fn new(reader: AnswerReader, until: Instant) -> Self {
        Self { written: 0, sent: false, broken: None, heard: false, reader, until }
    }

    /// Sends and reads as much as possible. Returns what to wait for; None when the answer is complete.
    pub(crate) fn step(
        &mut self,
        connection: &mut Connection,
        request: &[u8],
        timeouts: Timeouts,
        now: Instant,
    ) -> Result<Option<Interest>, Failure> {
        if !self.sent {
            let before = connection.sent;
            match self.send(connection, request) {
                Ok(all) => self.sent = all,
                // The connection was dead: buffered input is not an answer to this request.
                Err(error) if connection.reused && connection.sent == 0 => {
                    return Err(Failure::io(Phase::Write, &error));
                }
                Err(error) => (self.sent, self.broken) = (true, Some(error)),
            }
            if self.sent {
                self.until = now + timeouts.read;
            } else if connection.sent > before {
                self.until = now + timeouts.write;
            }
            // The answer can hardly be there yet, so wait before the first read.
            if self.sent && self.broken.is_none() && !self.heard && connection.drained() {
                return Ok(Some(Interest::Read));
            }
        }
        let more = if self.sent { Interest::Read } else { Interest::ReadOrWrite };
        loop {
            let before = connection.received;
            let outcome = connection.read();
            if connection.received > before {
                self.until = now + if self.sent { timeouts.read } else { timeouts.write };
            }
            match outcome {
                Ok(Io::Blocked) => return Ok(Some(more)),
                Ok(Io::Moved(0)) => return self.end(connection).map(|()| None),
                Ok(Io::Moved(_)) => {
                    self.heard = true;
                    if self.reader.feed(&mut connection.input).map_err(Failure::answer)? {
                        return Ok(None);
                    }
                }
                // A server that rejects a request may not read all of it, and its system then resets the connection.
                Err(_) if self.reader.refused_until_close() => return Ok(None),
                Err(error) => {
                    self.heard |= connection.within_record();
                    return Err(match self.broken.take() {
                        Some(error) => Failure::io(Phase::Write, &error),
                        None if self.sent => Failure::io(Phase::Read, &error),
                        None => Failure::io(Phase::Write, &error),
                    });
                }
            }
            // Return even if more data is available, so that deadlines and interrupts are checked between reads.
            if connection.drained() {
                return Ok(Some(more));
            }
        }
    }

    /// Sends as much as possible, and returns whether everything was sent.
    fn send(&mut self, connection: &mut Connection, request: &[u8]) -> io::Result<bool> {
        while self.written < request.len() {
            match connection.write(&request[self.written..])? {
                Io::Blocked => return Ok(false),
                Io::Moved(count) => self.written += count,
            }
        }
        Ok(connection.flush()? != Io::Blocked)
    }

    /// Handles the end of the connection.
    fn end(&mut self, connection: &Connection) -> Result<(), Failure> {
        match (self.reader.end(&connection.input), self.broken.take()) {
            (Ok(_), _) => Ok(()),
            (Err(_), Some(error)) => Err(Failure::io(Phase::Write, &error)),
            (Err(error), None) => Err(Failure::answer(error)),
        }
    }
}
