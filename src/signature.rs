//! HMAC-SHA256 signatures of a timestamp and a body: clients sign, receivers verify.

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};
use zeroize::Zeroizing;

/// Which bytes are signed, and how the signature is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// Signs `<timestamp>.<body>`; `sha256=` and lower-case hex.
    SimpleConnect,
    /// Signs `<timestamp>.<body>`; lower-case hex. A received signature may have the prefix `sha256=`.
    Kiket,
    /// Signs `<timestamp><body>`; padded standard base64. A header may hold a comma-separated list of signatures.
    Simplyq,
    /// [Standard Webhooks](https://www.standardwebhooks.com): signs `<id>.<timestamp>.<body>`; `v1,` and padded standard
    /// base64. A header may hold a list, separated by spaces, with signatures of other versions. The key is the secret's
    /// text after `whsec_`, decoded from base64.
    StandardWebhooks,
}

/// Which request is signed, besides its body.
#[derive(Debug, Clone, Copy, Default)]
pub struct Stamp<'a> {
    /// The message's id, if the scheme [has one](Scheme::has_id).
    pub id: &'a [u8],
    /// The timestamp's text.
    pub timestamp: &'a [u8],
}

/// The secret is not one of the scheme. The message does not show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be whsec_ and base64, such as whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")]
pub struct SecretError;

impl Scheme {
    /// All schemes.
    pub const ALL: [Self; 4] = [Self::SimpleConnect, Self::Kiket, Self::Simplyq, Self::StandardWebhooks];

