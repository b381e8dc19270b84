//! Failures of an attempt, without the server's name.

use std::borrow::Cow;
use std::io;

use crate::http::answer::AnswerError;
use crate::http::error::{Cause, ErrorKind, Phase};
use crate::http::guard::Refusal;
use crate::http::settings::IpVersion;
use crate::http::tls;

/// A failure of an attempt. The attempt adds host and port, for a `NetworkError`.
#[derive(Clone)]
pub(crate) struct Failure {
    pub(crate) kind: ErrorKind,
    pub(crate) phase: Phase,
    pub(crate) cause: Cause,
    pub(crate) message: String,
}

impl Failure {
    pub(crate) fn new(kind: ErrorKind, phase: Phase, cause: Cause, message: impl Into<String>) -> Self {
        Self { kind, phase, cause, message: message.into() }
    }

    pub(crate) fn timeout(phase: Phase, message: String) -> Self {
        Self::new(ErrorKind::Timeout, phase, Cause::Deadline, message)
    }

    pub(crate) fn no_address(wanted: Option<IpVersion>) -> Self {
        let message = match wanted {
            Some(IpVersion::V4) => "it has no IPv4 address",
            Some(IpVersion::V6) => "it has no IPv6 address",
            None => "it has no address",
        };
        Self::new(ErrorKind::Dns, Phase::Resolve, Cause::NoAddress(wanted), message)
    }

    pub(crate) fn guarded(refusal: Refusal) -> Self {
        let message = format!("the guard refuses it: {refusal}");
        Self::new(ErrorKind::Guarded, Phase::Connect, Cause::Refused(refusal), message)
    }

    pub(crate) fn tls(message: String) -> Self {
        Self::new(ErrorKind::Tls, Phase::Tls, Cause::Tls, message)
    }

    pub(crate) fn answer(error: AnswerError) -> Self {
        let (kind, cause) = match error {
            AnswerError::Malformed(_) => (ErrorKind::Malformed, Cause::Malformed),
            AnswerError::TooLarge(_) => (ErrorKind::TooLarge, Cause::TooLarge),
            AnswerError::BodyTooLarge(_) => (ErrorKind::TooLarge, Cause::BodyTooLarge),
            AnswerError::Cut(_) => (ErrorKind::Eof, Cause::Cut),
        };
        Self::new(kind, Phase::Read, cause, error.to_string())
    }

    pub(crate) fn refused_by_proxy(status: u16) -> Self {
        let advice = match status {
            401 | 407 => ": the proxy's URL must contain the right user name and password",
            _ => "",
        };
        let message = format!("it answered {status} to CONNECT{advice}");
        Self::new(ErrorKind::Proxy, Phase::Proxy, Cause::Status(status), message)
    }

    pub(crate) fn talkative_proxy() -> Self {
        let message = "it sent more data after its answer to CONNECT";
        Self::new(ErrorKind::Proxy, Phase::Proxy, Cause::Malformed, message)
    }

    pub(crate) fn in_tunnel(self) -> Self {
        Self { kind: ErrorKind::Proxy, phase: Phase::Proxy, ..self }
    }

    /// An error that the system or TLS reports.
    pub(crate) fn io(phase: Phase, error: &io::Error) -> Self {
        use io::ErrorKind as System;
        if let Some(error) = error.get_ref().and_then(|inner| inner.downcast_ref()) {
            let cause = match tls::lacked(error) {
                Some(number) => Cause::System(number),
                None if tls::is_unknown_authority(error) => Cause::UnknownAuthority,
                None => Cause::Tls,
            };
            let phase = if tls::is_refusal(error) { Phase::Tls } else { phase };
            return Self { phase, cause, ..Self::tls(tls::explain(error)) };
        }
        let (kind, message): (_, Cow<'_, str>) = match error.kind() {
            System::ConnectionRefused => (
                ErrorKind::Refused,
                "the connection was refused: nothing listens there, or a firewall blocks it".into(),
            ),
            System::ConnectionReset | System::ConnectionAborted => {
                (ErrorKind::Reset, "the connection was reset".into())
            }
            System::BrokenPipe => {
                (ErrorKind::Reset, "the connection was closed while the request was being sent".into())
            }
            System::UnexpectedEof if phase == Phase::Tls => {
                return Self::tls("the connection was closed during the TLS handshake".to_owned());
            }
            System::UnexpectedEof => {
                let message = "the connection was closed before the answer was complete";
                return Self::new(ErrorKind::Eof, phase, Cause::Cut, message);
            }
            System::HostUnreachable => {
                (ErrorKind::Unreachable, "there is no route to it: check the address and the network".into())
            }
            System::NetworkUnreachable => (
                ErrorKind::Unreachable,
                "there is no route to its network: check the address and the network".into(),
            ),
            System::TimedOut => (ErrorKind::Timeout, "the connection timed out".into()),
            _ => (ErrorKind::Io, error.to_string().into()),
        };
        Self::new(kind, phase, error.raw_os_error().map_or(Cause::Other, Cause::System), message)
    }
}
