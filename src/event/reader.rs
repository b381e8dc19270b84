//! Reads JSON in one pass, with the rules of Ruby's JSON library.

use std::char::{REPLACEMENT_CHARACTER, decode_utf16};
use std::mem::take;
use std::ops::Range;

use crate::event::json::MAX_NESTING;

/// A scalar value, or the start of an array or object.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Token<'a> {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// An integer.
    Integer(i64),
    /// An integer that an `i64` cannot hold, in decimal digits.
    BigInteger(&'a str),
    /// A number with a fraction or an exponent; infinite if it is too large.
    Float(f64),
    /// A string, unescaped and without its quotes.
    Text(&'a str),
    /// The start of an array: [`Reader::element`] reads its elements.
    Array,
    /// The start of an object: [`Reader::member`] reads its members.
    Object,
}

/// The text is invalid JSON, or nested deeper than [`MAX_NESTING`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("invalid JSON")]
pub struct Invalid;

/// Reads a JSON text value by value. Comments (`/* … */`, and `//` to the end of the line) count as white space; an
/// unpaired surrogate becomes U+FFFD. Do not use the reader after [`Invalid`].
///
/// ```
/// use simple_connect_core::event::reader::{Reader, Token};
///
/// let mut reader = Reader::new(r#"{"a": [1]} // and no more"#);
/// assert_eq!(reader.value(), Ok(Token::Object));
/// assert_eq!(reader.member(), Ok(Some("a")));
/// assert_eq!(reader.value(), Ok(Token::Array));
/// assert_eq!(reader.element(), Ok(true));
/// assert_eq!(reader.value(), Ok(Token::Integer(1)));
/// assert_eq!(reader.element(), Ok(false));
/// assert_eq!(reader.member(), Ok(None));
/// assert_eq!(reader.end(), Ok(()));
/// ```
#[derive(Debug)]
pub struct Reader<'a> {
    text: &'a str,
    position: usize,
    /// The number of open arrays and objects.
    depth: usize,
    /// Whether nothing was read of the innermost one yet.
    at_start: bool,
    /// The last string that had escapes.
    unescaped: String,
}

impl<'a> Reader<'a> {
    /// A reader at the start of `text`.
    pub fn new(text: &'a str) -> Self {
        Self { text, position: 0, depth: 0, at_start: false, unescaped: String::new() }
    }

