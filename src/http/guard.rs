//! Refuses to connect to addresses that are not public, for URLs that strangers enter.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::http::url::Url;

/// What an address is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Any host of the Internet.
    Public,
    /// This machine or a private network: loopback, RFC 1918, shared address space, unique local.
    Internal,
    /// A service of a cloud provider for its machines, which may give out credentials.
    Metadata,
    /// Any other address of the special-purpose registries of IANA, and IPv6 that is not allocated.
    Special,
}

/// Metadata services. Some of them look public, and some are inside of [`INTERNAL_V4`] and [`INTERNAL_V6`].
const METADATA: [IpAddr; 9] = [
    IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)),
    // AWS ECS and EKS.
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 2)),
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 23)),
    // Azure, Alibaba, Oracle.
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
    // AWS, AWS EKS, Google.
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23)),
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)),
];

const INTERNAL_V4: [Ipv4Net; 5] =
    [v4(10, 0, 0, 8), v4(100, 64, 0, 10), v4(127, 0, 0, 8), v4(172, 16, 0, 12), v4(192, 168, 0, 16)];

/// The rest of the IPv4 special-purpose registry, and multicast. Also those that the registry calls globally
/// reachable: none of them has endpoints.
const SPECIAL_V4: [Ipv4Net; 13] = [
    v4(0, 0, 0, 8),
    v4(169, 254, 0, 16),
    v4(192, 0, 0, 24),
    v4(192, 0, 2, 24),
    v4(192, 31, 196, 24),
    v4(192, 52, 193, 24),
    v4(192, 88, 99, 24),
    v4(192, 175, 48, 24),
    v4(198, 18, 0, 15),
    v4(198, 51, 100, 24),
    v4(203, 0, 113, 24),
    v4(224, 0, 0, 4),
    v4(240, 0, 0, 4),
];

const INTERNAL_V6: Ipv6Net = v6(0xfc00, 0, 0, 7);
/// The part of IPv6 that is allocated to hosts of the Internet.
const GLOBAL_V6: Ipv6Net = v6(0x2000, 0, 0, 3);

/// Those networks of the IPv6 special-purpose registry that are inside of [`GLOBAL_V6`].
const SPECIAL_V6: [Ipv6Net; 5] = [
    // With Teredo, benchmarking and ORCHID.
    v6(0x2001, 0, 0, 23),
    v6(0x2001, 0xdb8, 0, 32),
    v6(0x2002, 0, 0, 16),
    v6(0x2620, 0x4f, 0x8000, 48),
    v6(0x3fff, 0, 0, 20),
];

const fn v4(a: u8, b: u8, c: u8, bits: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, 0), bits)
}

const fn v6(a: u16, b: u16, c: u16, bits: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0), bits)
}

/// What `address` is for. Does not look at an IPv4 address inside of an IPv6 address.
///
/// ```
/// use simple_connect_core::http::guard::{Class, classify};
///
/// assert_eq!(classify("10.0.0.1".parse().unwrap()), Class::Internal);
/// assert_eq!(classify("169.254.169.254".parse().unwrap()), Class::Metadata);
/// assert_eq!(classify("::ffff:8.8.8.8".parse().unwrap()), Class::Special);
/// assert_eq!(classify("8.8.8.8".parse().unwrap()), Class::Public);
/// ```
pub fn classify(address: IpAddr) -> Class {
    if METADATA.contains(&address) {
        return Class::Metadata;
    }
    let (internal, special) = match address {
        IpAddr::V4(address) => (
            INTERNAL_V4.iter().any(|network| network.contains(&address)),
            SPECIAL_V4.iter().any(|network| network.contains(&address)),
        ),
        IpAddr::V6(address) => (
            address == Ipv6Addr::LOCALHOST || INTERNAL_V6.contains(&address),
            !GLOBAL_V6.contains(&address) || SPECIAL_V6.iter().any(|network| network.contains(&address)),
        ),
    };
    match (internal, special) {
        (true, _) => Class::Internal,
        (false, true) => Class::Special,
        (false, false) => Class::Public,
    }
}

