//! Reading an HTTP/1.1 answer from whatever pieces the network delivers it in.

use std::time::Duration;

use httparse::Status;

use crate::http::connection::Buffer;

/// How many header lines an answer may have.
const MAX_HEADERS: usize = 100;
/// How long the line with a chunk's size may be, extensions included.
const MAX_CHUNK_LINE: usize = 4096;

/// A complete answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status code, such as 202.
    pub status: u16,
    /// The head as it came, from the status line to the last header line.
    pub head: Vec<u8>,
    /// The body, its transfer coding undone; None where the status allows none.
    pub body: Option<Vec<u8>>,
    /// Whether another request may follow on the same connection.
    pub keep_alive: bool,
    /// How long the server says it keeps an idle connection open (`Keep-Alive: timeout=`).
    pub idle_limit: Option<Duration>,
}

/// Bounds on what is read.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of the head, the 1xx heads before it included; and of the trailers.
    pub head: usize,
    /// Bytes of the body.
    pub body: usize,
}

/// Why an answer cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// It is not HTTP, or contradicts itself.
    #[error("{0}")]
    Malformed(String),
    /// It exceeds a limit.
    #[error("{0}")]
    TooLarge(String),
    /// Its body is larger than this limit.
    #[error("the answer's body is larger than {0} bytes")]
    BodyTooLarge(usize),
    /// The connection ended first.
    #[error("the connection was closed {0}")]
    Cut(&'static str),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    Length(u64),
    ChunkSize,
    ChunkData(u64),
    ChunkEnd,
    Trailers,
    UntilClose,
}

#[derive(Debug)]
enum State {
    Head,
    Body(Framing),
    Complete,
}

/// Reads one answer. Give it the connection's input as it grows, until it says that the answer is complete.
#[derive(Debug)]
pub struct AnswerReader {
    limits: Limits,
    /// Whether this answers a CONNECT: then the tunnel begins where the head ends.
    tunnel: bool,
    state: State,
    /// The bytes of 1xx heads, which announce the answer.
    announced: usize,
    answer: Answer,
}

impl AnswerReader {
    /// For the answer to a GET or POST.
    pub fn new(limits: Limits) -> Self {
        let answer = Answer { status: 0, head: Vec::new(), body: None, keep_alive: false, idle_limit: None };
        Self { limits, tunnel: false, state: State::Head, announced: 0, answer }
    }

    /// For the answer to a CONNECT.
    pub fn for_tunnel(limits: Limits) -> Self {
        Self { tunnel: true, ..Self::new(limits) }
    }

    /// The answer, once [`feed`](Self::feed) or [`end`](Self::end) has said that it is complete.
    pub fn into_answer(self) -> Answer {
        self.answer
    }

    /// Reads on in `input`, and says whether the answer is complete. What belongs to no answer stays in `input`.
    ///
    /// # Errors
    /// [`AnswerError`] where `input` is no HTTP answer or exceeds the limits.
    pub fn feed(&mut self, input: &mut Buffer) -> Result<bool, AnswerError> {
        loop {
            let progress = match self.state {
                State::Head => self.read_head(input)?,
                State::Body(framing) => self.read_body(framing, input)?,
                State::Complete => return Ok(true),
            };
            if !progress {
                return Ok(false);
            }
        }
    }

    /// Whether this is a 4xx or 5xx of whose body only the end of the connection tells that it is over. Its status is
    /// worth more than to know whether the text behind it is complete.
    pub fn refused_until_close(&self) -> bool {
        self.answer.status >= 400 && matches!(self.state, State::Body(Framing::UntilClose))
    }

    /// Takes note that nothing more will come, and says whether the answer is complete by that.
    ///
    /// # Errors
    /// [`AnswerError::Cut`] where it is not.
    pub fn end(&mut self, input: &Buffer) -> Result<bool, AnswerError> {
        match self.state {
            State::Complete => Ok(true),
            State::Body(Framing::UntilClose) => {
                self.state = State::Complete;
                Ok(true)
            }
            State::Body(_) => Err(AnswerError::Cut("in the middle of the answer's body")),
            State::Head if input.unread().is_empty() => Err(AnswerError::Cut("before any answer came")),
            State::Head => Err(AnswerError::Cut("in the middle of the answer's head")),
        }
    }