    /// Reads the next value, or the start of an array or object.
    ///
    /// # Errors
    /// [`Invalid`] if no value begins here.
    pub fn value(&mut self) -> Result<Token<'_>, Invalid> {
        match self.peek()? {
            Some(b'{') => self.open(Token::Object),
            Some(b'[') => self.open(Token::Array),
            Some(b'"') => {
                let plain = self.string()?;
                Ok(Token::Text(self.read(plain)))
            }
            Some(b't') => self.word("true", Token::Bool(true)),
            Some(b'f') => self.word("false", Token::Bool(false)),
            Some(b'n') => self.word("null", Token::Null),
            _ => self.number(),
        }
    }

    /// Whether the array has another element, which [`value`](Self::value) reads next. False at the array's end.
    ///
    /// # Errors
    /// [`Invalid`] if neither an element nor the end follows.
    pub fn element(&mut self) -> Result<bool, Invalid> {
        self.goes_on(b']')
    }

    /// The name of the object's next member, whose value [`value`](Self::value) reads next. None at the object's end.
    ///
    /// # Errors
    /// [`Invalid`] if neither a member nor the end follows.
    pub fn member(&mut self) -> Result<Option<&str>, Invalid> {
        if !self.goes_on(b'}')? {
            return Ok(None);
        }
        if self.peek()? != Some(b'"') {
            return Err(Invalid);
        }
        let plain = self.string()?;
        if self.peek()? != Some(b':') {
            return Err(Invalid);
        }
        self.position += 1;
        Ok(Some(self.read(plain)))
    }

    /// Checks that only white space follows.
    ///
    /// # Errors
    /// [`Invalid`] if anything else follows.
    pub fn end(&mut self) -> Result<(), Invalid> {
        if self.peek()?.is_none() { Ok(()) } else { Err(Invalid) }
    }

    fn goes_on(&mut self, end: u8) -> Result<bool, Invalid> {
        let at_start = take(&mut self.at_start);
        match self.peek()? {
            Some(byte) if byte == end => {
                self.position += 1;
                self.depth -= 1;
                Ok(false)
            }
            Some(b',') if !at_start => {
                self.position += 1;
                Ok(true)
            }
            _ if at_start => Ok(true),
            _ => Err(Invalid),
        }
    }

    fn open(&mut self, token: Token<'a>) -> Result<Token<'a>, Invalid> {
        if self.depth == MAX_NESTING {
            return Err(Invalid);
        }
        self.position += 1;
        self.depth += 1;
        self.at_start = true;
        Ok(token)
    }

    fn word(&mut self, word: &str, token: Token<'a>) -> Result<Token<'a>, Invalid> {
        if !self.rest().starts_with(word) {
            return Err(Invalid);
        }
        self.position += word.len();
        Ok(token)
    }

    fn number(&mut self) -> Result<Token<'a>, Invalid> {
        let start = self.position;
        self.skip(|byte| byte == b'-', 1);
        if self.skip(|byte| byte == b'0', 1) == 0 {
            self.digits()?;
        }
        let mut is_float = false;
        if self.skip(|byte| byte == b'.', 1) == 1 {
            is_float = true;
            self.digits()?;
        }
        if self.skip(|byte| matches!(byte, b'e' | b'E'), 1) == 1 {
            is_float = true;
            self.skip(|byte| matches!(byte, b'+' | b'-'), 1);
            self.digits()?;
        }
        let number = &self.text[start..self.position];
        if is_float {
            return number.parse().map(Token::Float).map_err(|_| Invalid);
        }
        Ok(number.parse().map_or(Token::BigInteger(number), Token::Integer))
    }

    fn digits(&mut self) -> Result<(), Invalid> {
        if self.skip(|byte| byte.is_ascii_digit(), usize::MAX) == 0 { Err(Invalid) } else { Ok(()) }
    }

    /// Reads a string. Returns its range in the text if it has no escapes, otherwise None: it is then in `unescaped`.
    fn string(&mut self) -> Result<Option<Range<usize>>, Invalid> {
        self.position += 1;
        self.unescaped.clear();
        let start = self.position;
        let mut piece = start;
        loop {
            self.skip(|byte| !matches!(byte, b'"' | b'\\' | ..=0x1f), usize::MAX);
            let end = self.position;
            match self.next()? {
                b'"' if piece == start => return Ok(Some(start..end)),
                b'"' => {
                    self.unescaped.push_str(&self.text[piece..end]);
                    return Ok(None);
                }
                b'\\' => {
                    self.unescaped.push_str(&self.text[piece..end]);
                    let character = self.escaped()?;
                    self.unescaped.push(character);
                    piece = self.position;
                }
                _ => return Err(Invalid),
            }
        }
    }

    /// The string that [`Self::string`] read.
    fn read(&self, plain: Option<Range<usize>>) -> &str {
        plain.map_or(self.unescaped.as_str(), |plain| &self.text[plain])
    }

    /// Reads the rest of an escape, after its backslash.
    fn escaped(&mut self) -> Result<char, Invalid> {
        Ok(match self.next()? {
            byte @ (b'"' | b'\\' | b'/') => char::from(byte),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let first = unit(self.rest()).ok_or(Invalid)?;
                self.position += 4;
                let second = self.rest().strip_prefix("\\u").and_then(unit);
                match decode_utf16([first].into_iter().chain(second)).next() {
                    Some(Ok(character)) => {
                        if character.len_utf16() == 2 {
                            self.position += 6;
                        }
                        character
                    }
                    _ => REPLACEMENT_CHARACTER,
                }
            }
            _ => return Err(Invalid),
        })
    }

    fn next(&mut self) -> Result<u8, Invalid> {
        let byte = *self.text.as_bytes().get(self.position).ok_or(Invalid)?;
        self.position += 1;
        Ok(byte)
    }

    /// Skips white space and comments, and returns the next byte.
    fn peek(&mut self) -> Result<Option<u8>, Invalid> {
        loop {
            match self.rest().as_bytes() {
                [b' ' | b'\t' | b'\n' | b'\r', ..] => self.position += 1,
                [b'/', b'*', comment @ ..] => {
                    let end = comment.windows(2).position(|pair| pair == b"*/");
                    self.position += 4 + end.ok_or(Invalid)?;
                }
                [b'/', b'/', ..] => self.position += self.rest().find('\n').unwrap_or(self.rest().len()),
                rest => return Ok(rest.first().copied()),
            }
        }
    }

    /// Skips at most `most` bytes while they are `wanted`, and returns their number.
    fn skip(&mut self, wanted: impl Fn(u8) -> bool, most: usize) -> usize {
        let bytes = &self.text.as_bytes()[self.position..];
        let count = bytes.iter().take(most).take_while(|byte| wanted(**byte)).count();
        self.position += count;
        count
    }

    fn rest(&self) -> &'a str {
        &self.text[self.position..]
    }
}

