//! One attempt of a request: a non-blocking state machine.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::io::Errno;

use crate::http::answer::{Answer, AnswerReader};
use crate::http::connection::Connection;
use crate::http::dial::{Dial, Dialled};
use crate::http::error::{Cause, ErrorKind, NetworkError, Phase, seconds};
use crate::http::exchange::Exchange;
use crate::http::failure::Failure;
use crate::http::guard::Refusal;
use crate::http::local::Local;
use crate::http::settings::{IpVersion, Settings, Timeouts};
use crate::http::tls;
use crate::http::url::url_host;
use crate::http::wait::{Interest, ResolveError, Wait};
use crate::secret::Secret;

/// The outcome of an attempt.
#[derive(Debug)]
pub struct Outcome {
    /// The answer, or the error.
    pub answer: Result<Answer, NetworkError>,
    /// The time since the attempt began.
    pub elapsed: Duration,
    /// Whether the connection had served an earlier request.
    pub reused: bool,
    /// How often a dead idle connection was replaced: 0 or 1.
    pub reconnects: u32,
    /// The number of bytes sent; with TLS, the bytes of its records.
    pub sent: usize,
    /// The number of bytes received; with TLS, the bytes of its records.
    pub received: usize,
}

/// What an attempt needs next.
#[derive(Debug)]
pub enum Step<'a> {
    /// The host's addresses: call [`Attempt::resolved`].
    Resolve {
        /// The host.
        host: &'a str,
        /// When to give up.
        until: Instant,
    },
    /// A socket: call [`Attempt::advance`] when it is ready, or at `until`.
    Wait {
        /// The socket.
        fd: BorrowedFd<'a>,
        /// What to wait for.
        interest: Interest,
        /// When to stop waiting.
        until: Instant,
    },
    /// Nothing: the attempt has ended.
    Done(Outcome),
}

/// One running attempt. Dropping it closes its connection; after an answer, the connection is in the pool.
pub struct Attempt {
    settings: Arc<Settings>,
    local: Arc<Local>,
    request: Secret,
    repeatable: bool,
    timeouts: Timeouts,
    deadline: Option<Instant>,
    started: Instant,
    reused: bool,
    reconnects: u32,
    sent: usize,
    received: usize,
    /// Whether the server has accepted a request that must not be sent twice.
    taken: bool,
    /// The address of a new connection.
    address: Option<IpAddr>,
    stage: Stage,
}

enum Stage {
    /// Not begun, or begun again after a reused connection failed.
    Start,
    /// Waiting for the host's addresses.
    Resolving {
        until: Instant,
    },
    Connecting(Dial),
    /// CONNECT is sent to the proxy.
    Tunnelling {
        connection: Connection,
        ask: Secret,
        talk: Exchange,
        until: Instant,
    },
    Handshaking {
        connection: Connection,
        until: Instant,
    },
    Talking {
        connection: Connection,
        talk: Exchange,
    },
    Over,
}

/// The result of one move of the state machine.
enum Move {
    /// Reached another stage.
    On,
    Resolve(Instant),
    Wait(Interest, Instant),
    Answered(Answer),
}

impl Attempt {
    pub(crate) fn new(
        settings: Arc<Settings>,
        local: Arc<Local>,
        request: Secret,
        repeatable: bool,
        timeouts: Timeouts,
        deadline: Option<Instant>,
    ) -> Self {
        Self {
            settings,
            local,
            request,
            repeatable,
            timeouts,
            deadline,
            started: Instant::now(),
            reused: false,
            reconnects: 0,
            sent: 0,
            received: 0,
            taken: false,
            address: None,
            stage: Stage::Start,
        }
    }

    /// The request's header lines as sent, each with its line break.
    pub fn headers(&self) -> &[u8] {
        let position =
            |pattern: &[u8]| self.request.windows(pattern.len()).position(|bytes| bytes == pattern);
        match (position(b"\r\n"), position(b"\r\n\r\n")) {
            (Some(line), Some(end)) => &self.request[line + 2..end + 2],
            _ => &[],
        }
    }

