//! HMAC-SHA256 signatures of a timestamp and a body: clients sign, receivers verify.

use base64::prelude::{BASE64_STANDARD, Engine};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

/// Which bytes are signed, and how the signature is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// Signs `<timestamp>.<body>`; `sha256=` and lower-case hex.
    SimpleConnect,
    /// Signs `<timestamp>.<body>`; lower-case hex. A received signature may have the prefix `sha256=`.
    Kiket,
    /// Signs `<timestamp><body>`; padded standard base64. A header may hold a comma-separated list of signatures.
    Simplyq,
}

impl Scheme {
    /// All schemes.
    pub const ALL: [Self; 3] = [Self::SimpleConnect, Self::Kiket, Self::Simplyq];

    /// The scheme's name in Ruby, such as `simple_connect`.
    pub fn name(self) -> &'static str {
        match self {
            Self::SimpleConnect => "simple_connect",
            Self::Kiket => "kiket",
            Self::Simplyq => "simplyq",
        }
    }

    /// The scheme with this name.
    ///
    /// ```
    /// use simple_connect_core::signature::Scheme;
    ///
    /// assert_eq!(Scheme::named("kiket"), Some(Scheme::Kiket));
    /// assert_eq!(Scheme::named("md5"), None);
    /// ```
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scheme| scheme.name() == name)
    }

    /// The prefix of its headers' names, `<prefix>-Signature` and `<prefix>-Timestamp`.
    pub fn header_prefix(self) -> &'static str {
        match self {
            Self::SimpleConnect => "X-SimpleConnect",
            Self::Kiket => "X-Kiket",
            Self::Simplyq => "X-Simplyq",
        }
    }

    /// The separator of timestamp and body in the signed bytes.
    fn separator(self) -> &'static [u8] {
        match self {
            Self::SimpleConnect | Self::Kiket => b".",
            Self::Simplyq => b"",
        }
    }

    fn write(self, mac: &[u8]) -> String {
        match self {
            Self::SimpleConnect => format!("sha256={}", hex::encode(mac)),
            Self::Kiket => hex::encode(mac),
            Self::Simplyq => BASE64_STANDARD.encode(mac),
        }
    }

    /// The signatures in a header's value, in the format of [`write`](Self::write).
    fn read(self, value: &[u8]) -> Vec<&[u8]> {
        match self {
            Self::SimpleConnect => vec![value],
            Self::Kiket => vec![value.strip_prefix(b"sha256=").unwrap_or(value)],
            Self::Simplyq => value.split(|&byte| byte == b',').map(trim).collect(),
        }
    }

    /// The SHA-256 of the signed bytes, in hex. It does not depend on the secret, so it identifies a request that is
    /// sent again.
    ///
    /// ```
    /// use simple_connect_core::signature::Scheme;
    ///
    /// let one = Scheme::Kiket.fingerprint(b"1700000000", b"{}");
    /// assert_eq!(one, Scheme::Kiket.fingerprint(b"1700000000", b"{}"));
    /// assert_ne!(one, Scheme::Kiket.fingerprint(b"1700000001", b"{}"));
    /// ```
    pub fn fingerprint(self, timestamp: &[u8], body: &[u8]) -> String {
        let digest = Sha256::new()
            .chain_update(timestamp)
            .chain_update(self.separator())
            .chain_update(body)
            .finalize();
        hex::encode(digest)
    }
}

fn trim(value: &[u8]) -> &[u8] {
    let start = value.iter().position(|&byte| byte != b' ').unwrap_or(value.len());
    let end = value.iter().rposition(|&byte| byte != b' ').map_or(start, |last| last + 1);
    &value[start..end]
}

/// Signs bodies with one secret.
///
/// Keeps only the state that HMAC derives from the secret, and wipes it on drop. Copies may remain on the stack: the
/// `hmac` crate does not wipe it, and moving the state leaves copies there.
///
/// ```
/// use simple_connect_core::signature::{Scheme, Signer};
///
/// let signer = Signer::new(b"test-secret");
/// let hex = "6899cb9baf5ff4b18f42b6541d13335825cb43ddd9d24afd3e43df43da4a9dc6";
/// assert_eq!(signer.sign_as(Scheme::Kiket, b"1234567890", br#"{"test":"data"}"#), hex);
/// assert_eq!(signer.sign(1_234_567_890, br#"{"test":"data"}"#), format!("sha256={hex}"));
/// ```
#[derive(Clone)]
pub struct Signer {
    keyed: Hmac<Sha256>,
}

impl Signer {
    /// A signer for `secret`, used as raw bytes.
    pub fn new(secret: &[u8]) -> Self {
        #[expect(clippy::expect_used, reason = "HMAC is defined for keys of every length")]
        let keyed = Hmac::new_from_slice(secret).expect("HMAC takes any key");
        Self { keyed }
    }

