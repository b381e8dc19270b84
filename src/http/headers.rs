//! Header fields that a request's sender chooses: checked once, and ready to be sent.

use http::HeaderName;
use zeroize::Zeroizing;

/// Fields that say how a request is framed, sent or signed: ours alone.
const RESERVED: [&str; 11] = [
    "accept-encoding",
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];
/// The same goes for fields whose names begin so.
const RESERVED_PREFIXES: [&str; 3] = ["x-simpleconnect-", "x-kiket-", "x-simplyq-"];

/// What is shown instead of a sensitive value.
const REDACTED: &[u8] = b"[redacted]";

/// Header lines. They are wiped when they are dropped.
///
/// ```
/// use simple_connect_core::http::headers::{HeaderLines, HeaderLinesError};
///
/// let mut lines = HeaderLines::default();
/// lines.add("Content-Type", "application/vnd.parcels+json").unwrap();
/// lines.add_sensitive("X-Token", "s3cr3t").unwrap();
/// assert!(lines.has("content-type"));
/// assert_eq!(lines.redact(b"you sent s3cr3t"), b"you sent [redacted]");
/// assert_eq!(lines.add("X-Evil", "1\r\nHost: other"), Err(HeaderLinesError::Value("X-Evil".to_owned())));
/// ```
#[derive(Default)]
pub struct HeaderLines {
    text: Zeroizing<String>,
    sensitive: Vec<Zeroizing<String>>,
}

impl std::fmt::Debug for HeaderLines {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("HeaderLines").finish_non_exhaustive()
    }
}

/// Why a field cannot be sent. It never shows the value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeaderLinesError {
    /// No field can have this name.
    #[error("{0:?} cannot be a header's name: use letters, digits and dashes, such as \"X-Tenant\"")]
    Name(String),
    /// A control character in the value.
    #[error("the value of {0:?} must not contain line breaks or other control characters")]
    Value(String),
    /// The field is set here already.
    #[error("{0:?} is given twice")]
    Twice(String),
    /// The field is not its sender's to set.
    #[error("{0:?} is set by this gem: leave it out")]
    Reserved(String),
}

impl HeaderLines {
    /// Adds a field; spaces around its value are left out.
    ///
    /// # Errors
    /// [`HeaderLinesError`] where it cannot be sent, or is there already.
    pub fn add(&mut self, name: &str, value: &str) -> Result<(), HeaderLinesError> {
        HeaderName::from_bytes(name.as_bytes()).map_err(|_| HeaderLinesError::Name(name.to_owned()))?;
        let value = trim(value);
        if value.bytes().any(|byte| byte.is_ascii_control() && byte != b'\t') {
            return Err(HeaderLinesError::Value(name.to_owned()));
        }
        if self.has(name) {
            return Err(HeaderLinesError::Twice(name.to_owned()));
        }
        // A String that grows by itself leaves its old text behind in memory.
        let parts = [&self.text, name, ": ", value, "\r\n"];
        let mut text = Zeroizing::new(String::with_capacity(parts.iter().map(|part| part.len()).sum()));
        text.extend(parts);
        self.text = text;
        Ok(())
    }

    /// Adds a field whose value nobody is to see.
    ///
    /// # Errors
    /// As [`add`](Self::add).
    pub fn add_sensitive(&mut self, name: &str, value: &str) -> Result<(), HeaderLinesError> {
        self.add(name, value)?;
        self.sensitive.push(Zeroizing::new(trim(value).to_owned()));
        Ok(())
    }

    /// Whether there is a field of this name, in whatever case.
    pub fn has(&self, name: &str) -> bool {
        self.text
            .lines()
            .filter_map(|line| line.split_once(':'))
            .any(|(other, _)| other.eq_ignore_ascii_case(name))
    }