/// The UTF-16 code unit of the four hex digits at the start of `text`.
fn unit(text: &str) -> Option<u16> {
    let digits = text.get(..4).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
    u16::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use serde::Deserialize;
    use serde_json::{Map, Value};

    #[derive(Deserialize)]
    struct Table {
        texts: Vec<Text>,
    }

    #[derive(Deserialize)]
    struct Text {
        text: String,
        /// None if the text is invalid JSON.
        #[serde(default, deserialize_with = "some")]
        value: Option<Value>,
    }

    /// Tells the value `null` from a missing value.
    fn some<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
        Value::deserialize(deserializer).map(Some)
    }

    fn read(text: &str) -> Result<Value, Invalid> {
        let mut reader = Reader::new(text);
        let value = value(&mut reader)?;
        reader.end()?;
        Ok(value)
    }

    fn value(reader: &mut Reader<'_>) -> Result<Value, Invalid> {
        Ok(match reader.value()? {
            Token::Null => Value::Null,
            Token::Bool(bool) => bool.into(),
            Token::Integer(integer) => integer.into(),
            // Integers as serde_json represents them.
            Token::BigInteger(digits) => {
                digits.parse::<u64>().map_or_else(|_| digits.parse::<f64>().unwrap().into(), Value::from)
            }
            Token::Float(float) => float.into(),
            Token::Text(text) => text.into(),
            Token::Array => {
                let mut array = Vec::new();
                while reader.element()? {
                    array.push(value(reader)?);
                }
                array.into()
            }
            Token::Object => {
                let mut object = Map::new();
                while let Some(name) = reader.member()?.map(str::to_owned) {
                    object.insert(name, value(reader)?);
                }
                object.into()
            }
        })
    }

    #[test]
    fn texts_are_read_as_the_table_has_it() {
        let table: Table =
            serde_json::from_str(include_str!("../../spec/conformance/own/decoding.json")).unwrap();
        for Text { text, value } in table.texts {
            assert_eq!(read(&text).ok(), value, "{text}");
        }
    }

    #[test]
    fn a_hundred_levels_are_read_and_no_more() {
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            let nested = |levels| format!("{}1{}", open.repeat(levels), close.repeat(levels));
            assert!(read(&nested(MAX_NESTING)).is_ok());
            assert_eq!(read(&nested(MAX_NESTING + 1)), Err(Invalid));
            // Fails before it reads the rest.
            assert_eq!(read(&open.repeat(1 << 20)), Err(Invalid));
        }
    }

    #[test]
    fn closed_arrays_and_objects_do_not_count_as_nesting() {
        let flat = format!("[{}1]", "[],{},".repeat(1000));
        assert!(read(&flat).is_ok());
    }

    /// `text` with JSON's escapes, without quotes.
    fn escaped(text: &str) -> String {
        let json = serde_json::to_string(text).unwrap();
        json[1..json.len() - 1].to_owned()
    }

    /// Any JSON, with any white space.
    fn json() -> impl Strategy<Value = String> {
        let escape = |unit: &u16| format!("\\u{unit:04x}");
        let units =
            move |c: char| c.encode_utf16(&mut [0; 2]).iter().map(escape).collect::<Vec<_>>().concat();
        let piece = prop_oneof![
            "[ -~]{0,3}|.".prop_map(|text| escaped(&text)),
            any::<char>().prop_map(units),
            Just("\\/".to_owned()),
        ];
        let string = vec(piece, 0..8).prop_map(|pieces| format!("\"{}\"", pieces.concat()));
        let scalar = prop_oneof![
            Just("null".to_owned()),
            Just("true".to_owned()),
            Just("false".to_owned()),
            "-?(0|[1-9][0-9]{0,25})",
            "-?(0|[1-9][0-9]{0,5})(\\.[0-9]{1,8})?([eE][+-]?[0-9]{1,2})?",
            string.clone(),
        ];
        let space = "[ \t\r\n]{0,2}";
        scalar.prop_recursive(5, 40, 5, move |inner| {
            let inner = (space, inner, space).prop_map(|(before, value, behind)| before + &value + &behind);
            prop_oneof![
                vec(inner.clone(), 0..5).prop_map(|all| format!("[{}]", all.join(","))),
                vec((string.clone(), space, inner), 0..5).prop_map(|all| {
                    let members =
                        all.iter().map(|(name, space, value)| format!("{space}{name}{space}:{value}"));
                    format!("{{{}}}", members.collect::<Vec<_>>().join(","))
                }),
            ]
        })
    }

    /// Whether serde_json can read the text: it accepts neither comments nor unpaired surrogates.
    fn is_plain(text: &str) -> bool {
        !text.contains('/') && !text.contains("\\ud") && !text.contains("\\uD")
    }

    fn same(one: &Value, other: &Value) -> bool {
        match (one, other) {
            // serde_json may round the last digit differently.
            (Value::Number(one), Value::Number(other)) => {
                one == other || {
                    let (one, other) = (one.as_f64().unwrap(), other.as_f64().unwrap());
                    (one - other).abs() <= one.abs() * 1e-15
                }
            }
            (Value::Array(one), Value::Array(other)) => {
                one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
            }
            (Value::Object(one), Value::Object(other)) => {
                one.len() == other.len()
                    && one.iter().zip(other).all(|(one, other)| one.0 == other.0 && same(one.1, other.1))
            }
            _ => one == other,
        }
    }

    fn agrees_with_serde(text: &str) -> Result<(), TestCaseError> {
        let (ours, theirs) = (read(text), serde_json::from_str::<Value>(text));
        let agree = match (&ours, &theirs) {
            (Ok(ours), Ok(theirs)) => same(ours, theirs),
            (Err(Invalid), Err(_)) => true,
            // serde_json rejects numbers that are out of range.
            (Ok(_), Err(error)) => error.to_string().starts_with("number out of range"),
            (Err(Invalid), Ok(_)) => false,
        };
        prop_assert!(agree, "{text:?}: {ours:?}, {theirs:?}");
        Ok(())
    }

    proptest! {
        #[test]
        fn json_is_read_as_serde_reads_it(text in json()) {
            prop_assert!(read(&text).is_ok(), "{text}");
            agrees_with_serde(&text)?;
        }

        #[test]
        fn almost_json_is_read_as_serde_reads_it(
            text in json(), place in any::<prop::sample::Index>(), other in r#"[\[\]{},:"\\0-9eE.tfnu\n -]{0,2}"#, length in 0..3usize,
        ) {
            let places: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
            let at = place.index(places.len());
            let end = (at + length).min(places.len() - 1);
            let text = format!("{}{other}{}", &text[..places[at]], &text[places[end]..]);
            if is_plain(&text) {
                agrees_with_serde(&text)?;
            }
        }

        #[test]
        fn any_text_is_read_or_rejected(text in r#"([\[\]{},:"\\/*0-9eE.tfnu\n -]|true|false|null|\\ud83d|\\ude00|é|.){0,40}"#) {
            let read = read(&text);
            if is_plain(&text) {
                agrees_with_serde(&text)?;
            }
            // Comments around a text do not change the result.
            let around = format!("/* {} */ {text}\n// and no more", "[");
            prop_assert_eq!(self::read(&around), read);
        }
    }
}