    /// Proceeds as far as possible without waiting, and returns what to wait for.
    pub fn advance(&mut self) -> Step<'_> {
        let (interest, until) = loop {
            match self.step(Instant::now()) {
                Ok(Move::On) => {}
                Ok(Move::Resolve(until)) => break (None, self.cap(until)),
                Ok(Move::Wait(interest, until)) => break (Some(interest), self.cap(until)),
                Ok(Move::Answered(answer)) => return Step::Done(self.outcome(Ok(answer))),
                Err(failure) => return Step::Done(self.outcome(Err(self.error(failure)))),
            }
        };
        let fd = match &self.stage {
            Stage::Connecting(dial) => dial.fd(),
            Stage::Tunnelling { connection, .. }
            | Stage::Handshaking { connection, .. }
            | Stage::Talking { connection, .. } => Some(connection.fd()),
            _ => None,
        };
        match (interest, fd) {
            (Some(interest), Some(fd)) => Step::Wait { fd, interest, until },
            _ => Step::Resolve { host: self.peer().0, until },
        }
    }

    /// Passes the addresses that [`Step::Resolve`] asks for.
    pub fn resolved(&mut self, addresses: Result<Vec<IpAddr>, ResolveError>) {
        let Stage::Resolving { until } = self.stage else { return };
        let connecting = match addresses {
            Ok(addresses) => {
                self.local.remember(Some(addresses.clone()));
                self.connecting(addresses, until)
            }
            Err(ResolveError::Failed { kind, name, message }) => {
                let advice = if kind == ErrorKind::Dns { ": check its spelling and the DNS" } else { "" };
                let message = format!("the name cannot be resolved ({message}){advice}");
                let failure = Failure::new(kind, Phase::Resolve, Cause::Named(name), message);
                Dial::new(Vec::new(), failure, Instant::now(), until)
            }
            // The next move reports the timeout.
            Err(ResolveError::TimedOut) => return,
        };
        self.stage = Stage::Connecting(connecting);
    }

    /// Runs the attempt to its end. `wait` does the waiting.
    ///
    /// # Errors
    /// Those of `wait`. The attempt can be continued after an error.
    pub fn run<W: Wait>(&mut self, wait: &mut W) -> Result<Outcome, W::Stop> {
        loop {
            match self.advance() {
                Step::Wait { fd, interest, until } => wait.wait(fd, interest, until)?,
                Step::Resolve { host, until } => {
                    let addresses = wait.resolve(host, until)?;
                    self.resolved(addresses);
                }
                Step::Done(outcome) => return Ok(outcome),
            }
        }
    }

    fn step(&mut self, now: Instant) -> Result<Move, Failure> {
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Start => {
                let idle = if self.reconnects == 0 { self.local.pool.take(now) } else { None };
                self.stage = match idle {
                    Some(connection) => {
                        self.local.stats.reused.add(1);
                        self.talking(connection, now)?
                    }
                    None => self.looking_up(now),
                };
                Ok(Move::On)
            }
            Stage::Resolving { until } => {
                self.in_time(until, now, Phase::Resolve)?;
                self.stage = Stage::Resolving { until };
                Ok(Move::Resolve(until))
            }
            Stage::Connecting(mut dial) => match dial.step(now)? {
                Dialled::Connected(socket, address) => {
                    self.address = Some(address);
                    self.local.stats.opened.add(1);
                    self.stage = self.connected(Connection::new(socket), dial.until, now)?;
                    Ok(Move::On)
                }
                Dialled::Waiting(until) => {
                    self.in_time(dial.until, now, Phase::Connect)?;
                    self.stage = Stage::Connecting(dial);
                    Ok(Move::Wait(Interest::Write, until))
                }
            },
            Stage::Tunnelling { mut connection, ask, mut talk, until } => {
                let wait =
                    talk.step(&mut connection, &ask, self.timeouts, now).map_err(Failure::in_tunnel)?;
                if let Some(interest) = wait {
                    self.in_time(until, now, Phase::Proxy)?;
                    self.stage = Stage::Tunnelling { connection, ask, talk, until };
                    return Ok(Move::Wait(interest, until));
                }
                match talk.reader.into_answer().status {
                    // Bytes after the answer would be taken for the server's, from before the TLS handshake.
                    200..300 if !connection.input.unread().is_empty() => {
                        return Err(Failure::talkative_proxy());
                    }
                    200..300 => self.stage = self.handshaking(connection, until)?,
                    status => return Err(Failure::refused_by_proxy(status)),
                }
                Ok(Move::On)
            }
            Stage::Handshaking { mut connection, until } => {
                let wait = connection.handshake().map_err(|error| Failure::io(Phase::Tls, &error))?;
                if let Some(interest) = wait {
                    self.in_time(until, now, Phase::Tls)?;
                    self.stage = Stage::Handshaking { connection, until };
                    return Ok(Move::Wait(interest, until));
                }
                self.stage = self.talking(connection, now)?;
                Ok(Move::On)
            }
            Stage::Talking { mut connection, mut talk } => {
                let step = talk.step(&mut connection, &self.request, self.timeouts, now);
                self.taken = !self.repeatable
                    && talk.reader.status().is_some_and(|status| (200..300).contains(&status));
                if !matches!(step, Ok(Some(_))) {
                    self.count(&connection);
                }
                match step {
                    Ok(Some(interest)) => {
                        let until = talk.until;
                        self.in_time(until, now, if talk.sent { Phase::Read } else { Phase::Write })?;
                        self.stage = Stage::Talking { connection, talk };
                        Ok(Move::Wait(interest, until))
                    }
                    Ok(None) => {
                        if let Some(address) = self.address {
                            self.local.answered(address);
                        }
                        let complete = talk.sent && talk.broken.is_none();
                        let answer = talk.reader.into_answer();
                        if complete && answer.close.is_none() {
                            self.local.pool.put(connection, answer.idle_limit, now);
                        }
                        Ok(Move::Answered(answer))
                    }
                    Err(failure) if self.may_reconnect(&connection, &talk, &failure) => {
                        if failure.kind == ErrorKind::Reset {
                            self.local.pool.clear();
                        }
                        self.reconnects += 1;
                        self.stage = Stage::Start;
                        Ok(Move::On)
                    }
                    Err(failure) => Err(failure),
                }
            }
            Stage::Over => {
                Err(Failure::new(ErrorKind::Io, Phase::Read, Cause::Other, "this attempt has ended"))
            }
        }
    }

    fn count(&mut self, connection: &Connection) {
        (self.sent, self.received) = (connection.sent, connection.received);
        self.local.stats.sent.add(connection.sent);
        self.local.stats.received.add(connection.received);
    }

    /// Whether an idle connection was dead. The request is then sent on a new connection, within the same attempt.
    fn may_reconnect(&self, connection: &Connection, talk: &Exchange, failure: &Failure) -> bool {
        self.reused
            && self.reconnects == 0
            && !talk.heard
            && matches!(failure.kind, ErrorKind::Eof | ErrorKind::Reset)
            && (self.repeatable || connection.sent == 0)
    }

    fn talking(&mut self, mut connection: Connection, now: Instant) -> Result<Stage, Failure> {
        let until = now + self.timeouts.write;
        // Do not send a request if its deadline has passed.
        self.in_time(until, now, Phase::Connect)?;
        self.reused = connection.reused;
        (connection.sent, connection.received) = (0, 0);
        let reader = AnswerReader::new(self.settings.limits);
        Ok(Stage::Talking { connection, talk: Exchange::new(reader, until) })
    }

    fn looking_up(&self, now: Instant) -> Stage {
        let until = self.cap(now + self.timeouts.open);
        let settings = &*self.settings;
        let checked = settings.guard.as_ref().map_or(Ok(None), |guard| guard.check_url(&settings.endpoint));
        let address = match checked {
            Err(refusal) => {
                return Stage::Connecting(Dial::new(Vec::new(), Failure::guarded(refusal), now, until));
            }
            // Connects to what was checked: a resolver may read unusual notations in another way.
            Ok(Some(address)) if settings.proxy.is_none() => Some(address),
            Ok(_) => self.peer().0.parse().ok(),
        };
        if let Some(address) = address {
            return Stage::Connecting(self.connecting(vec![address], until));
        }
        match self.local.addresses() {
            Some(addresses) => Stage::Connecting(self.connecting(addresses, until)),
            None => Stage::Resolving { until },
        }
    }

    fn connecting(&self, mut addresses: Vec<IpAddr>, until: Instant) -> Dial {
        let wanted = self.settings.ip_version;
        if let Err(refusal) = self.guarded(&addresses) {
            return Dial::new(Vec::new(), Failure::guarded(refusal), Instant::now(), until);
        }
        self.local.sort(&mut addresses);
        let addresses: Vec<SocketAddr> = addresses
            .into_iter()
            .filter(|address| wanted.is_none_or(|version| (version == IpVersion::V4) == address.is_ipv4()))
            .map(|address| SocketAddr::new(address, self.peer().1))
            .collect();
        Dial::new(addresses, Failure::no_address(wanted), Instant::now(), until)
    }

    /// Checks the addresses that the socket may connect to, also those that were resolved for an earlier attempt. The
    /// addresses of a proxy are not the endpoint's.
    fn guarded(&self, addresses: &[IpAddr]) -> Result<(), Refusal> {
        let Settings { guard, endpoint, proxy, .. } = &*self.settings;
        match (guard, proxy) {
            (Some(guard), None) => guard.check(addresses, endpoint.tls),
            _ => Ok(()),
        }
    }

    fn connected(&self, connection: Connection, until: Instant, now: Instant) -> Result<Stage, Failure> {
        let settings = &*self.settings;
        let Some(proxy) = settings.proxy.as_ref().filter(|_| settings.endpoint.tls) else {
            return self.handshaking(connection, until);
        };
        let target = format!("{}:{}", settings.endpoint.url_host(), settings.endpoint.port);
        let head = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n");
        let authorization = match &proxy.authorization {
            Some(value) => ["Proxy-Authorization: ", value.as_str(), "\r\n"],
            None => [""; 3],
        };
        let [name, value, end] = authorization.map(str::as_bytes);
        let ask = Secret::concat(&[head.as_bytes(), name, value, end, b"\r\n"]);
        let talk = Exchange::new(AnswerReader::for_tunnel(settings.limits), now + self.timeouts.open);
        Ok(Stage::Tunnelling { connection, ask, talk, until })
    }

    /// Begins the TLS handshake for an https URL.
    fn handshaking(&self, mut connection: Connection, until: Instant) -> Result<Stage, Failure> {
        let settings = &*self.settings;
        if let Some(config) = &self.local.tls {
            let session = config.clone().and_then(|config| tls::session(&config, &settings.endpoint.host));
            connection.wrap(session.map_err(|error| Failure::tls(error.to_string()))?);
        }
        Ok(Stage::Handshaking { connection, until })
    }

    /// Host and port that the socket connects to: the proxy's, if there is one.
    fn peer(&self) -> (&str, u16) {
        let settings = &*self.settings;
        match &settings.proxy {
            Some(proxy) => (&proxy.host, proxy.port),
            None => (&settings.endpoint.host, settings.endpoint.port),
        }
    }

    fn cap(&self, until: Instant) -> Instant {
        self.deadline.map_or(until, |deadline| deadline.min(until))
    }

    /// Fails if `until`, the limit of this phase, or the deadline of the whole delivery has passed.
    fn in_time(&self, until: Instant, now: Instant, phase: Phase) -> Result<(), Failure> {
        if self.deadline.is_some_and(|deadline| deadline <= now) {
            let elapsed = seconds(now.saturating_duration_since(self.started));
            let message = format!(
                "the time limit for all attempts (total_timeout) was reached after {elapsed} of this one"
            );
            return Err(Failure::timeout(phase, message));
        }
        if now < until {
            return Ok(());
        }
        let Timeouts { open, read, write } = self.timeouts;
        let message = match phase {
            Phase::Write => format!("nothing could be sent for {} (write_timeout)", seconds(write)),
            Phase::Read => format!("no answer for {} (read_timeout)", seconds(read)),
            Phase::Tls => format!("no TLS connection within {} (open_timeout)", seconds(open)),
            Phase::Proxy => format!("no tunnel through the proxy within {} (open_timeout)", seconds(open)),
            Phase::Resolve | Phase::Connect => {
                format!("no connection within {} (open_timeout)", seconds(open))
            }
        };
        Err(Failure::timeout(phase, message))
    }

    /// The outcome with this answer, which may come from an interceptor.
    pub fn outcome(&self, answer: Result<Answer, NetworkError>) -> Outcome {
        let Self { reused, reconnects, sent, received, .. } = *self;
        Outcome { answer, elapsed: self.started.elapsed(), reused, reconnects, sent, received }
    }

    /// The outcome if the caller cannot wait because of the system error with this number.
    pub fn lacking(&self, number: i32) -> Outcome {
        let error = io::Error::from_raw_os_error(number);
        self.outcome(Err(self.error(Failure::io(Phase::Connect, &error))))
    }

    /// Begins again if `outcome` is a lack of descriptors or memory for a socket or for reading certificates. Returns
    /// whether it does.
    pub fn begin_again(&mut self, outcome: &Outcome) -> bool {
        let Err(NetworkError { phase: Phase::Connect | Phase::Tls, cause: Cause::System(number), .. }) =
            outcome.answer
        else {
            return false;
        };
        let lacks = [Errno::MFILE, Errno::NFILE, Errno::NOMEM].contains(&Errno::from_raw_os_error(number));
        let again = lacks && matches!(self.stage, Stage::Over);
        if again {
            self.stage = Stage::Start;
        }
        again
    }

    /// Updates what later attempts know about addresses and connections.
    fn learn(&self, failure: &Failure) {
        let broken = matches!(failure.kind, ErrorKind::Timeout | ErrorKind::Reset);
        match (failure.phase, self.address) {
            (Phase::Resolve | Phase::Connect, _) => self.local.remember(None),
            (_, Some(address)) if failure.kind != ErrorKind::TooLarge => self.local.failed(address),
            // If one idle connection is dead, a load balancer or the network has probably dropped all of them.
            (Phase::Write | Phase::Read, None) if broken => self.local.pool.clear(),
            _ => {}
        }
    }

    fn error(&self, failure: Failure) -> NetworkError {
        self.learn(&failure);
        let Failure { kind, phase, cause, message } = failure;
        let Settings { endpoint, proxy, .. } = &*self.settings;
        let server = format!("{}:{}", url_host(&endpoint.host), endpoint.port);
        let proxy = proxy.as_ref().filter(|_| kind != ErrorKind::Guarded);
        let (host, port, place) = match (proxy, phase) {
            (None, _) => (&endpoint.host, endpoint.port, server),
            (Some(proxy), Phase::Resolve | Phase::Connect | Phase::Proxy) => {
                (&proxy.host, proxy.port, format!("proxy {}", proxy.label()))
            }
            (Some(proxy), _) => {
                let place = format!("through the proxy {}, {server}", proxy.label());
                (&endpoint.host, endpoint.port, place)
            }
        };
        let fate = match phase {
            Phase::Write | Phase::Read if self.taken => "; the server has taken the request",
            Phase::Write | Phase::Read if kind != ErrorKind::TooLarge => {
                "; the server may have taken the request"
            }
            _ => "",
        };
        let message = format!("{place}: {message}{fate}");
        NetworkError {
            kind,
            phase,
            host: host.clone(),
            port,
            elapsed: self.started.elapsed(),
            cause,
            taken: self.taken,
            message,
        }
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        // The caller may have stopped waiting for a dead idle connection, by a timeout of its own. `abandon`, because
        // in a forked child the pool may stay locked for ever.
        match &self.stage {
            Stage::Talking { talk, .. } if self.reused && !talk.heard => self.local.pool.abandon(),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::thread;

    use crate::http::guard::Guard;
    use crate::http::proxy::Proxy;
    use crate::http::testing::{
        ACCEPTED, Plain, SCHEMES, TIMEOUTS, request, send, send_within, serve, serve_scripts, settings,
        status, to, transport, unsigned,
    };

    #[test]
    fn headers_are_those_sent() {
        let attempt = to("http", 80).attempt(request(b"a\r\n\r\nb"), 1_700_000_000, TIMEOUTS, None);
        let headers = std::str::from_utf8(attempt.headers()).unwrap();
        assert!(headers.starts_with("Host: 127.0.0.1\r\n"), "{headers}");
        assert!(headers.contains("\r\nX-SimpleConnect-Timestamp: 1700000000\r\n"), "{headers}");
        assert!(headers.ends_with("\r\nContent-Length: 6\r\n"), "{headers}");
    }

    #[test]
    fn a_connection_is_used_again() {
        for scheme in SCHEMES {
            let (port, seen) = serve_scripts(scheme, vec![vec![ACCEPTED, ACCEPTED]]);
            let transport = to(scheme, port);
            assert_eq!(status(send(&transport)), (202, false, 0));
            assert_eq!(status(send(&transport)), (202, true, 0));
            assert_eq!(seen.iter().collect::<Vec<_>>(), [0, 0], "{scheme}");
        }
    }

    #[test]
    fn a_connection_that_dies_under_a_request_is_replaced_once() {
        for scheme in SCHEMES {
            let (port, seen) = serve_scripts(scheme, vec![vec![ACCEPTED, b""], vec![ACCEPTED]]);
            let transport = to(scheme, port);
            assert_eq!(status(send(&transport)), (202, false, 0));
            assert_eq!(status(send(&transport)), (202, false, 1));
            assert_eq!(seen.iter().collect::<Vec<_>>(), [0, 0, 1], "{scheme}");
        }
    }

    #[test]
    fn a_request_that_must_not_be_repeated_is_sent_once() {
        for scheme in SCHEMES {
            let (port, _seen) = serve_scripts(scheme, vec![vec![ACCEPTED, b""], vec![ACCEPTED]]);
            let transport = transport(unsigned(&format!("{scheme}://127.0.0.1:{port}/events")));
            assert_eq!(status(send(&transport)), (202, false, 0));
            let outcome = send(&transport);
            assert_eq!(
                (outcome.answer.unwrap_err().kind, outcome.reconnects),
                (ErrorKind::Eof, 0),
                "{scheme}"
            );
        }
    }

    #[test]
    fn a_new_connection_that_dies_is_not_replaced() {
        for scheme in SCHEMES {
            let (port, _seen) = serve_scripts(scheme, vec![vec![b""], vec![ACCEPTED]]);
            let outcome = send(&to(scheme, port));
            assert_eq!(
                (outcome.answer.unwrap_err().kind, outcome.reconnects),
                (ErrorKind::Eof, 0),
                "{scheme}"
            );
        }
    }

    #[test]
    fn a_connection_with_more_than_an_answer_is_not_used_again() {
        let twice = b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\n{}HTTP/1.1 500 Stale\r\nContent-Length: 0\r\n\r\n";
        for scheme in SCHEMES {
            let (port, _seen) = serve_scripts(scheme, vec![vec![twice], vec![ACCEPTED]]);
            let transport = to(scheme, port);
            assert_eq!(status(send(&transport)), (202, false, 0));
            assert_eq!(status(send(&transport)), (202, false, 0), "{scheme}");
        }
    }

    /// Sends one request to `url` with this guard, where every name resolves to `addresses`.
    fn send_guarded(url: &str, guard: Guard, proxy: Option<Proxy>, addresses: &[&str]) -> Outcome {
        let transport = transport(Settings { guard: Some(guard), proxy, ..settings(url) });
        let mut attempt = transport.attempt(request(b"body"), 0, TIMEOUTS, None);
        let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
        let Ok(outcome) = attempt.run(&mut Plain(addresses));
        outcome
    }

    fn refusal(outcome: &Outcome) -> Option<Refusal> {
        match outcome.answer.as_ref().unwrap_err() {
            NetworkError { kind: ErrorKind::Guarded, cause: Cause::Refused(refusal), .. } => Some(*refusal),
            _ => None,
        }
    }

    #[test]
    fn the_guard_refuses_before_it_connects() {
        for scheme in SCHEMES {
            let (port, seen) = serve_scripts(scheme, vec![vec![ACCEPTED]]);
            let http = || Guard { http: true, ..Guard::default() };
            for host in ["127.0.0.1", "127.1", "2130706433", "localhost", "[::1]", "[::ffff:127.0.0.1]"] {
                let url = format!("{scheme}://{host}:{port}/events");
                let outcome = send_guarded(&url, http(), None, &["127.0.0.1"]);
                assert_eq!(refusal(&outcome), Some(Refusal::Private), "{url}");
            }
            let url = format!("{scheme}://app.example:{port}/events");
            for addresses in
                [&["127.0.0.1"][..], &["8.8.8.8", "127.0.0.1"], &["127.0.0.1", "8.8.8.8"], &["::1"]]
            {
                let outcome = send_guarded(&url, http(), None, addresses);
                assert_eq!(refusal(&outcome), Some(Refusal::Private), "{addresses:?}");
                let error = outcome.answer.unwrap_err();
                assert!(!error.transient());
                assert!(error.message.starts_with(&format!("app.example:{port}: the guard refuses it")));
            }
            let internal = || Guard { internal: true, ..Guard::default() };
            assert_eq!(status(send_guarded(&url, internal(), None, &["127.0.0.1"])), (202, false, 0));
            assert_eq!(seen.iter().take(1).collect::<Vec<_>>(), [0], "{scheme}");
        }
    }

    #[test]
    fn the_guard_checks_addresses_that_were_resolved_before() {
        let guard = Some(Guard { http: true, ..Guard::default() });
        let transport = transport(Settings { guard, ..settings("http://app.example/events") });
        let attempt = transport.attempt(request(b"body"), 0, TIMEOUTS, None);
        attempt.local.remember(Some(vec!["127.0.0.1".parse().unwrap()]));
        assert_eq!(refusal(&send(&transport)), Some(Refusal::Private));
    }

    #[test]
    fn the_guard_checks_only_the_url_of_an_endpoint_behind_a_proxy() {
        let (port, _seen) = serve_scripts("http", vec![vec![ACCEPTED]]);
        let proxy = || Some(Proxy::parse(&format!("http://127.0.0.1:{port}")).unwrap());
        let http = || Guard { http: true, ..Guard::default() };
        let outcome = send_guarded("http://0x7f.1/events", http(), proxy(), &[]);
        assert_eq!(refusal(&outcome), Some(Refusal::Private));
        assert_eq!(outcome.answer.unwrap_err().host, "0x7f.1");
        let outcome = send_guarded("http://app.example/events", Guard::default(), proxy(), &[]);
        assert_eq!(refusal(&outcome), Some(Refusal::Cleartext));
        assert_eq!(status(send_guarded("http://app.example/events", http(), proxy(), &[])), (202, false, 0));
    }

    /// An answer with a body of `count` bytes.
    fn answer(count: usize) -> Vec<u8> {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {count}\r\n\r\n");
        [head.as_bytes(), &vec![b'x'; count]].concat()
    }

    #[test]
    fn a_connection_with_more_behind_a_full_record_is_not_used_again() {
        for scheme in SCHEMES {
            let port = serve(scheme, |number, mut wire| {
                if number == 0 && wire.request().is_some() {
                    // The answer fills a TLS record to the last byte; the unrequested one is the next record.
                    let full = answer(16_384 - answer(10_000).len() + 10_000);
                    wire.send(&[&full[..], b"HTTP/1.1 500 Stale\r\nContent-Length: 0\r\n\r\n"].concat())
                        .unwrap();
                }
                while wire.request().is_some() {
                    wire.send(ACCEPTED).unwrap();
                }
            });
            let transport = to(scheme, port);
            assert_eq!(status(send(&transport)), (200, false, 0));
            assert_eq!(status(send(&transport)), (202, false, 0), "{scheme}");
        }
    }

    #[test]
    fn a_connection_with_half_of_something_behind_the_answer_is_not_used_again() {
        const STALE: &[u8] = b"HTTP/1.1 500 Stale\r\nContent-Length: 0\r\n\r\n";
        for scheme in SCHEMES {
            let port = serve(scheme, |number, mut wire| {
                if number == 0 && wire.request().is_some() {
                    let (accepted, stale) = (wire.seal(ACCEPTED), wire.seal(STALE));
                    let (begin, rest) = stale.split_at(10);
                    wire.socket().write_all(&[&accepted, begin].concat()).unwrap();
                    if wire.request().is_some() {
                        wire.socket().write_all(rest).unwrap();
                    }
                }
                while wire.request().is_some() {
                    wire.send(ACCEPTED).unwrap();
                }
            });
            let transport = to(scheme, port);
            assert_eq!(status(send(&transport)), (202, false, 0));
            assert_eq!(status(send(&transport)), (202, false, 0), "{scheme}");
        }
    }

    #[test]
    fn every_byte_on_the_wire_ends_a_silence() {
        for scheme in SCHEMES {
            let port = serve(scheme, |_, mut wire| {
                if wire.request().is_none() {
                    return;
                }
                // One TLS record, in pieces that cannot be decrypted alone.
                let bytes = wire.seal(&answer(10_000));
                for piece in bytes.chunks(bytes.len() / 9 + 1) {
                    wire.socket().write_all(piece).unwrap();
                    thread::sleep(Duration::from_millis(100));
                }
            });
            let patience = Timeouts { read: Duration::from_millis(500), ..TIMEOUTS };
            let outcome = send_within(&to(scheme, port), patience);
            assert!(outcome.elapsed > patience.read, "{scheme}: the answer came at once");
            assert_eq!(status(outcome), (200, false, 0), "{scheme}");
        }
    }

    #[test]
    fn bytes_received_while_sending_do_not_start_the_read_timeout() {
        for scheme in SCHEMES {
            let port = serve(scheme, |_, mut wire| {
                // By its timeout, the client has sent only what fits into the sockets' buffers.
                let mut begin = [0; 100];
                wire.read_exact(&mut begin).unwrap();
                wire.send(b"HTTP/1.1 102 Processing\r\n\r\n").unwrap();
                thread::sleep(Duration::from_millis(600));
                let mut left = (24 << 20) - begin.len();
                while left > 0 {
                    left = left.saturating_sub(wire.read(&mut [0; 16 * 1024]).unwrap());
                }
                wire.send(ACCEPTED).unwrap();
            });
            let timeouts = Timeouts { read: Duration::from_millis(300), ..TIMEOUTS };
            let body = vec![b'x'; 24 << 20];
            let transport = to(scheme, port);
            let mut attempt = transport.attempt(request(&body), 0, timeouts, None);
            let Ok(outcome) = attempt.run(&mut Plain(Vec::new()));
            assert_eq!(status(outcome), (202, false, 0), "{scheme}");
        }
    }

    #[test]
    fn a_refusal_while_sending_is_reported_and_closes_the_connection() {
        for scheme in SCHEMES {
            let port = serve(scheme, |_, mut wire| {
                wire.read_exact(&mut [0; 100]).unwrap();
                wire.send(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\n{}").unwrap();
                // Keeps the connection open, but does not read.
                loop {
                    thread::park();
                }
            });
            let transport = to(scheme, port);
            let body = vec![b'x'; 24 << 20];
            for _ in 0..2 {
                let mut attempt = transport.attempt(request(&body), 0, TIMEOUTS, None);
                let Ok(outcome) = attempt.run(&mut Plain(Vec::new()));
                assert_eq!(status(outcome), (413, false, 0), "{scheme}");
            }
        }
    }

    #[test]
    fn a_reset_while_sending_is_reported_in_the_write_phase() {
        for scheme in SCHEMES {
            // Closing with unread data in its buffer resets the connection.
            let port = serve(scheme, |_, mut wire| wire.read_exact(&mut [0; 100]).unwrap());
            let body = vec![b'x'; 24 << 20];
            let mut attempt = to(scheme, port).attempt(request(&body), 0, TIMEOUTS, None);
            let Ok(outcome) = attempt.run(&mut Plain(Vec::new()));
            let error = outcome.answer.unwrap_err();
            assert_eq!((error.kind, error.phase), (ErrorKind::Reset, Phase::Write), "{scheme}");
            assert!(error.to_string().ends_with("; the server may have taken the request"), "{error}");
        }
    }

    #[test]
    fn a_connection_that_dies_within_an_answer_is_not_replaced() {
        for scheme in SCHEMES {
            let port = serve(scheme, |number, mut wire| {
                while wire.request().is_some() {
                    if number > 0 {
                        return wire.send(ACCEPTED).unwrap();
                    }
                    wire.send(ACCEPTED).unwrap();
                    if wire.request().is_some() {
                        let bytes = wire.seal(&answer(10_000));
                        wire.socket().write_all(&bytes[..5_000]).unwrap();
                        return;
                    }
                }
            });
            let transport = to(scheme, port);
            assert_eq!(status(send(&transport)), (202, false, 0));
            let outcome = send(&transport);
            assert_eq!(
                (outcome.answer.unwrap_err().kind, outcome.reconnects),
                (ErrorKind::Eof, 0),
                "{scheme}"
            );
        }
    }

    #[test]
    fn nothing_is_sent_when_the_time_is_over() {
        for scheme in SCHEMES {
            let (port, seen) = serve_scripts(scheme, vec![vec![ACCEPTED, ACCEPTED]]);
            let transport = to(scheme, port);
            assert_eq!(status(send(&transport)), (202, false, 0));
            let mut late = transport.attempt(request(b"body"), 0, TIMEOUTS, Some(Instant::now()));
            let Ok(outcome) = late.run(&mut Plain(Vec::new()));
            let error = outcome.answer.unwrap_err();
            assert_eq!((error.kind, error.phase), (ErrorKind::Timeout, Phase::Connect));
            drop((late, transport));
            assert_eq!(seen.iter().collect::<Vec<_>>(), [0], "{scheme}");
        }
    }

    #[test]
    fn a_proxy_cannot_answer_for_the_server() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        thread::spawn(move || {
            let (mut socket, _) = listener.accept().unwrap();
            socket.write_all(&[b"HTTP/1.1 200 Established\r\n\r\n", ACCEPTED].concat()).unwrap();
            socket.read_to_end(&mut Vec::new()).unwrap();
        });
        let proxy = Proxy::parse(&format!("127.0.0.1:{port}")).unwrap();
        let settings = Settings { proxy: Some(proxy), ..settings("https://app.example/events") };
        let error = send(&transport(settings)).answer.unwrap_err();
        assert_eq!((error.kind, error.port), (ErrorKind::Proxy, port));
        assert_eq!(
            error.to_string(),
            format!("proxy 127.0.0.1:{port}: it sent more data after its answer to CONNECT")
        );
    }

    #[test]
    fn a_proxys_refusal_is_reported_without_its_body() {
        for refusal in ["", "Content-Length: 9\r\n", "Transfer-Encoding: chunked\r\n"] {
            let head = format!("HTTP/1.1 407 No\r\n{refusal}\r\n");
            let port = serve("http", move |_, mut wire| {
                wire.request().unwrap();
                wire.send(head.as_bytes()).unwrap();
                // Keeps the connection open, but sends nothing more.
                let _ = wire.request();
            });
            let proxy = Some(Proxy::parse(&format!("127.0.0.1:{port}")).unwrap());
            let error = send(&transport(Settings { proxy, ..settings("https://app.example/events") }))
                .answer
                .unwrap_err();
            assert_eq!(
                error.to_string(),
                format!(
                    "proxy 127.0.0.1:{port}: it answered 407 to CONNECT: the proxy's URL must contain the right user name and password"
                )
            );
        }
    }

    #[test]
    fn an_accepted_request_that_must_not_be_repeated_is_not_transient() {
        for scheme in SCHEMES {
            let failing = |settings: fn(&str) -> Settings, bytes: &'static str| {
                let (port, _seen) = serve_scripts(scheme, vec![vec![bytes.as_bytes()]]);
                let settings = settings(&format!("{scheme}://127.0.0.1:{port}/events"));
                let error = send(&transport(settings)).answer.unwrap_err();
                (error.transient(), error.to_string().ends_with("; the server has taken the request"))
            };
            for begun in [
                "HTTP/1.1 202",
                "HTTP/1.1 202 Accepted\r\nContent-Length: 20\r\n\r\n{}",
                "HTTP/1.1 202 Accepted\r\nContent-Length : 2\r\n\r\n{}",
                "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            ] {
                assert_eq!(failing(unsigned, begun), (false, true), "{begun:?}");
                assert_eq!(failing(settings, begun), (true, false), "{begun:?}");
            }
            for begun in [
                "",
                "HTTP/1.1 20",
                "HTTP/1.1 503 No\r\nContent-Length: 20\r\n\r\n{}",
                "HTTP/1.1 100 Continue\r\n\r\n",
            ] {
                assert_eq!(failing(unsigned, begun), (true, false), "{begun:?}");
            }
        }
    }

    #[test]
    fn every_address_of_a_name_is_tried() {
        for scheme in SCHEMES {
            let (port, _seen) = serve_scripts(scheme, vec![vec![ACCEPTED]]);
            let transport = transport(settings(&format!("{scheme}://app.example:{port}/events")));
            let mut attempt = transport.attempt(request(b"body"), 0, TIMEOUTS, None);
            // Nothing listens on the first address.
            let mut addresses =
                Plain(["127.0.0.2", "127.0.0.1"].map(|address| address.parse().unwrap()).to_vec());
            let Ok(outcome) = attempt.run(&mut addresses);
            assert_eq!(status(outcome), (202, false, 0), "{scheme}");
        }
    }

    #[test]
    fn errors_name_the_server_and_the_cause() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let error = send(&to("http", port)).answer.unwrap_err();
        assert_eq!((error.kind, error.phase, error.port), (ErrorKind::Refused, Phase::Connect, port));
        assert_eq!(error.cause, Cause::System(rustix::io::Errno::CONNREFUSED.raw_os_error()));
        assert_eq!(
            error.to_string(),
            format!(
                "127.0.0.1:{port}: the connection was refused: nothing listens there, or a firewall blocks it"
            )
        );
    }
}
