//! Header fields that users set: validated once, and stored as sent.

use http::HeaderName;
use memchr::memmem;
use zeroize::Zeroizing;

/// Fields that frame a request, control its connection or sign a webhook. Users cannot set them.
const RESERVED: [&str; 14] = [
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
    "webhook-id",
    "webhook-signature",
    "webhook-timestamp",
];
/// Fields that a client sets in each request. Only endpoints of webhooks may set them.
const OF_CLIENTS: [&str; 4] = ["accept", "authorization", "content-type", "user-agent"];
/// Prefixes of further reserved names, which include the signature's.
const RESERVED_PREFIXES: [&str; 4] = ["x-simpleconnect-", "x-kiket-", "x-simplyq-", "webhook-event-"];
/// The name of a test, by which a sandbox keeps parallel tests apart. It has a reserved prefix, but users set it.
const SESSION: &str = "x-simpleconnect-session";

/// The maximum length of a sensitive value, in bytes. Answers are searched for every sensitive value.
pub const MAX_SENSITIVE: usize = 8192;

/// The replacement for sensitive values.
const REDACTED: &[u8] = b"[redacted]";

/// Header lines. They are wiped when dropped.
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

/// Why a field is invalid. Never contains the value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeaderLinesError {
    /// The name is invalid.
    #[error("invalid header name {0:?}: use letters, digits and dashes, such as \"X-Tenant\"")]
    Name(String),
    /// The value contains a control character.
    #[error("the value of {0:?} must not contain line breaks or other control characters")]
    Value(String),
    /// The value is not UTF-8.
    #[error("the value of {0:?} must be valid UTF-8")]
    Encoding(String),
    /// A sensitive value has more than [`MAX_SENSITIVE`] bytes: its length.
    #[error("the value of {0:?} is too long: a sensitive value has at most {MAX_SENSITIVE} bytes, not {1}")]
    TooLong(String, usize),
    /// The field is set twice.
    #[error("{0:?} is given twice")]
    Twice(String),
    /// Users cannot set this field.
    #[error("{0:?} is set by this gem: leave it out")]
    Reserved(String),
}

impl HeaderLines {
    /// Adds a field, without leading and trailing spaces of its value.
    ///
    /// # Errors
    /// [`HeaderLinesError`] if the field is invalid or already set.
    pub fn add(&mut self, name: &str, value: &str) -> Result<(), HeaderLinesError> {
        HeaderName::from_bytes(name.as_bytes()).map_err(|_| HeaderLinesError::Name(name.to_owned()))?;
        let value = trim(value);
        // HeaderValue would copy the value.
        if value.bytes().any(|byte| byte.is_ascii_control() && byte != b'\t') {
            return Err(HeaderLinesError::Value(name.to_owned()));
        }
        if self.has(name) {
            return Err(HeaderLinesError::Twice(name.to_owned()));
        }
        self.text = concat(&[&self.text, name, ": ", value, "\r\n"]);
        Ok(())
    }

    /// Adds a field whose value is redacted, of up to [`MAX_SENSITIVE`] bytes.
    ///
    /// # Errors
    /// Those of [`add`](Self::add), and if the value is longer.
    pub fn add_sensitive(&mut self, name: &str, value: &str) -> Result<(), HeaderLinesError> {
        if value.len() > MAX_SENSITIVE {
            return Err(HeaderLinesError::TooLong(name.to_owned(), value.len()));
        }
        self.add(name, value)?;
        self.sensitive.push(Zeroizing::new(trim(value).to_owned()));
        Ok(())
    }

    /// Whether there is a field with this name; ignores case.
    pub fn has(&self, name: &str) -> bool {
        self.names().any(|other| other.eq_ignore_ascii_case(name))
    }

    /// The value of the field with this name; ignores case.
    pub fn value(&self, wanted: &str) -> Option<&str> {
        let line = self.text.lines().find(|line| name(line).eq_ignore_ascii_case(wanted))?;
        line.split_once(": ").map(|(_, value)| value)
    }

