//! HMAC-SHA256 signatures.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Signs bodies with one secret.
///
/// The secret itself is not kept, only the state that HMAC derives from it; that is wiped on drop.
///
/// ```
/// use simple_connect_core::signature::Signer;
///
/// let signer = Signer::new(b"test-secret");
/// assert_eq!(
///     signer.sign(1_234_567_890, br#"{"test":"data"}"#),
///     "sha256=6899cb9baf5ff4b18f42b6541d13335825cb43ddd9d24afd3e43df43da4a9dc6"
/// );
/// ```
#[derive(Clone)]
pub struct Signer {
    keyed: Hmac<Sha256>,
}

impl Signer {
    /// A signer for `secret`, taken byte by byte as it is.
    pub fn new(secret: &[u8]) -> Self {
        #[expect(clippy::expect_used, reason = "HMAC is defined for keys of every length")]
        let keyed = Hmac::new_from_slice(secret).expect("HMAC takes any key");
        Self { keyed }
    }

    /// The value of the signature header for `body` sent at `timestamp` (seconds since 1970): `sha256=` and the
    /// lower-case hex HMAC of `<timestamp>.<body>`. The body is streamed, not copied.
    pub fn sign(&self, timestamp: i64, body: &[u8]) -> String {
        let mut mac = self.keyed.clone();
        mac.update(timestamp.to_string().as_bytes());
        mac.update(b".");
        mac.update(body);
        format!("sha256={}", hex::encode(mac.finalize().into_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// HMAC by its definition (RFC 2104), so that the crate's own is checked against something else.
    fn by_definition(secret: &[u8], message: &[u8]) -> String {
        use sha2::Digest;
        let mut key = [0u8; 64];
        if secret.len() > key.len() {
            key[..32].copy_from_slice(&Sha256::digest(secret));
        } else {
            key[..secret.len()].copy_from_slice(secret);
        }
        let inner = Sha256::new().chain_update(key.map(|b| b ^ 0x36)).chain_update(message).finalize();
        hex::encode(Sha256::new().chain_update(key.map(|b| b ^ 0x5c)).chain_update(inner).finalize())
    }

    proptest! {
        #[test]
        fn signs_the_timestamp_a_dot_and_the_body(
            secret in proptest::collection::vec(any::<u8>(), 0..200),
            timestamp in any::<i64>(),
            body in proptest::collection::vec(any::<u8>(), 0..500),
        ) {
            let mut message = format!("{timestamp}.").into_bytes();
            message.extend_from_slice(&body);
            prop_assert_eq!(
                Signer::new(&secret).sign(timestamp, &body),
                format!("sha256={}", by_definition(&secret, &message))
            );
        }
    }
}