    /// The value of a client's signature header for `body`, sent at `timestamp` (in seconds since 1970).
    pub fn sign(&self, timestamp: i64, body: &[u8]) -> String {
        self.sign_as(Scheme::SimpleConnect, timestamp.to_string().as_bytes(), body)
    }

    /// The signature of `timestamp` (as its text) and `body` in `scheme`. Does not copy the body.
    pub fn sign_as(&self, scheme: Scheme, timestamp: &[u8], body: &[u8]) -> String {
        let mut mac = self.keyed.clone();
        mac.update(timestamp);
        mac.update(scheme.separator());
        mac.update(body);
        scheme.write(&mac.finalize().into_bytes())
    }
}

/// The value of the signature header of a body: a list with each signer's signature if the scheme allows lists,
/// otherwise the first signer's. None without a signer.
///
/// ```
/// use simple_connect_core::signature::{Scheme, Signer, header_value};
///
/// let signers = [Signer::new(b"new"), Signer::new(b"old")];
/// let value = |scheme| header_value(scheme, &signers, b"1700000000", b"{}");
/// assert_eq!(value(Scheme::Kiket), Some(signers[0].sign_as(Scheme::Kiket, b"1700000000", b"{}")));
/// assert_eq!(value(Scheme::Simplyq).map(|value| value.split(',').count()), Some(2));
/// ```
pub fn header_value(scheme: Scheme, signers: &[Signer], timestamp: &[u8], body: &[u8]) -> Option<String> {
    let mut signatures = signers.iter().map(|signer| signer.sign_as(scheme, timestamp, body));
    match scheme {
        Scheme::SimpleConnect | Scheme::Kiket => signatures.next(),
        Scheme::Simplyq => signatures.reduce(|list, signature| format!("{list},{signature}")),
    }
}

/// A received request: its body and the two headers that sign it.
#[derive(Debug, Clone, Copy)]
pub struct Received<'a> {
    /// The value of the signature header, if there was one.
    pub signature: Option<&'a [u8]>,
    /// The value of the timestamp header, if there was one.
    pub timestamp: Option<&'a [u8]>,
    /// The raw body, as received.
    pub body: &'a [u8],
}

/// The accepted range of timestamps.
#[derive(Debug, Clone, Copy)]
pub struct Window {
    /// The current time, in seconds since 1970.
    pub now: i64,
    /// How far a timestamp may be before or after `now`, in seconds.
    pub tolerance: u64,
}

/// Why a request failed verification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No signature, or an empty one.
    #[error("the signature is missing")]
    MissingSignature,
    /// No timestamp, or an empty one.
    #[error("the timestamp is missing")]
    MissingTimestamp,
    /// The timestamp is not 1 to 12 digits.
    #[error("the timestamp must have 1 to 12 digits")]
    MalformedTimestamp,
    /// No secret produces this signature.
    #[error("the signature does not match the body, the timestamp and the secret")]
    Mismatch,
    /// Signed too long ago.
    #[error("the timestamp is too old")]
    TooOld,
    /// Signed too far in the future.
    #[error("the timestamp is too far in the future")]
    TooNew,
}

impl Refusal {
    /// The reason's name in Ruby, such as `too_old`.
    pub fn name(self) -> &'static str {
        match self {
            Self::MissingSignature => "missing_signature",
            Self::MissingTimestamp => "missing_timestamp",
            Self::MalformedTimestamp => "malformed_timestamp",
            Self::Mismatch => "mismatch",
            Self::TooOld => "too_old",
            Self::TooNew => "too_new",
        }
    }
}