    /// The names of the fields, in the order they were added.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.text.lines().map(name)
    }

    /// These fields with those of `changes` added. Fields of `changes` replace those with the same name.
    ///
    /// ```
    /// use simple_connect_core::http::headers::HeaderLines;
    ///
    /// let (mut own, mut changes) = (HeaderLines::default(), HeaderLines::default());
    /// own.add("traceparent", "00-1").unwrap();
    /// own.add("X-Tenant", "9").unwrap();
    /// changes.add("Traceparent", "00-2").unwrap();
    /// assert_eq!(own.with(&changes).as_str(), "X-Tenant: 9\r\nTraceparent: 00-2\r\n");
    /// ```
    #[must_use]
    pub fn with(&self, changes: &Self) -> Self {
        let kept = self.text.split_inclusive('\n').filter(|line| !changes.has(name(line)));
        let parts: Vec<&str> = kept.chain([changes.as_str()]).collect();
        let sensitive = [&self.sensitive[..], &changes.sensitive[..]].concat();
        Self { text: concat(&parts), sensitive }
    }

    /// The lines as sent, each with its line break.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether there are sensitive values.
    pub fn has_secrets(&self) -> bool {
        !self.sensitive.is_empty()
    }

    /// Redacts the sensitive values in `text`, because a server may send back what it received. Values that overlap or
    /// touch are replaced together. Takes linear time in the length of the text, per value.
    pub fn redact(&self, text: &[u8]) -> Vec<u8> {
        if self.sensitive.is_empty() {
            return text.to_vec();
        }
        let mut hidden = vec![false; text.len()];
        for value in self.sensitive.iter().filter(|value| !value.is_empty()) {
            hide(&mut hidden, text, value.as_bytes());
        }
        let mut redacted = Vec::with_capacity(text.len());
        let mut position = 0;
        for run in hidden.chunk_by(|one, next| one == next) {
            let end = position + run.len();
            redacted.extend_from_slice(if run[0] { REDACTED } else { &text[position..end] });
            position = end;
        }
        redacted
    }
}

/// Marks in `hidden` each occurrence of `value` in `text`, including overlapping ones.
fn hide(hidden: &mut [bool], text: &[u8], value: &[u8]) {
    let finder = memmem::Finder::new(value);
    let mut borders = None;
    let mut position = 0;
    while let Some(found) = finder.find(&text[position..]) {
        let start = position + found;
        position = start + value.len();
        hidden[start..position].fill(true);
        let mut end = position;
        // The next occurrence may overlap this one. Searching again from within it could take quadratic time, so
        // continue with the Knuth-Morris-Pratt algorithm while it matches.
        let borders = borders.get_or_insert_with(|| borders_of(value));
        let mut matched = borders[value.len() - 1];
        while matched > 0 && position < text.len() {
            matched = longer(value, borders, matched, text[position]);
            position += 1;
            if matched == value.len() {
                hidden[end.max(position - matched)..position].fill(true);
                end = position;
                matched = borders[matched - 1];
            }
        }
    }
}

/// For each prefix of `value`, the length of its longest border: a shorter text that is both its prefix and its suffix.
fn borders_of(value: &[u8]) -> Vec<usize> {
    let mut borders = vec![0];
    for &byte in &value[1..] {
        borders.push(longer(value, &borders, borders[borders.len() - 1], byte));
    }
    borders
}

/// How many bytes of `value` match after a match of `matched` bytes and the byte `next`.
fn longer(value: &[u8], borders: &[usize], mut matched: usize, next: u8) -> usize {
    while matched > 0 && value[matched] != next {
        matched = borders[matched - 1];
    }
    matched + usize::from(value[matched] == next)
}

/// Rejects reserved field names.
///
/// # Errors
/// [`HeaderLinesError::Reserved`].
pub fn check_name(name: &str) -> Result<(), HeaderLinesError> {
    let lower = name.to_ascii_lowercase();
    let reserved = RESERVED.contains(&lower.as_str())
        || (lower != SESSION && RESERVED_PREFIXES.iter().any(|prefix| lower.starts_with(prefix)));
    if reserved { Err(HeaderLinesError::Reserved(name.to_owned())) } else { Ok(()) }
}

/// Like [`check_name`], and rejects fields that a client sets itself.
///
/// # Errors
/// [`HeaderLinesError::Reserved`].
pub fn check_name_for_client(name: &str) -> Result<(), HeaderLinesError> {
    check_name(name)?;
    let own = OF_CLIENTS.iter().any(|other| other.eq_ignore_ascii_case(name));
    if own { Err(HeaderLinesError::Reserved(name.to_owned())) } else { Ok(()) }
}

/// The name of the field in `line`.
fn name(line: &str) -> &str {
    line.split_once(':').map_or(line, |(name, _)| name)
}

