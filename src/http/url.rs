//! Where requests go: an http or https URL, taken apart once.

use std::net::IpAddr;

use http::Uri;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What stays as it is in a path segment; the published gem's choice, so that its users' stubs still match.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'*').remove(b'-').remove(b'.').remove(b'_');

const EVENTS: &str = "/events";
const STATUS: &str = "/status";

/// A server and the path of its event collection.
///
/// ```
/// use simple_connect_core::http::url::Endpoint;
///
/// let endpoint = Endpoint::parse("https://app.example/api/events?tenant=9").unwrap();
/// assert_eq!(endpoint.target(), "/api/events?tenant=9");
/// assert_eq!(endpoint.status(), "/api/status?tenant=9");
/// assert_eq!(endpoint.member("a b").unwrap(), "/api/events/a%20b?tenant=9");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Whether the scheme is https.
    pub tls: bool,
    /// The host's name or address, an IPv6 address without its brackets.
    pub host: String,
    /// The port, the scheme's own where the URL names none.
    pub port: u16,
    /// The path as the URL has it, so perhaps empty.
    pub path: String,
    query: Option<String>,
}

/// Why a text is no endpoint. Says what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// Not a URL at all.
    #[error("{0:?} is not a URL ({1}): write it like https://app.example/api/v1/integrations/demo/events")]
    Unparsable(String, String),
    /// A URL that HTTP cannot reach.
    #[error("{0:?} is not an http or https URL: begin it with https://")]
    NotHttp(String),
    /// A URL that names no server.
    #[error("{0:?} names no host: write it like https://app.example/api/v1/integrations/demo/events")]
    NoHost(String),
    /// A user name or a password, which belong in no URL; so the URL is not shown.
    #[error("the URL holds a user name or password: leave that out, requests are signed with the secret")]
    UserInfo,
}

/// Why a text cannot be the last segment of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SegmentError {
    /// `.` and `..` would lead to another resource.
    #[error("must not be \".\" or \"..\"")]
    Dots,
    /// A line break or a NUL.
    #[error("must not contain line breaks or NUL characters")]
    Control,
}

impl Endpoint {
    /// Takes `url` apart.
    ///
    /// # Errors
    /// [`EndpointError`] for whatever no request could be sent to.
    pub fn parse(url: &str) -> Result<Self, EndpointError> {
        // Before anything else, as the other errors show the URL.
        let behind_scheme = url.split_once("://").map_or(url, |(_, rest)| rest);
        let authority = behind_scheme.split(['/', '?', '#']).next().unwrap_or_default();
        if authority.contains('@') {
            return Err(EndpointError::UserInfo);
        }
        let unparsable = |why: &str| EndpointError::Unparsable(url.to_owned(), why.to_owned());
        if let Some(odd) = url.chars().find(|c| !c.is_ascii_graphic()) {
            return Err(unparsable(&format!("it contains {odd:?}")));
        }
        let (scheme, rest) = url.split_once("://").ok_or_else(|| EndpointError::NotHttp(url.to_owned()))?;
        let tls = match scheme.to_ascii_lowercase().as_str() {
            "http" => false,
            "https" => true,
            _ => return Err(EndpointError::NotHttp(url.to_owned())),
        };
        if authority.is_empty() || authority.starts_with(':') {
            return Err(EndpointError::NoHost(url.to_owned()));
        }
        let uri: Uri = url.parse().map_err(|e: http::uri::InvalidUri| unparsable(&e.to_string()))?;
        let host = uri.host().ok_or_else(|| EndpointError::NoHost(url.to_owned()))?;
        let port = match (uri.port(), authority.rsplit_once(':')) {
            (Some(port), _) => port.as_u16(),
            (None, Some((_, digits))) if !digits.is_empty() && !digits.contains(']') => {
                return Err(unparsable("its port is not between 0 and 65535"));
            }
            (None, _) => default_port(tls),
        };
        let path = if rest[authority.len()..].starts_with('/') { uri.path() } else { "" };
        Ok(Self {
            tls,
            host: host.trim_start_matches('[').trim_end_matches(']').to_owned(),
            port,
            path: path.to_owned(),
            query: uri.query().map(str::to_owned),
        })
    }

    /// The same server, another collection.
    pub fn at(self, path: &str) -> Self {
        Self { path: path.to_owned(), query: None, ..self }
    }

    /// The host as a URL writes it: an IPv6 address in brackets.
    pub fn url_host(&self) -> String {
        url_host(&self.host)
    }

