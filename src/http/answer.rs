//! Reads an HTTP/1.1 answer, in whatever pieces it arrives.

use std::time::Duration;

use httparse::Status;

use crate::http::connection::Buffer;
use crate::http::head;

/// The maximum number of header lines.
const MAX_HEADERS: usize = 100;
/// The maximum total size of chunk extensions, in bytes.
const MAX_CHUNK_EXTENSIONS: usize = 16 * 1024;
/// The maximum number of digits in a chunk's size.
const CHUNK_DIGITS: usize = 16;
/// The number of bytes after which it is known whether an answer is HTTP.
const STATUS_LINE: usize = 32;

/// A complete answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status code, such as 202.
    pub status: u16,
    /// The head as received, from the status line to the empty line. If it has malformed fields, folded lines are
    /// unfolded and unreadable fields are removed.
    pub head: Vec<u8>,
    /// The body without its transfer coding; None if the status allows no body.
    pub body: Option<Vec<u8>>,
    /// Why the connection must not be reused; None if it may be.
    pub close: Option<CloseReason>,
    /// How long the server keeps an idle connection open (`Keep-Alive: timeout=`).
    pub idle_limit: Option<Duration>,
}

/// Why the connection is closed after an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseReason {
    /// The server sent `Connection: close`.
    Announced,
    /// The server uses HTTP/1.0 without `Connection: keep-alive`.
    Version,
    /// The end of the connection marks the end of the answer.
    End,
    /// The length of the answer is given twice, or in a way that its HTTP version does not have. A proxy may see
    /// another end of the answer, so the connection is not reused (RFC 9112, sections 6.1 and 6.3).
    Framing,
}

/// Limits on the size of an answer.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The maximum size of the head, including 1xx heads before it, and of the trailers, in bytes.
    pub head: usize,
    /// The maximum size of the body, in bytes.
    pub body: usize,
}

/// Why an answer cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// It is not valid HTTP.
    #[error("{0}")]
    Malformed(String),
    /// It exceeds a limit other than the body's.
    #[error("{0}")]
    TooLarge(String),
    /// Its body is larger than this limit, in bytes.
    #[error("the answer's body is larger than {0} bytes")]
    BodyTooLarge(usize),
    /// The connection was closed before the end of the answer.
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

/// Reads one answer. Pass it the connection's input as it arrives, until the answer is complete.
#[derive(Debug)]
pub struct AnswerReader {
    limits: Limits,
    /// Whether this is the answer to a CONNECT. It is read only up to the end of its head, where the tunnel or a
    /// proxy's error text begins.
    tunnel: bool,
    state: State,
    /// The size of the 1xx heads and empty lines before the answer, in bytes.
    announced: usize,
    /// The number of input bytes already searched for the end of the head, of the trailers or of a chunk's line.
    searched: usize,
    /// The total size of chunk extensions so far, in bytes.
    extensions: usize,
    answer: Answer,
}

impl AnswerReader {
    /// A reader for the answer to any method but CONNECT.
    pub fn new(limits: Limits) -> Self {
        let answer = Answer { status: 0, head: Vec::new(), body: None, close: None, idle_limit: None };
        let (announced, searched, extensions) = (0, 0, 0);
        Self { limits, tunnel: false, state: State::Head, announced, searched, extensions, answer }
    }

    /// A reader for the answer to a CONNECT.
    pub fn for_tunnel(limits: Limits) -> Self {
        Self { tunnel: true, ..Self::new(limits) }
    }

    /// The status, once it was received, even if the rest of the answer is missing or invalid.
    pub fn status(&self) -> Option<u16> {
        Some(self.answer.status).filter(|status| *status > 0)
    }

    /// The answer, after [`feed`](Self::feed) or [`end`](Self::end) returned true.
    pub fn into_answer(self) -> Answer {
        self.answer
    }

    /// Reads from `input`, and returns whether the answer is complete. Leaves bytes after the answer in `input`.
    ///
    /// # Errors
    /// [`AnswerError`] if `input` is not a valid HTTP answer or exceeds the limits.
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

