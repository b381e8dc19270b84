//! Parses http and https URLs.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Escapes the same characters in a path segment as the published gem, so that its users' stubs still match.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'*').remove(b'-').remove(b'.').remove(b'_');

/// The characters of a host name besides letters and digits (RFC 3986, section 3.2.2).
const IN_HOSTS: &str = "-._~!$&'()*+,;=";

const EVENTS: &str = "/events";
const STATUS: &str = "/status";

/// A server and the path of its event collection.
///
/// ```
/// use simple_connect_core::http::url::Url;
///
/// let url = Url::parse("https://app.example/api/events?tenant=9").unwrap();
/// assert_eq!(url.target().as_str(), "/api/events?tenant=9");
/// assert_eq!(url.status().as_str(), "/api/status?tenant=9");
/// assert_eq!(url.member("a b").unwrap().as_str(), "/api/events/a%20b?tenant=9");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    /// Whether the scheme is https.
    pub tls: bool,
    /// The host's name or address, an IPv6 address without brackets.
    pub host: String,
    /// The port; the scheme's default port if the URL has none.
    pub port: u16,
    /// The path, which may be empty.
    path: String,
    query: Option<String>,
}

/// Why a URL is invalid. The message says what to write instead, and contains neither password nor query.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// The text is not a URL.
    #[error("{0} is not a URL ({1}): write it like https://app.example/api/v1/integrations/demo/events")]
    Unparsable(String, String),
    /// The scheme is not http or https.
    #[error("{0} is not an http or https URL: begin it with https://")]
    NotHttp(String),
    /// The URL has no host.
    #[error("{0} has no host: write it like https://app.example/api/v1/integrations/demo/events")]
    NoHost(String),
    /// The URL contains a user name or a password, so the message does not show it.
    #[error(
        "the URL contains a user name or password: remove it, because requests are signed with the secret"
    )]
    UserInfo,
}

/// Path and query of a request, without characters that could end the request line.
///
/// ```
/// use simple_connect_core::http::url::{Target, TargetError};
///
/// assert_eq!(Target::try_from("/events?a=1".to_owned()).unwrap().as_str(), "/events?a=1");
/// assert_eq!(Target::try_from("/ HTTP/1.1\r\nHost: other".to_owned()), Err(TargetError));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target(String);

/// The text is not a valid [`Target`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the target of a request must begin with a slash and consist of visible ASCII characters")]
pub struct TargetError;

impl Target {
    /// The target's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Target {
    type Error = TargetError;

    fn try_from(text: String) -> Result<Self, TargetError> {
        let fits = text.starts_with('/') && text.bytes().all(|byte| byte.is_ascii_graphic());
        if fits { Ok(Self(text)) } else { Err(TargetError) }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Why a text is not a valid path segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SegmentError {
    /// It is `.` or `..`, which lead to another resource.
    #[error("must not be \".\" or \"..\"")]
    Dots,
    /// It contains a line break or a NUL.
    #[error("must not contain line breaks or NUL characters")]
    Control,
}

impl Url {
    /// Parses `url`.
    ///
    /// # Errors
    /// [`UrlError`] if it is not a valid http or https URL.
    pub fn parse(url: &str) -> Result<Self, UrlError> {
        let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
        let (authority, rest) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err(UrlError::UserInfo);
        }
        if let Some(odd) = url.chars().find(|c| !c.is_ascii_graphic()) {
            return Err(UrlError::Unparsable(shown(url), format!("it contains {odd:?}")));
        }
        let tls = match scheme.to_ascii_lowercase().as_str() {
            "http" => false,
            "https" => true,
            _ => return Err(UrlError::NotHttp(shown(url))),
        };
        if authority.is_empty() || authority.starts_with(':') {
            return Err(UrlError::NoHost(shown(url)));
        }
        let (host, port) = split_authority(authority).map_err(|why| UrlError::Unparsable(shown(url), why))?;
        let resource = rest.split('#').next().unwrap_or_default();
        let (path, query) = match resource.split_once('?') {
            Some((path, query)) => (path, Some(query.to_owned())),
            None => (resource, None),
        };
        let port = port.unwrap_or_else(|| default_port(tls));
        Ok(Self { tls, host: host.to_owned(), port, path: path.to_owned(), query })
    }

    /// The same server with another path, without a query.
    pub fn at(self, path: Target) -> Self {
        Self { path: path.0, query: None, ..self }
    }

    /// The host as a URL writes it: an IPv6 address in brackets.
    pub fn url_host(&self) -> String {
        url_host(&self.host)
    }

    /// Host and port as in the `Host` header: without the scheme's default port.
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
    pub fn target(&self) -> Target {
        self.with_query(if self.path.is_empty() { "/" } else { &self.path })
    }

    /// The request target of the collection's member `id`, percent-encoded as one segment.
    ///
    /// # Errors
    /// [`SegmentError`] if `id` is not a valid path segment.
    pub fn member(&self, id: &str) -> Result<Target, SegmentError> {
        Ok(self.with_query(&format!("{}/{}", self.collection(), segment(id)?)))
    }

    /// The request target of the integration's status: replaces a trailing `/events` by `/status`, and keeps other
    /// paths.
    pub fn status(&self) -> Target {
        match self.collection().strip_suffix(EVENTS) {
            Some(integration) => self.with_query(&format!("{integration}{STATUS}")),
            None => self.target(),
        }
    }

    fn collection(&self) -> &str {
        self.path.strip_suffix('/').unwrap_or(&self.path)
    }

    /// `path` needs no check: it consists of the parsed path and encoded segments.
    fn with_query(&self, path: &str) -> Target {
        Target(match &self.query {
            Some(query) => format!("{path}?{query}"),
            None => path.to_owned(),
        })
    }
}

/// Splits an authority without user info into host and port. Brackets must contain an IPv6 address.
fn split_authority(authority: &str) -> Result<(&str, Option<u16>), String> {
    let (host, behind) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (address, behind) = rest.split_once(']').ok_or("the closing bracket is missing")?;
            address.parse::<Ipv6Addr>().map_err(|_| "the brackets must contain an IPv6 address")?;
            (address, behind)
        }
        None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
    };
    let odd = |c: &char| !c.is_ascii_alphanumeric() && !IN_HOSTS.contains(*c);
    if let (false, Some(odd)) = (authority.starts_with('['), host.chars().find(odd)) {
        return Err(format!("its host cannot contain {odd:?}"));
    }
    match behind.strip_prefix(':') {
        None if behind.is_empty() => Ok((host, None)),
        None => Err("only a port and a path may follow the brackets".to_owned()),
        Some("") => Ok((host, None)),
        // Rust also parses "+8".
        Some(digits) => match digits.parse() {
            Ok(port) if digits.bytes().all(|digit| digit.is_ascii_digit()) => Ok((host, Some(port))),
            _ => Err("its port must be between 0 and 65535".to_owned()),
        },
    }
}