    /// Host and port as the `Host` header has them: the port only where it is not the scheme's own.
    pub fn authority(&self) -> String {
        if self.port == default_port(self.tls) {
            self.url_host()
        } else {
            format!("{}:{}", self.url_host(), self.port)
        }
    }

    /// Scheme and authority, such as `https://app.example`.
    pub fn origin(&self) -> String {
        format!("{}://{}", if self.tls { "https" } else { "http" }, self.authority())
    }

    /// The request target of the collection itself.
    pub fn target(&self) -> String {
        self.with_query(if self.path.is_empty() { "/" } else { &self.path })
    }

    /// The request target of the collection's member `id`, percent-encoded as one segment.
    ///
    /// # Errors
    /// [`SegmentError`] where `id` would lead elsewhere or break the request.
    pub fn member(&self, id: &str) -> Result<String, SegmentError> {
        Ok(self.with_query(&format!("{}/{}", self.collection(), segment(id)?)))
    }

    /// The request target of the integration's status: a trailing `/events` becomes `/status`, any other path stays.
    pub fn status(&self) -> String {
        match self.collection().strip_suffix(EVENTS) {
            Some(integration) => self.with_query(&format!("{integration}{STATUS}")),
            None => self.target(),
        }
    }

    fn collection(&self) -> &str {
        self.path.strip_suffix('/').unwrap_or(&self.path)
    }

    fn with_query(&self, path: &str) -> String {
        match &self.query {
            Some(query) => format!("{path}?{query}"),
            None => path.to_owned(),
        }
    }
}

/// `id` as one segment of a path, percent-encoded.
///
/// # Errors
/// [`SegmentError`] where it would lead elsewhere or break the request.
pub fn segment(id: &str) -> Result<String, SegmentError> {
    if matches!(id, "." | "..") {
        return Err(SegmentError::Dots);
    }
    if id.contains(['\r', '\n', '\0']) {
        return Err(SegmentError::Control);
    }
    Ok(utf8_percent_encode(id, SEGMENT).to_string())
}

/// `host` as a URL writes it: an IPv6 address in brackets.
pub fn url_host(host: &str) -> String {
    match host.parse() {
        Ok(IpAddr::V6(_)) => format!("[{host}]"),
        _ => host.to_owned(),
    }
}

fn default_port(tls: bool) -> u16 {
    if tls { 443 } else { 80 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(serde::Deserialize)]
    struct Table {
        good: Vec<Good>,
        bad: Vec<Bad>,
        members: Vec<Member>,
    }

    #[derive(serde::Deserialize)]
    struct Good {
        url: String,
        origin: String,
        target: String,
        status: String,
        member: String,
    }

    #[derive(serde::Deserialize)]
    struct Bad {
        url: String,
        message: String,
    }

    #[derive(serde::Deserialize)]
    struct Member {
        id: String,
        segment: Option<String>,
        message: Option<String>,
    }

    #[test]
    fn the_table_of_endpoints_holds() {
        let table: Table =
            serde_json::from_str(include_str!("../../spec/conformance/own/endpoints.json")).unwrap();
        for case in table.good {
            let endpoint = Endpoint::parse(&case.url).unwrap();
            assert_eq!(endpoint.origin(), case.origin, "{}", case.url);
            assert_eq!(endpoint.target(), case.target, "{}", case.url);
            assert_eq!(endpoint.status(), case.status, "{}", case.url);
            assert_eq!(endpoint.member("x").unwrap(), case.member, "{}", case.url);
        }
        for case in table.bad {
            assert_eq!(Endpoint::parse(&case.url).unwrap_err().to_string(), case.message);
        }
        for case in table.members {
            match segment(&case.id) {
                Ok(segment) => assert_eq!(Some(segment), case.segment, "{:?}", case.id),
                Err(error) => assert_eq!(Some(error.to_string()), case.message, "{:?}", case.id),
            }
        }
    }

    proptest! {
        #[test]
        fn a_segment_decodes_to_its_id_and_cannot_leave_the_collection(id in "[^.\r\n\0]{1,20}") {
            let segment = segment(&id).unwrap();
            prop_assert!(segment.bytes().all(|b| b.is_ascii_alphanumeric() || b"%*-._".contains(&b)));
            prop_assert_eq!(percent_encoding::percent_decode_str(&segment).decode_utf8().unwrap(), id);
        }

        #[test]
        fn parsing_never_panics(url in ".{0,60}") {
            let _ = Endpoint::parse(&url);
            let _ = Endpoint::parse(&format!("http://{url}"));
        }
    }
}