    /// The scheme's name in Ruby, such as `simple_connect`.
    pub fn name(self) -> &'static str {
        match self {
            Self::SimpleConnect => "simple_connect",
            Self::Kiket => "kiket",
            Self::Simplyq => "simplyq",
            Self::StandardWebhooks => "standard_webhooks",
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

    /// The full name of one of its headers, such as `Signature` or `Timestamp`.
    ///
    /// ```
    /// use simple_connect_core::signature::Scheme;
    ///
    /// assert_eq!(Scheme::Kiket.header("Signature"), "X-Kiket-Signature");
    /// assert_eq!(Scheme::StandardWebhooks.header("Signature"), "webhook-signature");
    /// ```
    pub fn header(self, name: &str) -> String {
        let prefix = match self {
            Self::SimpleConnect => "X-SimpleConnect",
            Self::Kiket => "X-Kiket",
            Self::Simplyq => "X-Simplyq",
            Self::StandardWebhooks => return format!("webhook-{}", name.to_ascii_lowercase()),
        };
        format!("{prefix}-{name}")
    }

    /// Whether it signs the message's id, which is in the header [`Id`](Self::header).
    pub fn has_id(self) -> bool {
        self == Self::StandardWebhooks
    }

    /// Whether its signature header is a list, so that several secrets can sign during a rotation.
    pub fn has_list(self) -> bool {
        matches!(self, Self::Simplyq | Self::StandardWebhooks)
    }

    /// Passes the signed bytes to `update`, in pieces.
    fn signed(self, stamp: Stamp<'_>, body: &[u8], mut update: impl FnMut(&[u8])) {
        if self.has_id() {
            update(stamp.id);
            update(b".");
        }
        update(stamp.timestamp);
        if self != Self::Simplyq {
            update(b".");
        }
        update(body);
    }

    fn write(self, mac: &[u8]) -> String {
        match self {
            Self::SimpleConnect => format!("sha256={}", hex::encode(mac)),
            Self::Kiket => hex::encode(mac),
            Self::Simplyq => BASE64_STANDARD.encode(mac),
            Self::StandardWebhooks => format!("v1,{}", BASE64_STANDARD.encode(mac)),
        }
    }

    /// The signatures in a header's value, in the format of [`write`](Self::write).
    fn read(self, value: &[u8]) -> Vec<&[u8]> {
        match self {
            Self::SimpleConnect => vec![value],
            Self::Kiket => vec![value.strip_prefix(b"sha256=").unwrap_or(value)],
            Self::Simplyq => value.split(|&byte| byte == b',').map(trim).collect(),
            Self::StandardWebhooks => value.split(|&byte| byte == b' ').collect(),
        }
    }

    /// The SHA-256 of the signed bytes, in hex. It does not depend on the secret, so it identifies a request that is
    /// sent again.
    ///
    /// ```
    /// use simple_connect_core::signature::{Scheme, Stamp};
    ///
    /// let of = |timestamp| Scheme::Kiket.fingerprint(Stamp { id: b"", timestamp }, b"{}");
    /// assert_eq!(of(b"1700000000"), of(b"1700000000"));
    /// assert_ne!(of(b"1700000000"), of(b"1700000001"));
    /// ```
    pub fn fingerprint(self, stamp: Stamp<'_>, body: &[u8]) -> String {
        let mut digest = Sha256::new();
        self.signed(stamp, body, |bytes| digest.update(bytes));
        hex::encode(digest.finalize())
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
/// use simple_connect_core::signature::{Scheme, Signer, Stamp};
///
/// let signer = Signer::new(b"test-secret");
/// let hex = "6899cb9baf5ff4b18f42b6541d13335825cb43ddd9d24afd3e43df43da4a9dc6";
/// let stamp = Stamp { id: b"", timestamp: b"1234567890" };
/// assert_eq!(signer.sign_as(Scheme::Kiket, stamp, br#"{"test":"data"}"#), hex);
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

    /// A signer for `secret`, in the form that `scheme` gives it.
    ///
    /// # Errors
    /// [`SecretError`] if the scheme's secrets are base64, and this one is not.
    ///
    /// ```
    /// use simple_connect_core::signature::{Scheme, Signer, Stamp};
    ///
    /// let scheme = Scheme::StandardWebhooks;
    /// let signer = Signer::of(scheme, b"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
    /// let stamp = Stamp { id: b"msg_p5jXN8AQM9LWM0D4loKWxJek", timestamp: b"1614265330" };
    /// let signature = signer.sign_as(scheme, stamp, br#"{"test": 2432232314}"#);
    /// assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    /// assert!(Signer::of(scheme, b"whsec_???").is_err());
    /// ```
    pub fn of(scheme: Scheme, secret: &[u8]) -> Result<Self, SecretError> {
        if scheme != Scheme::StandardWebhooks {
            return Ok(Self::new(secret));
        }
        let text = secret.strip_prefix(b"whsec_").unwrap_or(secret);
        let mut key = Zeroizing::new(vec![0; base64::decoded_len_estimate(text.len())]);
        let length = WITH_OR_WITHOUT_PADDING.decode_slice(text, &mut key).map_err(|_| SecretError)?;
        // With an empty key anybody could sign.
        if length == 0 { Err(SecretError) } else { Ok(Self::new(&key[..length])) }
    }

    /// The value of a client's signature header for `body`, sent at `timestamp` (in seconds since 1970).
    pub fn sign(&self, timestamp: i64, body: &[u8]) -> String {
        let timestamp = timestamp.to_string();
        self.sign_as(Scheme::SimpleConnect, Stamp { id: b"", timestamp: timestamp.as_bytes() }, body)
    }

    /// The signature of `stamp` and `body` in `scheme`. Does not copy the body.
    pub fn sign_as(&self, scheme: Scheme, stamp: Stamp<'_>, body: &[u8]) -> String {
        let mut mac = self.keyed.clone();
        scheme.signed(stamp, body, |bytes| mac.update(bytes));
        scheme.write(&mac.finalize().into_bytes())
    }
}

/// The value of the signature header of a body: a list with each signer's signature if the scheme allows lists,
/// otherwise the first signer's. None without a signer.
///
/// ```
/// use simple_connect_core::signature::{Scheme, Signer, Stamp, header_value};
///
/// let signers = [Signer::new(b"new"), Signer::new(b"old")];
/// let stamp = Stamp { id: b"", timestamp: b"1700000000" };
/// let value = |scheme| header_value(scheme, &signers, stamp, b"{}");
/// assert_eq!(value(Scheme::Kiket), Some(signers[0].sign_as(Scheme::Kiket, stamp, b"{}")));
/// assert_eq!(value(Scheme::Simplyq).map(|value| value.split(',').count()), Some(2));
/// ```
pub fn header_value(scheme: Scheme, signers: &[Signer], stamp: Stamp<'_>, body: &[u8]) -> Option<String> {
    let mut signatures = signers.iter().map(|signer| signer.sign_as(scheme, stamp, body));
    match scheme {
        Scheme::SimpleConnect | Scheme::Kiket => signatures.next(),
        Scheme::Simplyq => signatures.reduce(|list, signature| format!("{list},{signature}")),
        Scheme::StandardWebhooks => signatures.reduce(|list, signature| format!("{list} {signature}")),
    }
}

/// Reads secrets with and without padding.
const WITH_OR_WITHOUT_PADDING: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A received request: its body and the headers that sign it.
#[derive(Debug, Clone, Copy)]
pub struct Received<'a> {
    /// The value of the signature header, if there was one.
    pub signature: Option<&'a [u8]>,
    /// The value of the id header, if the scheme [has one](Scheme::has_id) and it was there.
    pub id: Option<&'a [u8]>,
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
    /// No id, or an empty one.
    #[error("the id is missing")]
    MissingId,
    /// The id contains a dot. It could then be exchanged with parts of the body.
    #[error("the id must not contain a dot")]
    MalformedId,
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
            Self::MissingId => "missing_id",
            Self::MalformedId => "malformed_id",
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
/// use simple_connect_core::signature::{Received, Refusal, Scheme, Signer, Stamp, Window, verify};
///
/// let secrets = [Signer::new(b"new"), Signer::new(b"old")];
/// let stamp = Stamp { id: b"", timestamp: b"1700000000" };
/// let signature = secrets[1].sign_as(Scheme::Simplyq, stamp, b"{}");
/// let (signature, timestamp) = (Some(signature.as_bytes()), Some(stamp.timestamp));
/// let received = Received { signature, id: None, timestamp, body: b"{}" };
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
    let id = received.id.filter(|value| scheme.has_id() && !value.is_empty());
    if scheme.has_id() && id.is_none() {
        return Err(Refusal::MissingId);
    }
    let id = id.unwrap_or_default();
    if id.contains(&b'.') {
        return Err(Refusal::MalformedId);
    }
    let timestamp = received.timestamp.filter(|value| !value.is_empty()).ok_or(Refusal::MissingTimestamp)?;
    let signed_at = parse_timestamp(timestamp).ok_or(Refusal::MalformedTimestamp)?;

    let candidates = scheme.read(value);
    let matches: Vec<bool> = signers
        .iter()
        .map(|signer| {
            let expected = signer.sign_as(scheme, Stamp { id, timestamp }, received.body);
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

    /// A stamp with this timestamp, and an id if the scheme has one.
    fn stamped(scheme: Scheme, timestamp: &str) -> Stamp<'_> {
        Stamp { id: if scheme.has_id() { b"msg_7" } else { b"" }, timestamp: timestamp.as_bytes() }
    }

    fn received<'a>(scheme: Scheme, signature: &'a [u8], timestamp: &'a str, body: &'a [u8]) -> Received<'a> {
        let Stamp { id, timestamp } = stamped(scheme, timestamp);
        Received { signature: Some(signature), id: Some(id), timestamp: Some(timestamp), body }
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
        let received = received(scheme, signature, &text, body);
        verify(scheme, &[Signer::new(secret)], received, Window { now: timestamp, tolerance: 0 })
    }