    fn read_head(&mut self, input: &mut Buffer) -> Result<bool, AnswerError> {
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut head = httparse::Response::new(&mut headers);
        let limit = self.limits.head;
        let fits = |length: usize| self.announced + length <= limit;
        let length = match head.parse(input.unread()) {
            Ok(Status::Complete(length)) if fits(length) => length,
            Ok(Status::Partial) if fits(input.unread().len()) => return Ok(false),
            Ok(_) => {
                return Err(AnswerError::TooLarge(format!("the answer's head is larger than {limit} bytes")));
            }
            Err(httparse::Error::TooManyHeaders) => {
                return Err(AnswerError::TooLarge(format!(
                    "the answer has more than {MAX_HEADERS} header lines"
                )));
            }
            // An alert.
            Err(_) if input.unread().first() == Some(&0x15) => {
                return Err(AnswerError::Malformed(
                    "the answer is TLS: the URL should begin with https://".to_owned(),
                ));
            }
            Err(error) => {
                return Err(AnswerError::Malformed(format!("the answer is not HTTP ({error})")));
            }
        };
        let Some(status @ 100..) = head.code else {
            return Err(AnswerError::Malformed("the answer's status is below 100".to_owned()));
        };
        // 1xx announces the answer; 101 would be one, but we never ask for another protocol.
        if (100..200).contains(&status) && status != 101 {
            input.consume(length);
            self.announced += length;
            return Ok(true);
        }

        let headers = Headers(head.headers);
        let http_1_1 = head.version == Some(1);
        let framing = match status {
            101 => {
                return Err(AnswerError::Malformed("the server switched protocols unasked".to_owned()));
            }
            204 | 304 => None,
            200..=299 if self.tunnel => None,
            _ => Some(framing(&headers)?),
        };
        self.answer.status = status;
        self.answer.keep_alive = framing != Some(Framing::UntilClose)
            && !headers.has_token("connection", "close")
            && (http_1_1 || headers.has_token("connection", "keep-alive"))
            // Both at once is how requests are smuggled: RFC 9112 says to close behind such an answer.
            && !(headers.get("transfer-encoding").is_some() && headers.get("content-length").is_some());
        self.answer.idle_limit = headers.get("keep-alive").and_then(idle_limit);
        self.answer.head = input.unread()[..length].to_vec();
        input.consume(length);

        match framing {
            None => self.state = State::Complete,
            Some(framing) => {
                let expected = if let Framing::Length(length) = framing { length } else { 0 };
                self.admit(expected)?;
                // What a server announces is no reason to set memory aside before it comes.
                self.answer.body = Some(Vec::with_capacity(expected.min(64 * 1024) as usize));
                self.state = State::Body(framing);
            }
        }
        Ok(true)
    }

    fn read_body(&mut self, framing: Framing, input: &mut Buffer) -> Result<bool, AnswerError> {
        let next = match framing {
            Framing::Length(0) => State::Complete,
            Framing::ChunkData(0) => State::Body(Framing::ChunkEnd),
            Framing::Length(left) => match self.take(left, input)? {
                0 => return Ok(false),
                taken => State::Body(Framing::Length(left - taken)),
            },
            Framing::ChunkData(left) => match self.take(left, input)? {
                0 => return Ok(false),
                taken => State::Body(Framing::ChunkData(left - taken)),
            },
            Framing::UntilClose => {
                self.take(u64::MAX, input)?;
                return Ok(false);
            }
            Framing::ChunkSize => match httparse::parse_chunk_size(input.unread()) {
                Ok(Status::Complete((length, size))) => {
                    self.admit(size)?;
                    input.consume(length);
                    State::Body(if size == 0 { Framing::Trailers } else { Framing::ChunkData(size) })
                }
                Ok(Status::Partial) if input.unread().len() <= MAX_CHUNK_LINE => return Ok(false),
                _ => {
                    return Err(AnswerError::Malformed(
                        "the size of a chunk of the answer is unreadable".to_owned(),
                    ));
                }
            },
            Framing::ChunkEnd => match input.unread() {
                [b'\r', b'\n', ..] => {
                    input.consume(2);
                    State::Body(Framing::ChunkSize)
                }
                [] | [b'\r'] => return Ok(false),
                _ => {
                    return Err(AnswerError::Malformed(
                        "a chunk of the answer is longer than its size".to_owned(),
                    ));
                }
            },
            Framing::Trailers => {
                let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
                match httparse::parse_headers(input.unread(), &mut headers) {
                    Ok(Status::Complete((length, _))) => {
                        input.consume(length);
                        State::Complete
                    }
                    Ok(Status::Partial) if input.unread().len() <= self.limits.head => return Ok(false),
                    Ok(Status::Partial) | Err(httparse::Error::TooManyHeaders) => {
                        return Err(AnswerError::TooLarge("the answer's trailers are too large".to_owned()));
                    }
                    Err(error) => {
                        return Err(AnswerError::Malformed(format!(
                            "the answer's trailers are unreadable ({error})"
                        )));
                    }
                }
            }
        };
        self.state = next;
        Ok(true)
    }