    /// Whether this is a 4xx or 5xx whose body ends with the connection. Its status is reported even if the connection
    /// breaks within the body.
    pub fn refused_until_close(&self) -> bool {
        self.answer.status >= 400 && matches!(self.state, State::Body(Framing::UntilClose))
    }

    /// Handles the end of the connection. Returns true, as the answer is then complete.
    ///
    /// # Errors
    /// [`AnswerError::Cut`] if the answer is incomplete.
    pub fn end(&mut self, input: &Buffer) -> Result<bool, AnswerError> {
        match self.state {
            State::Complete => Ok(true),
            State::Body(Framing::UntilClose) => {
                self.state = State::Complete;
                Ok(true)
            }
            State::Body(_) => Err(AnswerError::Cut("in the middle of the answer's body")),
            State::Head if input.unread().is_empty() => Err(AnswerError::Cut("before an answer arrived")),
            State::Head => Err(AnswerError::Cut("in the middle of the answer's head")),
        }
    }

    fn read_head(&mut self, input: &mut Buffer) -> Result<bool, AnswerError> {
        let bytes = input.unread();
        if let [b'\n', ..] | [b'\r', b'\n', ..] = bytes {
            let empty_line = if bytes[0] == b'\n' { 1 } else { 2 };
            self.announce(empty_line, input);
            return Ok(true);
        }
        let length = head::length(bytes, self.searched);
        let limit = self.limits.head;
        let too_large = self.announced + length.unwrap_or(bytes.len()) > limit;
        // Input that is not HTTP may never end its head, so check the status line early. Only check bytes within the
        // limit: otherwise the error would depend on the pieces in which the answer arrives.
        if (too_large || length.is_none()) && self.searched < STATUS_LINE {
            self.read_status(&bytes[..bytes.len().min(limit.saturating_sub(self.announced))])?;
        }
        if too_large {
            return Err(AnswerError::TooLarge(format!("the answer's head is larger than {limit} bytes")));
        }
        let Some(length) = length else {
            self.searched = bytes.len();
            return Ok(false);
        };
        let bytes = &bytes[..length];
        let (tidied, mut again);
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let (bytes, head) = match parse(bytes, &mut headers) {
            Err(httparse::Error::HeaderName | httparse::Error::HeaderValue | httparse::Error::NewLine) => {
                self.read_status(bytes)?;
                tidied = tidy(bytes)?;
                again = [httparse::EMPTY_HEADER; MAX_HEADERS];
                (&tidied[..], parse(&tidied, &mut again))
            }
            parsed => (bytes, parsed),
        };
        let head = head.map_err(|error| unreadable(bytes, error))?;
        self.answer.status = head.code.unwrap_or_default();
        let Some(status @ 100..) = head.code else {
            return Err(AnswerError::Malformed("the answer's status is below 100".to_owned()));
        };
        // Skip 1xx heads. A 101 is an error, because no request asks to switch protocols.
        if (100..200).contains(&status) && status != 101 {
            self.announce(length, input);
            return Ok(true);
        }

        let headers = Headers(head.headers);
        let framing = match status {
            101 => {
                return Err(AnswerError::Malformed(
                    "the server switched protocols without being asked".to_owned(),
                ));
            }
            204 | 304 => None,
            _ if self.tunnel => None,
            _ => Some(framing(&headers)?),
        };
        self.answer.close = close_reason(status, framing, head.version == Some(1), &headers);
        self.answer.idle_limit = headers.get("keep-alive").and_then(idle_limit);
        self.answer.head = bytes.to_vec();
        self.proceed(length, input);

        match framing {
            None => self.state = State::Complete,
            Some(framing) => {
                let expected = if let Framing::Length(length) = framing { length } else { 0 };
                self.admit(expected)?;
                // Do not allocate a large body before it arrives, whatever the server announces.
                self.answer.body = Some(Vec::with_capacity(expected.min(64 * 1024) as usize));
                self.state = State::Body(framing);
            }
        }
        Ok(true)
    }

    /// Sets the status as soon as it was received.
    fn read_status(&mut self, bytes: &[u8]) -> Result<(), AnswerError> {
        let bytes = &bytes[..bytes.len().min(STATUS_LINE)];
        let mut headers = [httparse::EMPTY_HEADER; STATUS_LINE];
        let mut head = httparse::Response::new(&mut headers);
        if let Err(error @ (httparse::Error::Version | httparse::Error::Status)) = head.parse(bytes) {
            return Err(unreadable(bytes, error));
        }
        self.answer.status = head.code.unwrap_or(self.answer.status);
        Ok(())
    }

