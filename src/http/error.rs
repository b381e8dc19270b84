//! Network errors.

use std::time::Duration;

use crate::http::guard::Refusal;
use crate::http::settings::IpVersion;

/// A request that got no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct NetworkError {
    /// What went wrong.
    pub kind: ErrorKind,
    /// When it went wrong.
    pub phase: Phase,
    /// The host of the server or proxy that it went wrong with.
    pub host: String,
    /// The port of that server or proxy.
    pub port: u16,
    /// The time since the attempt began.
    pub elapsed: Duration,
    /// The cause, in more detail than `kind`.
    pub cause: Cause,
    /// Whether the server has accepted a request that must not be sent twice: its answer began with a 2xx.
    pub taken: bool,
    /// The server, the error, and what to do about it.
    pub message: String,
}

impl NetworkError {
    /// Whether the request may be sent again.
    pub fn transient(&self) -> bool {
        self.kind.transient() && !self.taken
    }
}

/// The kinds of network errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The connection was refused.
    Refused,
    /// No route to the host or its network.
    Unreachable,
    /// The connection was reset.
    Reset,
    /// A deadline passed.
    Timeout,
    /// The name could not be resolved.
    Dns,
    /// The TLS handshake failed, or the certificate is not trusted.
    Tls,
    /// The connection ended before the answer did.
    Eof,
    /// The proxy did not open a tunnel.
    Proxy,
    /// The guard refused the server's address or URL, so nothing was sent.
    Guarded,
    /// The answer is larger than the limits allow.
    TooLarge,
    /// The answer is not HTTP.
    Malformed,
    /// Any other error that the system reports.
    Io,
}

/// The cause of a network error, in more detail than its kind, so that a caller can map it to its own errors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// A deadline passed.
    Deadline,
    /// The name has no address, or none of the requested IP version.
    NoAddress(Option<IpVersion>),
    /// The server's certificate is not signed by a trusted authority.
    UnknownAuthority,
    /// Any other TLS error.
    Tls,
    /// The connection ended before the answer did.
    Cut,
    /// The answer is not HTTP.
    Malformed,
    /// The answer's head, trailers or chunk extensions are too large.
    TooLarge,
    /// The answer's body is larger than [`Limits::body`](crate::http::answer::Limits::body).
    BodyTooLarge,
    /// The proxy answered CONNECT with this status.
    Status(u16),
    /// The guard refused the server.
    Refused(Refusal),
    /// The system error with this number.
    System(i32),
    /// An error of this name, from a resolver or an interceptor.
    Named(String),
    /// Any other cause.
    Other,
}

/// What an attempt was doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Looking the host up.
    Resolve,
    /// Opening the TCP connection.
    Connect,
    /// Opening a tunnel through the proxy.
    Proxy,
    /// The TLS handshake.
    Tls,
    /// Sending the request.
    Write,
    /// Waiting for the answer or reading it.
    Read,
}

impl ErrorKind {
    const ALL: [Self; 12] = [
        Self::Refused,
        Self::Unreachable,
        Self::Reset,
        Self::Timeout,
        Self::Dns,
        Self::Tls,
        Self::Eof,
        Self::Proxy,
        Self::Guarded,
        Self::TooLarge,
        Self::Malformed,
        Self::Io,
    ];

    /// The kind with this [`name`](Self::name).
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The kind's name in Ruby, such as `refused`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Unreachable => "unreachable",
            Self::Reset => "reset",
            Self::Timeout => "timeout",
            Self::Dns => "dns",
            Self::Tls => "tls",
            Self::Eof => "eof",
            Self::Proxy => "proxy",
            Self::Guarded => "guarded",
            Self::TooLarge => "too_large",
            Self::Malformed => "malformed",
            Self::Io => "io",
        }
    }

    /// Whether the same request may succeed later. An answer that is too large stays too large, and the guard refuses
    /// the same server again.
    pub fn transient(self) -> bool {
        !matches!(self, Self::TooLarge | Self::Guarded)
    }
}

impl Phase {
    const ALL: [Self; 6] = [Self::Resolve, Self::Connect, Self::Proxy, Self::Tls, Self::Write, Self::Read];

    /// The phase with this [`name`](Self::name).
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|phase| phase.name() == name)
    }

    /// The phase's name in Ruby, such as `connect`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Resolve => "resolve",
            Self::Connect => "connect",
            Self::Proxy => "proxy",
            Self::Tls => "tls",
            Self::Write => "write",
            Self::Read => "read",
        }
    }
}

/// Formats `duration` in seconds: `10 s`, `0.4 s`.
pub fn seconds(duration: Duration) -> String {
    format!("{} s", (duration.as_secs_f64() * 1000.0).round() / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for kind in ErrorKind::ALL {
            assert_eq!(ErrorKind::named(kind.name()), Some(kind));
        }
        for phase in Phase::ALL {
            assert_eq!(Phase::named(phase.name()), Some(phase));
        }
        assert_eq!((ErrorKind::named("connect"), Phase::named("refused")), (None, None));
    }

    #[test]
    fn seconds_are_shown_without_noise() {
        assert_eq!(seconds(Duration::from_secs(10)), "10 s");
        assert_eq!(seconds(Duration::from_millis(400)), "0.4 s");
        assert_eq!(seconds(Duration::from_nanos(1_234_567_890)), "1.235 s");
    }
}