    fn flip(bytes: &mut [u8], bit: prop::sample::Index) {
        let bit = bit.index(bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
    }

    #[test]
    fn a_secret_of_standard_webhooks_is_base64() {
        let of = |secret: &[u8]| Signer::of(Scheme::StandardWebhooks, secret);
        let sign = |signer: Signer| signer.sign(1, b"{}");
        for secret in ["whsec_c2VjcmV0cw==", "whsec_c2VjcmV0cw", "c2VjcmV0cw=="] {
            assert_eq!(of(secret.as_bytes()).map(sign), Ok(sign(Signer::new(b"secrets"))), "{secret}");
        }
        for secret in
            ["", "whsec_", "whsec_c2VjcmV0cx==", "whsec_c2Vj cmV0cw==", "whsec_-_-_", "whsec_whsec_c2Vj", "a"]
        {
            assert_eq!(of(secret.as_bytes()).map(sign), Err(SecretError), "{secret}");
        }
        let raw = Signer::of(Scheme::Kiket, b"whsec_c2VjcmV0cw==").map(sign);
        assert_eq!(raw, Ok(sign(Signer::new(b"whsec_c2VjcmV0cw=="))), "other schemes take it as it is");
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
            let with_id = by_definition(&secret, &[b"msg_7.", stamp.as_bytes(), b".", &body].concat());
            let sign = |scheme| signer.sign_as(scheme, stamped(scheme, &stamp), &body);

            let hex = hex::encode(dotted);
            prop_assert_eq!(signer.sign(timestamp, &body), format!("sha256={hex}"));
            prop_assert_eq!(sign(Scheme::Kiket), hex);
            prop_assert_eq!(sign(Scheme::Simplyq), BASE64_STANDARD.encode(joined));
            prop_assert_eq!(sign(Scheme::StandardWebhooks), format!("v1,{}", BASE64_STANDARD.encode(with_id)));
        }

        #[test]
        fn verifies_what_it_signs_and_nothing_with_a_bit_flipped(
            scheme in scheme(), secret in bytes(100), timestamp in 0i64..10i64.pow(12), body in bytes(200),
            bit in any::<prop::sample::Index>(), part in 0..4
        ) {
            let stamp = timestamp.to_string();
            // HMAC pads short secrets with zeros, so secrets that differ only in trailing zeros are equal.
            let (mut secret, mut body) = ([secret, vec![1]].concat(), [body, vec![b'}']].concat());
            let mut signature = Signer::new(&secret).sign_as(scheme, stamped(scheme, &stamp), &body).into_bytes();
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
                    let other = String::from_utf8(other).unwrap();
                    let received = received(scheme, &signature, &other, &body);
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
            let signature = Signer::new(&secret).sign_as(signed, stamped(signed, &timestamp.to_string()), &body);
            let verdict = verdict(asked, &secret, signature.as_bytes(), timestamp, &body);
            // Kiket's scheme also accepts the format of SimpleConnect's.
            let same = signed == asked || (signed, asked) == (Scheme::SimpleConnect, Scheme::Kiket);
            prop_assert_eq!(verdict, if same { Ok(0) } else { Err(Refusal::Mismatch) });
        }

        #[test]
        fn any_input_is_rejected_without_a_panic(
            scheme in scheme(), signature in proptest::option::of(bytes(100)),
            id in proptest::option::of(bytes(20)), timestamp in proptest::option::of(bytes(20)), body in bytes(50), now in any::<i64>(),
            tolerance in any::<u64>()
        ) {
            let (signature, id, timestamp) = (signature.as_deref(), id.as_deref(), timestamp.as_deref());
            let received = Received { signature, id, timestamp, body: &body };
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
        #[serde(default)]
        id: String,
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
        id: Option<Bytes>,
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
        for Answer { scheme, secret, id, timestamp, body, signature } in table().answers {
            let (scheme, body) = (Scheme::named(&scheme).unwrap(), body.get());
            let text = timestamp.to_string();
            let stamp = Stamp { id: id.as_bytes(), timestamp: text.as_bytes() };
            let signer = Signer::of(scheme, secret.as_bytes()).unwrap();
            assert_eq!(signer.sign_as(scheme, stamp, &body), signature);
            let Stamp { id, timestamp: at } = stamp;
            let signature = Some(signature.as_bytes());
            let received = Received { signature, id: Some(id), timestamp: Some(at), body: &body };
            assert_eq!(verify(scheme, &[signer], received, Window { now: timestamp, tolerance: 0 }), Ok(0));
        }
    }

    #[test]
    fn the_verdicts_are_those_of_the_table() {
        for case in table().verdicts {
            let scheme = Scheme::named(&case.scheme).unwrap();
            let signer = |secret: &String| Signer::of(scheme, secret.as_bytes()).unwrap();
            let signers: Vec<Signer> = case.secrets.iter().map(signer).collect();
            let [signature, id, timestamp] =
                [&case.signature, &case.id, &case.timestamp].map(|value| value.as_ref().map(Bytes::get));
            let received = Received {
                signature: signature.as_deref(),
                id: id.as_deref(),
                timestamp: timestamp.as_deref(),
                body: &case.body.get(),
            };
            let window = Window { now: case.now, tolerance: case.tolerance };
            let verdict = verify(scheme, &signers, received, window);
            let expected = case.secret.ok_or(case.reason.as_deref().unwrap_or_default());
            assert_eq!(verdict.map_err(Refusal::name), expected, "{}", case.name);
        }
    }
}
