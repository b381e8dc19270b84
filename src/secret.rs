//! Bytes that are wiped from memory after use.

use std::fmt;
use std::ops::Deref;

use zeroize::Zeroizing;

/// Bytes that are wiped when dropped. The buffer never grows, because growing would leave an unwiped copy behind.
///
/// ```
/// use simple_connect_core::secret::Secret;
///
/// let line = Secret::concat(&[b"Authorization: Bearer ", b"t0ken", b"\r\n"]);
/// assert_eq!(&*line, b"Authorization: Bearer t0ken\r\n");
/// assert_eq!(format!("{line:?}"), "Secret(29 bytes)");
/// ```
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Concatenates the parts in one allocation of exactly their length.
    pub fn concat(parts: &[&[u8]]) -> Self {
        Self(Zeroizing::new(parts.concat()))
    }
}

impl Deref for Secret {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Secret({} bytes)", self.len())
    }
}