    /// Skips `length` bytes before the answer.
    fn announce(&mut self, length: usize, input: &mut Buffer) {
        self.announced += length;
        self.proceed(length, input);
    }

    /// Consumes `length` bytes of `input`.
    fn proceed(&mut self, length: usize, input: &mut Buffer) {
        self.searched = 0;
        input.consume(length);
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
            Framing::ChunkSize => {
                let Some((length, size)) = self.chunk_size(input.unread())? else { return Ok(false) };
                self.admit(size)?;
                self.proceed(length, input);
                State::Body(if size == 0 { Framing::Trailers } else { Framing::ChunkData(size) })
            }
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
                let bytes = input.unread();
                let length = head::length(bytes, self.searched);
                if length.unwrap_or(bytes.len()) > self.limits.head {
                    return Err(AnswerError::TooLarge("the answer's trailers are too large".to_owned()));
                }
                let Some(length) = length else {
                    self.searched = bytes.len();
                    return Ok(false);
                };
                head::tidied(&bytes[..length])
                    .map_err(|found| AnswerError::Malformed(format!("the answer's trailers have {found}")))?;
                self.proceed(length, input);
                State::Complete
            }
        };
        self.state = next;
        Ok(true)
    }

    /// The length of the first line of `bytes`, and the chunk size in it; None if the line is incomplete.
    fn chunk_size(&mut self, bytes: &[u8]) -> Result<Option<(usize, u64)>, AnswerError> {
        let digits = bytes.iter().take(CHUNK_DIGITS).take_while(|byte| byte.is_ascii_hexdigit()).count();
        let length =
            bytes[self.searched..].iter().position(|byte| *byte == b'\n').map(|at| self.searched + at + 1);
        // Without the digits and the line break.
        let extension = length.unwrap_or(bytes.len() + 1).saturating_sub(digits + 2);
        if self.extensions + extension > MAX_CHUNK_EXTENSIONS {
            return Err(AnswerError::TooLarge(format!(
                "the extensions of the answer's chunks are larger than {MAX_CHUNK_EXTENSIONS} bytes"
            )));
        }
        let Some(length) = length else {
            self.searched = bytes.len();
            return Ok(None);
        };
        self.extensions += extension;
        match httparse::parse_chunk_size(&bytes[..length]) {
            // httparse takes a missing size for 0.
            Ok(Status::Complete((_, size))) if digits > 0 => Ok(Some((length, size))),
            _ => Err(AnswerError::Malformed("a chunk of the answer has an invalid size".to_owned())),
        }
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

    /// Fails if `more` bytes would exceed the body's limit.
    fn admit(&self, more: u64) -> Result<(), AnswerError> {
        let read = self.answer.body.as_ref().map_or(0, Vec::len) as u64;
        let limit = self.limits.body;
        if read.saturating_add(more) > limit as u64 {
            return Err(AnswerError::BodyTooLarge(limit));
        }
        Ok(())
    }
}

fn parse<'h, 'b>(
    bytes: &'b [u8],
    headers: &'h mut [httparse::Header<'b>],
) -> Result<httparse::Response<'h, 'b>, httparse::Error> {
    let mut head = httparse::Response::new(headers);
    head.parse(bytes)?;
    Ok(head)
}

/// The head with its status line unchanged and its fields normalized.
fn tidy(head: &[u8]) -> Result<Vec<u8>, AnswerError> {
    let status_line = head.iter().position(|byte| *byte == b'\n').map_or(head.len(), |at| at + 1);
    let (status_line, fields) = head.split_at(status_line);
    match head::tidied(fields) {
        Ok(fields) => Ok([status_line, &fields].concat()),
        Err(found) => Err(AnswerError::Malformed(format!("the answer's head has {found}"))),
    }
}