/// The IPv4 addresses that a packet to `address` may reach: IPv4-mapped, -compatible and -translated addresses, NAT64,
/// 6to4 and Teredo (server and client).
fn embedded(address: Ipv6Addr) -> Vec<Ipv4Addr> {
    let bytes = address.octets();
    let at = |places: [usize; 4]| Ipv4Addr::from(places.map(|place| bytes[place]));
    let last = at([12, 13, 14, 15]);
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => Vec::new(),
        [0, 0, 0, 0, 0, 0 | 0xffff, ..] | [0, 0, 0, 0, 0xffff, 0, ..] | [0x64, 0xff9b, 0, 0, 0, 0, ..] => {
            vec![last]
        }
        // A network of one's own choice: the address is wherever the prefix ends (RFC 6052, section 2.2).
        [0x64, 0xff9b, 1, ..] => [([6, 7, 9, 10], 11), ([7, 9, 10, 11], 12), ([9, 10, 11, 12], 13)]
            .into_iter()
            .filter(|(_, end)| bytes[*end..].iter().all(|byte| *byte == 0))
            .map(|(places, _)| at(places))
            .chain([last])
            .collect(),
        [0x2002, ..] => vec![at([2, 3, 4, 5])],
        [0x2001, 0, ..] => vec![at([4, 5, 6, 7]), Ipv4Addr::from_bits(!last.to_bits())],
        _ => Vec::new(),
    }
}

/// A host as a URL writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Host {
    /// An address, in any notation that resolvers accept: `127.0.0.1`, `127.1`, `0x7f.1`, `2130706433`, `::1`.
    Address(IpAddr),
    /// `localhost`, or a name in it.
    Local,
    /// Neither an address nor a name: it ends in a number.
    Malformed,
    /// Any other name.
    Name,
}

impl Host {
    /// Reads `host`, an IPv6 address without brackets.
    ///
    /// ```
    /// use simple_connect_core::http::guard::Host;
    ///
    /// assert_eq!(Host::read("0x7f.1"), Host::Address("127.0.0.1".parse().unwrap()));
    /// assert_eq!(Host::read("app.localhost"), Host::Local);
    /// assert_eq!(Host::read("1.2.3.256"), Host::Malformed);
    /// assert_eq!(Host::read("app.example"), Host::Name);
    /// ```
    pub fn read(host: &str) -> Self {
        if let Ok(address) = host.parse() {
            return Self::Address(IpAddr::V6(address));
        }
        let host = host.strip_suffix('.').unwrap_or(host);
        let last = host.rsplit('.').next().unwrap_or(host);
        if last.eq_ignore_ascii_case("localhost") {
            return Self::Local;
        }
        let digits = !last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit());
        let hex = hex_digits(last).is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_hexdigit()));
        match (digits || hex, ipv4(host)) {
            (false, _) => Self::Name,
            (true, Some(address)) => Self::Address(IpAddr::V4(address)),
            (true, None) => Self::Malformed,
        }
    }
}

/// Reads 1 to 4 decimal, octal or hexadecimal numbers as inet_aton(3) does: the last fills the remaining bytes.
fn ipv4(text: &str) -> Option<Ipv4Addr> {
    let parts = text.split('.').map(number).collect::<Option<Vec<u32>>>()?;
    let (last, first) = parts.split_last()?;
    if first.len() > 3 || first.iter().any(|part| *part > 0xff) {
        return None;
    }
    let bits = 8 * (4 - first.len());
    if u64::from(*last) >> bits != 0 {
        return None;
    }
    let places = [24, 16, 8];
    Some(Ipv4Addr::from_bits(
        first.iter().zip(places).fold(*last, |sum, (part, place)| sum | (part << place)),
    ))
}

fn number(text: &str) -> Option<u32> {
    let (digits, radix) = match hex_digits(text) {
        Some(digits) => (digits, 16),
        None if text.len() > 1 && text.starts_with('0') => (text, 8),
        None => (text, 10),
    };
    // Rust also reads a sign.
    if digits.starts_with('+') { None } else { u32::from_str_radix(digits, radix).ok() }
}

fn hex_digits(text: &str) -> Option<&str> {
    text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"))
}

/// Why the guard refuses a server. The messages contain no address: the person who entered the URL may read them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// One of its addresses is not public, and not allowed.
    #[error("it has an address that is not public")]
    Private,
    /// The URL is http.
    #[error("its URL is http, so that everybody on the way can read the requests")]
    Cleartext,
    /// The host is neither an address nor a name.
    #[error("its host ends in a number, but is not an address")]
    Malformed,
}

/// The text is not a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not a network: write it like 10.0.0.0/8 or fd00::/8")]
pub struct NetworkError;