/// `url` for an error: without its query, which may contain a token, or "the URL" if it may contain a password.
fn shown(url: &str) -> String {
    match url.split_once('?') {
        _ if url.contains('@') => "the URL".to_owned(),
        Some((before, _)) => format!("{:?}", format!("{before}?…")),
        None => format!("{url:?}"),
    }
}

/// `id` as one segment of a path, percent-encoded.
///
/// # Errors
/// [`SegmentError`] if it is not a valid path segment.
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
            let url = Url::parse(&case.url).unwrap();
            assert_eq!(url.origin(), case.origin, "{}", case.url);
            assert_eq!(url.target().as_str(), case.target, "{}", case.url);
            assert_eq!(url.status().as_str(), case.status, "{}", case.url);
            assert_eq!(url.member("x").unwrap().as_str(), case.member, "{}", case.url);
        }
        for case in table.bad {
            assert_eq!(Url::parse(&case.url).unwrap_err().to_string(), case.message);
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
        fn a_url_is_parsed_into_its_parts(
            tls in any::<bool>(),
            host in "[a-z0-9_-]{1,5}(\\.[a-z0-9_-]{1,5}){0,2}",
            address in prop::option::of(any::<std::net::Ipv6Addr>()),
            port in prop::option::of(any::<u16>()),
            path in "(/[!-~&&[^?#]]{0,5}){0,2}",
            query in prop::option::of("[!-~&&[^#]]{0,5}"),
        ) {
            let name = address.map_or(host.clone(), |address| format!("[{address}]"));
            let port_part = port.map_or(String::new(), |port| format!(":{port}"));
            let query_part = query.clone().map_or(String::new(), |query| format!("?{query}"));
            let scheme = if tls { "https" } else { "http" };
            let read = Url::parse(&format!("{scheme}://{name}{port_part}{path}{query_part}")).unwrap();
            prop_assert_eq!(read.tls, tls);
            prop_assert_eq!(&read.host, &address.map_or(host, |address| address.to_string()));
            prop_assert_eq!(read.port, port.unwrap_or(if tls { 443 } else { 80 }));
            prop_assert_eq!(read.target().to_string(), format!("{}{query_part}", if path.is_empty() { "/" } else { &path }));
            prop_assert_eq!(Target::try_from(read.target().to_string()), Ok(read.target()));
        }

        #[test]
        fn nothing_in_a_target_ends_its_line(text in "/?[ -~\\r\\n\\t\\x00é]{0,8}") {
            let taken = Target::try_from(text.clone()).is_ok();
            prop_assert_eq!(taken, text.starts_with('/') && !text.contains(|c: char| c <= ' ' || c > '~'));
        }

        #[test]
        fn a_parsed_url_leads_to_the_same_server(
            url in r"https?://[a-f0-9l.:%+@\[\]]{0,10}(\[::1\]|\[[l:.1]{1,4}\])?[a-f+:]{0,2}(:[0-9+]{0,6})?([/?#][ -~]{0,5})?",
        ) {
            if let Ok(read) = Url::parse(&url) {
                // The parsed parts form a URL of the same server and resource.
                let again = Url::parse(&format!("{}{}", read.origin(), read.target())).unwrap();
                prop_assert_eq!((again.tls, &again.host, again.port), (read.tls, &read.host, read.port), "{}", url);
                prop_assert_eq!(again.target(), read.target());
                let address = read.host.parse::<std::net::Ipv6Addr>();
                prop_assert_eq!(url.contains("://["), address.is_ok(), "{}", url);
            }
        }

        #[test]
        fn parsing_never_panics(url in ".{0,60}") {
            let _ = Url::parse(&url);
            let _ = Url::parse(&format!("http://{url}"));
        }
    }
}
