//! Requests to one server: what they have in common, and the state that this process keeps between them.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use rustls::ClientConfig;
use zeroize::Zeroizing;

use crate::answer::Limits;
use crate::attempt::Attempt;
use crate::endpoint::Endpoint;
use crate::headers::HeaderLines;
use crate::per_process::PerProcess;
use crate::pool::Pool;
use crate::proxy::Proxy;
use crate::signature::{Scheme, Signer};
use crate::tls::{TlsError, Trust};

/// How long addresses are good once they are resolved.
const ADDRESS_LIFETIME: Duration = Duration::from_secs(5);

/// How a request says who sends it.
pub enum Credentials {
    /// Each request is signed.
    Signed {
        /// How.
        scheme: Scheme,
        /// Which secret signed it, where the receiver has several to choose from.
        key_id: Option<String>,
        /// Signs with that secret.
        signer: Signer,
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
    pub endpoint: Endpoint,
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

/// A text that cannot be a header's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} must not contain line breaks or other control characters")]
pub struct HeaderError(pub &'static str);

/// The methods that are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Reads.
    Get,
    /// Delivers.
    Post,
    /// Replaces.
    Put,
    /// Changes.
    Patch,
    /// Removes.
    Delete,
}

impl Method {
    /// All there are.
    pub const ALL: [Self; 5] = [Self::Get, Self::Post, Self::Put, Self::Patch, Self::Delete];

    /// The method's name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }

    /// The method of that name.
    ///
    /// ```
    /// use simple_connect_core::transport::Method;
    ///
    /// assert_eq!(Method::named("PATCH"), Some(Method::Patch));
    /// assert_eq!(Method::named("TRACE"), None);
    /// ```
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.name() == name)
    }

    /// Whether a request by it may come twice and do no more than once (RFC 9110, 9.2.2).
    pub fn is_idempotent(self) -> bool {
        matches!(self, Self::Get | Self::Put | Self::Delete)
    }
}

/// One request, as far as its sender chooses it.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// The method.
    pub method: Method,
    /// Path and query.
    pub target: &'a str,
    /// The body, empty for a GET.
    pub body: &'a [u8],
    /// Fields of this request alone.
    pub headers: Option<&'a HeaderLines>,
}

/// Sends requests to one server.
pub struct Transport {
    settings: Settings,
    /// The header lines that are the same in every request.
    headers: Zeroizing<String>,
    local: PerProcess<Local>,
}

/// What a process keeps between requests; none of it may cross a fork.
pub(crate) struct Local {
    pub(crate) pool: Pool,
    tls: OnceLock<Result<Arc<ClientConfig>, TlsError>>,
    addresses: Mutex<Option<(Instant, Vec<IpAddr>)>>,
}

impl Transport {
    /// A transport with these settings. Opens nothing yet.
    ///
    /// # Errors
    /// [`HeaderError`] where a setting cannot be sent in a header.
    pub fn new(settings: Settings) -> Result<Self, HeaderError> {
        let own = &settings.headers;
        let mut lines = HeaderLines::default();
        let mut add = |name, label, value: &str| match own.has(name) {
            true => Ok(()),
            false => lines.add(name, value).map_err(|_| HeaderError(label)),
        };
        add("Host", "the host", &settings.endpoint.authority())?;
        add("Accept", "Accept", "*/*")?;
        add("Accept-Encoding", "Accept-Encoding", "identity")?;
        add("Content-Type", "Content-Type", "application/json")?;
        add("User-Agent", "user_agent", &settings.user_agent)?;
        match &settings.credentials {
            Credentials::Signed { key_id: Some(key_id), .. } => {
                add("X-SimpleConnect-Key-Id", "key_id", key_id)?
            }
            Credentials::Bearer(token) => {
                let value = Zeroizing::new(format!("Bearer {}", token.as_str()));
                add("Authorization", "api_key", &value)?;
            }
            Credentials::Signed { key_id: None, .. } | Credentials::Anonymous => {}
        }
        if let (false, Some(authorization)) =
            (settings.endpoint.tls, settings.proxy.as_ref().and_then(|proxy| proxy.authorization.as_ref()))
        {
            add("Proxy-Authorization", "the proxy's password", authorization)?;
        }
        let headers = Zeroizing::new([lines.as_str(), own.as_str()].concat());
        Ok(Self { settings, headers, local: PerProcess::default() })
    }

