//! The settings of a transport: server, credentials, proxy and limits.

use std::sync::Arc;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::http::answer::Limits;
use crate::http::guard::Guard;
use crate::http::headers::HeaderLines;
use crate::http::proxy::Proxy;
use crate::http::trust::Trust;
use crate::http::url::Url;
use crate::signature::{Scheme, Signer};

/// How requests are authenticated.
pub enum Credentials {
    /// By a signature.
    Signed {
        /// The signature scheme.
        scheme: Scheme,
        /// The id of the secret, for receivers with several secrets.
        key_id: Option<String>,
        /// The signers; several while a secret is rotated, if the scheme allows lists of signatures.
        signers: Vec<Signer>,
    },
    /// By this bearer token.
    Bearer(Zeroizing<String>),
    /// Not at all, or by the user's own header fields.
    Anonymous,
}

/// The IP version of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IpVersion {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// The timeouts of one attempt.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Timeouts {
    /// The limit for connecting: name, TCP, the proxy's tunnel and TLS together.
    pub open: Duration,
    /// The limit for each wait while sending.
    pub write: Duration,
    /// The limit for each wait for bytes of the answer.
    pub read: Duration,
}

/// The settings of all requests to one server.
pub struct Settings {
    /// The server, and the path of its collection.
    pub endpoint: Url,
    /// How requests are authenticated.
    pub credentials: Credentials,
    /// The value of `User-Agent`.
    pub user_agent: String,
    /// Additional header fields. They replace `Accept`, `Content-Type` and `User-Agent`.
    pub headers: Arc<HeaderLines>,
    /// The proxy, if there is one.
    pub proxy: Option<Proxy>,
    /// Which servers may be connected to; None for all.
    pub guard: Option<Guard>,
    /// The certificate authorities to trust.
    pub trust: Trust,
    /// The only IP version to use; None for both.
    pub ip_version: Option<IpVersion>,
    /// Limits on the size of answers.
    pub limits: Limits,
    /// The maximum number of idle connections.
    pub pool_size: usize,
    /// How long idle connections are kept.
    pub idle_timeout: Duration,
}
