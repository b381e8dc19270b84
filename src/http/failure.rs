//! What went wrong, before it is known with whom.

use std::borrow::Cow;
use std::io;

use crate::http::answer::AnswerError;
use crate::http::error::{ErrorKind, Phase};
use crate::http::tls;

/// What went wrong, before it is known with whom.
#[derive(Clone)]
pub(crate) struct Failure {
    pub(crate) kind: ErrorKind,
    pub(crate) phase: Phase,
    pub(crate) class: Cow<'static, str>,
    pub(crate) message: String,
}

impl Failure {
    pub(crate) fn new(
        kind: ErrorKind,
        phase: Phase,
        class: &'static str,
        message: impl Into<String>,
    ) -> Self {
        Self { kind, phase, class: class.into(), message: message.into() }
    }

    pub(crate) fn timeout(phase: Phase, message: String) -> Self {
        let class = match phase {
            Phase::Write => "Net::WriteTimeout",
            Phase::Read => "Net::ReadTimeout",
            Phase::Resolve | Phase::Connect | Phase::Proxy | Phase::Tls => "Net::OpenTimeout",
        };
        Self::new(ErrorKind::Timeout, phase, class, message)
    }

    pub(crate) fn dns(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Dns, Phase::Resolve, "SocketError", message)
    }

    pub(crate) fn tls(message: String) -> Self {
        Self::new(ErrorKind::Tls, Phase::Tls, "OpenSSL::SSL::SSLError", message)
    }

    pub(crate) fn answer(error: AnswerError) -> Self {
        let (kind, class) = match error {
            AnswerError::Malformed(_) => (ErrorKind::Malformed, "Net::HTTPBadResponse"),
            AnswerError::TooLarge(_) => (ErrorKind::TooLarge, "Net::HTTPBadResponse"),
            AnswerError::Cut(_) => (ErrorKind::Eof, "EOFError"),
        };
        Self::new(kind, Phase::Read, class, error.to_string())
    }

    pub(crate) fn refused_by_proxy(status: u16) -> Self {
        let class = if status >= 500 { "Net::HTTPFatalError" } else { "Net::HTTPClientException" };
        let advice = match status {
            401 | 407 => ": the proxy's URL must hold the right user and password",
            _ => "",
        };
        Self::new(ErrorKind::Proxy, Phase::Proxy, class, format!("it answered {status} to CONNECT{advice}"))
    }

    pub(crate) fn talkative_proxy() -> Self {
        let message = "it sent more than an answer to CONNECT";
        Self::new(ErrorKind::Proxy, Phase::Proxy, "Net::HTTPBadResponse", message)
    }

    pub(crate) fn in_tunnel(self) -> Self {
        Self { kind: ErrorKind::Proxy, phase: Phase::Proxy, ..self }
    }

    /// What the system, or TLS through it, reports.
    pub(crate) fn io(phase: Phase, error: &io::Error) -> Self {
        use io::ErrorKind as System;
        if let Some(cause) = error.get_ref().and_then(|inner| inner.downcast_ref()) {
            return Self { phase, ..Self::tls(tls::explain(cause)) };
        }
        let (kind, class, message): (_, _, Cow<'_, str>) = match error.kind() {
            System::ConnectionRefused => (
                ErrorKind::Refused,
                "Errno::ECONNREFUSED",
                "the connection was refused: nothing listens there, or a firewall forbids it".into(),
            ),
            System::ConnectionReset | System::ConnectionAborted => {
                (ErrorKind::Reset, "Errno::ECONNRESET", "the connection was reset".into())
            }
            System::BrokenPipe => (
                ErrorKind::Reset,
                "Errno::EPIPE",
                "the connection was closed while the request was being sent".into(),
            ),
            System::UnexpectedEof if phase == Phase::Tls => (
                ErrorKind::Tls,
                "OpenSSL::SSL::SSLError",
                "the connection was closed during the TLS handshake".into(),
            ),
            System::UnexpectedEof => (
                ErrorKind::Eof,
                "EOFError",
                "the connection was closed before the answer was complete".into(),
            ),
            System::HostUnreachable => (
                ErrorKind::Unreachable,
                "Errno::EHOSTUNREACH",
                "there is no route to it: check the address and the network".into(),
            ),
            System::NetworkUnreachable => (
                ErrorKind::Unreachable,
                "Errno::ENETUNREACH",
                "there is no route to its network: check the address and the network".into(),
            ),
            System::TimedOut => (ErrorKind::Timeout, "Errno::ETIMEDOUT", "the connection timed out".into()),
            _ => (ErrorKind::Io, "SystemCallError", error.to_string().into()),
        };
        Self::new(kind, phase, class, message)
    }
}