    /// Moves up to `most` bytes of the body out of `input`.
    fn take(&mut self, most: u64, input: &mut Buffer) -> Result<u64, AnswerError> {
        let available = input.unread().len();
        let taken = usize::try_from(most).map_or(available, |most| most.min(available));
        self.admit(taken as u64)?;
        self.answer.body.get_or_insert_default().extend_from_slice(&input.unread()[..taken]);
        input.consume(taken);
        Ok(taken as u64)
    }

    /// Refuses `more` bytes of the body where they exceed the limit.
    fn admit(&self, more: u64) -> Result<(), AnswerError> {
        let read = self.answer.body.as_ref().map_or(0, Vec::len) as u64;
        let limit = self.limits.body;
        if read.saturating_add(more) > limit as u64 {
            return Err(AnswerError::BodyTooLarge(limit));
        }
        Ok(())
    }
}

/// How the body is delimited (RFC 9112, section 6.3).
fn framing(headers: &Headers<'_>) -> Result<Framing, AnswerError> {
    if let Some(coding) = headers.get("transfer-encoding") {
        let chunked = headers.all("transfer-encoding").count() == 1
            && coding.trim_ascii().eq_ignore_ascii_case(b"chunked");
        return if chunked {
            Ok(Framing::ChunkSize)
        } else {
            Err(AnswerError::Malformed("the answer has a transfer coding that was not asked for".to_owned()))
        };
    }
    let mut lengths =
        headers.all("content-length").flat_map(|value| value.split(|b| *b == b',')).map(|text| {
            let text = text.trim_ascii();
            let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
            std::str::from_utf8(text).ok().filter(|_| digits).and_then(|text| text.parse::<u64>().ok())
        });
    match lengths.next() {
        None => Ok(Framing::UntilClose),
        Some(Some(length)) if lengths.all(|other| other == Some(length)) => Ok(Framing::Length(length)),
        Some(_) => Err(AnswerError::Malformed("the answer's Content-Length is unreadable".to_owned())),
    }
}

/// The seconds of `Keep-Alive: timeout=5, max=100`.
fn idle_limit(value: &[u8]) -> Option<Duration> {
    let timeout = std::str::from_utf8(value).ok()?.split(',').find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("timeout").then(|| value.trim().parse().ok())?
    })?;
    Some(Duration::from_secs(timeout))
}