/// Which servers may be connected to: those whose addresses are all public, over TLS, and what is allowed in addition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Guard {
    /// Whether [internal](Class::Internal) addresses are allowed.
    pub internal: bool,
    /// More networks that are allowed. A metadata service is allowed only if its address is one of them.
    pub networks: Vec<IpNet>,
    /// Whether http is allowed; without it, only for addresses that are not public.
    pub http: bool,
}

impl Guard {
    /// Reads a network such as `10.0.0.0/8`, or a single address.
    ///
    /// # Errors
    /// [`NetworkError`] if it is neither.
    ///
    /// ```
    /// use simple_connect_core::http::guard::Guard;
    ///
    /// assert_eq!(Guard::network("127.0.0.1"), Guard::network("127.0.0.1/32"));
    /// assert!(Guard::network("10.0.0.0/33").is_err());
    /// ```
    pub fn network(text: &str) -> Result<IpNet, NetworkError> {
        let address = || text.parse::<IpAddr>().map(IpNet::from);
        text.parse().or_else(|_| address()).map_err(|_| NetworkError)
    }

    /// Checks the addresses of a server, which are then those to connect to: one refused address refuses the server.
    ///
    /// # Errors
    /// The [`Refusal`].
    ///
    /// ```
    /// use simple_connect_core::http::guard::{Guard, Refusal};
    ///
    /// let addresses = ["8.8.8.8", "10.0.0.1"].map(|address| address.parse().unwrap());
    /// assert_eq!(Guard::default().check(&addresses, true), Err(Refusal::Private));
    /// let internal = Guard { internal: true, ..Guard::default() };
    /// assert_eq!(internal.check(&addresses, true), Ok(()));
    /// assert_eq!(internal.check(&addresses, false), Err(Refusal::Cleartext));
    /// ```
    pub fn check(&self, addresses: &[IpAddr], tls: bool) -> Result<(), Refusal> {
        if !addresses.iter().all(|address| self.allows(*address)) {
            return Err(Refusal::Private);
        }
        if !tls && !self.http && addresses.iter().any(|address| reaches_the_public(*address)) {
            return Err(Refusal::Cleartext);
        }
        Ok(())
    }

    /// Checks what `url` itself tells. Returns its address, if the host is one.
    ///
    /// # Errors
    /// The [`Refusal`].
    ///
    /// ```
    /// use simple_connect_core::http::guard::{Guard, Refusal};
    /// use simple_connect_core::http::url::Url;
    ///
    /// let check = |url| Guard::default().check_url(&Url::parse(url).unwrap());
    /// assert_eq!(check("https://2130706433/"), Err(Refusal::Private));
    /// assert_eq!(check("http://app.example/"), Err(Refusal::Cleartext));
    /// assert_eq!(check("https://134744072/"), Ok(Some("8.8.8.8".parse().unwrap())));
    /// assert_eq!(check("https://app.example/"), Ok(None));
    /// ```
    pub fn check_url(&self, url: &Url) -> Result<Option<IpAddr>, Refusal> {
        let loopback = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
        match Host::read(&url.host) {
            Host::Address(address) => self.check(&[address], url.tls).map(|()| Some(address)),
            Host::Malformed => Err(Refusal::Malformed),
            Host::Local if !loopback.into_iter().any(|address| self.allows(address)) => Err(Refusal::Private),
            // The name's addresses decide later whether they may be reached over http.
            Host::Name if !(url.tls || self.http || self.internal || !self.networks.is_empty()) => {
                Err(Refusal::Cleartext)
            }
            Host::Local | Host::Name => Ok(None),
        }
    }

    fn allows(&self, address: IpAddr) -> bool {
        let listed = || self.networks.iter().any(|network| network.contains(&address));
        let allowed = match classify(address) {
            Class::Public => true,
            Class::Internal => self.internal || listed(),
            Class::Metadata => self.networks.contains(&address.into()),
            Class::Special => listed(),
        };
        allowed && inside(address).all(|address| self.allows(address))
    }
}

/// Whether a packet to `address` may leave for the Internet.
fn reaches_the_public(address: IpAddr) -> bool {
    classify(address) == Class::Public || inside(address).any(|address| classify(address) == Class::Public)
}

