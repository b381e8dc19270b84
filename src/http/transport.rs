//! Sends requests to one server.

use std::sync::Arc;
use std::time::Instant;

use zeroize::Zeroizing;

use crate::http::answer::Answer;
use crate::http::attempt::Attempt;
use crate::http::headers::{HeaderLines, MAX_SENSITIVE};
use crate::http::local::Local;
use crate::http::request::{Method, Request};
use crate::http::settings::{Credentials, Settings, Timeouts};
use crate::http::stats::{Stats, Totals};
use crate::process::per_process::PerProcess;
use crate::secret::Secret;
use crate::signature::{Stamp, header_value};

/// A setting that is not a valid header value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} must not contain line breaks or other control characters")]
pub struct HeaderError(pub &'static str);

/// The length of bearer tokens that are redacted, in bytes. A shorter one could be a word or a number in any answer.
const SECRET: std::ops::RangeInclusive<usize> = 8..=MAX_SENSITIVE;

/// Sends requests to one server.
pub struct Transport {
    settings: Arc<Settings>,
    /// The header lines that are the same in every request.
    headers: Zeroizing<String>,
    /// The bearer token, which is redacted like sensitive fields.
    bearer: HeaderLines,
    local: PerProcess<Local>,
}

impl Transport {
    /// A transport with these settings. Opens no connection.
    ///
    /// # Errors
    /// [`HeaderError`] if a setting is not a valid header value.
    pub fn new(settings: Settings) -> Result<Self, HeaderError> {
        let own = &settings.headers;
        let mut lines = HeaderLines::default();
        let mut bearer = HeaderLines::default();
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
                let value = Zeroizing::new(["Bearer ", token.as_str()].concat());
                add("Authorization", "api_key", &value)?;
                if SECRET.contains(&token.len()) {
                    bearer.add_sensitive("Authorization", token).map_err(|_| HeaderError("api_key"))?;
                }
            }
            Credentials::Signed { key_id: None, .. } | Credentials::Anonymous => {}
        }
        if let (false, Some(authorization)) =
            (settings.endpoint.tls, settings.proxy.as_ref().and_then(|proxy| proxy.authorization.as_ref()))
        {
            add("Proxy-Authorization", "the proxy's password", authorization)?;
        }
        let headers = Zeroizing::new([lines.as_str(), own.as_str()].concat());
        Ok(Self { settings: Arc::new(settings), headers, bearer, local: PerProcess::default() })
    }

    /// The settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Creates one attempt of `request`, signed with `timestamp` (in seconds since 1970). `deadline` limits it in
    /// addition to `timeouts`.
    ///
    /// Call it only where no other thread can fork, because it briefly takes a lock.
    pub fn attempt(
        &self,
        request: Request<'_>,
        timestamp: i64,
        timeouts: Timeouts,
        deadline: Option<Instant>,
    ) -> Attempt {
        let local = self.local.get(|| Local::new(&self.settings));
        let bytes = self.serialize(request, timestamp);
        // Receivers of signed events detect duplicates by their ids.
        let signed = matches!(self.settings.credentials, Credentials::Signed { .. });
        let repeatable = signed || request.method.is_idempotent();
        Attempt::new(self.settings.clone(), local, bytes, repeatable, timeouts, deadline)
    }

    /// Redacts the sender's secrets in an answer, because a server may send back what it received.
    pub fn redact(&self, answer: &mut Answer) {
        for secrets in [&self.bearer, &*self.settings.headers].into_iter().filter(|lines| lines.has_secrets())
        {
            answer.head = secrets.redact(&answer.head);
            answer.body = answer.body.as_deref().map(|body| secrets.redact(body));
        }
    }

    /// The counters of this process.
    ///
    /// Like [`Self::attempt`], call this and the counting methods only where no other thread can fork.
    pub fn totals(&self) -> Totals {
        self.local.existing().map(|local| local.stats.totals()).unwrap_or_default()
    }

    /// Counts an attempt.
    pub fn count_attempt(&self) {
        if let Some(local) = self.local.existing() {
            local.stats.attempts.add(1);
        }
    }

    /// Counts a finished call.
    pub fn count_call(&self, success: bool) {
        if let Some(local) = self.local.existing() {
            let Stats { succeeded, failed, .. } = &local.stats;
            if success { succeeded } else { failed }.add(1);
        }
    }

    /// Closes the idle connections of this process.
    pub fn close(&self) {
        if let Some(local) = self.local.existing() {
            local.pool.clear();
        }
    }

    /// The request as sent: head and body in one buffer, for a single write.
    fn serialize(&self, request: Request<'_>, timestamp: i64) -> Secret {
        let Request { method, target, body, headers, .. } = request;
        let Settings { endpoint, credentials, proxy, .. } = &*self.settings;
        let origin = if proxy.is_some() && !endpoint.tls { endpoint.origin() } else { String::new() };
        let signature = match credentials {
            Credentials::Signed { scheme, signers, .. } => {
                let timestamp = timestamp.to_string();
                // It is one of the request's own fields, as it is the same for each attempt.
                let id =
                    headers.filter(|_| scheme.has_id()).and_then(|lines| lines.value(&scheme.header("Id")));
                let stamp = Stamp { id: id.unwrap_or_default().as_bytes(), timestamp: timestamp.as_bytes() };
                let signature = header_value(*scheme, signers, stamp, body).unwrap_or_default();
                let [at, by] = ["Timestamp", "Signature"].map(|name| scheme.header(name));
                format!("{at}: {timestamp}\r\n{by}: {signature}\r\n")
            }
            Credentials::Bearer(_) | Credentials::Anonymous => String::new(),
        };
        let length = if body.is_empty() && matches!(method, Method::Get | Method::Delete) {
            String::new()
        } else {
            format!("Content-Length: {}\r\n", body.len())
        };
        Secret::concat(&[
            method.name().as_bytes(),
            b" ",
            origin.as_bytes(),
            target.as_str().as_bytes(),
            b" HTTP/1.1\r\n",
            self.headers.as_bytes(),
            headers.map_or("", HeaderLines::as_str).as_bytes(),
            signature.as_bytes(),
            length.as_bytes(),
            b"\r\n",
            body,
        ])
    }
}