    /// The settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// One attempt to get `request` answered, stamped with `timestamp` (seconds since 1970); `deadline` bounds it in
    /// addition to `timeouts`.
    ///
    /// Call it where no other thread may fork: it takes a lock, for as long as a pointer takes to be copied.
    pub fn attempt(
        self: &Arc<Self>,
        request: Request<'_>,
        timestamp: i64,
        timeouts: Timeouts,
        deadline: Option<Instant>,
    ) -> Attempt {
        let local = self.local.get(|| Local {
            pool: Pool::new(self.settings.pool_size, self.settings.idle_timeout),
            tls: OnceLock::new(),
            addresses: Mutex::default(),
        });
        let bytes = self.serialize(request, timestamp);
        // Whoever gets signed events must know those that come twice, by their ids.
        let signed = matches!(self.settings.credentials, Credentials::Signed { .. });
        let repeatable = signed || request.method.is_idempotent();
        Attempt::new(self.clone(), local, bytes, repeatable, timeouts, deadline)
    }

    /// Closes the idle connections of this process.
    pub fn close(&self) {
        if let Some(local) = self.local.existing() {
            local.pool.clear();
        }
    }

    /// The request as it goes out: head and body in one piece, for one write.
    fn serialize(&self, request: Request<'_>, timestamp: i64) -> Zeroizing<Vec<u8>> {
        let Request { method, target, body, headers, .. } = request;
        let mut bytes =
            Zeroizing::new(Vec::with_capacity(self.headers.len() + target.len() + body.len() + 512));
        let mut add = |parts: &[&str]| parts.iter().for_each(|part| bytes.extend_from_slice(part.as_bytes()));
        add(&[method.name(), " "]);
        if self.settings.proxy.is_some() && !self.settings.endpoint.tls {
            add(&[&self.settings.endpoint.origin()]);
        }
        add(&[target, " HTTP/1.1\r\n", &self.headers]);
        if let Some(headers) = headers {
            add(&[headers.as_str()]);
        }
        match &self.settings.credentials {
            Credentials::Signed { scheme, signer, .. } => {
                let (prefix, timestamp) = (scheme.header_prefix(), timestamp.to_string());
                let signature = signer.sign_as(*scheme, timestamp.as_bytes(), body);
                add(&[prefix, "-Timestamp: ", &timestamp, "\r\n"]);
                add(&[prefix, "-Signature: ", &signature, "\r\n"]);
            }
            Credentials::Bearer(_) | Credentials::Anonymous => {}
        }
        if !body.is_empty() || !matches!(method, Method::Get | Method::Delete) {
            add(&["Content-Length: ", &body.len().to_string(), "\r\n"]);
        }
        add(&["\r\n"]);
        bytes.extend_from_slice(body);
        bytes
    }
}

impl Local {
    /// The TLS settings; read from the disk at the first call.
    pub(crate) fn tls(&self, trust: &Trust) -> Result<Arc<ClientConfig>, TlsError> {
        self.tls.get_or_init(|| trust.client_config()).clone()
    }

    /// The server's addresses, where they were resolved not long ago.
    pub(crate) fn addresses(&self) -> Option<Vec<IpAddr>> {
        let addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        addresses
            .as_ref()
            .filter(|(since, _)| since.elapsed() < ADDRESS_LIFETIME)
            .map(|(_, found)| found.clone())
    }

    /// Remembers the server's addresses, or forgets them.
    pub(crate) fn remember(&self, addresses: Option<Vec<IpAddr>>) {
        let remembered = addresses.map(|found| (Instant::now(), found));
        *self.addresses.lock().unwrap_or_else(PoisonError::into_inner) = remembered;
    }
}
