//! What a transport is made of: the server, who sends, and within which bounds.

use std::sync::Arc;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::http::answer::Limits;
use crate::http::headers::HeaderLines;
use crate::http::proxy::Proxy;
use crate::http::trust::Trust;
use crate::http::url::Url;
use crate::signature::{Scheme, Signer};

/// How a request says who sends it.
pub enum Credentials {
    /// Each request is signed.
    Signed {
        /// How.
        scheme: Scheme,
        /// Which secret signed it, where the receiver has several to choose from.
        key_id: Option<String>,
        /// Sign with that secret; with several while it is being rotated, where the scheme has a list.
        signers: Vec<Signer>,
    },
    /// Each request carries this token.
    Bearer(Zeroizing<String>),
    /// It does not, or by fields of its own.
    Anonymous,
}

/// Which addresses to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IpVersion {
    /// IPv4 only.
    V4,
    /// IPv6 only.
    V6,
}

/// Bounds on time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Timeouts {
    /// For connecting: the name, TCP, the proxy's tunnel and TLS together.
    pub open: Duration,
    /// For each silence while sending.
    pub write: Duration,
    /// For each silence while waiting for the answer and reading it.
    pub read: Duration,
}

/// What does not change from request to request.
pub struct Settings {
    /// The server.
    pub endpoint: Url,
    /// Who sends.
    pub credentials: Credentials,
    /// The value of `User-Agent`.
    pub user_agent: String,
    /// Fields of the sender's own. They win over `Accept`, `Content-Type` and `User-Agent`.
    pub headers: Arc<HeaderLines>,
    /// The proxy, if there is one.
    pub proxy: Option<Proxy>,
    /// Whom to trust with TLS.
    pub trust: Trust,
    /// Which addresses to use, where not all.
    pub ip_version: Option<IpVersion>,
    /// Bounds on answers.
    pub limits: Limits,
    /// How many idle connections to keep.
    pub pool_size: usize,
    /// For how long to keep them.
    pub idle_timeout: Duration,
}