fn unreadable(bytes: &[u8], error: httparse::Error) -> AnswerError {
    match error {
        httparse::Error::TooManyHeaders => {
            AnswerError::TooLarge(format!("the answer has more than {MAX_HEADERS} header lines"))
        }
        // A TLS alert.
        _ if bytes.first() == Some(&0x15) => {
            AnswerError::Malformed("the answer is TLS: the URL should begin with https://".to_owned())
        }
        error => AnswerError::Malformed(format!("the answer is not HTTP ({error})")),
    }
}

/// Why the connection is closed after such an answer.
fn close_reason(
    status: u16,
    framing: Option<Framing>,
    http_1_1: bool,
    headers: &Headers<'_>,
) -> Option<CloseReason> {
    let (coding, length) = (headers.get("transfer-encoding"), headers.get("content-length"));
    let ambiguous = match coding {
        Some(_) => !http_1_1 || length.is_some() || status == 204,
        None => status == 204 && length.is_some_and(|length| length != b"0"),
    };
    if framing == Some(Framing::UntilClose) {
        Some(CloseReason::End)
    } else if ambiguous {
        Some(CloseReason::Framing)
    } else if headers.has_token("connection", "close") {
        Some(CloseReason::Announced)
    } else if !http_1_1 && !headers.has_token("connection", "keep-alive") {
        Some(CloseReason::Version)
    } else {
        None
    }
}

