//! The lines of an answer's head: finds their end, and normalizes malformed fields.

/// The fields that decide where an answer ends and whether its connection is reused.
const DECISIVE: [&[u8]; 3] = [b"content-length", b"transfer-encoding", b"connection"];

/// The length of the head (or of the trailers) at the start of `bytes`, including its empty line. The first `searched`
/// bytes were searched before, so that a head that arrives byte by byte is searched only once.
pub(crate) fn length(bytes: &[u8], searched: usize) -> Option<usize> {
    let empty_line_at = |at: usize| match &bytes[at..] {
        [b'\n', ..] => Some(at + 1),
        [b'\r', b'\n', ..] => Some(at + 2),
        _ => None,
    };
    // The empty line may begin in the bytes searched before.
    let from = searched.saturating_sub(2);
    let first = if from == 0 { empty_line_at(0) } else { None };
    first.or_else(|| memchr::memchr_iter(b'\n', &bytes[from..]).find_map(|at| empty_line_at(from + at + 1)))
}

/// Normalizes the fields of `lines`: unfolds folded ones (RFC 9112, section 5.2), removes spaces before colons, and
/// drops lines that are not fields.
///
/// # Errors
/// What makes the fields ambiguous. A proxy may read them differently, and see another end of the answer.
pub(crate) fn tidied(lines: &[u8]) -> Result<Vec<u8>, &'static str> {
    const STRAY: &str = "a stray carriage return, NUL or line of spaces";
    const UNCLEAR: &str = "a malformed Content-Length, Transfer-Encoding or Connection field";
    let mut fields: Vec<Vec<u8>> = Vec::new();
    for line in lines.split(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            break;
        }
        let text = line.trim_ascii();
        if text.is_empty() || line.contains(&b'\r') || line.contains(&0) {
            return Err(STRAY);
        }
        match fields.last_mut() {
            Some(field) if matches!(line[0], b' ' | b'\t') => {
                if is_decisive(text) || is_decisive(field) {
                    return Err(UNCLEAR);
                }
                field.push(b' ');
                field.extend_from_slice(text);
            }
            _ => fields.push(line.to_vec()),
        }
    }
    let mut tidied = Vec::with_capacity(lines.len());
    for field in fields {
        let colon = field.iter().position(|byte| *byte == b':').unwrap_or(field.len());
        let (name, value) = field.split_at(colon);
        let sound = !value.is_empty() && value.iter().all(|byte| is_of_a_value(*byte));
        if is_decisive(&field) && !(sound && is_name(name)) {
            return Err(UNCLEAR);
        }
        let name = name.trim_ascii_end();
        if sound && is_name(name) {
            tidied.extend_from_slice(&[name, value, b"\r\n"].concat());
        }
    }
    tidied.extend_from_slice(b"\r\n");
    Ok(tidied)
}

/// Whether the name of `field`, without invalid characters, is one of [`DECISIVE`].
fn is_decisive(field: &[u8]) -> bool {
    let name = field.iter().take_while(|byte| **byte != b':').filter(|byte| is_of_a_name(**byte));
    let name: Vec<u8> = name.map(u8::to_ascii_lowercase).collect();
    DECISIVE.contains(&name.as_slice())
}

fn is_name(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().all(|byte| is_of_a_name(*byte))
}

fn is_of_a_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn is_of_a_value(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_head_is_as_long_in_pieces_as_in_one(text in "([a:\\r\\n]|\r\n){0,30}", first in 0usize..30) {
            let bytes = text.as_bytes();
            let first = first.min(bytes.len());
            // The first search finds an end in the first part, the second only a later one.
            prop_assert_eq!(length(&bytes[..first], 0).or_else(|| length(bytes, first)), length(bytes, 0));
        }

        #[test]
        fn normalized_fields_are_valid_and_keep_decisive_ones(
            text in "(([Xx -]|Content-Length|connection|Transfer-Encoding|[:\x00-\x20\x7f\u{80}a]){1,4}:? ?[ -~\x01]{0,3}(\r\n|\n)){0,6}\r\n",
        ) {
            let Ok(tidied) = tidied(text.as_bytes()) else { return Ok(()) };
            let mut headers = [httparse::EMPTY_HEADER; 10];
            let parsed = httparse::parse_headers(&tidied, &mut headers);
            let Ok(httparse::Status::Complete((length, fields))) = parsed else {
                return Err(TestCaseError::fail(format!("{parsed:?}")));
            };
            prop_assert_eq!(length, tidied.len());
            prop_assert_eq!(super::tidied(&tidied), Ok(tidied.clone()));
            // No decisive field is lost.
            let end = super::length(text.as_bytes(), 0).unwrap();
            let seen = |name: &[u8]| text.as_bytes()[..end].split(|byte| *byte == b'\n').filter(|line| {
                let line: Vec<u8> = line.iter().take_while(|byte| **byte != b':').filter(|byte| is_of_a_name(**byte)).map(u8::to_ascii_lowercase).collect();
                line == name
            }).count();
            for name in DECISIVE {
                let kept = fields.iter().filter(|field| field.name.as_bytes().eq_ignore_ascii_case(name)).count();
                prop_assert_eq!(kept, seen(name));
            }
        }
    }
}