/// Concatenates the parts in one allocation, because a growing String leaves unwiped copies in memory.
fn concat(parts: &[&str]) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(parts.iter().map(|part| part.len()).sum()));
    text.extend(parts.iter().copied());
    text
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
            for check in [check_name, check_name_for_client] {
                assert_eq!(check(name), Err(HeaderLinesError::Reserved(name.to_owned())));
            }
        }
        for name in ["Accept", "Authorization", "content-type", "USER-agent"] {
            assert_eq!(check_name(name), Ok(()));
            assert_eq!(check_name_for_client(name), Err(HeaderLinesError::Reserved(name.to_owned())));
        }
        for name in ["X-Simply", "traceparent", "Accept-Language", "X-SimpleConnect-Session"] {
            assert_eq!((check_name(name), check_name_for_client(name)), (Ok(()), Ok(())));
        }
    }

    #[test]
    fn field_names_ignore_case() {
        let mut lines = HeaderLines::default();
        lines.add("X-Tenant", " 9\t").unwrap();
        assert_eq!(lines.add_sensitive("x-tenant", "8"), Err(HeaderLinesError::Twice("x-tenant".to_owned())));
        assert_eq!(lines.as_str(), "X-Tenant: 9\r\n");
        assert_eq!(lines.redact(b"8"), b"8");
    }

    #[test]
    fn changes_replace_fields_of_the_same_name() {
        let mut own = sensitive(&["s3cr3t", "t0ken"]);
        own.add("Y", "1").unwrap();
        let mut changes = HeaderLines::default();
        changes.add("x-1", "2").unwrap();
        changes.add_sensitive("Z", "k3y").unwrap();
        let both = own.with(&changes);
        assert_eq!(both.as_str(), "X-0: s3cr3t\r\nY: 1\r\nx-1: 2\r\nZ: k3y\r\n");
        assert_eq!(both.names().collect::<Vec<_>>(), ["X-0", "Y", "x-1", "Z"]);
        assert_eq!(both.redact(b"s3cr3t, k3y"), b"[redacted], [redacted]");
        assert_eq!(HeaderLines::default().with(&own).as_str(), own.as_str());
        assert_eq!(own.with(&HeaderLines::default()).as_str(), own.as_str());
    }

    fn sensitive(values: &[&str]) -> HeaderLines {
        let mut lines = HeaderLines::default();
        for (number, value) in values.iter().enumerate() {
            lines.add_sensitive(&format!("X-{number}"), value).unwrap();
        }
        lines
    }

    #[test]
    fn values_that_overlap_or_touch_are_redacted_together() {
        for (values, text, redacted) in [
            (&["abc", "abcdef", ""] as &[_], "xabcdefabc!", "x[redacted]!"),
            (&["abc", "cde"], "abcde abc.cde bcd", "[redacted] [redacted].[redacted] bcd"),
            (&["b", "abc"], "abc ab", "[redacted] a[redacted]"),
            (&["aba"], "ababa abab abaaaba", "[redacted] [redacted]b [redacted]a[redacted]"),
            (&["é"], "é\u{e8}", "[redacted]\u{e8}"),
            (&["", " \t"], "nothing is hidden", "nothing is hidden"),
            (&["a"], "", ""),
        ] {
            assert_eq!(sensitive(values).redact(text.as_bytes()), redacted.as_bytes(), "{values:?}");
        }
    }

    #[test]
    fn a_sensitive_value_has_a_longest_length() {
        let mut lines = HeaderLines::default();
        let long = "x".repeat(MAX_SENSITIVE + 1);
        assert_eq!(
            lines.add_sensitive("X", &long),
            Err(HeaderLinesError::TooLong("X".to_owned(), long.len()))
        );
        assert_eq!(lines.as_str(), "");
        assert_eq!(lines.add_sensitive("X", &long[1..]), Ok(()));
        assert_eq!(lines.add("Y", &long), Ok(()));
    }

    #[test]
    fn long_values_take_about_as_long_as_short_ones() {
        let time = |part: &str, length: usize, end: &str, text: &str| {
            let values: Vec<String> = (0..10).map(|n| part.repeat((length - n) / part.len()) + end).collect();
            let lines = sensitive(&values.iter().map(String::as_str).collect::<Vec<_>>());
            let start = std::time::Instant::now();
            lines.redact(text.as_bytes());
            start.elapsed()
        };
        let (a, ab) = ("a".repeat(1 << 17), "ab".repeat(1 << 16));
        // Worst cases: almost a match at each position, or overlapping matches.
        for (part, end, text) in [("a", "b", &a), ("a", "", &a), ("ab", "", &ab)] {
            let (short, long) = (time(part, 16, end, text), time(part, MAX_SENSITIVE - 1, end, text));
            assert!(long < 50 * short, "{part}: {short:?}, {long:?}");
        }
    }

    proptest! {
        #[test]
        fn each_field_is_exactly_one_line(
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
        fn only_sensitive_values_are_redacted(
            values in proptest::collection::vec("[ab]{0,4}", 1..4), text in "[abc]{0,30}",
        ) {
            let lines = sensitive(&values.iter().map(String::as_str).collect::<Vec<_>>());
            let mut kept: Vec<Option<char>> = text.chars().map(Some).collect();
            for value in values.iter().filter(|value| !value.is_empty()) {
                for start in (0..text.len()).filter(|start| text[*start..].starts_with(value)) {
                    kept[start..start + value.len()].fill(None);
                }
            }
            kept.dedup_by(|next, one| next.is_none() && one.is_none());
            let expected: String =
                kept.iter().map(|kept| kept.map_or("[redacted]".to_owned(), String::from)).collect();
            prop_assert_eq!(String::from_utf8(lines.redact(text.as_bytes())).unwrap(), expected);
        }
    }
}