/// How the end of the body is determined (RFC 9112, section 6.3).
fn framing(headers: &Headers<'_>) -> Result<Framing, AnswerError> {
    let mut codings = headers.all("transfer-encoding").map(<[u8]>::to_ascii_lowercase);
    match (codings.next().as_deref(), codings.next()) {
        (None | Some(b"identity"), None) => {}
        (Some(b"chunked"), None) => return Ok(Framing::ChunkSize),
        _ => {
            return Err(AnswerError::Malformed("the answer has an unsupported transfer coding".to_owned()));
        }
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
        Some(_) => Err(AnswerError::Malformed("the answer's Content-Length is invalid".to_owned())),
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
        close: Option<String>,
        headers: Option<std::collections::HashMap<String, String>>,
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

    /// Feeds one piece, as from one read.
    fn feed(reader: &mut AnswerReader, input: &mut Buffer, piece: &[u8]) -> Result<bool, AnswerError> {
        let filled = input.fill(|space| {
            space[..piece.len()].copy_from_slice(piece);
            Ok(piece.len())
        });
        assert_eq!(filled.unwrap(), piece.len());
        reader.feed(input)
    }

    /// Reads `pieces` as if from the network, and then the end of the connection if `closed`.
    fn read<'a>(
        pieces: impl Iterator<Item = &'a [u8]>,
        closed: bool,
    ) -> Result<(Option<Answer>, Vec<u8>), AnswerError> {
        let mut reader = AnswerReader::new(LIMITS);
        let mut input = Buffer::default();
        let mut complete = false;
        for piece in pieces {
            complete = feed(&mut reader, &mut input, piece)?;
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
            let close = answer.close.map(|reason| format!("{reason:?}").to_lowercase());
            assert_eq!(close, case.close, "{}", case.name);
            if let Some(headers) = case.headers {
                let head = String::from_utf8(answer.head).unwrap();
                let lines = head.lines().skip(1).filter_map(|line| line.split_once(':'));
                let fields =
                    lines.map(|(name, value)| (name.to_lowercase(), value.trim().to_owned())).collect();
                assert_eq!(headers, fields, "{}", case.name);
            }
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
    }

    #[test]
    fn an_answer_with_several_errors_reports_the_first() {
        let announced =
            |length: usize| format!("HTTP/1.1 103 Early\r\nX: {}\r\n\r\n", "x".repeat(length - 27));
        for (end_within_limit, expected) in [(8, "too_large"), (9, "malformed"), (40, "malformed")] {
            let bytes =
                announced(LIMITS.head - end_within_limit) + "HTTP/1.0x200 OK\r\nContent-Length: 2\r\n\r\n{}";
            for size in [1, 7, 32, 16_384] {
                let error = read(bytes.as_bytes().chunks(size), false).unwrap_err();
                assert_eq!(kind(&error), expected, "{end_within_limit}, in pieces of {size}: {error}");
            }
        }
    }

    #[test]
    fn chunks_may_have_extensions_up_to_a_limit_in_all() {
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        let chunk = |length| format!("1;{}\r\nx\r\n", "e".repeat(length - 1));
        let half = MAX_CHUNK_EXTENSIONS / 2;
        for (chunks, fine) in [
            (chunk(half) + &chunk(half) + "0\r\n\r\n", true),
            (chunk(half) + &chunk(half) + "0 \r\n\r\n", false),
            (chunk(half) + &chunk(half + 1), false),
            (format!("1{}", " ".repeat(MAX_CHUNK_EXTENSIONS + 2)), false),
            ("1".repeat(MAX_CHUNK_EXTENSIONS + 19), false),
        ] {
            for size in [1, 5000, 16_384] {
                let bytes = chunked.to_owned() + &chunks;
                match read(bytes.as_bytes().chunks(size), false) {
                    Ok((answer, _)) => assert!(fine && answer.is_some(), "{}", chunks.len()),
                    Err(error) => assert_eq!((fine, kind(&error)), (false, "too_large"), "{error}"),
                }
            }
        }
    }

    #[test]
    fn the_status_is_known_as_soon_as_it_has_come() {
        let status = |bytes: &str| {
            let mut reader = AnswerReader::new(LIMITS);
            let mut input = Buffer::default();
            for byte in bytes.as_bytes() {
                if feed(&mut reader, &mut input, &[*byte]).is_err() {
                    break;
                }
            }
            reader.status()
        };
        assert_eq!(status("HTTP/1.1 20"), None);
        assert_eq!(status("HTTP/1.1 202"), Some(202));
        assert_eq!(status("HTTP/1.1 202 Accepted\r\nContent-Length: x\r\n\r\n"), Some(202));
        assert_eq!(status("HTTP/1.1 202 Accepted\r\nContent-Length : 2\r\n\r\n"), Some(202));
        assert_eq!(status("HTTP/1.1 202 Accepted\r\nContent-Length: 9\r\n\r\n{}"), Some(202));
        assert_eq!(status("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 503"), Some(503));
        assert_eq!(status("SSH-2.0-OpenSSH_9\r\n"), None);
    }

    #[test]
    fn a_head_that_arrives_byte_by_byte_is_parsed_once() {
        let limits = Limits { head: 64 * 1024, ..LIMITS };
        let field = format!("X: {}\r\n", "x".repeat(600));
        let head = format!("HTTP/1.1 200 OK\r\n{}Content-Length: 0\r\n\r\n", field.repeat(98));
        let mut reader = AnswerReader::new(limits);
        let mut input = Buffer::default();
        let started = std::time::Instant::now();
        let mut complete = false;
        for byte in head.as_bytes() {
            complete = feed(&mut reader, &mut input, &[*byte]).unwrap();
        }
        assert!(complete);
        // This takes 0.1 s without optimizations; parsing the head again for each byte would take 30 s.
        assert!(started.elapsed() < std::time::Duration::from_secs(5));
    }

    #[test]
    fn an_error_status_without_a_length_needs_no_complete_body() {
        let refused = |bytes: &str| {
            let mut reader = AnswerReader::new(LIMITS);
            assert!(!feed(&mut reader, &mut Buffer::default(), bytes.as_bytes()).unwrap());
            reader.refused_until_close()
        };
        assert!(refused("HTTP/1.0 407 No\r\n\r\nWho are you?"));
        assert!(!refused("HTTP/1.0 200 OK\r\n\r\n{"));
        assert!(!refused("HTTP/1.0 407 No\r\nContent-Length: 20\r\n\r\nWho are you?"));
    }

    #[test]
    fn the_answer_to_connect_ends_with_its_head() {
        for head in [
            "200 Established",
            "407 No",
            "502 No\r\nTransfer-Encoding: chunked",
            "403 No\r\nContent-Length: 5",
        ] {
            let mut input = Buffer::default();
            let bytes = format!("HTTP/1.1 {head}\r\n\r\nHELLO");
            assert!(feed(&mut AnswerReader::for_tunnel(LIMITS), &mut input, bytes.as_bytes()).unwrap());
            assert_eq!(input.unread(), b"HELLO");
        }
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
