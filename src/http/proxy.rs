//! HTTP proxies, and the hosts that bypass them.

use std::net::IpAddr;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ipnet::IpNet;
use percent_encoding::percent_decode_str;
use zeroize::Zeroizing;

use crate::http::url::{Url, url_host};

/// An HTTP proxy.
#[derive(Debug, Clone)]
pub struct Proxy {
    /// The proxy's host, an IPv6 address without brackets.
    pub host: String,
    /// The proxy's port.
    pub port: u16,
    /// The value of `Proxy-Authorization`, if the URL has a user name and a password.
    pub authorization: Option<Zeroizing<String>>,
    /// The environment variable that sets it, for errors; None for a proxy from the options.
    pub variable: Option<String>,
}

/// A proxy's URL is invalid. The message does not show the URL, which may contain a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the proxy's URL is invalid: write it like http://user:password@proxy.example:3128")]
pub struct ProxyError;

impl Proxy {
    /// Parses a URL such as `http://user:password@proxy.example:3128`. The scheme is optional.
    ///
    /// # Errors
    /// [`ProxyError`] if it is not the URL of an HTTP proxy.
    ///
    /// ```
    /// use simple_connect_core::http::proxy::Proxy;
    ///
    /// let proxy = Proxy::parse("http://me:pa%40ss@proxy.example:3128").unwrap();
    /// assert_eq!((proxy.host.as_str(), proxy.port), ("proxy.example", 3128));
    /// assert_eq!(proxy.authorization.unwrap().as_str(), "Basic bWU6cGFAc3M=");
    /// ```
    pub fn parse(url: &str) -> Result<Self, ProxyError> {
        if url.contains(|c: char| c.is_control()) {
            return Err(ProxyError);
        }
        let rest = match url.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => rest,
            Some(_) => return Err(ProxyError),
            None => url,
        };
        let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        // The `@` after a slash means that the password has an unescaped slash.
        if path.contains('@') {
            return Err(ProxyError);
        }
        let (credentials, server) = match authority.rsplit_once('@') {
            Some((credentials, server)) => (Some(credentials), server),
            None => (None, authority),
        };
        let Url { host, port, .. } = Url::parse(&format!("http://{server}/")).map_err(|_| ProxyError)?;
        let authorization = credentials.map(basic).transpose()?;
        Ok(Self { host, port, authorization, variable: None })
    }

    /// The proxy's name in errors: `proxy.example:3128 (https_proxy)`.
    pub(crate) fn label(&self) -> String {
        let variable = self.variable.as_ref().map(|name| format!(" ({name})")).unwrap_or_default();
        format!("{}:{}{variable}", url_host(&self.host), self.port)
    }
}

/// The value of `Proxy-Authorization` for `user:password`, both percent-encoded.
fn basic(credentials: &str) -> Result<Zeroizing<String>, ProxyError> {
    const SCHEME: &[u8] = b"Basic ";
    let (user, password) = credentials.split_once(':').unwrap_or((credentials, ""));
    // Both buffers have their full capacity from the start, because a growing buffer leaves unwiped copies behind.
    let mut pair = Zeroizing::new(Vec::with_capacity(credentials.len() + 1));
    pair.extend(percent_decode_str(user));
    pair.push(b':');
    pair.extend(percent_decode_str(password));
    let length = base64::encoded_len(pair.len(), true).ok_or(ProxyError)?;
    let mut value = Zeroizing::new(vec![0; SCHEME.len() + length]);
    let (scheme, encoded) = value.split_at_mut(SCHEME.len());
    scheme.copy_from_slice(SCHEME);
    BASE64_STANDARD.encode_slice(&*pair, encoded).map_err(|_| ProxyError)?;
    String::from_utf8(std::mem::take(&mut *value)).map(Zeroizing::new).map_err(|_| ProxyError)
}

/// Whether `host` is this machine. A proxy from the environment does not apply to it.
pub fn is_local(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Whether the list `no_proxy` includes `host` and `port`. Entries are `*`, a host or domain (with its subdomains, with
/// or without a leading dot), an address, or a network such as `10.0.0.0/8`. All but networks may end in `:port`.
///
/// ```
/// use simple_connect_core::http::proxy::bypasses;
///
/// assert!(bypasses("localhost, .example.org", "app.example.org", 443));
/// assert!(!bypasses("example.org:8443", "example.org", 443));
/// assert!(bypasses("10.0.0.0/8", "10.1.2.3", 80));
/// ```
pub fn bypasses(no_proxy: &str, host: &str, port: u16) -> bool {
    let address = host.parse::<IpAddr>().ok();
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    no_proxy.split([',', ' ']).map(str::trim).filter(|entry| !entry.is_empty()).any(|entry| {
        if entry == "*" {
            return true;
        }
        if let (Some(address), Ok(network)) = (address, entry.parse::<IpNet>()) {
            return network.contains(&address);
        }
        let (name, entry_port) = split_port(entry);
        if entry_port.is_some_and(|entry_port| entry_port != port) {
            return false;
        }
        if let Some(address) = address {
            return name.parse() == Ok(address);
        }
        let name = name.trim_start_matches("*.").trim_matches('.').to_ascii_lowercase();
        !name.is_empty()
            && host.strip_suffix(&name).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    })
}

/// Splits `example.org:80`, `[::1]:80` and `[::1]` into name and port; an IPv6 address without brackets has no port.
fn split_port(entry: &str) -> (&str, Option<u16>) {
    if entry.parse::<IpAddr>().is_ok() {
        return (entry, None);
    }
    let (name, port) = match entry.rsplit_once(':') {
        Some((name, digits)) if !digits.contains(']') => (name, digits.parse().ok()),
        _ => (entry, None),
    };
    (name.trim_start_matches('[').trim_end_matches(']'), port)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(serde::Deserialize)]
    struct Table {
        proxies: Vec<ProxyCase>,
        no_proxy: Vec<NoProxyCase>,
    }

    #[derive(serde::Deserialize)]
    struct ProxyCase {
        url: String,
        host: Option<String>,
        port: Option<u16>,
        authorization: Option<String>,
    }

    #[derive(serde::Deserialize)]
    struct NoProxyCase {
        list: String,
        host: String,
        port: u16,
        bypass: bool,
    }

    #[test]
    fn the_table_of_proxies_holds() {
        let table: Table =
            serde_json::from_str(include_str!("../../spec/conformance/own/proxies.json")).unwrap();
        for case in table.proxies {
            let parsed = Proxy::parse(&case.url).ok();
            assert_eq!(parsed.as_ref().map(|p| p.host.clone()), case.host, "{}", case.url);
            assert_eq!(parsed.as_ref().map(|p| p.port), case.port, "{}", case.url);
            let authorization = parsed.and_then(|p| p.authorization).map(|value| value.to_string());
            assert_eq!(authorization, case.authorization, "{}", case.url);
        }
        for case in table.no_proxy {
            assert_eq!(
                bypasses(&case.list, &case.host, case.port),
                case.bypass,
                "{} in {}",
                case.host,
                case.list
            );
        }
    }

    proptest! {
        #[test]
        fn nothing_panics(text in ".{0,40}", host in ".{0,20}", port in any::<u16>()) {
            let _ = Proxy::parse(&text);
            let _ = bypasses(&text, &host, port);
        }
    }
}