/// The IPv4 addresses in an IPv6 address.
fn inside(address: IpAddr) -> impl Iterator<Item = IpAddr> {
    let addresses = match address {
        IpAddr::V4(_) => Vec::new(),
        IpAddr::V6(address) => embedded(address),
    };
    addresses.into_iter().map(IpAddr::V4)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(serde::Deserialize)]
    struct Table {
        addresses: Vec<AddressCase>,
        hosts: Vec<HostCase>,
        allowed: Vec<AllowedCase>,
        names: Vec<NameCase>,
    }

    #[derive(serde::Deserialize)]
    struct AddressCase {
        address: IpAddr,
        class: String,
    }

    #[derive(serde::Deserialize)]
    struct HostCase {
        host: String,
        address: Option<IpAddr>,
        #[serde(default)]
        local: bool,
        #[serde(default)]
        malformed: bool,
    }

    #[derive(serde::Deserialize)]
    struct AllowedCase {
        allow: Allow,
        address: IpAddr,
        allowed: bool,
    }

    #[derive(serde::Deserialize)]
    struct NameCase {
        addresses: Vec<IpAddr>,
        allow: Allow,
        http: String,
        refused: Option<String>,
    }

    #[derive(serde::Deserialize)]
    #[serde(untagged)]
    enum Allow {
        All(bool),
        Networks(Vec<String>),
    }

    impl Allow {
        fn guard(self) -> Guard {
            match self {
                Self::All(internal) => Guard { internal, ..Guard::default() },
                Self::Networks(networks) => Guard {
                    networks: networks.iter().map(|network| Guard::network(network).unwrap()).collect(),
                    ..Guard::default()
                },
            }
        }
    }

    fn table() -> Table {
        serde_json::from_str(include_str!("../../spec/conformance/own/guard.json")).unwrap()
    }

    #[test]
    fn the_table_of_addresses_holds() {
        for case in table().addresses {
            let class = match case.class.as_str() {
                "public" => Class::Public,
                "internal" => Class::Internal,
                "metadata" => Class::Metadata,
                "special" => Class::Special,
                other => panic!("{other}"),
            };
            assert_eq!(classify(case.address), class, "{}", case.address);
            let verdict = Guard::default().check(&[case.address], true);
            let expected = if class == Class::Public { Ok(()) } else { Err(Refusal::Private) };
            assert_eq!(verdict, expected, "{}", case.address);
        }
    }

    #[test]
    fn the_table_of_hosts_holds() {
        for case in table().hosts {
            let expected = match case {
                HostCase { address: Some(address), .. } => Host::Address(address),
                HostCase { local: true, .. } => Host::Local,
                HostCase { malformed: true, .. } => Host::Malformed,
                _ => Host::Name,
            };
            assert_eq!(Host::read(&case.host), expected, "{}", case.host);
        }
    }

    #[test]
    fn the_table_of_what_is_allowed_holds() {
        for case in table().allowed {
            let verdict = case.allow.guard().check(&[case.address], true);
            assert_eq!(verdict.is_ok(), case.allowed, "{}", case.address);
        }
    }

    #[test]
    fn the_table_of_names_holds() {
        for case in table().names {
            let guard = Guard { http: case.http == "allowed", ..case.allow.guard() };
            let refused = match guard.check(&case.addresses, case.http == "https") {
                Ok(()) => None,
                Err(Refusal::Private) => Some("private"),
                Err(Refusal::Cleartext) => Some("cleartext"),
                Err(Refusal::Malformed) => Some("malformed"),
            };
            assert_eq!(refused, case.refused.as_deref(), "{:?}", case.addresses);
        }
    }

    /// An address near one of the table's, or any.
    fn addresses() -> impl Strategy<Value = IpAddr> {
        let known: Vec<IpAddr> = table().addresses.into_iter().map(|case| case.address).collect();
        prop_oneof![
            any::<Ipv4Addr>().prop_map(IpAddr::V4),
            any::<Ipv6Addr>().prop_map(IpAddr::V6),
            (prop::sample::select(known), -300i64..300).prop_map(|(address, step)| match address {
                IpAddr::V4(near) =>
                    IpAddr::V4(Ipv4Addr::from_bits(near.to_bits().wrapping_add_signed(step as i32))),
                IpAddr::V6(near) =>
                    IpAddr::V6(Ipv6Addr::from_bits(near.to_bits().wrapping_add_signed(step.into()))),
            }),
        ]
    }

    /// What the standard library knows of addresses, by bits and without our tables.
    fn surely_internal(address: IpAddr) -> bool {
        match address {
            IpAddr::V4(a) => {
                a.is_loopback()
                    || a.is_private()
                    || a.is_link_local()
                    || a.is_unspecified()
                    || a.is_broadcast()
                    || a.is_multicast()
                    || a.is_documentation()
                    || a.octets()[0] == 0
                    || a.octets()[0] >= 240
                    || (a.octets()[0] == 100 && a.octets()[1] & 0xc0 == 64)
                    || (a.octets()[0] == 198 && a.octets()[1] & 0xfe == 18)
            }
            IpAddr::V6(a) => {
                a.is_loopback()
                    || a.is_unspecified()
                    || a.is_multicast()
                    || a.is_unique_local()
                    || a.is_unicast_link_local()
                    || a.to_ipv4().is_some()
                    || a.segments()[0] == 0x2002
                    || a.segments()[..2] == [0x2001, 0]
                    || a.segments()[..2] == [0x64, 0xff9b]
                    || a.segments()[0] & 0xffc0 == 0xfec0
            }
        }
    }

    proptest! {
        #[test]
        fn no_address_that_the_standard_library_knows_is_public(address in addresses()) {
            prop_assert!(!surely_internal(address) || classify(address) != Class::Public, "{}", address);
            let guard = Guard::default();
            prop_assert_eq!(guard.check(&[address], true).is_ok(), classify(address) == Class::Public);
        }

        #[test]
        fn one_refused_address_refuses_all(before in prop::collection::vec(addresses(), 0..5), one in addresses()) {
            let guard = Guard::default();
            let all = [before, vec![one]].concat();
            let each = all.iter().all(|address| guard.check(&[*address], true).is_ok());
            prop_assert_eq!(guard.check(&all, true).is_ok(), each);
        }

        #[test]
        fn an_address_in_another_is_not_overlooked(inner in any::<Ipv4Addr>()) {
            let [a, b, c, d] = inner.octets();
            let (high, low) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
            let wide = Guard { networks: vec![Guard::network("::/0").unwrap()], ..Guard::default() };
            let expected = wide.check(&[inner.into()], true).is_ok();
            for outer in [
                inner.to_ipv6_mapped(),
                Ipv6Addr::new(0, 0, 0, 0, 0xffff, 0, high, low),
                Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low),
                Ipv6Addr::new(0x2002, high, low, 0, 0, 0, 0, 1),
                Ipv6Addr::new(0x2001, 0, high, low, 0, 0, 0xf7f7, 0xf7f7),
                Ipv6Addr::new(0x2001, 0, 0x0808, 0x0808, 0, 0, !high, !low),
            ] {
                prop_assert_eq!(wide.check(&[outer.into()], true).is_ok(), expected, "{}", outer);
                prop_assert_eq!(Guard::default().check(&[outer.into()], true), Err(Refusal::Private));
            }
            let local = [
                Ipv6Addr::new(0x64, 0xff9b, 1, high, low >> 8, low << 8, 0, 0),
                Ipv6Addr::new(0x64, 0xff9b, 1, high >> 8, u16::from(b), low, 0, 0),
                Ipv6Addr::new(0x64, 0xff9b, 1, 0, u16::from(a), u16::from_be_bytes([b, c]), u16::from(d) << 8, 0),
                Ipv6Addr::new(0x64, 0xff9b, 1, 0, 0, 0, high, low),
            ];
            for outer in local {
                prop_assert!(expected || wide.check(&[outer.into()], true).is_err(), "{}", outer);
            }
        }

        #[test]
        fn every_notation_of_an_address_is_read(address in any::<Ipv4Addr>(), forms in prop::array::uniform4(0..4), parts in 1usize..=4, dot in any::<bool>()) {
            let octets = address.octets();
            let (first, rest) = octets.split_at(parts - 1);
            let last = rest.iter().fold(0u32, |sum, byte| (sum << 8) | u32::from(*byte));
            let numbers = first.iter().map(|byte| u32::from(*byte)).chain([last]);
            let texts: Vec<String> = numbers.zip(forms).map(|(number, form)| match form {
                0 => number.to_string(),
                1 => format!("0{number:o}"),
                2 => format!("0x{number:x}"),
                _ => format!("0X000{number:X}"),
            }).collect();
            let host = format!("{}{}", texts.join("."), if dot { "." } else { "" });
            prop_assert_eq!(Host::read(&host), Host::Address(address.into()), "{}", host);
        }

        #[test]
        fn reading_a_host_never_panics(host in ".{0,40}", numeric in "[0-9xXa-f.+]{0,30}") {
            let _ = (Host::read(&host), Guard::network(&host));
            let _ = (Host::read(&numeric), Guard::network(&numeric));
        }
    }
}