    /// The lines as they are sent, each with its end.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// `text` without the sensitive values: a server may send back whatever it was sent.
    pub fn redact(&self, text: &[u8]) -> Vec<u8> {
        let mut values: Vec<&[u8]> =
            self.sensitive.iter().map(|value| value.as_bytes()).filter(|value| !value.is_empty()).collect();
        if values.is_empty() {
            return text.to_vec();
        }
        // One may be part of another.
        values.sort_by_key(|value| std::cmp::Reverse(value.len()));
        let mut redacted = Vec::with_capacity(text.len());
        let mut rest = text;
        while let Some((first, behind)) = rest.split_first() {
            match values.iter().find(|value| rest.starts_with(value)) {
                Some(value) => {
                    redacted.extend_from_slice(REDACTED);
                    rest = &rest[value.len()..];
                }
                None => {
                    redacted.push(*first);
                    rest = behind;
                }
            }
        }
        redacted
    }
}

/// Refuses the names of fields that no sender may choose.
///
/// # Errors
/// [`HeaderLinesError::Reserved`].
pub fn check_name(name: &str) -> Result<(), HeaderLinesError> {
    let lower = name.to_ascii_lowercase();
    let reserved = RESERVED.contains(&lower.as_str())
        || RESERVED_PREFIXES.iter().any(|prefix| lower.starts_with(prefix));
    if reserved { Err(HeaderLinesError::Reserved(name.to_owned())) } else { Ok(()) }
}

fn trim(value: &str) -> &str {
    value.trim_matches([' ', '\t'])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn fields_that_frame_or_sign_a_request_are_reserved() {
        for name in ["Host", "content-LENGTH", "Transfer-Encoding", "X-Simplyq-Signature", "x-kiket-anything"]
        {
            assert_eq!(check_name(name), Err(HeaderLinesError::Reserved(name.to_owned())));
        }
        for name in ["Authorization", "Content-Type", "User-Agent", "X-Simply"] {
            assert_eq!(check_name(name), Ok(()));
        }
    }

    #[test]
    fn a_field_is_there_once_whatever_its_case() {
        let mut lines = HeaderLines::default();
        lines.add("X-Tenant", " 9\t").unwrap();
        assert_eq!(lines.add_sensitive("x-tenant", "8"), Err(HeaderLinesError::Twice("x-tenant".to_owned())));
        assert_eq!(lines.as_str(), "X-Tenant: 9\r\n");
        assert_eq!(lines.redact(b"8"), b"8");
    }

    #[test]
    fn the_longest_value_is_redacted_first() {
        let mut lines = HeaderLines::default();
        lines.add_sensitive("A", "abc").unwrap();
        lines.add_sensitive("B", "abcdef").unwrap();
        lines.add_sensitive("C", "").unwrap();
        assert_eq!(lines.redact(b"xabcdefabc!"), b"x[redacted][redacted]!");
    }

    proptest! {
        #[test]
        fn whatever_is_added_is_one_line_of_its_own(
            name in "[A-Za-z-]{1,8}|.{0,8}", value in "[a-z é\t\r\n\0]{0,8}",
        ) {
            let mut lines = HeaderLines::default();
            match lines.add(&name, &value) {
                Ok(()) => {
                    let line = lines.as_str().strip_suffix("\r\n").unwrap();
                    prop_assert!(!line.contains(['\r', '\n', '\0']));
                    prop_assert_eq!(line, format!("{name}: {}", trim(&value)));
                }
                Err(_) => prop_assert_eq!(lines.as_str(), ""),
            }
        }

        #[test]
        fn no_sensitive_value_is_left(value in "[a-c]{1,3}", text in "[a-d]{0,30}") {
            let mut lines = HeaderLines::default();
            lines.add_sensitive("X", &value).unwrap();
            // What is left may only have it in pieces, around what was taken out.
            let redacted = String::from_utf8(lines.redact(text.as_bytes())).unwrap();
            prop_assert!(redacted.split("[redacted]").all(|piece| !piece.contains(&value)));
            prop_assert_eq!(redacted.replace("[redacted]", &value), text);
        }
    }
}