/// Returns the index of the first of `signers` that signed the request.
///
/// Tries all signers, and compares signatures in constant time. Checks the signature before the timestamp, so that a
/// sender without a secret learns nothing about the receiver's clock.
///
/// # Errors
/// The [`Refusal`], if verification fails.
///
/// ```
/// use simple_connect_core::signature::{Received, Refusal, Scheme, Signer, Window, verify};
///
/// let secrets = [Signer::new(b"new"), Signer::new(b"old")];
/// let signature = secrets[1].sign_as(Scheme::Simplyq, b"1700000000", b"{}");
/// let received =
///     Received { signature: Some(signature.as_bytes()), timestamp: Some(b"1700000000"), body: b"{}" };
/// let at = |now| verify(Scheme::Simplyq, &secrets, received, Window { now, tolerance: 300 });
/// assert_eq!(at(1_700_000_300), Ok(1));
/// assert_eq!(at(1_700_000_301), Err(Refusal::TooOld));
/// ```
pub fn verify(
    scheme: Scheme,
    signers: &[Signer],
    received: Received<'_>,
    window: Window,
) -> Result<usize, Refusal> {
    let value = received.signature.filter(|value| !value.is_empty()).ok_or(Refusal::MissingSignature)?;
    let timestamp = received.timestamp.filter(|value| !value.is_empty()).ok_or(Refusal::MissingTimestamp)?;
    let signed_at = parse_timestamp(timestamp).ok_or(Refusal::MalformedTimestamp)?;

    let candidates = scheme.read(value);
    let matches: Vec<bool> = signers
        .iter()
        .map(|signer| {
            let expected = signer.sign_as(scheme, timestamp, received.body);
            let found = candidates
                .iter()
                .fold(Choice::from(0), |found, candidate| found | expected.as_bytes().ct_eq(candidate));
            found.into()
        })
        .collect();
    let signer = matches.iter().position(|&matching| matching).ok_or(Refusal::Mismatch)?;

    let Window { now, tolerance } = window;
    if signed_at.abs_diff(now) <= tolerance {
        Ok(signer)
    } else if signed_at < now {
        Err(Refusal::TooOld)
    } else {
        Err(Refusal::TooNew)
    }
}