struct Headers<'a>(&'a [httparse::Header<'a>]);

impl<'a> Headers<'a> {
    fn all(&self, name: &'static str) -> impl Iterator<Item = &'a [u8]> {
        self.0.iter().filter(move |header| header.name.eq_ignore_ascii_case(name)).map(|header| header.value)
    }

    fn get(&self, name: &'static str) -> Option<&'a [u8]> {
        self.all(name).next()
    }

    fn has_token(&self, name: &'static str, token: &str) -> bool {
        self.all(name)
            .flat_map(|value| value.split(|b| *b == b','))
            .any(|part| part.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMITS: Limits = Limits { head: 2000, body: 1000 };

    #[derive(serde::Deserialize)]
    struct Table {
        answers: Vec<Good>,
        failures: Vec<Bad>,
    }

    #[derive(serde::Deserialize)]
    struct Good {
        name: String,
        bytes: String,
        #[serde(default)]
        closed: bool,
        status: u16,
        body: Option<String>,
        keep_alive: bool,
        idle_limit: Option<u64>,
        #[serde(default)]
        left: String,
    }

    #[derive(serde::Deserialize)]
    struct Bad {
        name: String,
        bytes: String,
        kind: String,
        message: String,
    }

    fn table() -> Table {
        serde_json::from_str(include_str!("../../spec/conformance/own/answers.json")).unwrap()
    }

    /// Reads `pieces` as they would come from the network; the connection then ends where `closed` says so.
    fn read<'a>(
        pieces: impl Iterator<Item = &'a [u8]>,
        closed: bool,
    ) -> Result<(Option<Answer>, Vec<u8>), AnswerError> {
        let mut reader = AnswerReader::new(LIMITS);
        let mut input = Buffer::default();
        let mut complete = false;
        for piece in pieces {
            let filled = input.fill(|space| {
                space[..piece.len()].copy_from_slice(piece);
                Ok(piece.len())
            });
            assert_eq!(filled.unwrap(), piece.len());
            complete = reader.feed(&mut input)?;
        }
        if !complete && closed {
            complete = reader.end(&input)?;
        }
        Ok((complete.then(|| reader.into_answer()), input.unread().to_vec()))
    }

    fn kind(error: &AnswerError) -> &'static str {
        match error {
            AnswerError::Malformed(_) => "malformed",
            AnswerError::TooLarge(_) | AnswerError::BodyTooLarge(_) => "too_large",
            AnswerError::Cut(_) => "cut",
        }
    }

    #[test]
    fn the_table_of_answers_holds() {
        for case in table().answers {
            let (answer, left) = read([case.bytes.as_bytes()].into_iter(), case.closed).unwrap();
            let answer = answer.unwrap_or_else(|| panic!("{} is not complete", case.name));
            assert_eq!(answer.status, case.status, "{}", case.name);
            assert_eq!(answer.body.map(|body| String::from_utf8(body).unwrap()), case.body, "{}", case.name);
            assert_eq!(answer.keep_alive, case.keep_alive, "{}", case.name);
            assert_eq!(answer.idle_limit.map(|limit| limit.as_secs()), case.idle_limit, "{}", case.name);
            assert_eq!(String::from_utf8(left).unwrap(), case.left, "{}", case.name);
        }
        for case in table().failures {
            let error = read([case.bytes.as_bytes()].into_iter(), true).unwrap_err();
            assert_eq!(
                (kind(&error), error.to_string()),
                (case.kind.as_str(), case.message),
                "{}",
                case.name
            );
        }
    }

    #[test]
    fn heads_and_trailers_have_limits() {
        let field = format!("X: {}\r\n", "x".repeat(3000));
        for bytes in [
            format!("HTTP/1.1 200 OK\r\n{field}Content-Length: 0\r\n\r\n"),
            format!("HTTP/1.1 200 OK\r\n{field}"),
            format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n{field}"),
            format!("HTTP/1.1 200 OK\r\n{}\r\n", "A: 1\r\n".repeat(MAX_HEADERS + 1)),
        ] {
            let error = read([bytes.as_bytes()].into_iter(), false).unwrap_err();
            assert_eq!(kind(&error), "too_large", "{error}");
        }
        let bytes = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1{}", " ".repeat(5000));
        assert_eq!(kind(&read([bytes.as_bytes()].into_iter(), false).unwrap_err()), "malformed");
    }

    #[test]
    fn a_refusal_without_an_announced_end_is_as_good_as_complete() {
        let refused = |bytes: &str| {
            let mut input = Buffer::default();
            let mut reader = AnswerReader::new(LIMITS);
            input
                .fill(|space| {
                    space[..bytes.len()].copy_from_slice(bytes.as_bytes());
                    Ok(bytes.len())
                })
                .unwrap();
            assert!(!reader.feed(&mut input).unwrap());
            reader.refused_until_close()
        };
        assert!(refused("HTTP/1.0 407 No\r\n\r\nWho are you?"));
        assert!(!refused("HTTP/1.0 200 OK\r\n\r\n{"));
        assert!(!refused("HTTP/1.0 407 No\r\nContent-Length: 20\r\n\r\nWho are you?"));
    }

    #[test]
    fn behind_a_tunnel_nothing_belongs_to_its_answer() {
        let mut input = Buffer::default();
        let bytes = b"HTTP/1.1 200 Established\r\n\r\nHELLO";
        input
            .fill(|space| {
                space[..bytes.len()].copy_from_slice(bytes);
                Ok(bytes.len())
            })
            .unwrap();
        assert!(AnswerReader::for_tunnel(LIMITS).feed(&mut input).unwrap());
        assert_eq!(input.unread(), b"HELLO");
    }

    proptest! {
        #[test]
        fn it_does_not_matter_in_which_pieces_an_answer_comes(
            index in any::<prop::sample::Index>(),
            sizes in proptest::collection::vec(1usize..20, 1..40),
        ) {
            let table = table();
            let mut cases: Vec<(String, bool)> = table.answers.into_iter().map(|case| (case.bytes, case.closed)).collect();
            cases.extend(table.failures.into_iter().map(|case| (case.bytes, true)));
            let (bytes, closed) = index.get(&cases);
            let mut rest = bytes.as_bytes();
            let mut sizes = sizes.iter().cycle();
            let pieces = std::iter::from_fn(|| {
                let (piece, after) = rest.split_at(rest.len().min(*sizes.next()?));
                rest = after;
                (!piece.is_empty()).then_some(piece)
            });
            prop_assert_eq!(read(pieces, *closed), read([bytes.as_bytes()].into_iter(), *closed));
        }

        #[test]
        fn no_bytes_make_it_panic_or_exceed_its_limits(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let answered = [b"HTTP/1.1 200 OK\r\n".as_slice(), &bytes].concat();
            for bytes in [&bytes, &answered] {
                if let Ok((Some(answer), _)) = read(bytes.chunks(7), true) {
                    prop_assert!(answer.body.unwrap_or_default().len() <= LIMITS.body);
                }
            }
        }
    }
}