/// Parses 1 to 12 digits as seconds since 1970.
fn parse_timestamp(text: &[u8]) -> Option<i64> {
    let well_formed = (1..=12).contains(&text.len()) && text.iter().all(u8::is_ascii_digit);
    well_formed.then(|| text.iter().fold(0, |seconds, digit| seconds * 10 + i64::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde::Deserialize;

    /// HMAC by its definition (RFC 2104), as an independent reference.
    fn by_definition(secret: &[u8], message: &[u8]) -> Vec<u8> {
        let mut key = [0u8; 64];
        if secret.len() > key.len() {
            key[..32].copy_from_slice(&Sha256::digest(secret));
        } else {
            key[..secret.len()].copy_from_slice(secret);
        }
        let inner = Sha256::new().chain_update(key.map(|b| b ^ 0x36)).chain_update(message).finalize();
        Sha256::new().chain_update(key.map(|b| b ^ 0x5c)).chain_update(inner).finalize().to_vec()
    }

    fn scheme() -> impl Strategy<Value = Scheme> {
        prop::sample::select(Scheme::ALL.to_vec())
    }

    fn bytes(length: usize) -> impl Strategy<Value = Vec<u8>> {
        proptest::collection::vec(any::<u8>(), 0..length)
    }

    /// Verifies `signature` for this timestamp and body, with a clock that shows the timestamp.
    fn verdict(
        scheme: Scheme,
        secret: &[u8],
        signature: &[u8],
        timestamp: i64,
        body: &[u8],
    ) -> Result<usize, Refusal> {
        let text = timestamp.to_string();
        let received = Received { signature: Some(signature), timestamp: Some(text.as_bytes()), body };
        verify(scheme, &[Signer::new(secret)], received, Window { now: timestamp, tolerance: 0 })
    }

    fn flip(bytes: &mut [u8], bit: prop::sample::Index) {
        let bit = bit.index(bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
    }

    proptest! {
        #[test]
        fn signs_the_timestamp_and_the_body(
            secret in bytes(200), timestamp in any::<i64>(), body in bytes(500)
        ) {
            let stamp = timestamp.to_string();
            let signer = Signer::new(&secret);
            let dotted = by_definition(&secret, &[stamp.as_bytes(), b".", &body].concat());
            let joined = by_definition(&secret, &[stamp.as_bytes(), &body].concat());

            let hex = hex::encode(dotted);
            prop_assert_eq!(signer.sign(timestamp, &body), format!("sha256={hex}"));
            prop_assert_eq!(signer.sign_as(Scheme::Kiket, stamp.as_bytes(), &body), hex);
            prop_assert_eq!(
                signer.sign_as(Scheme::Simplyq, stamp.as_bytes(), &body), BASE64_STANDARD.encode(joined)
            );
        }

        #[test]
        fn verifies_what_it_signs_and_nothing_with_a_bit_flipped(
            scheme in scheme(), secret in bytes(100), timestamp in 0i64..10i64.pow(12), body in bytes(200),
            bit in any::<prop::sample::Index>(), part in 0..4
        ) {
            let stamp = timestamp.to_string();
            // HMAC pads short secrets with zeros, so secrets that differ only in trailing zeros are equal.
            let (mut secret, mut body) = ([secret, vec![1]].concat(), [body, vec![b'}']].concat());
            let mut signature = Signer::new(&secret).sign_as(scheme, stamp.as_bytes(), &body).into_bytes();
            prop_assert_eq!(verdict(scheme, &secret, &signature, timestamp, &body), Ok(0));

            match part {
                0 => flip(&mut body, bit),
                1 => flip(&mut secret, bit),
                2 => flip(&mut signature, bit),
                // A flipped bit may not give a digit, so change the digit.
                _ => {
                    let mut other = stamp.clone().into_bytes();
                    let place = bit.index(other.len());
                    other[place] = if other[place] == b'9' { b'0' } else { other[place] + 1 };
                    let received =
                        Received { signature: Some(&signature), timestamp: Some(&other), body: &body };
                    let window = Window { now: timestamp, tolerance: u64::MAX };
                    let refused = verify(scheme, &[Signer::new(&secret)], received, window);
                    prop_assert_eq!(refused, Err(Refusal::Mismatch));
                    return Ok(());
                }
            }
            prop_assert_eq!(
                verdict(scheme, &secret, &signature, timestamp, &body), Err(Refusal::Mismatch)
            );
        }

        #[test]
        fn no_scheme_verifies_under_another(
            signed in scheme(), asked in scheme(), secret in bytes(50), timestamp in 0i64..10i64.pow(12),
            body in bytes(50)
        ) {
            let signature = Signer::new(&secret).sign_as(signed, timestamp.to_string().as_bytes(), &body);
            let verdict = verdict(asked, &secret, signature.as_bytes(), timestamp, &body);
            // Kiket's scheme also accepts the format of SimpleConnect's.
            let same = signed == asked || (signed, asked) == (Scheme::SimpleConnect, Scheme::Kiket);
            prop_assert_eq!(verdict, if same { Ok(0) } else { Err(Refusal::Mismatch) });
        }

        #[test]
        fn any_input_is_rejected_without_a_panic(
            scheme in scheme(), signature in proptest::option::of(bytes(100)),
            timestamp in proptest::option::of(bytes(20)), body in bytes(50), now in any::<i64>(),
            tolerance in any::<u64>()
        ) {
            let received =
                Received { signature: signature.as_deref(), timestamp: timestamp.as_deref(), body: &body };
            let verdict = verify(scheme, &[Signer::new(b"s")], received, Window { now, tolerance });
            prop_assert!(verdict.is_err());
        }
    }

    #[derive(Deserialize)]
    struct Table {
        answers: Vec<Answer>,
        verdicts: Vec<Case>,
    }

    #[derive(Deserialize)]
    struct Answer {
        scheme: String,
        secret: String,
        timestamp: i64,
        body: Bytes,
        signature: String,
    }

    #[derive(Deserialize)]
    struct Case {
        name: String,
        scheme: String,
        secrets: Vec<String>,
        signature: Option<Bytes>,
        timestamp: Option<Bytes>,
        body: Bytes,
        now: i64,
        tolerance: u64,
        secret: Option<usize>,
        reason: Option<String>,
    }

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Bytes {
        Text(String),
        Base64 {
            #[serde(rename = "$bytes")]
            base64: String,
        },
    }

    impl Bytes {
        fn get(&self) -> Vec<u8> {
            match self {
                Self::Text(text) => text.clone().into_bytes(),
                Self::Base64 { base64 } => BASE64_STANDARD.decode(base64).unwrap(),
            }
        }
    }

    fn table() -> Table {
        serde_json::from_str(include_str!("../spec/conformance/own/signatures.json")).unwrap()
    }

    #[test]
    fn the_known_answers_are_signed_and_verified() {
        for Answer { scheme, secret, timestamp, body, signature } in table().answers {
            let (scheme, secret, body) = (Scheme::named(&scheme).unwrap(), secret.as_bytes(), body.get());
            let stamp = timestamp.to_string();
            assert_eq!(Signer::new(secret).sign_as(scheme, stamp.as_bytes(), &body), signature);
            assert_eq!(verdict(scheme, secret, signature.as_bytes(), timestamp, &body), Ok(0));
        }
    }

    #[test]
    fn the_verdicts_are_those_of_the_table() {
        for case in table().verdicts {
            let signers: Vec<Signer> =
                case.secrets.iter().map(|secret| Signer::new(secret.as_bytes())).collect();
            let (signature, timestamp) =
                (case.signature.as_ref().map(Bytes::get), case.timestamp.as_ref().map(Bytes::get));
            let received = Received {
                signature: signature.as_deref(),
                timestamp: timestamp.as_deref(),
                body: &case.body.get(),
            };
            let window = Window { now: case.now, tolerance: case.tolerance };
            let verdict = verify(Scheme::named(&case.scheme).unwrap(), &signers, received, window);
            let expected = case.secret.ok_or(case.reason.as_deref().unwrap_or_default());
            assert_eq!(verdict.map_err(Refusal::name), expected, "{}", case.name);
        }
    }
}
